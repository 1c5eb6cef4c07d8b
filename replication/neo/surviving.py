"""Shell. The database of a storage node that is left alone, read as a storage.

It is never opened where it is: its files are copied, and whatever is done is done to
the copy. NEO is not imported; what is read is the form of version 3 of its database.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sqlite3
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from attrs import frozen
from ZODB.BaseStorage import (  # type: ignore[import-untyped]
    DataRecord,
    TransactionRecord,
)
from ZODB.POSException import POSKeyError  # type: ignore[import-untyped]
from ZODB.utils import p64, u64  # type: ignore[import-untyped]

from replication.observation import decode_table_id
from replication.survivor import NEVER, NotSurvived, Reach, Survivor, judge

MAGIC = b"SQLite format 3\0"

VERSION = "3"
"""Of the form of NEO's database."""

LOG = "-wal"
"""What is young stands beside the database, and belongs to it."""

OID_BYTES = 8

_DECOMPRESS = (bytes, zlib.decompress)
"""By the number that stands beside an object."""

_LOCK = "hhqqi"
"""``struct flock``: a kind, from where, offset, length, process."""


@frozen
class SurvivingState:
    """A copy of a database, open; ``storage`` ends with ``reach``."""

    survivor: Survivor
    reach: Reach
    storage: SurvivingStorage


