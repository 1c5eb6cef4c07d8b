"""Core. Tables as they are sent: numbers in an order that is the same each time."""

from __future__ import annotations

from typing import Any

from replication.observation import Row, Table, TableId

RawTable = tuple[int, int, tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]]


def raw_table(table: Table) -> RawTable:
    rows = tuple(
        (tuple(sorted(row.holders)), tuple(sorted(row.readable))) for row in table.rows
    )
    return table.table_id.epoch, table.table_id.counter, rows


def read_table(raw: Any) -> Table:
    epoch, counter, rows = raw
    return Table(
        TableId(epoch, counter),
        tuple(Row(frozenset(held), frozenset(readable)) for held, readable in rows),
    )
