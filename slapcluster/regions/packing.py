"""Shell. Asks NEO to forget what is older than an instant."""

from __future__ import annotations

import sys

from attrs import frozen
from twisted.internet.defer import Deferred

from replication.neo.neoctl import python_environment
from runtime.ports import Program, Runtime
from slapcluster.instants import show_instant
from slapcluster.outcomes import CommandFailed
from slapcluster.pausing import pause
from slapcluster.printing import Progress
from slapcluster.regions.running import Regions

DAY_SECONDS = 24 * 3600

SHOWN_SECONDS = 1.0
"""How often the progress is told."""

_MODULE = "replication.neo.packing"


@frozen
class Packing:
    """A pack that was asked for, up to an instant; not done in a dry run."""

    up_to: str
    seconds: float | None
    is_done: bool


def instant(runtime: Runtime, day_count: float) -> float:
    return runtime.calendar.now() - day_count * DAY_SECONDS


async def pack(regions: Regions, up_to: float, progress: Progress) -> Packing:
    """Pack, and return when all storage nodes have; there is no bound but theirs."""
    runtime = regions.runtime
    seen = await regions.look()
    if seen.cluster_state != "RUNNING":
        said = " ".join(seen.remarks)
        raise CommandFailed(f"{seen.name} does not run, it cannot be packed. {said}")
    argv = (sys.executable, "-P", "-m", _MODULE)
    arguments = (" ".join(regions.neo_cluster.neo_masters), seen.name, repr(up_to))
    begun = runtime.clock.seconds()
    packing = runtime.processes.run(
        Program((*argv, *arguments), directory="/", environment=python_environment())
    )
    telling = Deferred.fromCoroutine(_tell(runtime, progress, begun))
    try:
        ended = await packing
    finally:
        telling.addErrback(lambda _cancelled: None)
        telling.cancel()
    if not ended.is_success:
        lines = ended.output.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else "it was killed"
        raise CommandFailed(f"{seen.name} is not packed: {reason}.")
    return Packing(show_instant(up_to), runtime.clock.seconds() - begun, is_done=True)


async def _tell(runtime: Runtime, progress: Progress, begun: float) -> None:
    while True:
        await pause(runtime.clock, SHOWN_SECONDS)
        progress.show(f"{runtime.clock.seconds() - begun:.0f} s")
