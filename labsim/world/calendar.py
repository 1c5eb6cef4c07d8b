"""The wall clock of a simulated host: its oscillator, and an error of its own."""

from __future__ import annotations

from zope.interface import implementer

from labsim.world.clock import Pace
from runtime.ports import ICalendar

WORLD_EPOCH = 1_700_000_000.0
"""The date at which every world begins: 14 November 2023."""


@implementer(ICalendar)
class HostCalendar:
    """A calendar that may be wrong and may step; timers do not notice.

    A drift of its host is one of timers too, and stays until a step when it ends.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._error_seconds = 0.0

    def now(self) -> float:
        return WORLD_EPOCH + self._pace.seconds() + self._error_seconds

    def step(self, seconds: float) -> None:
        """Set the wall clock forward, or back."""
        self._error_seconds += seconds

    def set_offset(self, seconds: float) -> None:
        """Set the wall clock so far from the right date; 0 is what NTP does."""
        self._error_seconds = seconds + self._pace.error_seconds()
