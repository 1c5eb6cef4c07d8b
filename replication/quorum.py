"""Core. Whoever acknowledges in epoch n holds all that was acknowledged below n.

At every instant at most one primary can acknowledge commits: the rule of
``docs/protocols/quorum.md``, as functions over what was seen. Those of the primary come
first, then those of a storage node.

A region has one vote on a neo_partition, and casts it with all its nodes that have a
cell of it: with one of two, two majorities could meet in a region and in no node.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import Enum, auto

from attrs import evolve, frozen

from replication.observation import (
    COUNTER_MAX,
    Claim,
    RegionId,
    Row,
    StorageId,
    Table,
    TableId,
    Tid,
    Ttid,
    region_of,
)

REGION_COUNT_MIN = 3
"""Of two, both are the majority: the loss of either stops all."""

FIRST_EPOCH = 1
"""That of creation, which all holders promise before any has the first table. Nothing
ever runs in it: the next recovery begins the second one."""


@frozen
class Verdict:
    """Whether something may be done, else the reason."""

    reason: str = ""

    def __bool__(self) -> bool:
        return not self.reason


ALLOWED = Verdict()


def voting_regions(row: Row, storages: Collection[StorageId]) -> set[RegionId]:
    """Return the regions of which every holder of the row is among the nodes."""
    return set(row.regions) - {
        region_of(it) for it in row.holders if it not in storages
    }


def has_majority(row: Row, storages: Collection[StorageId]) -> bool:
    return 2 * len(voting_regions(row, storages)) > len(row.regions)


def check_majority(rows: Iterable[Row], storages: Collection[StorageId]) -> Verdict:
    """Whether the nodes are a majority of the regions of each of these rows."""
    for row in sorted(set(rows), key=lambda row: sorted(row.holders)):
        if not has_majority(row, storages):
            voting = sorted(voting_regions(row, storages))
            return Verdict(
                f"regions {voting or 'none'} of {sorted(row.regions)}: "
                f"{len(row.regions) // 2 + 1} are needed"
            )
    return ALLOWED


# -- the primary ---------------------------------------------------------------------


class Ending(Enum):
    """What becomes of a transaction whose locks were asked for."""

    WAIT = auto()
    ACKNOWLEDGE = auto()
    #: Back to recovery, which decides it: never forgotten, never run on from.
    IN_DOUBT = auto()


def decide_ending(
    rows: Iterable[Row],
    waiting: Collection[StorageId],
    lockers: Collection[StorageId],
) -> Ending:
    """Return how a transaction ends that touches these rows of the table.

    ``waiting`` did not answer yet and are still connected. ``lockers`` answered in
    this epoch, and their connections were not lost since.
    """
    if waiting:
        return Ending.WAIT
    return Ending.ACKNOWLEDGE if check_majority(rows, lockers) else Ending.IN_DOUBT


def may_change(
    table: Table, connected: Collection[StorageId], heard: Iterable[int] = ()
) -> Verdict:
    """Whether a running primary may change the table, or only go on with it.

    ``heard`` has the epochs and promises that it was told of.
    """
    above = [epoch for epoch in heard if epoch > table.table_id.epoch]
    if above:
        return Verdict(f"epoch {max(above)} was promised, this one is {_epoch(table)}")
    if table.table_id.counter >= COUNTER_MAX:
        return Verdict(f"epoch {_epoch(table)} has no number left for another table")
    return check_majority(table.rows, connected)


@frozen
class Source:
    """From which table a recovery goes on, and with whom.

    ``epoch`` is above every epoch and promise that was seen.
    """

    table: Table
    participants: frozenset[StorageId]
    epoch: int


@frozen
class Wait:
    """Why a recovery does not go on yet."""

    reason: str


def find_source(claims: Collection[Claim]) -> Source | Wait:
    """Return the newest table among the nodes present when they may go on with it.

    A claim is void as soon as the connection that brought it is lost.
    """
    tables = [claim.table for claim in claims if claim.table]
    if not tables:
        return Wait("no storage node that is present has a table")
    top = max(table.table_id for table in tables)
    newest = {table for table in tables if table.table_id == top}
    if len(newest) > 1:
        return Wait(f"two different tables have the id {top.epoch}.{top.counter}")
    (table,) = newest
    present = frozenset(
        claim.storage
        for claim in claims
        # Without a table, but with a promise, it never had one. An empty disk in the
        # place of a lost one promised nothing.
        if claim.storage in table.holders and (claim.table or claim.promise)
    )
    verdict = check_majority(table.rows, present)
    if not verdict:
        return Wait(verdict.reason + _suspicion(table, claims))
    if not all(row.readable & present for row in table.rows):
        away = sorted(table.readable - present)
        return Wait(f"nobody present has all: wait for one of storage nodes {away}")
    seen = [number for claim in claims for number in (claim.promise, claim.epoch)]
    return Source(table, present, max(seen) + 1)


def _suspicion(newest: Table, claims: Collection[Claim]) -> str:
    """Say whose table is newest when none of the others has a cell in it."""
    others = [
        claim.table
        for claim in claims
        if claim.table and claim.table.table_id < newest.table_id
    ]
    if not others or any(newest.holders & table.holders for table in others):
        return ""
    strangers = sorted(
        claim.storage
        for claim in claims
        if claim.table and claim.table.table_id == newest.table_id
    )
    return (
        f". Storage nodes {strangers} have a later table, in which the others have no "
        "cell: stop them if they are of another neo_cluster"
    )


def find_locked(source: Source, claims: Iterable[Claim]) -> dict[Ttid, Tid]:
    """Return what participants at the top epoch locked, or a verdict has.

    A readable participant that committed one of the rest makes it part of the verdict
    too: see ``find_open``.
    """
    return {
        ttid: tid
        for claim in _decisive(source, claims)
        for ttid, tid in claim.unfinished.items()
        if tid is not None
    }


def find_open(source: Source, claims: Iterable[Claim]) -> set[Ttid]:
    """Return what was voted and may be committed on a readable participant only."""
    decisive = _decisive(source, claims)
    voted = {ttid for claim in decisive for ttid in claim.unfinished}
    return voted - set(find_locked(source, decisive))


def _decisive(source: Source, claims: Iterable[Claim]) -> list[Claim]:
    return [
        claim
        for claim in claims
        if claim.storage in source.participants
        and claim.epoch == source.table.table_id.epoch
    ]


def plan_table(source: Source) -> Table:
    """Return the table of the new epoch: who is absent is out of date."""
    return Table(
        TableId(source.epoch, 0),
        tuple(
            evolve(row, readable=row.readable & source.participants)
            for row in source.table.rows
        ),
    )


@frozen
class Change:
    """Other holders of everything: those that come, those that go."""

    added: frozenset[StorageId] = frozenset()
    removed: frozenset[StorageId] = frozenset()

    def apply(self, table: Table) -> Table:
        """Return the table with them. Who comes is out of date."""
        rows = (
            Row((row.holders | self.added) - self.removed, row.readable - self.removed)
            for row in table.rows
        )
        return evolve(table, rows=tuple(rows))


def may_replace(source: Source, claims: Iterable[Claim], new: Table) -> Verdict:
    """Whether a recovery may go on with other holders; ``new`` has them.

    Any majority of the old table and any of the new one have a node in common: at most
    one region comes or goes, and a region that stays keeps a node. And nobody may be
    left of another change that was begun from the same table: all whom this one needs
    have that table, and promised nothing since.
    """
    old = source.table
    claim_of = {claim.storage: claim for claim in claims}
    known = source.participants | _coming(source, claim_of)
    for storage in sorted(source.participants):
        claim = claim_of[storage]
        if claim.epoch != old.table_id.epoch or claim.promise > claim.epoch:
            return Verdict("a recovery was interrupted: first another one has to end")
    for before, after in zip(old.rows, new.rows, strict=True):
        if len(before.regions ^ after.regions) > 1:
            return Verdict("one region comes or goes at a time")
        for region in before.regions & after.regions:
            if not _of(region, before.holders) & _of(region, after.holders):
                return Verdict(
                    f"region {region} would change all its storage nodes at once: "
                    "add one, wait until it has all, then remove the other"
                )
        if not after.readable & known:
            return Verdict("nobody with all would be left: wait for the replication")
    return check_majority((*old.rows, *new.rows), known)


def replace(source: Source, claims: Iterable[Claim], new: Table) -> Source:
    """Return with whom a recovery goes on that ``may_replace`` the holders.

    Those of it that stay, and those that come. A holder that is none of it lost its
    disk: with a promise it would count as one that never had a table.
    """
    coming = _coming(source, (claim.storage for claim in claims))
    return evolve(source, participants=(source.participants | coming) & new.holders)


def _coming(source: Source, present: Iterable[StorageId]) -> frozenset[StorageId]:
    return frozenset(present) - source.table.holders


def plan_first_table(holders: Collection[StorageId], row_count: int) -> Table:
    """Return the table of a creation: each holder has all."""
    row = Row(frozenset(holders), frozenset(holders))
    return Table(TableId(FIRST_EPOCH, 0), (row,) * row_count)


def check_layout(table: Table) -> Verdict:
    """Whether a table is one to rest in: the same odd number of regions for all."""
    regions = {row.regions for row in table.rows}
    if len(regions) != 1:
        return Verdict("a neo_partition has no cell in a region that others have")
    (known,) = regions
    if 0 in known:
        return Verdict("a storage node has no region")
    if len(known) < REGION_COUNT_MIN or len(known) % 2 == 0:
        return Verdict(
            f"{len(known)} regions: an odd number, at least {REGION_COUNT_MIN}, "
            "so that a majority is left when one is lost"
        )
    return ALLOWED


# -- a storage node ------------------------------------------------------------------


def may_promise(held: int, epoch: int, offered: int) -> Verdict:
    """Whether a node may promise to refuse all below the epoch that it is offered.

    ``held`` is what it promised before, ``epoch`` that of its table. What is equal was
    promised to somebody, who may go on with it.
    """
    highest = max(held, epoch)
    if not epoch and offered == highest == FIRST_EPOCH:
        # Its creation was interrupted, and begins again.
        return ALLOWED
    if offered <= highest:
        return Verdict(f"promised {highest}: {offered} is not above it")
    return ALLOWED


def may_adopt(held: int, own: TableId | None, offered: TableId) -> Verdict:
    """Whether a node may take a whole table from the primary that it follows."""
    if offered.epoch < held:
        return Verdict(f"promised {held}: a table of epoch {offered.epoch} is refused")
    if own is not None and offered < own:
        return Verdict(f"has table {own}: {offered} is older")
    return ALLOWED


@frozen
class Settlement:
    """What a node does with its unfinished transactions when it takes a table.

    In one commit with the table and the verdict. ``missing`` stops the start.
    """

    to_lock: Mapping[Ttid, Tid]
    to_drop: frozenset[Ttid]
    missing: frozenset[Ttid]


def settle(
    *,
    is_readable: bool,
    voted: Collection[Ttid],
    verdict: Mapping[Ttid, Tid],
    needed: Collection[Ttid],
) -> Settlement:
    """Return what becomes of the votes of a node under a verdict.

    ``needed`` are those of the verdict whose description this node must have as a
    readable one, and did not commit.
    """
    to_lock = {
        ttid: tid for ttid, tid in verdict.items() if is_readable and ttid in voted
    }
    return Settlement(
        to_lock,
        frozenset(voted) - set(to_lock),
        frozenset(needed) - set(voted) if is_readable else frozenset(),
    )


def _of(region: RegionId, storages: Iterable[StorageId]) -> set[StorageId]:
    return {storage for storage in storages if region_of(storage) == region}


def _epoch(table: Table) -> int:
    return table.table_id.epoch