def is_database(path: Path) -> bool:
    """Whether a file is one of SQLite; ``OSError`` when it cannot be read."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def copy_database(source: Path, target: Path) -> None:
    """Copy a database that nobody uses, with its log; ``NotSurvived`` if one does."""
    _check_unused(source)
    pairs = [(Path(f"{source}{it}"), Path(f"{target}{it}")) for it in ("", LOG)]
    before = [_stamp(it) for it, _ in pairs]
    for (path, copy), stamp in zip(pairs, before, strict=True):
        copy.unlink(missing_ok=True)
        if stamp is not None:
            shutil.copyfile(path, copy)
            copy.chmod(0o600)
    _check_unused(source)
    if [_stamp(it) for it, _ in pairs] != before:
        raise NotSurvived(f"{source} changed while it was copied: {_STOP}")


_STOP = "stop its storage node first, or its supervisor"


def _check_unused(path: Path) -> None:
    with path.open("rb") as file:
        asked = struct.pack(_LOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        found = fcntl.fcntl(file, fcntl.F_GETLK, asked)
        kind, _, _, _, process = struct.unpack(_LOCK, found)
    if kind != fcntl.F_UNLCK:
        raise NotSurvived(f"process {process} uses {path}: {_STOP}")


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns


def open_copy(path: Path) -> SurvivingState:
    """Open the copy of a database; ``NotSurvived`` when it has no whole state.

    What was locked is committed in it.
    """
    connection = sqlite3.connect(path)
    try:
        _check(connection)
        locked_count = _commit_locked(connection)
        survivor = _read(connection, locked_count)
        reach = judge(survivor)
    except sqlite3.Error as error:
        connection.close()
        raise NotSurvived(f"it is damaged: {error}") from error
    except BaseException:
        connection.close()
        raise
    storage = SurvivingStorage(connection, reach.tid, survivor.partition_count)
    return SurvivingState(survivor, reach, storage)


def _check(connection: sqlite3.Connection) -> None:
    found = [it for (it,) in connection.execute("PRAGMA quick_check(1)")]
    if found != ["ok"]:
        told = " ".join(" ".join(found).split())
        raise NotSurvived(f"it is damaged: {told}")
    tables = {
        it
        for (it,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        )
    }
    if not {"config", "pt", "trans", "obj", "data", "ttrans", "tobj"} <= tables:
        raise NotSurvived("it is no database of a storage node")
    version = _config(connection).get("version")
    if version != VERSION:
        raise NotSurvived(
            f"it is of version {version} of NEO's databases, and {VERSION} is known:"
            " have its own version of NEO run it once"
        )


def _config(connection: sqlite3.Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT name, value FROM config"))


def _commit_locked(connection: sqlite3.Connection) -> int:
    """Commit what all had voted, as the next recovery would have."""
    locked = connection.execute(
        "SELECT DISTINCT ttid, tid FROM ttrans WHERE tid IS NOT NULL"
    ).fetchall()
    for ttid, tid in locked:
        connection.execute("INSERT INTO trans SELECT * FROM ttrans WHERE tid=?", (tid,))
        connection.execute("DELETE FROM ttrans WHERE tid=?", (tid,))
        connection.execute(
            "INSERT INTO obj SELECT partition, oid, ?, data_id, value_tid"
            " FROM tobj WHERE tid=?",
            (tid, ttid),
        )
        connection.execute("DELETE FROM tobj WHERE tid=?", (ttid,))
    connection.commit()
    return len(locked)


def _read(connection: sqlite3.Connection, locked_count: int) -> Survivor:
    config = _config(connection)
    number = int(config.get("nid") or 0)
    (top,) = connection.execute("SELECT MAX(partition) FROM pt").fetchone()
    (last,) = connection.execute("SELECT MAX(tid) FROM trans").fetchone()
    (voted,) = connection.execute("SELECT COUNT(*) FROM ttrans").fetchone()
    own = connection.execute("SELECT partition, tid FROM pt WHERE nid=?", (number,))
    table_id, _ = decode_table_id(int(config.get("ptid") or 0))
    return Survivor(
        config.get("name") or "",
        number,
        table_id.epoch,
        0 if top is None else top + 1,
        # Below zero is a state: no other than a readable one stays in a table.
        {partition: None if tid < 0 else tid for partition, tid in own},
        last or NEVER,
        _packed_tid(config),
        locked_count,
        voted,
    )


def _packed_tid(config: dict[str, str]) -> int:
    with suppress(ValueError):
        return int(config.get("_pack_tid") or NEVER)
    return NEVER


class SurvivingStorage:
    """The transactions of a copy up to one of them, as much of a storage as is copied.

    ``NotSurvived`` for what is damaged.
    """

    def __init__(
        self, connection: sqlite3.Connection, last_tid: int, partition_count: int
    ) -> None:
        self._connection = connection
        self._last_tid = last_tid
        self._partition_count = partition_count

    @property
    def later_count(self) -> int:
        """Return how many transactions it knows that it does not have whole."""
        found = self._connection.execute(
            "SELECT COUNT(*) FROM trans WHERE tid>?", (self._last_tid,)
        )
        return int(found.fetchone()[0])

    def sync(self) -> None:
        """Hear of what others commit: nobody does."""

    def lastTransaction(self) -> bytes:
        tid: bytes = p64(self._last_tid)
        return tid

    def iterator(
        self, start: bytes | None = None, stop: bytes | None = None
    ) -> Iterator[_Transaction]:
        first = u64(start) if start else NEVER
        last = min(u64(stop), self._last_tid) if stop else self._last_tid
        rows = self._connection.execute(
            "SELECT tid, oids, user, description, ext FROM trans"
            " WHERE tid>=? AND tid<=? ORDER BY tid",
            (first, last),
        )
        for tid, *described in rows:
            yield _Transaction(self, p64(tid), *described)

    def load_at(self, oid: bytes, tid: bytes) -> DataRecord | None:
        """Return a revision; ``None`` when it was forgotten, or only looked at."""
        found = self._connection.execute(
            "SELECT data_id, compression, hash, value FROM obj"
            " LEFT JOIN data ON data_id = data.id"
            " WHERE partition=? AND oid=? AND tid=?",
            (self._partition_of(oid), u64(oid), u64(tid)),
        ).fetchone()
        return (
            None if found is None else DataRecord(oid, tid, _content(oid, *found), None)
        )

    def loadBefore(self, oid: bytes, tid: bytes) -> tuple[bytes, bytes, None] | None:
        found = self._connection.execute(
            "SELECT tid FROM obj WHERE partition=? AND oid=? AND tid<? AND tid<=?"
            " ORDER BY tid DESC LIMIT 1",
            (self._partition_of(oid), u64(oid), u64(tid), self._last_tid),
        ).fetchone()
        record = self.load_at(oid, p64(found[0])) if found else None
        if record is None or record.data is None:
            raise POSKeyError(oid)
        return record.data, record.tid, None

    def close(self) -> None:
        self._connection.close()

    def _partition_of(self, oid: bytes) -> int:
        return int(u64(oid)) % self._partition_count


class _Transaction(TransactionRecord):  # type: ignore[misc] # ZODB has no types
    """A transaction; ``oid_list`` has those that it only looked at, too."""

    def __init__(
        self, storage: SurvivingStorage, tid: bytes, oids: bytes, *described: object
    ) -> None:
        super().__init__(tid, " ", *described)
        self._storage = storage
        self.oid_list = _split(oids)

    def __iter__(self) -> Iterator[DataRecord]:
        found = (self._storage.load_at(it, self.tid) for it in self.oid_list)
        return (it for it in found if it is not None)


def _split(oids: bytes) -> list[bytes]:
    if len(oids) % OID_BYTES:
        raise NotSurvived("it is damaged: a transaction has a part of an object's name")
    return [oids[at : at + OID_BYTES] for at in range(0, len(oids), OID_BYTES)]


def _content(
    oid: bytes, data_id: int | None, compression: int, digest: bytes, value: bytes
) -> bytes | None:
    """Return the content of a revision; ``None`` when its creation was undone."""
    if data_id is None:
        return None
    # NEO's own sum, which is no secret.
    if value is None or hashlib.sha1(value).digest() != digest:  # noqa: S324
        raise NotSurvived(f"it is damaged: object {oid.hex()} is not as it was written")
    return _DECOMPRESS[compression](value)
