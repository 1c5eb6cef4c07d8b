"""Shell. Transactions of one storage, put into another one with their ids.

A storage of NEO is written to a file, and a file into a storage of NEO. Both are told
transaction by transaction, so that memory holds one record at a time, and where each
object was written last.

What is true of the file that is written:

1. It has every transaction up to the one that was the last when it was begun, and none
   in part. A storage that is lost meanwhile is asked again for what is missing.
2. Each object is as it was at that transaction. A pack forgets revisions while they
   are copied; one that forgets too much is found at the end, and the copy is refused.

What is true of the storage that is filled:

3. It has a beginning of the file, always: its transactions are those of the file, in
   their order, none in part. Whoever is killed is repeated, and goes on from there.
4. A transaction that the file does not have stops it: somebody lives there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from BTrees.LLBTree import LLBTree  # type: ignore[import-untyped]
from transaction.interfaces import TransientError  # type: ignore[import-untyped]
from ZODB.Connection import TransactionMetaData  # type: ignore[import-untyped]
from ZODB.FileStorage import packed_version  # type: ignore[import-untyped]
from ZODB.FileStorage.format import (  # type: ignore[import-untyped]
    DATA_HDR_LEN,
    DataHeader,
    DataHeaderFromString,
    TxnHeader,
)
from ZODB.POSException import (  # type: ignore[import-untyped]
    POSKeyError,
    StorageError,
)
from ZODB.utils import p64, u64, z64  # type: ignore[import-untyped]

Watch = Callable[[int, int], None]
"""Told how much is done, and of how much."""

FAILURES_MAX = 3
"""In a row, without a transaction between: then somebody has to look. Each of them has
waited for the storage as long as it does by itself."""

T = TypeVar("T")


class NotCopied(Exception):
    """The sentence says why, and what to do; whatever there was is as it was."""


Lost = tuple[type[Exception], ...]
"""How a storage says that it is away, or that it does not know how a commit ended."""

_LOST: Lost = (TransientError, StorageError)


def write_file(storage: Any, path: Path, watch: Watch) -> None:
    """Write a new file with all that was acknowledged before; it is on its disk."""

    def look() -> bytes:
        storage.sync()
        tid: bytes = storage.lastTransaction()
        return tid

    last = _until_done(look)
    with path.open("xb+") as opened:
        # The state has secrets.
        path.chmod(0o600)
        file = _NewFile(opened)
        named = _write_transactions(storage, file, last, watch)
        if file.last != last:
            raise NotCopied(
                f"the storage lists no transaction {last.hex()}, which it calls its"
                " last one; look whether all of it runs, and try again"
            )
        for oid in sorted(named):
            _check_named(storage, file, oid)
        file.synchronise()


def _write_transactions(
    storage: Any, file: _NewFile, last: bytes, watch: Watch
) -> set[bytes]:
    """Write all up to the last one.

    The ids of objects that a transaction names of which it has no revision, and none
    comes later: it was packed, or the transaction only saw to it that nobody else
    changes the object.
    """
    named: set[bytes] = set()
    first = 0

    def go_on() -> None:
        nonlocal first
        with closing(storage.iterator(_after(file.last), last)) as records:
            for record in records:
                first = first or u64(record.tid)
                written = file.append(record)
                named.difference_update(written)
                named.update(set(record.oid_list) - written)
                watch(u64(record.tid) - first + 1, u64(last) - first + 1)

    _until_done(go_on, lambda: file.last)
    return named


def _check_named(storage: Any, file: _NewFile, oid: bytes) -> None:
    """See that the last revision in the file is the one that was the present one."""

    def look() -> bytes | None:
        try:
            found = storage.loadBefore(oid, _after(file.last))
        except POSKeyError:
            return None
        # Else the object is younger, or what it was is forgotten.
        return found[1] if found else b""

    if _until_done(look) != file.serial(oid):
        raise NotCopied(
            f"the storage was packed beyond {file.last.hex()} while it was copied, and"
            f" object {oid.hex()} is no longer known as it was then; back up again"
            " after the pack"
        )


def check_receiving(file: Any, storage: Any, lost: Lost = ()) -> None:
    """Refuse a storage that has anything which the file does not have."""
    filling = _Filling(file, storage)
    _until_done(filling.catch_up, lambda: filling.last, lost)


def fill(
    file: Any,
    storage: Any,
    transaction_count: int,
    watch: Watch,
    lost: Lost = (),
    *,
    extension: Mapping[str, object] = MappingProxyType({}),
) -> None:
    """Put what a file has into a storage that has nothing, or a beginning of it.

    ``lost`` are errors of the storage after which it is looked how far it came,
    besides those of ZODB. ``extension`` is added to that of each transaction.
    """
    filling = _Filling(file, storage, extension)

    def go_on() -> None:
        filling.catch_up()
        with closing(filling.missing()) as records:
            for record in records:
                filling.put(record)
                watch(filling.count, transaction_count)
        filling.catch_up()

    _until_done(go_on, lambda: filling.last, lost)


def present_records(
    file: Any, storage: Any, watch: Watch
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the present content in the storage of each object of a file, by id.

    ``NotCopied`` for one that is not there.
    """
    after_last = _after(file.lastTransaction())
    cursor: bytes | None = None
    number, total = 0, len(file)
    while True:
        oid, _, _, cursor = file.record_iternext(cursor)
        yield oid, _until_done(partial(_content, storage, oid, after_last))
        number += 1
        watch(number, total)
        if cursor is None:
            return


