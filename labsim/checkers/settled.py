"""Core. In the healed phase every promise is reached, in time."""

from __future__ import annotations

from labsim.checkers.violation import Bounds, Violation, seconds_of
from labsim.history import Ending, Happening, Phase, PhaseBegan

NAME = "settled"


class Settled:
    """An ending has the instant since which it is as wanted, or was given up."""

    def __init__(self, bounds: Bounds) -> None:
        self._seconds_max = bounds.settle_seconds
        self._healed: PhaseBegan | None = None

    def take(self, happening: Happening) -> tuple[Violation, ...]:
        if isinstance(happening, PhaseBegan) and happening.phase is Phase.HEALED:
            self._healed = happening
        if isinstance(happening, Ending):
            return self._judge(happening)
        return ()

    def finish(self) -> tuple[Violation, ...]:
        return ()

    def _judge(self, ending: Ending) -> tuple[Violation, ...]:
        healed = () if self._healed is None else (self._healed,)
        if ending.found != ending.wanted:
            sentence = (
                f"{ending.subject} should be {ending.wanted or 'nothing'} at"
                f" {seconds_of(ending.at)}, and is {ending.found or 'nothing'}"
            )
            return (Violation(NAME, ending.at, sentence, (*healed, ending)),)
        if self._healed is not None:
            seconds = ending.at - self._healed.at
            if seconds > self._seconds_max:
                sentence = (
                    f"{ending.subject} became {ending.wanted or 'nothing'}"
                    f" {seconds_of(seconds)} after the healing;"
                    f" {seconds_of(self._seconds_max)} are"
                    " allowed"
                )
                return (Violation(NAME, ending.at, sentence, (*healed, ending)),)
        return ()
