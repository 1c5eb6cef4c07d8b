"""Core. The histories of a cloud: a recovery ends one and begins the next.

A history is all that masters of one cloud acknowledged, from its bootstrap or a
recovery until the next. The next one has of it what was recovered and no more. Its
number tells people which one they see; who has seen a later transaction of the one
before is led on by ids alone, as after any restore (decision 36).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import evolve, frozen

from master_cluster.records import Change, InstanceRecord
from master_cluster.timestamps import next_timestamp
from slap.model import RequestedState

FIRST_NUMBER = 1
"""That of a cloud that was never recovered: nothing is kept of it."""


@frozen
class CloudHistory:
    """A history that follows another one, which it has up to ``follows_tid``.

    ``name`` is that of its service and its neo_cluster: no two of a cloud have one
    name, so nothing of an earlier one is taken for a part of a later one.
    """

    number: int
    name: str
    begun_at: float
    follows_tid: str
    source: str


def number_of(histories: Sequence[CloudHistory]) -> int:
    """Return the number of the history that a state is of."""
    return histories[-1].number if histories else FIRST_NUMBER


def follow(
    histories: Sequence[CloudHistory],
    *,
    name: str,
    now: float,
    follows_tid: str,
    source: str,
) -> tuple[CloudHistory, ...]:
    """Return all histories of a state that is recovered now."""
    number = number_of(histories) + 1
    return (*histories, CloudHistory(number, name, now, follows_tid, source))


def decide_ending(tree: Iterable[InstanceRecord], now: float) -> Change:
    """Have all of a tree be destroyed: its root need not be there to ask for it."""
    destroyed = RequestedState.DESTROYED
    ended = (
        evolve(
            it,
            wished_state=destroyed,
            requested_state=destroyed,
            timestamp=next_timestamp(now, it.timestamp),
        )
        for it in tree
        if it.requested_state is not destroyed
    )
    return Change(tuple(ended))


def check_name(
    name: str, histories: Sequence[CloudHistory], titles: Iterable[str]
) -> str:
    """Return why a new history may not have this name; empty when it may."""
    used = {*titles, *(it.name for it in histories)}
    if name not in used:
        return ""
    number = number_of(histories) + 1
    free = next(
        found
        for it in range(number, number + len(used) + 1)
        if (found := f"{name}-{it}") not in used
    )
    return (
        f"the name {name!r} is that of a service of the cloud that was lost: write"
        f' another one into the file, such as name = "{free}", so that nothing of the'
        " old one is ever taken for the new one"
    )
