"""Core. How long nothing is acknowledged after a fault and after the healing.

Measured is from the first change that is asked for after the beginning of a fault, or
after the healing, to the first of those that is acknowledged: a change that was under
way proves nothing, an idle client misses nothing, and a question may be answered by
one who cannot write.

A fault is judged when it was alone until then, since what a majority survives one by
one it need not survive together.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from math import ceil, inf

from attrs import define, frozen

from labsim.checkers.violation import Bounds, Violation, seconds_of
from labsim.history import (
    CallBegan,
    CallEnded,
    FaultBegan,
    FaultEnded,
    Happening,
    Outcome,
    Phase,
    PhaseBegan,
)

NAME = "recovery"
HEALING = "healing"


@frozen
class Recovery:
    """``seconds`` is infinite when nothing was acknowledged until the end."""

    cause: FaultBegan | PhaseBegan
    asked_at: float
    seconds: float
    is_alone: bool

    @property
    def kind(self) -> str:
        return self.cause.fault if isinstance(self.cause, FaultBegan) else HEALING


@frozen
class Distribution:
    count: int
    median: float
    p99: float
    worst: float


@define
class _Pending:
    """``place`` is where it began, after ``fault_count`` faults."""

    cause: FaultBegan | PhaseBegan
    place: int
    fault_count: int
    was_alone: bool
    asked: CallBegan | None = None
    is_late: bool = False


class Recoveries:
    """``measured`` has what was measured so far, in the order of acknowledgements."""

    def __init__(self, bounds: Bounds) -> None:
        self.measured: list[Recovery] = []
        self._bounds = bounds
        self._place = 0
        self._active: set[int] = set()
        self._fault_count = 0
        self._unasked: list[_Pending] = []
        self._asked: list[_Pending] = []
        self._deadline = inf
        self._open: dict[tuple[str, int], int] = {}

    def take(self, happening: Happening) -> tuple[Violation, ...]:
        self._place += 1
        found = self._find_late(happening.at) if happening.at > self._deadline else ()
        match happening:
            case CallBegan(wanted=wanted) if wanted:
                self._ask(happening)
            case CallEnded():
                began = self._open.pop((happening.client, happening.number), None)
                if began and happening.outcome is Outcome.ACKNOWLEDGED:
                    self._acknowledge(began, happening.at)
            case FaultBegan():
                self._fault_count += 1
                self._wait(happening, was_alone=not self._active)
                self._active.add(happening.number)
            case FaultEnded():
                self._active.discard(happening.number)
            case PhaseBegan(phase=Phase.HEALED):
                self._wait(happening, was_alone=True)
        return found

    def finish(self) -> tuple[Violation, ...]:
        """Nothing is too late that had no time to be."""
        self._measure(self._asked, inf)
        return ()

    def _wait(self, cause: FaultBegan | PhaseBegan, *, was_alone: bool) -> None:
        it = _Pending(cause, self._place, self._fault_count, was_alone)
        self._unasked.append(it)

    def _ask(self, began: CallBegan) -> None:
        self._open[began.client, began.number] = self._place
        for it in self._unasked:
            it.asked = began
            self._deadline = min(self._deadline, began.at + self._bound_of(it))
        self._asked += self._unasked
        self._unasked.clear()

    def _bound_of(self, it: _Pending) -> float:
        if isinstance(it.cause, PhaseBegan):
            return self._bounds.healed_seconds
        return self._bounds.fault_seconds.get(it.cause.fault, inf)

    def _is_alone(self, it: _Pending) -> bool:
        if isinstance(it.cause, PhaseBegan):
            return True
        return it.was_alone and it.fault_count == self._fault_count

    def _find_late(self, now: float) -> tuple[Violation, ...]:
        found = []
        self._deadline = inf
        for it in self._asked:
            assert it.asked is not None
            bound = self._bound_of(it)
            if it.is_late or not self._is_alone(it):
                continue
            if now <= it.asked.at + bound:
                self._deadline = min(self._deadline, it.asked.at + bound)
                continue
            it.is_late = True
            sentence = (
                f"after the {_name_of(it.cause)} at {seconds_of(it.cause.at)}"
                " nothing that was"
                f" asked for since {seconds_of(it.asked.at)} was acknowledged within"
                f" {seconds_of(bound)}"
            )
            at = it.asked.at + bound
            found.append(Violation(NAME, at, sentence, (it.cause, it.asked)))
        return tuple(found)

    def _acknowledge(self, beginning: int, at: float) -> None:
        """End the waits that began before this change was asked for."""
        count = bisect_left(self._asked, beginning, key=lambda it: it.place)
        self._measure(self._asked[:count], at)
        del self._asked[:count]

    def _measure(self, ended: Iterable[_Pending], at: float) -> None:
        for it in ended:
            assert it.asked is not None
            seconds = at - it.asked.at
            alone = self._is_alone(it)
            self.measured.append(Recovery(it.cause, it.asked.at, seconds, alone))


def _name_of(cause: FaultBegan | PhaseBegan) -> str:
    if isinstance(cause, PhaseBegan):
        return HEALING
    return f"{cause.fault} of {', '.join(cause.targets[:3])}"


def measure_recoveries(history: Iterable[Happening]) -> tuple[Recovery, ...]:
    recoveries = Recoveries(Bounds())
    for happening in history:
        recoveries.take(happening)
    recoveries.finish()
    return tuple(recoveries.measured)


def distributions(recoveries: Iterable[Recovery]) -> dict[str, Distribution]:
    """Of the seconds of each kind of fault, and of the healing; by rank."""
    by_kind: dict[str, list[float]] = {}
    for it in recoveries:
        by_kind.setdefault(it.kind, []).append(it.seconds)
    return {
        kind: Distribution(
            len(seconds),
            _rank(sorted(seconds), 0.5),
            _rank(sorted(seconds), 0.99),
            max(seconds),
        )
        for kind, seconds in sorted(by_kind.items())
    }


def _rank(ordered: list[float], fraction: float) -> float:
    return ordered[ceil(fraction * len(ordered)) - 1]
