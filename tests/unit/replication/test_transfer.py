"""Copies of transactions, from and to a storage that says what it is told to say.

What NEO does in its place is tried in ``tests/neo_port/test_backup.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from persistent.mapping import PersistentMapping
from transaction import TransactionManager
from transaction.interfaces import TransientError
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage
from ZODB.POSException import POSKeyError
from ZODB.utils import p64, z64

from replication.transfer import FAILURES_MAX, NotCopied, write_file

COMMITS = 6


class Source(FileStorage):  # type: ignore[misc] # ZODB has no types
    """A file that tells what NEO does of its transactions, and fails when it should.

    ``failing``: how often it is lost after each transaction.
    """

    failing = 0
    named = b""
    forgotten: object = None

    def sync(self) -> None:
        pass

    def iterator(self, start: bytes, stop: bytes) -> Iterator[Any]:
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


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    """Some transactions with users and extensions, and an object undone."""
    manager = TransactionManager()
    database = DB(Source(str(tmp_path / "source.fs")))
    root = database.open(manager).root()
    for number in range(COMMITS):
        root[number] = PersistentMapping()
        manager.get().setUser(f"user {number}")
        manager.get().note("a note")
        manager.get().setExtendedInfo("key", number)
        manager.commit()
    database.undo(database.undoLog(0, 1)[0]["id"], manager.get())
    manager.commit()
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
