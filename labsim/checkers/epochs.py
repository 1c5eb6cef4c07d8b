"""Core. An epoch has one primary, and a later one ends it.

Epochs are compared by the tids that they acknowledged: the answer of a primary that
was replaced may come late, and what it says is still true.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from attrs import define

from labsim.checkers.violation import Bounds, Violation, seconds_of
from labsim.history import Committed, Epoch, Happening

NAME = "epochs"


@define
class _Reign:
    """What an epoch acknowledged, by the tids of it."""

    first: Committed
    last: Committed


class Epochs:
    def __init__(self, _bounds: Bounds) -> None:
        self._primaries: dict[int, Epoch] = {}
        self._reigns: dict[int, _Reign] = {}
        self._counters: list[int] = []

    def take(self, happening: Happening) -> tuple[Violation, ...]:
        if isinstance(happening, Epoch):
            return self._begin(happening)
        if isinstance(happening, Committed) and happening.epoch and happening.tid:
            return self._commit(happening)
        return ()

    def finish(self) -> tuple[Violation, ...]:
        return ()

    def _begin(self, epoch: Epoch) -> tuple[Violation, ...]:
        first = self._primaries.setdefault(epoch.epoch, epoch)
        if first.host == epoch.host:
            return ()
        sentence = (
            f"epoch {epoch.epoch} has two primaries: {first.host} since"
            f" {seconds_of(first.at)}"
            f" and {epoch.host} since {seconds_of(epoch.at)}"
        )
        return (Violation(NAME, epoch.at, sentence, (first, epoch)),)

    def _commit(self, commit: Committed) -> tuple[Violation, ...]:
        reign = self._reigns.get(commit.epoch)
        if reign is None:
            self._reigns[commit.epoch] = _Reign(commit, commit)
            insort(self._counters, commit.epoch)
        elif _tid(commit) < _tid(reign.first):
            reign.first = commit
        elif _tid(commit) > _tid(reign.last):
            reign.last = commit
        place = bisect_left(self._counters, commit.epoch)
        found = []
        if place > 0:
            before = self._reigns[self._counters[place - 1]].last
            if _tid(before) > _tid(commit):
                found.append(_overlap(before, commit, commit.at))
        if place + 1 < len(self._counters):
            after = self._reigns[self._counters[place + 1]].first
            if _tid(after) < _tid(commit):
                found.append(_overlap(commit, after, commit.at))
        return tuple(found)


def _overlap(older: Committed, newer: Committed, at: float) -> Violation:
    sentence = (
        f"epoch {older.epoch} acknowledged {older.tid} to {older.master}, and epoch"
        f" {newer.epoch} had begun with {newer.tid}"
    )
    return Violation(NAME, at, sentence, (older, newer))


def _tid(commit: Committed) -> int:
    return int(commit.tid, 16)
