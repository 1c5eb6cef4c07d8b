"""Shell. Reads the whole database of a reference proxy, from one snapshot.

The file is opened to read alone and nothing is written beside it. The proxy may run: a
read lasts milliseconds, and the proxy's own write waits for it; but what the proxy
acknowledges later is not in what was read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from master_cluster.takeover.tables import (
    Cell,
    Database,
    Row,
    TakeoverRefused,
    check_layout,
    columns_of,
)

ROW_COUNT_MAX = 200_000
"""Of all tables: a hundred times the largest proxies; all are in one transaction."""

CELL_BYTES_MAX = 8 * 1024 * 1024
"""A call of the protocol has no more."""

LOCK_SECONDS_MAX = 5.0
"""How long a write of the running proxy is waited for."""


def read_database(path: Path) -> Database:
    """Read a database; ``TakeoverRefused`` says what is not understood."""
    address = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        with closing(
            sqlite3.connect(
                address, uri=True, isolation_level=None, timeout=LOCK_SECONDS_MAX
            )
        ) as connection:
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, CELL_BYTES_MAX)
            connection.execute("BEGIN")
            return _read(connection)
    except sqlite3.Error as error:
        raise TakeoverRefused([f"{path} cannot be read: {error}"]) from error


def _read(connection: sqlite3.Connection) -> Database:
    names = [
        str(name)
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
            " AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY name"
        )
    ]
    version = check_layout({it: _columns(connection, it) for it in names})
    rows: dict[str, tuple[Row, ...]] = {}
    count = 0
    for table in columns_of(version):
        found = tuple(_rows(connection, f"{table}{version}", ROW_COUNT_MAX - count))
        count += len(found)
        rows[table] = found
    return Database(version, MappingProxyType(rows))


def _columns(connection: sqlite3.Connection, name: str) -> list[str]:
    found = connection.execute("SELECT name FROM pragma_table_info(?)", (name,))
    return [str(column) for (column,) in found]


def _rows(connection: sqlite3.Connection, name: str, count_max: int) -> Iterator[Row]:
    """Yield rows in the order of a scan, which is how the proxy lists them."""
    # The name is one of columns_of, never the file's own.
    cursor = connection.execute(f'SELECT * FROM "{name}"')  # noqa: S608
    columns = [it[0] for it in cursor.description]
    for number, values in enumerate(cursor, start=1):
        if number > count_max:
            raise TakeoverRefused([f"more than {ROW_COUNT_MAX} rows"])
        cells: Mapping[str, Cell] = dict(zip(columns, values, strict=True))
        yield Row(name, number, cells)
