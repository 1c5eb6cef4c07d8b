"""Shell. Joins the questions of commands to the SLAP client of a runtime."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from runtime.ports import Runtime
from slap.replicas import Replicas
from slapcluster.master import Master
from slapcluster.pausing import pause
from slapgrid.slap_client import SlapClient
from slapgrid.trusting import trust_masters

T = TypeVar("T")


async def ask(
    runtime: Runtime,
    master_urls: tuple[str, ...],
    question: Callable[[Master], Coroutine[Any, Any, T]],
    identity_directory: str = "",
) -> T:
    """Ask the master at any of these addresses, the first preferred.

    Those with ``https`` are known, and told who asks, by an identity directory.
    """

    async def pause_here(delay_seconds: float) -> None:
        await pause(runtime.clock, delay_seconds)

    trust = None
    if identity_directory:
        from runtime.identity_directory import (  # noqa: PLC0415 - loads X.509
            paths_below,
        )

        trust = trust_masters(runtime, paths_below(identity_directory))
    # An address given twice is one replica.
    replicas = Replicas(tuple(dict.fromkeys(master_urls)))
    client = SlapClient(runtime, replicas, trust=trust)
    try:
        clock, calendar = runtime.clock, runtime.calendar
        master = Master(client.perform, pause_here, clock.seconds, calendar.now)
        return await question(master)
    finally:
        await client.close()
