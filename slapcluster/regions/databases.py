"""Shell. Looks into the database of a storage node, which may run, and puts it away."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from replication.changing import DatabaseKind, DatabaseSeen
from replication.programs import DATABASE
from slapcluster.outcomes import CommandFailed

COMPANIONS = ("", "-wal", "-shm", "-journal")
"""What SQLite keeps beside a database belongs to it."""

SET_ASIDE = "damaged-"

LOCKED_SECONDS_MAX = 5.0
"""NEO has a database for an instant alone when it makes or packs it."""


def look_into(directory: Path) -> DatabaseSeen:
    """What is where a region has its database; ``directory`` is the region's."""
    path = directory / DATABASE
    try:
        byte_count = path.stat().st_size
    except FileNotFoundError:
        return DatabaseSeen(DatabaseKind.MISSING)
    try:
        storage, is_filled = _read(path)
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            # Killed while it was made: whoever is started goes on.
            return DatabaseSeen(DatabaseKind.EMPTY, None, byte_count)
        raise CommandFailed(f"{path}: {error}.") from error
    except sqlite3.DatabaseError as error:
        return DatabaseSeen(DatabaseKind.DAMAGED, None, byte_count, str(error))
    kind = DatabaseKind.FILLED if is_filled else DatabaseKind.EMPTY
    return DatabaseSeen(kind, storage, byte_count)


def _read(path: Path) -> tuple[int | None, bool]:
    connection = sqlite3.connect(
        f"file:{path}?mode=ro", uri=True, timeout=LOCKED_SECONDS_MAX
    )
    try:
        found = connection.execute(
            "SELECT value FROM config WHERE name = 'nid'"
        ).fetchone()
        is_filled = connection.execute("SELECT 1 FROM trans LIMIT 1").fetchone()
    finally:
        connection.close()
    return (int(found[0]) if found and found[0] else None), is_filled is not None


def discard(directory: Path) -> None:
    """Remove a database. What a kill leaves is removed when it is repeated."""
    for companion in reversed(COMPANIONS):
        (directory / f"{DATABASE}{companion}").unlink(missing_ok=True)


def set_aside(directory: Path) -> None:
    """Move what is left of a database into a directory beside it."""
    count = sum(1 for _ in directory.glob(f"{SET_ASIDE}*"))
    kept = directory / f"{SET_ASIDE}{count + 1}"
    for companion in reversed(COMPANIONS):
        path = directory / f"{DATABASE}{companion}"
        if path.exists():
            kept.mkdir(mode=0o750, exist_ok=True)
            os.replace(path, kept / path.name)  # noqa: PTH105 - over what is there
