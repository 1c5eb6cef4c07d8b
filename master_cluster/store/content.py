"""Shell. What the file of a store holds, read from beginning to end.

The file is opened for reading alone, beside a master that may be writing: it grows at
its end, and what is not a whole transaction yet is not looked at.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import transaction  # type: ignore[import-untyped]
from attrs import frozen
from ZODB.broken import Broken  # type: ignore[import-untyped]
from ZODB.Connection import Connection  # type: ignore[import-untyped]
from ZODB.DB import DB  # type: ignore[import-untyped]
from ZODB.FileStorage import FileStorage  # type: ignore[import-untyped]
from ZODB.POSException import POSError  # type: ignore[import-untyped]
from ZODB.utils import oid_repr  # type: ignore[import-untyped]

from master_cluster.errors import Unusable
from master_cluster.store.cloud import Cloud
from master_cluster.store.invariants import find_flaws
from master_cluster.store.schema import ROOT_KEY
from master_cluster.succeeding import number_of

Watch = Callable[[int, int], None]
"""Told how much is done, and of how much."""

OBJECTS_AT_ONCE = 5_000
"""Objects in memory while all are read; then those are forgotten."""

FLAWS_TOLD_MAX = 5
"""A broken index is wrong in many places; the first ones say which."""


@frozen
class Content:
    """The figures of a store.

    ``history`` is the number of that of its cloud: each recovery begins one.
    ``digest`` is of the present objects: that of two stores is equal when they hold the
    same, however often they were packed.
    """

    byte_count: int
    transaction_count: int
    object_count: int
    computer_count: int
    partition_count: int
    instance_count: int
    tree_count: int
    history: int
    last_transaction: str
    digest: str


class Snapshot:
    """The whole transactions that a file had when it was opened."""

    def __init__(self, path: Path) -> None:
        try:
            self.storage = _ReadFile(str(path))
        except OSError as error:
            raise Unusable(f"{path} cannot be opened: {error}") from error
        except Exception as error:
            # ZODB raises a class of its own for each way to be broken.
            raise Unusable(f"{path} is not the file of a store: {error}") from error
        # What comes later is not of this snapshot: no public name says where it ends.
        self.byte_count: int = self.storage._pos  # noqa: SLF001
        self._descriptor: int = self.storage._file.fileno()  # noqa: SLF001

    @property
    def mode(self) -> int:
        """Who may read and write the file."""
        return stat.S_IMODE(os.fstat(self._descriptor).st_mode)

    @property
    def excess_byte_count(self) -> int:
        """What stands after the last whole transaction."""
        return max(0, os.fstat(self._descriptor).st_size - self.byte_count)

    def read(self, offset: int, byte_count_max: int) -> bytes:
        """Read from the file that was opened, whatever its name leads to by now."""
        byte_count = min(byte_count_max, self.byte_count - offset)
        return os.pread(self._descriptor, byte_count, offset)

    def close(self) -> None:
        self.storage.close()


class _ReadFile(FileStorage):  # type: ignore[misc] # ZODB has no types
    """A file for reading; closed when it is not the file of a store."""

    _file: Any = None

    def __init__(self, path: str) -> None:
        try:
            super().__init__(path, read_only=True)
        except BaseException:
            if self._file is not None:
                self._file.close()
            raise


@contextmanager
def snapshot_of(path: Path) -> Iterator[Snapshot]:
    snapshot = Snapshot(path)
    try:
        yield snapshot
    finally:
        snapshot.close()


def verify(path: Path, watch: Watch) -> Content:
    """Read all of a file that nobody writes; ``Unusable`` says what is broken."""
    with snapshot_of(path) as snapshot:
        if snapshot.excess_byte_count:
            raise Unusable(
                f"{path} has {snapshot.excess_byte_count} bytes after its last whole"
                " transaction: it was cut, or somebody writes it"
            )
        if not len(snapshot.storage):
            raise Unusable(f"{path} holds no state of a master: it is empty")
        count = _count_transactions(path, snapshot.storage)
        digest = digest_of(_records(snapshot.storage))
        database = DB(snapshot.storage)
        connection = database.open(transaction.TransactionManager(explicit=True))
        connection.transaction_manager.begin()
        try:
            _load_all(path, snapshot.storage, connection, watch)
            figures = _figures(path, connection)
        finally:
            connection.transaction_manager.abort()
            connection.close()
        return Content(
            byte_count=snapshot.byte_count,
            transaction_count=count,
            object_count=len(snapshot.storage),
            last_transaction=snapshot.storage.lastTransaction().hex(),
            digest=digest,
            **figures,
        )


def _count_transactions(path: Path, storage: FileStorage) -> int:
    count, last = 0, bytes(8)
    for record in storage.iterator():
        count, last = count + 1, record.tid
    # The iterator ends at what it does not understand, and only logs that.
    if last != storage.lastTransaction():
        raise Unusable(f"{path} is damaged after its transaction {last.hex()}")
    return count


def _records(storage: FileStorage) -> Iterator[tuple[bytes, bytes]]:
    """Yield the id and the present content of each object, by id."""
    cursor: bytes | None = None
    while True:
        oid, _, data, cursor = storage.record_iternext(cursor)
        yield oid, data
        if cursor is None:
            return


def digest_of(records: Iterable[tuple[bytes, bytes]]) -> str:
    """Digest the ids and the present contents of all objects, told by id."""
    digest = hashlib.sha256()
    for oid, data in records:
        digest.update(oid + len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def _load_all(
    path: Path, storage: FileStorage, connection: Connection, watch: Watch
) -> None:
    total = len(storage)
    for number, (oid, _) in enumerate(_records(storage), start=1):
        try:
            loaded: Any = connection.get(oid)
            loaded._p_activate()  # noqa: SLF001 - the interface of persistent objects
        except Exception as error:
            # Whatever a broken record raises while it is loaded.
            raise Unusable(
                f"{path}: object {oid_repr(oid)} cannot be read: {error!r}"
            ) from error
        if isinstance(loaded, Broken):
            raise Unusable(
                f"{path}: object {oid_repr(oid)} is a {type(loaded).__name__}, which"
                " this version does not know"
            )
        if number % OBJECTS_AT_ONCE == 0:
            connection.cacheMinimize()
            watch(number, total)
    watch(total, total)


def _figures(path: Path, connection: Connection) -> dict[str, int]:
    stored = connection.root().get(ROOT_KEY)
    if stored is None:
        raise Unusable(f"{path} holds no state of a master")
    cloud = Cloud(stored)
    try:
        flaws = list(find_flaws(cloud))
        computer_ids = cloud.computer_ids()
        figures = {
            "computer_count": len(computer_ids),
            "partition_count": sum(len(cloud.partition_ids(it)) for it in computer_ids),
            "instance_count": sum(1 for _ in cloud.instances()),
            "tree_count": len(cloud.roots()),
            "history": number_of(cloud.histories),
        }
    except (LookupError, POSError, AssertionError, ValueError, TypeError) as error:
        raise Unusable(f"{path}: its records do not fit together: {error!r}") from error
    if flaws:
        told = "; ".join(flaws[:FLAWS_TOLD_MAX])
        raise Unusable(f"{path} has {len(flaws)} flaws: {told}")
    return figures
