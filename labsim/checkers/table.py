"""Core. All checkers by their names, over a whole history and while it happens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType

from labsim.checkers import (
    acknowledged,
    epochs,
    partitions,
    recovery,
    settled,
    tids,
    transactions,
)
from labsim.checkers.violation import Bounds, Checker, Violation
from labsim.history import Happening

VIOLATIONS_MAX = 100
"""Of each checker: what is broken breaks all that follows, and the first ones tell."""

WATCHES: Mapping[str, Callable[[Bounds], Checker]] = MappingProxyType(
    {
        acknowledged.NAME: acknowledged.AcknowledgedCalls,
        partitions.NAME: partitions.Partitions,
        tids.NAME: tids.Tids,
        transactions.NAME: transactions.Transactions,
        settled.NAME: settled.Settled,
        recovery.NAME: recovery.Recoveries,
        epochs.NAME: epochs.Epochs,
    }
)


class Watch:
    """Some checkers at once, while it happens; ``violations`` has what they found.

    What it found last is also what ``take`` returns, so that a run may stop at once.
    """

    def __init__(self, bounds: Bounds, names: Iterable[str] = tuple(WATCHES)) -> None:
        self.violations: list[Violation] = []
        self._left = dict.fromkeys(names, VIOLATIONS_MAX)
        self._checkers = [(name, WATCHES[name](bounds)) for name in self._left]

    def take(self, happening: Happening) -> tuple[Violation, ...]:
        found: tuple[Violation, ...] = ()
        for name, checker in self._checkers:
            each = checker.take(happening)
            if each:
                found += self._keep(name, each)
        return found

    def finish(self) -> tuple[Violation, ...]:
        found: tuple[Violation, ...] = ()
        for name, checker in self._checkers:
            found += self._keep(name, checker.finish())
        return found

    def _keep(self, name: str, each: tuple[Violation, ...]) -> tuple[Violation, ...]:
        kept = each[: self._left[name]]
        self._left[name] -= len(kept)
        self.violations += kept
        return kept


def _check(
    name: str, history: Iterable[Happening], bounds: Bounds
) -> tuple[Violation, ...]:
    watch = Watch(bounds, (name,))
    for happening in history:
        watch.take(happening)
    watch.finish()
    return tuple(watch.violations)


CHECKERS: Mapping[
    str, Callable[[Iterable[Happening], Bounds], tuple[Violation, ...]]
] = MappingProxyType({name: partial(_check, name) for name in WATCHES})


def judge(history: Iterable[Happening], bounds: Bounds) -> tuple[Violation, ...]:
    """What any of them finds, in the order of the instants."""
    watch = Watch(bounds)
    for happening in history:
        watch.take(happening)
    watch.finish()
    return tuple(sorted(watch.violations, key=lambda it: it.at))
