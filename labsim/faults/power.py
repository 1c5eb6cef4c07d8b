"""Core. Machines that lose their power, and what was not on their disks."""

from __future__ import annotations

from labsim.faults.package import Drawing, FaultPackage, Symbol, Verb, lasting
from labsim.schedule import TimedFault

BOUNCE_SECONDS_MAX = 2.0
"""Shorter than what anybody waits before a silence is noticed."""


def _draw_bounce(name: str, drawing: Drawing) -> tuple[TimedFault, ...]:
    seconds = drawing.entropy.uniform(0, BOUNCE_SECONDS_MAX)
    return (drawing.fault(name, drawing.targets((Symbol.ONE,)), seconds),)


CRASH = FaultPackage("crash", Verb.CRASH, lasting(Symbol.ONE), "#1f77b4")
BOUNCE = FaultPackage("bounce", Verb.CRASH, _draw_bounce, "#aec7e8")
REGION_POWER_LOSS = FaultPackage(
    "region power loss", Verb.CRASH, lasting(Symbol.REGION), "#17365c"
)
POWER_LOSS = FaultPackage("power loss", Verb.CRASH, lasting(Symbol.ALL), "#000000")
