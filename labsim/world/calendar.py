"""The wall clock of a simulated host: the world's clock, and an error of its own."""

from __future__ import annotations

from zope.interface import implementer

from labsim.world.clock import WorldClock
from runtime.ports import ICalendar

WORLD_EPOCH = 1_700_000_000.0
"""The date at which every world begins: 14 November 2023."""


@implementer(ICalendar)
class HostCalendar:
    """A calendar that may be wrong and may step; timers do not notice."""

    def __init__(self, world_clock: WorldClock) -> None:
        self._world_clock = world_clock
        self._error_seconds = 0.0

    def now(self) -> float:
        return WORLD_EPOCH + self._world_clock.seconds() + self._error_seconds

    def step(self, seconds: float) -> None:
        """Set the wall clock forward, or back."""
        self._error_seconds += seconds
