"""Core. Into which phases the time falls in which three regions acknowledge nothing.

What the programs wrote names instants, in the order in which they must come; a phase is
the time from one instant to the next. The last of several that wait for the same thing
counts: those before it would have gone on earlier.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from attrs import frozen

NEO_MASTER, STORAGE, CLIENT = "neomaster", "neostorage", "client"

PHASES = (
    "the fault comes",
    "the loss is noticed",
    "a neo_master is a candidate",
    "the neo_masters agree",
    "a majority comes",
    "others are waited for",
    "promise, verdict, table, commit",
    "the client connects",
    "a commit",
)
"""In their order; a gap in which no primary is lost has the second and the last."""


@frozen(order=True)
class Record:
    """One line of the log of a program, which is known by its kind and its region."""

    seconds: float
    kind: str
    region: int
    text: str


@frozen
class Gap:
    """When a fault came, and the acknowledgements before and after it."""

    last_seconds: float
    fault_seconds: float
    next_seconds: float


def split(gap: Gap, records: Iterable[Record]) -> dict[str, float]:
    """Return the seconds of each phase; together they are the gap."""
    within = sorted(
        record
        for record in records
        if gap.fault_seconds <= record.seconds <= gap.next_seconds
    )
    found = _instants(within)
    instants = [gap.last_seconds]
    for name in PHASES[:-1]:
        instant = gap.fault_seconds if name == PHASES[0] else found.get(name)
        # What took no time was done before.
        instants.append(max(instants[-1], instant or 0.0))
    instants.append(gap.next_seconds)
    return {
        name: after - before
        for name, (before, after) in zip(PHASES, pairwise(instants), strict=True)
    }


def _instants(within: Sequence[Record]) -> Mapping[str, float]:
    ran = _last(within, NEO_MASTER, "verdict: runs")
    if ran is None:
        lost = _last(within, NEO_MASTER, "storage node lost")
        return {} if lost is None else {"the loss is noticed": lost.seconds}
    before = [record for record in within if record <= ran]
    own = [record for record in before if record.region == ran.region]
    others = [record for record in before if record.region != ran.region]
    noticed = [
        *_all(own, NEO_MASTER, "connection closed for", "handler=PrimaryHandler")[:1],
        # Once each: later it is a candidate that they lose.
        *(
            lost
            for it in _all(within, STORAGE, "doing operation")
            for lost in _all(
                before, STORAGE, "primary master is down", region=it.region
            )[:1]
        ),
    ]
    candidate = next(iter(_all(own, NEO_MASTER, "begin the recovery")), None)
    marks = {
        "the loss is noticed": max(noticed, default=None),
        "a neo_master is a candidate": candidate,
        "the neo_masters agree": _last(others, NEO_MASTER, "verdict: follows"),
        "a majority comes": _last(own, NEO_MASTER, "a majority is there"),
        "others are waited for": _last(own, NEO_MASTER, "verdict: begins epoch"),
        "promise, verdict, table, commit": ran,
        "the client connects": _last(within, CLIENT, "Connected and ready"),
    }
    instants = {name: mark.seconds for name, mark in marks.items() if mark}
    # Who follows after the majority was there kept nobody waiting.
    majority = instants.get("a majority comes", ran.seconds)
    if instants.get("the neo_masters agree", 0.0) > majority:
        del instants["the neo_masters agree"]
    return instants


def _all(
    records: Iterable[Record], kind: str, *words: str, region: int | None = None
) -> list[Record]:
    return [
        record
        for record in records
        if record.kind == kind
        and region in {None, record.region}
        and all(word in record.text for word in words)
    ]


def _last(records: Iterable[Record], kind: str, *words: str) -> Record | None:
    return max(_all(records, kind, *words), default=None)
