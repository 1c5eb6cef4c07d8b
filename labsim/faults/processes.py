"""Core. Processes that stand still, are killed, or are started again in turn."""

from __future__ import annotations

from labsim.faults.package import Drawing, FaultPackage, Symbol, Verb, lasting
from labsim.schedule import TimedFault

RESTART_SECONDS = 3.0
"""What a service manager needs to start what has ended."""


def _draw_kill(name: str, drawing: Drawing) -> tuple[TimedFault, ...]:
    targets = drawing.targets((Symbol.ONE, Symbol.MINORITY))
    return (drawing.fault(name, targets, RESTART_SECONDS),)


def _draw_rolling_restart(name: str, drawing: Drawing) -> tuple[TimedFault, ...]:
    """An upgrade: one machine of a region after the other."""
    region = drawing.entropy.choice(drawing.topology.regions)
    pause_seconds = drawing.seconds()
    return tuple(
        drawing.fault(
            name, (host,), RESTART_SECONDS, delay_seconds=number * pause_seconds
        )
        for number, host in enumerate(region.machines)
    )


PAUSE = FaultPackage("pause", Verb.PAUSE, lasting(Symbol.ONE), "#9467bd")
STOPPED_PROCESSES = FaultPackage(
    "stopped processes", Verb.STOP_PROCESSES, lasting(Symbol.ONE), "#c5b0d5"
)
PROCESS_KILLER = FaultPackage("process killer", Verb.KILL, _draw_kill, "#2ca02c")
ROLLING_RESTART = FaultPackage(
    "rolling restart", Verb.KILL, _draw_rolling_restart, "#98df8a"
)
