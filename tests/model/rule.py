"""What the rule says of the small values of worlds.

``replication.quorum`` is the module under test: ``tests.model.mutants`` loads this one
and those around it over a source of it with one part taken out.
"""

from __future__ import annotations

from typing import Any

from attrs import frozen

from replication.observation import Claim, Row, Table, TableId
from replication.quorum import (
    Ending,
    Source,
    Wait,
    check_majority,
    decide_ending,
    find_locked,
    find_open,
    find_source,
    may_change,
    may_replace,
    plan_table,
    replace,
)
from tests.model.world import Bits, Disks, Origin, RawTable, Scope, places, remembered

DECIDED = 1
"""Stands for the tid of what is locked: the rule asks only whether there is one."""


@frozen(eq=False)
class Recovery:
    """What ``find_source`` and ``plan_table`` said, in small values."""

    source: Source
    table: RawTable
    planned: RawTable
    participants: Bits
    readable: Bits


@frozen(eq=False, slots=False)
class Rule:
    """The rule in a ``Scope``; what it said is remembered."""

    scope: Scope

    @remembered
    def ids(self, bits: Bits) -> frozenset[int]:
        return frozenset(self.scope.storage_id(place) for place in places(bits))

    @remembered
    def bits(self, ids: frozenset[int]) -> Bits:
        return sum(1 << self.scope.place_of(each) for each in ids)

    @remembered
    def table(self, raw: RawTable) -> Table:
        epoch, counter, rows = raw
        built = (Row(self.ids(held), self.ids(readable)) for held, readable in rows)
        return Table(TableId(epoch, counter), tuple(built))

    def raw(self, table: Table) -> RawTable:
        rows = tuple(
            (self.bits(row.holders), self.bits(row.readable)) for row in table.rows
        )
        return table.table_id.epoch, table.table_id.counter, rows

    @remembered
    def claim(self, place: int, origin: Origin) -> Claim:
        """Return what a storage node says before it is asked what is unfinished."""
        return self._claim(place, origin, {})

    def _claim(self, place: int, origin: Origin, unfinished: dict[int, Any]) -> Claim:
        promise, raw = origin
        table = self.table(raw) if raw else None
        return Claim(self.scope.storage_id(place), promise, table, unfinished)

    @remembered
    def recovery(self, origins: tuple[tuple[int, Origin], ...]) -> Recovery | Wait:
        """Return how those go on, or why they do not."""
        source = find_source([self.claim(it, origin) for it, origin in origins])
        if isinstance(source, Wait):
            return source
        return Recovery(
            source,
            self.raw(source.table),
            self.raw(plan_table(source)),
            self.bits(source.participants),
            self.bits(source.table.readable & source.participants),
        )

    def verdict(self, recovery: Recovery, answers: Disks) -> Bits:
        """Return what a recovery commits: locked, or committed where it is readable."""
        ballots = tuple(
            [
                (it, disk.origin, disk.votes, disk.locks | disk.verdict)
                for it, disk in answers
            ]
        )
        found, left = self._find_verdict(recovery, ballots)
        if left:
            for place, disk in answers:
                if recovery.readable >> place & 1:
                    for data in disk.data:
                        found |= data & left
        return found

    @remembered
    def _find_verdict(
        self, recovery: Recovery, ballots: tuple[tuple[int, Origin, Bits, Bits], ...]
    ) -> tuple[Bits, Bits]:
        """Return what is locked, and what a readable one may have committed."""
        claims = []
        for place, origin, votes, decided in ballots:
            unfinished = {
                number: DECIDED if decided >> number & 1 else None
                for number in places(votes | decided)
            }
            claims.append(self._claim(place, origin, unfinished))
        locked = find_locked(recovery.source, claims)
        left = find_open(recovery.source, claims)
        return sum(1 << it for it in locked), sum(1 << it for it in left)

    def rows_of(self, raw: RawTable, number: int) -> tuple[Row, ...]:
        """Return the rows that a transaction touches."""
        touched = self.scope.touched[number]
        return tuple(
            row
            for place, row in enumerate(self.table(raw).rows)
            if touched >> place & 1
        )

    def holders(self, raw: RawTable, number: int) -> Bits:
        touched = self.scope.touched[number]
        found = 0
        for place, (held, _) in enumerate(raw[2]):
            if touched >> place & 1:
                found |= held
        return found

    def metadata(self, raw: RawTable | None, number: int) -> Bits:
        """Return who keeps a lock of a transaction: the others only remember it."""
        assert raw
        first = (self.scope.touched[number] & -self.scope.touched[number]).bit_length()
        return raw[2][first - 1][0]

    @remembered
    def has_majority(self, rows: tuple[Row, ...], storages: Bits) -> bool:
        return bool(check_majority(rows, self.ids(storages)))

    @remembered
    def may_change(self, raw: RawTable, connected: Bits) -> bool:
        return bool(may_change(self.table(raw), self.ids(connected)))

    @remembered
    def touching(self, row: int) -> Bits:
        """Return the transactions that change a neo_partition."""
        return sum(
            1 << number
            for number, touched in enumerate(self.scope.touched)
            if touched >> row & 1
        )

    @remembered
    def ending(
        self, raw: RawTable, number: int, waiting: Bits, lockers: Bits
    ) -> Ending:
        rows = self.rows_of(raw, number)
        return decide_ending(rows, self.ids(waiting), self.ids(lockers))

    def replaced(self, recovery: Recovery, layout: tuple[Bits, ...]) -> RawTable:
        """Return the table of the next epoch with other holders."""
        epoch, counter, rows = recovery.planned
        new = tuple(
            (held, good & held) for held, (_, good) in zip(layout, rows, strict=True)
        )
        return epoch, counter, new

    def may_replace(self, recovery: Recovery, new: RawTable, disks: Disks) -> bool:
        claims = [self.claim(place, disk.origin) for place, disk in disks]
        return bool(may_replace(recovery.source, claims, self.table(new)))

    def replacing(self, recovery: Recovery, new: RawTable, disks: Disks) -> Bits:
        """Return who goes on with other holders."""
        claims = [self.claim(place, disk.origin) for place, disk in disks]
        return self.bits(replace(recovery.source, claims, self.table(new)).participants)
