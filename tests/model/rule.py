"""What the rule says of the small values of worlds.

``replication.quorum`` is the module under test: ``tests.model.mutants`` loads this one
and those around it over a source of it with one part taken out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from attrs import field, frozen

from replication.observation import Claim, Row, Table, TableId
from replication.quorum import (
    Ending,
    Wait,
    check_majority,
    decide_ending,
    find_locked,
    find_open,
    find_source,
    may_change,
    may_replace,
    plan_table,
)
from tests.model.world import Bits, Disk, RawTable, Scope, places


@frozen(eq=False)
class Rule:
    """The rule in a ``Scope``; what it said is remembered."""

    scope: Scope
    _remembered: dict[Any, Any] = field(factory=dict)

    def ids(self, bits: Bits) -> frozenset[int]:
        found: frozenset[int] = self.remember(("ids", bits), self._ids, bits)
        return found

    def _ids(self, bits: Bits) -> frozenset[int]:
        return frozenset(self.scope.storage_id(place) for place in places(bits))

    def bits(self, ids: Iterable[int]) -> Bits:
        return sum(1 << self.scope.place_of(each) for each in ids)

    def table(self, raw: RawTable) -> Table:
        found: Table = self.remember(("table", raw), self._table, raw)
        return found

    def _table(self, raw: RawTable) -> Table:
        epoch, counter, rows = raw
        built = (Row(self.ids(held), self.ids(readable)) for held, readable in rows)
        return Table(TableId(epoch, counter), tuple(built))

    def raw(self, table: Table) -> RawTable:
        rows = tuple(
            (self.bits(row.holders), self.bits(row.readable)) for row in table.rows
        )
        return table.table_id.epoch, table.table_id.counter, rows

    def claim(self, place: int, disk: Disk, unfinished: dict[int, Any]) -> Claim:
        table = self.table(disk.table) if disk.table else None
        return Claim(self.scope.storage_id(place), disk.promise, table, unfinished)

    def remember(self, key: Any, function: Callable[..., Any], *values: Any) -> Any:
        try:
            return self._remembered[key]
        except KeyError:
            found = self._remembered[key] = function(*values)
            return found

    def source(self, disks: tuple[tuple[int, Disk], ...]) -> Any:
        """Return what ``find_source`` says of storage nodes, its table made raw."""
        told = tuple((place, disk.promise, disk.table) for place, disk in disks)
        return self.remember(("source", told), self._source, disks)

    def waits(self, disks: tuple[tuple[int, Disk], ...]) -> bool:
        return isinstance(self.source(disks), Wait)

    def _source(self, disks: tuple[tuple[int, Disk], ...]) -> Any:
        return find_source([self.claim(place, disk, {}) for place, disk in disks])

    def verdict(
        self, source: Any, answers: tuple[tuple[int, Disk], ...], tids: tuple[int, ...]
    ) -> Bits:
        """Return what a recovery commits: locked, or committed where it is readable."""
        claims = []
        for place, disk in answers:
            decided = disk.locks | disk.verdict
            unfinished = {
                number: tids[number] if decided >> number & 1 else None
                for number in places(disk.votes | decided)
            }
            claims.append(self.claim(place, disk, unfinished))
        found = sum(1 << number for number in find_locked(source, claims))
        readable = self.bits(source.table.readable & source.participants)
        for number in find_open(source, claims):
            for place, disk in answers:
                if readable >> place & 1 and any(
                    data >> number & 1 for data in disk.data
                ):
                    found |= 1 << number

        return found

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

    def planned(self, source: Any) -> RawTable:
        return self.raw(plan_table(source))

    def has_majority(self, rows: tuple[Row, ...], storages: Bits) -> bool:
        return bool(check_majority(rows, self.ids(storages)))

    def may_change(self, raw: RawTable, connected: Bits) -> bool:
        return bool(may_change(self.table(raw), self.ids(connected)))

    def touching(self, row: int) -> Bits:
        """Return the transactions that change a neo_partition."""
        return sum(
            1 << number
            for number, touched in enumerate(self.scope.touched)
            if touched >> row & 1
        )

    def ending(
        self, raw: RawTable, number: int, waiting: Bits, lockers: Bits
    ) -> Ending:
        key = ("ending", raw, number, waiting, lockers)
        found: Ending = self.remember(key, self._ending, raw, number, waiting, lockers)
        return found

    def _ending(
        self, raw: RawTable, number: int, waiting: Bits, lockers: Bits
    ) -> Ending:
        rows = self.rows_of(raw, number)
        return decide_ending(rows, self.ids(waiting), self.ids(lockers))

    def replaced(self, source: Any, layout: tuple[Bits, ...]) -> RawTable:
        """Return the table of the next epoch with other holders."""
        epoch, counter, rows = self.planned(source)
        new = tuple(
            (held, good & held) for held, (_, good) in zip(layout, rows, strict=True)
        )
        return epoch, counter, new

    def may_replace(
        self, source: Any, new: RawTable, disks: tuple[tuple[int, Disk], ...]
    ) -> bool:
        claims = [self.claim(place, disk, {}) for place, disk in disks]
        return bool(may_replace(source, claims, self.table(new)))
