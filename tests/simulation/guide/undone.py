"""Core. A checker: by the healing, each fault that began has ended."""

from __future__ import annotations

from labsim.checkers.violation import Bounds, Violation, seconds_of
from labsim.history import FaultBegan, FaultEnded, Happening, Phase, PhaseBegan

NAME = "undone"


class Undone:
    """Remembers the faults that last; their number is what an end names."""

    def __init__(self, bounds: Bounds) -> None:
        del bounds  # no time is allowed: a schedule ends healed
        self._lasting: dict[int, FaultBegan] = {}

    def take(self, happening: Happening) -> tuple[Violation, ...]:
        match happening:
            case FaultBegan():
                self._lasting[happening.number] = happening
            case FaultEnded():
                self._lasting.pop(happening.number, None)
            case PhaseBegan(phase=Phase.HEALED):
                return tuple(self._tell(it, happening) for it in self._lasting.values())
        return ()

    def finish(self) -> tuple[Violation, ...]:
        return ()

    def _tell(self, fault: FaultBegan, healed: PhaseBegan) -> Violation:
        sentence = (
            f"{fault.fault} of {' '.join(fault.targets)}, which began at "
            f"{seconds_of(fault.at)}, lasts at the healing"
        )
        return Violation(NAME, healed.at, sentence, (fault, healed))
