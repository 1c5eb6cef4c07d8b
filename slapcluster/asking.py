"""Shell. Joins the questions of commands to the SLAP client of a runtime."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from runtime.ports import Runtime
from slap.replicas import Replicas
from slapcluster.master import Master
from slapcluster.pausing import pause
from slapgrid.slap_client import SlapClient

T = TypeVar("T")


async def ask(
    runtime: Runtime,
    master_urls: tuple[str, ...],
    question: Callable[[Master], Coroutine[Any, Any, T]],
) -> T:
    """Ask the master at any of these addresses, the first preferred."""

    async def pause_here(delay_seconds: float) -> None:
        await pause(runtime.clock, delay_seconds)

    # An address given twice is one replica.
    client = SlapClient(runtime, Replicas(tuple(dict.fromkeys(master_urls))))
    try:
        return await question(Master(client.perform, pause_here, runtime.clock.seconds))
    finally:
        await client.close()