def _content(storage: Any, oid: bytes, before: bytes) -> bytes:
    try:
        found = storage.loadBefore(oid, before)
    except POSKeyError:
        found = None
    if found is None:
        raise NotCopied(f"object {oid.hex()} is not there after it was written")
    content: bytes = found[0]
    return content


def _until_done(
    go_on: Callable[[], T],
    progress: Callable[[], object] = lambda: None,
    lost: Lost = (),
) -> T:
    """Repeat what goes on from where it was, while it gets further."""
    failures = 0
    while True:
        before = progress()
        try:
            return go_on()
        except (*_LOST, *lost) as error:
            failures = 1 if progress() != before else failures + 1
            if failures >= FAILURES_MAX:
                raise NotCopied(
                    f"the storage is away or refuses: {error}; when it runs, repeat the"
                    " command"
                ) from error


def _after(tid: bytes) -> bytes:
    following: bytes = p64(u64(tid) + 1)
    return following


class _NewFile:
    """A file of a FileStorage that is written from its beginning to its end.

    FileStorage itself would wait for the disk at each transaction.
    """

    def __init__(self, opened: Any) -> None:
        self._file = opened
        self._file.write(packed_version)
        self._positions = LLBTree()
        self.last: bytes = z64

    def append(self, record: Any) -> set[bytes]:
        """Write a transaction, and return the ids of the objects that it has."""
        start = self._file.tell()
        try:
            positions = self._write(record, start)
        except BaseException:
            self._file.seek(start)
            self._file.truncate()
            raise
        self._positions.update(positions)
        self.last = record.tid
        return {p64(oid) for oid in positions}

    def _write(self, record: Any, start: int) -> dict[int, int]:
        user, description = record.user, record.description
        extension = record.extension_bytes
        header = TxnHeader(
            *(record.tid, 0, " "), *(len(user), len(description), len(extension))
        )
        header.user, header.descr, header.ext = user, description, extension
        self._file.write(header.asString())
        positions: dict[int, int] = {}
        for it in record:
            oid, content = u64(it.oid), it.data or z64
            here, before = self._file.tell(), self._positions.get(oid, 0)
            byte_count = len(it.data or b"")
            data_header = DataHeader(it.oid, it.tid, before, start, 0, byte_count)
            self._file.write(data_header.asString() + content)
            positions[oid] = here
        # The length is known by now, and stands at both ends.
        end = self._file.tell()
        header.tlen = end - start
        self._file.seek(start)
        self._file.write(header.asString())
        self._file.seek(end)
        self._file.write(p64(header.tlen))
        return positions

    def serial(self, oid: bytes) -> bytes | None:
        """The id of the last revision of an object; ``None`` when it is not there."""
        position = self._positions.get(u64(oid))
        if position is None:
            return None
        end = self._file.tell()
        self._file.seek(position)
        header = DataHeaderFromString(self._file.read(DATA_HDR_LEN))
        self._file.seek(end)
        # Without content its creation was undone.
        return header.tid if header.plen else None

    def synchronise(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


class _Filling:
    """How far a storage has what a file has."""

    def __init__(
        self,
        file: Any,
        storage: Any,
        extension: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        self._file, self._storage = file, storage
        self._extension = extension
        self._serials = LLBTree()
        self.last: bytes = z64
        self.count = 0

    def catch_up(self) -> None:
        """Pass over what the storage has; ``NotCopied`` when that is something else."""
        self._storage.sync()
        after = _after(self.last)
        with (
            closing(self._storage.iterator(after)) as present,
            closing(self.missing()) as expected,
        ):
            for found in present:
                record = next(expected, None)
                if record is None or found.tid != record.tid:
                    raise _lived_in(found.tid)
                oids = {it.oid for it in record}
                if oids != _oids_of(found):
                    raise _lived_in(found.tid)
                self._pass(record.tid, oids)

    def missing(self) -> Any:
        """Iterate over the transactions of the file that the storage does not have."""
        return self._file.iterator(_after(self.last))

    def put(self, record: Any) -> None:
        """Commit the next transaction."""
        extension = {**record.extension, **self._extension}
        written = TransactionMetaData(record.user, record.description, extension)
        try:
            oids = self._commit(record, written)
        except BaseException:
            self._storage.tpc_abort(written)
            raise
        self._pass(record.tid, oids)

    def _commit(self, record: Any, written: TransactionMetaData) -> set[bytes]:
        storage, oids = self._storage, set()
        storage.tpc_begin(written, record.tid, record.status)
        for it in record:
            before = p64(self._serials.get(u64(it.oid), 0))
            storage.store(it.oid, before, it.data, "", written)
            oids.add(it.oid)
        if storage.tpc_vote(written):
            # Conflicts were resolved: with what others wrote.
            raise _lived_in(record.tid)
        storage.tpc_finish(written)
        return oids

    def _pass(self, tid: bytes, oids: set[bytes]) -> None:
        number = u64(tid)
        for oid in oids:
            self._serials[u64(oid)] = number
        self.last = tid
        self.count += 1


def _oids_of(record: Any) -> set[bytes]:
    """The objects of a transaction: NEO names them, without their content."""
    named = getattr(record, "oid_list", None)
    return {it.oid for it in record} if named is None else set(named)


def _lived_in(tid: bytes) -> NotCopied:
    return NotCopied(
        f"it has a transaction, {tid.hex()}, that the backup does not have, and what a"
        " neo_cluster has is never replaced; create another one by `slapcluster storage"
        " create`, restore there and start the masters on that, or remove this one"
        " first"
    )
