"""Shell. What NEO's objects say, as the values that the quorum decides over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from neo.lib.protocol import CellStates  # type: ignore[import-untyped]

from replication.observation import Row, Table, decode_table_id

READABLE = (CellStates.UP_TO_DATE, CellStates.FEEDING)


def view_row(cells: Iterable[tuple[int, Any]]) -> Row:
    """Return the row of cells as NEO sends them: a storage node and its state."""
    known = tuple(cells)
    return Row(
        frozenset(storage for storage, _ in known),
        frozenset(storage for storage, found in known if found in READABLE),
    )


def view_table(number: int, rows: Iterable[Iterable[tuple[int, Any]]]) -> Table:
    table_id, _ = decode_table_id(number)
    return Table(table_id, tuple(map(view_row, rows)))


def view_partition_table(pt: Any) -> Table:
    """Return the table that a neo_master has at this moment."""
    return view_table(pt.getID(), pt.getRowList())
