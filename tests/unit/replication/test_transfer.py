"""Copies of transactions, from and to a storage that says what it is told to say.

What NEO does in its place is tried in ``tests/neo_port/test_backup.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from persistent.mapping import PersistentMapping
from transaction import TransactionManager
from transaction.interfaces import TransientError
from ZODB.Connection import TransactionMetaData
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage
from ZODB.POSException import POSKeyError
from ZODB.utils import p64, z64

from replication.transfer import (
    FAILURES_MAX,
    NotCopied,
    check_receiving,
    fill,
    write_file,
)

COMMITS = 6


class Source(FileStorage):  # type: ignore[misc] # ZODB has no types
    """A file that tells what NEO does of its transactions, and fails when it should.

    ``failing``: how often it is lost after each transaction.
    """

    failing = 0
    named = b""
    forgotten: object = None
    #: By the number of the commit: what happens before it, and after it.
    before: Mapping[int, Callable[[], object]] = MappingProxyType({})
    after: Mapping[int, Callable[[], object]] = MappingProxyType({})
    commit_count = 0
    resolved: tuple[bytes, ...] = ()

    def sync(self) -> None:
        pass

    def tpc_vote(self, transaction: object) -> object:
        return super().tpc_vote(transaction) or self.resolved

    def tpc_finish(self, *arguments: Any) -> object:
        number, self.commit_count = self.commit_count, self.commit_count + 1
        self.before.get(number, bool)()
        tid = super().tpc_finish(*arguments)
        self.after.get(number, bool)()
        return tid

    def iterator(self, start: bytes, stop: bytes | None = None) -> Iterator[Any]:
        named = [self.named] if self.named else []
        with closing(super().iterator(start, stop)) as records:
            for record in records:
                record.oid_list = [it.oid for it in record] + named
                yield record
                if self.failing:
                    self.failing -= 1
                    raise TransientError("lost")

    def loadBefore(self, oid: bytes, tid: bytes) -> object:
        if oid != self.named or self.forgotten is None:
            return super().loadBefore(oid, tid)
        if self.forgotten is POSKeyError:
            raise POSKeyError(oid)
        return self.forgotten[0]  # type: ignore[index]


def fill_source(path: Path) -> tuple[DB, TransactionManager]:
    """Some transactions with users and extensions."""
    manager = TransactionManager()
    database = DB(Source(str(path)))
    root = database.open(manager).root()
    for number in range(COMMITS):
        root[number] = PersistentMapping()
        manager.get().setUser(f"user {number}")
        manager.get().note("a note")
        manager.get().setExtendedInfo("key", number)
        manager.commit()
    return database, manager


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    """The creation of an object is undone, and something follows."""
    database, manager = fill_source(tmp_path / "source.fs")
    database.undo(database.undoLog(0, 1)[0]["id"], manager.get())
    manager.commit()
    commit(database.storage)
    yield database.storage
    database.close()


def watch(done: int, total: int) -> None:
    assert 0 <= done <= total


def records(storage: FileStorage, *bounds: bytes) -> list[Any]:
    return [
        (
            *(it.tid, it.user, it.description, it.extension),
            *((record.oid, record.tid, record.data) for record in it),
        )
        for it in FileStorage.iterator(storage, *bounds)
    ]


def revisions(storage: FileStorage) -> list[bytes]:
    """When the root changed, the last first."""
    tids = [it["tid"] for it in storage.history(z64, 2 * COMMITS)]
    assert len(tids) > COMMITS
    return tids


def written(path: Path) -> list[Any]:
    with closing(FileStorage(str(path), read_only=True)) as storage:
        return records(storage)


def test_a_file_has_every_transaction_as_it_was(source: Source, tmp_path: Path) -> None:
    path = tmp_path / "copy.fs"

    write_file(source, path, watch)

    assert written(path) == records(source)
    assert path.stat().st_mode & 0o777 == 0o600
    with closing(FileStorage(str(path), read_only=True)) as copy:
        # From each revision to the one before.
        assert revisions(copy) == revisions(source)


def test_a_storage_that_is_lost_is_asked_for_what_is_missing(
    source: Source, tmp_path: Path
) -> None:
    """However often, as long as it gives something in between."""
    source.failing = COMMITS

    write_file(source, tmp_path / "copy.fs", watch)

    assert written(tmp_path / "copy.fs") == records(source)


def test_what_was_half_read_and_then_packed_leaves_nothing(
    source: Source, tmp_path: Path
) -> None:
    """The file ends with its last transaction, though more was written before."""
    path = tmp_path / "copy.fs"
    last = records(source)[-1][0]
    halves = iter([Half, Empty])

    class Packed(Source):
        def iterator(self, *bounds: bytes) -> Iterator[Any]:
            for record in super().iterator(*bounds):
                yield next(halves)(record) if record.tid == last else record

    source.__class__ = Packed

    write_file(source, path, watch)

    with closing(FileStorage(str(path), read_only=True)) as storage:
        assert storage.lastTransaction() == last
        assert storage.getSize() == path.stat().st_size


class Half:
    """A transaction that is lost after its first object."""

    def __init__(self, record: Any) -> None:
        self._record = record
        self.oid_list: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._record, name)

    def __iter__(self) -> Iterator[Any]:
        yield next(iter(self._record))
        raise TransientError("lost")


class Empty(Half):
    """One of which nothing is left."""

    def __iter__(self) -> Iterator[Any]:
        return iter(())


def test_a_storage_that_gives_nothing_more_is_given_up(
    source: Source, tmp_path: Path
) -> None:
    calls = []

    def refuse() -> None:
        calls.append(1)
        raise TransientError("no primary")

    source.sync = refuse

    with pytest.raises(NotCopied, match="no primary; when it runs, repeat"):
        write_file(source, tmp_path / "copy.fs", watch)
    assert len(calls) == FAILURES_MAX


def test_a_storage_that_does_not_list_its_last_transaction_is_refused(
    source: Source, tmp_path: Path
) -> None:
    source.lastTransaction = lambda: p64(2**62)

    with pytest.raises(NotCopied, match="lists no transaction 4000000000000000"):
        write_file(source, tmp_path / "copy.fs", watch)


@pytest.mark.parametrize(
    ("oid", "forgotten", "is_refused"),
    [
        # One that transactions checked, and that stayed as it is.
        (z64, None, False),
        # One that is younger now, or of a time that was packed.
        (p64(1), (None,), True),
        (p64(99), (None,), True),
        # One that is gone though it was there, and one that was never.
        (p64(1), POSKeyError, True),
        (p64(99), POSKeyError, False),
        # One whose creation was undone.
        (p64(COMMITS), POSKeyError, False),
    ],
)
def test_an_object_that_is_named_without_a_revision_is_looked_at(
    source: Source,
    tmp_path: Path,
    oid: bytes,
    forgotten: object,
    is_refused: bool,
) -> None:
    """A pack that goes on meanwhile forgets what the copy needs."""
    source.named, source.forgotten = oid, forgotten

    if is_refused:
        with pytest.raises(NotCopied, match="back up again after the pack"):
            write_file(source, tmp_path / "copy.fs", watch)
    else:
        write_file(source, tmp_path / "copy.fs", watch)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[FileStorage]:
    database, _ = fill_source(tmp_path / "file.fs")
    database.close()
    with closing(FileStorage(str(tmp_path / "file.fs"), read_only=True)) as file:
        yield file


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Source]:
    with closing(Source(str(tmp_path / "target.fs"))) as target:
        yield target


def lose(*_: object) -> None:
    raise TransientError("lost")


def commit(storage: FileStorage, tid: bytes | None = None) -> None:
    """Write something of one's own."""
    written = TransactionMetaData()
    storage.tpc_begin(written, tid)
    storage.store(p64(77), z64, b"content", "", written)
    FileStorage.tpc_vote(storage, written)
    FileStorage.tpc_finish(storage, written)


