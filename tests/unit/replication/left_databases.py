"""The database of a storage node, made from the file of a state by NEO's own code."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import closing
from hashlib import sha1
from pathlib import Path
from typing import Any
from zlib import compress

from neo.lib.protocol import CellStates  # type: ignore[import-untyped]
from neo.storage.database import (  # type: ignore[import-untyped]
    getAdapterKlass,
)
from ZODB.FileStorage import FileStorage  # type: ignore[import-untyped]
from ZODB.utils import u64  # type: ignore[import-untyped]

from replication.observation import REGION_SPAN, TableId, encode_table_id

STORAGE_ID = 2 * REGION_SPAN + 17
NEO_PARTITIONS = 3
EPOCH = 5


def build_database(
    file: Path,
    path: Path,
    *,
    held: Collection[int] = range(NEO_PARTITIONS),
    locked: int = 0,
    voted: int = 0,
) -> Any:
    """Fill a database with a file; return NEO's, open.

    The last ``locked`` transactions are not unlocked yet, and as many as ``voted``
    after them not locked either.
    """
    database = getAdapterKlass("SQLite")(str(path))
    database.setup()
    database.setUUID(STORAGE_ID)
    database.setName("cloud")
    cells = [
        (it, STORAGE_ID if it in held else STORAGE_ID + REGION_SPAN)
        for it in range(NEO_PARTITIONS)
    ]
    table_id = encode_table_id(TableId(EPOCH, 1))
    readable = [(*it, CellStates.UP_TO_DATE) for it in cells]
    database.changePartitionTable(table_id, 0, readable, reset=True)
    with closing(FileStorage(str(file), read_only=True)) as storage:
        count = sum(1 for _ in storage.iterator())
        for number, record in enumerate(storage.iterator()):
            left = count - number
            is_locked = left <= locked + voted
            _store(database, record, is_temporary=is_locked)
            if voted < left <= locked + voted:
                database.lockTransaction(record.tid, record.tid)
    database.commit()
    return database


def _store(database: Any, record: Any, *, is_temporary: bool) -> None:
    objects = []
    for it in record:
        data_id = None
        if it.data is not None:
            value = compress(it.data)
            data_id = database.storeData(sha1(value).digest(), it.oid, value, 1)
        objects.append((it.oid, data_id, None))
    described = (
        [oid for oid, _, _ in objects],
        *(record.user, record.description, record.extension_bytes),
        *(False, record.tid),
    )
    database.storeTransaction(record.tid, objects, described, is_temporary)


def outdate(database: Any, cells: Mapping[int, bytes | None]) -> None:
    """Let cells be out of date, whole up to a transaction, or never filled."""
    for number, tid in cells.items():
        whole_to = 0 if tid is None else u64(tid)
        database.query(
            "UPDATE pt SET tid=? WHERE partition=? AND nid=?",
            (whole_to, number, STORAGE_ID),
        )
    database.commit()