def test_a_storage_is_filled_once(file: FileStorage, target: Source) -> None:
    told: list[tuple[int, int]] = []
    total = len(records(file))

    fill(file, target, total, lambda *it: told.append(it))
    fill(file, target, total, watch)

    assert records(target) == records(file)
    assert told == [(number + 1, total) for number in range(total)]
    assert target.commit_count == total


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_commit_whose_end_is_lost_is_found_or_made_again(
    file: FileStorage, target: Source, when: str
) -> None:
    """It is committed once, whatever was told of its end."""
    setattr(target, when, {0: lose, 2: lose, 4: lose})

    fill(file, target, len(records(file)), watch)

    assert records(target) == records(file)


def test_one_that_refuses_each_commit_is_given_up(
    file: FileStorage, target: Source
) -> None:
    target.before = dict.fromkeys(range(1, 9), lose)

    with pytest.raises(NotCopied, match="refuses: lost; when it runs, repeat"):
        fill(file, target, len(records(file)), watch)

    assert records(target) == records(file)[:1]
    assert target.commit_count == 1 + FAILURES_MAX


def test_what_was_lived_in_is_refused_before_and_after(
    file: FileStorage, target: Source
) -> None:
    """Something else at the beginning, and something more at the end."""
    total = len(records(file))
    target.after = {total - 1: lambda: commit(target)}
    with pytest.raises(NotCopied, match="create another one"):
        fill(file, target, total, watch)
    assert len(records(target)) == total + 1
    with pytest.raises(NotCopied, match="create another one"):
        check_receiving(file, target)


def test_one_with_other_ids_is_refused(
    file: FileStorage, target: Source, tmp_path: Path
) -> None:
    """Though it has the same objects, in as many transactions."""
    database, _ = fill_source(tmp_path / "other.fs")

    with pytest.raises(NotCopied, match="create another one"):
        check_receiving(file, database.storage)

    database.close()
    check_receiving(file, target)


def test_one_with_other_objects_is_refused(file: FileStorage, target: Source) -> None:
    """Though its first transaction has the same id."""
    commit(target, next(iter(records(file)))[0])

    with pytest.raises(NotCopied, match="create another one"):
        check_receiving(file, target)


def test_a_conflict_that_was_resolved_is_not_committed(
    file: FileStorage, target: Source
) -> None:
    """It was one with somebody who lives there."""
    target.resolved = (z64,)

    with pytest.raises(NotCopied, match="create another one"):
        fill(file, target, len(records(file)), watch)
    assert records(target) == []
