"""Shell. The storages behind a URI, with transaction ids that follow the calendar.

ZODB makes transaction ids of the wall clock of the process. Here they follow the
calendar of the runtime instead, and are always later than the last one: so a
simulation is the same twice, and a calendar that steps back makes no id twice.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias

from persistent.timestamp import TimeStamp  # type: ignore[import-untyped]
from zc.lockfile import LockError  # type: ignore[import-untyped]
from ZODB.ConflictResolution import (  # type: ignore[import-untyped]
    ConflictResolvingStorage,
)
from ZODB.DB import DB  # type: ignore[import-untyped]
from ZODB.FileStorage import FileStorage  # type: ignore[import-untyped]
from ZODB.MappingStorage import MappingStorage  # type: ignore[import-untyped]
from ZODB.POSException import (  # type: ignore[import-untyped]
    ConflictError,
    StorageError,
)

from master_cluster.errors import Misconfigured
from master_cluster.store.announcing import AnnouncingStorage
from master_cluster.store.neo_uri import parse_neo_uri
from master_cluster.store.zeo_client import ZeoStorage, parse_address
from runtime.ports import ICalendar
from runtime.threads import STORE_THREADS_MAX

CONNECTIONS_MAX = 16
"""Twice the threads of the store; ZODB warns when more are open at once."""

OPENINGS_MAX = 5
"""Masters that begin at once on an empty store all make its root, and one does."""

CACHED_OBJECTS_MAX = 20_000
"""Per connection: computers of some hundred partitions stay in memory."""


Database: TypeAlias = DB

Opening: TypeAlias = Callable[[str, ICalendar], DB]
"""What makes a database of a URI, as ``open_database`` does."""

OpeningStorage: TypeAlias = Callable[[str, ICalendar], Any]
"""What makes a storage of a URI, as ``open_storage`` does."""


def open_database(uri: str, calendar: ICalendar) -> DB:
    """Open a store as ``open_storage`` does; make its root object if it has none."""
    return database_on(open_storage(uri, calendar))


def open_storage(uri: str, calendar: ICalendar) -> Any:
    """Open a storage by its URI; raise ``Misconfigured`` when that fails.

    ``memory:`` is forgotten. ``file:PATH`` belongs to this process; it is synchronised
    to its disk before a commit returns, and its lock is released by the kernel when the
    process ends, however it ends. ``zeo:HOST:PORT`` or ``zeo:PATH`` is served by
    another process, to any number of masters; ``neo:NAME@HOST:PORT,...`` by several.
    """
    scheme, _, path = uri.partition(":")
    if scheme == "memory" and not path:
        return MemoryStorage(calendar)
    if scheme == "file" and path:
        return open_file(path, calendar)
    if scheme == "zeo":
        return ZeoStorage(parse_address(path))
    if scheme == "neo":
        place = parse_neo_uri(uri)
        # It takes signals and a third of the time that a master starts in.
        from master_cluster.store.neo_client import NeoStorage  # noqa: PLC0415

        return NeoStorage(place)
    raise Misconfigured(
        f"the store {uri!r} is neither file:PATH nor zeo:HOST:PORT nor"
        " neo:NAME@HOST:PORT nor memory:"
    )


def load_driver(uri: str) -> None:
    """Import what a store of that URI needs, which only the main thread can do."""
    if uri.startswith("neo:"):
        import master_cluster.store.neo_client  # noqa: F401, PLC0415 - as above


def database_on(
    storage: object, adapt: Callable[[object], AnnouncingStorage] = AnnouncingStorage
) -> DB:
    """Open the database of a storage, empty or not, whoever else does.

    Connections have the storage as ``adapt`` makes it.
    """
    for _ in range(OPENINGS_MAX - 1):
        with suppress(ConflictError):
            return _open(adapt(storage))
    return _open(adapt(storage))


def _open(storage: AnnouncingStorage) -> DB:
    return DB(
        storage,
        pool_size=CONNECTIONS_MAX,
        cache_size=CACHED_OBJECTS_MAX,
    )


def decisions_max_of(uri: str) -> int:
    """Return how many decisions of one process a store serves best at once.

    One commits after the other anyway. Decisions that run at once in one process meet
    each other and repeat, and their threads wake each other up in the middle of it:
    with eight clients, one at a time makes 2.4 times as many new instances a second in
    a file, and twice as many at a server. In memory they overlap, as those of several
    processes do, so that simulations meet their conflicts.
    """
    return STORE_THREADS_MAX if uri == "memory:" else 1


def open_file(path: str, calendar: ICalendar) -> DurableStorage:
    directory = os.path.dirname(os.path.abspath(path))  # noqa: PTH100, PTH120 - text
    try:
        storage = DurableStorage(calendar, path)
        synchronise(directory)
    except LockError as error:
        raise Misconfigured(f"another process uses the store {path}") from error
    except OSError as error:
        raise Misconfigured(f"the store {path} cannot be opened: {error}") from error
    return storage


def synchronise(directory: str) -> None:
    """Make the names in a directory survive a power loss, as the files do."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def later_tid(now: float, last_tid: bytes) -> bytes:
    """Return a transaction id of ``now`` that is later than the last one."""
    year, month, day, hour, minute = time.gmtime(now)[:5]
    stamp = TimeStamp(year, month, day, hour, minute, now % 60)
    later: bytes = stamp.laterThan(TimeStamp(last_tid)).raw()
    return later


class DurableStorage(FileStorage):  # type: ignore[misc] # ZODB has no types
    """A file; transaction ids follow the calendar.

    A commit whose end cannot be synchronised to the disk is taken back: the file is cut
    where it began, and that is synchronised. FileStorage would stay closed instead. The
    kernel forgets what it could not write, so nothing of it may be built upon; what is
    written there next is written whole. When it cannot be taken back either, everything
    is refused until the process is started again and reads what the disk has.
    """

    _refusal: str | None = None
    _is_taken_back = False

    def __init__(self, calendar: ICalendar, path: str) -> None:
        self._calendar = calendar
        super().__init__(path)

    def sync(self) -> None:
        """Hear of what others commit: nobody does."""

    def loadBefore(self, oid: bytes, tid: bytes) -> Any:
        self._check_usable()
        return super().loadBefore(oid, tid)

    def tpc_begin(
        self, transaction: object, tid: bytes | None = None, status: str = " "
    ) -> None:
        self._check_usable()
        super().tpc_begin(transaction, tid, status)
        if tid is None:
            # The commit lock is held from here on: nobody else advances the last id.
            self._tid = later_tid(self._calendar.now(), self.lastTransaction())

    def close(self) -> None:
        """Close, unless FileStorage does it because of a commit that was taken back."""
        if not self._is_taken_back:
            super().close()
        self._is_taken_back = False

    def _finish_finish(self, tid: bytes) -> None:
        try:
            super()._finish_finish(tid)
        except OSError as error:
            self._take_back(error)
            # Everybody was told of this id already: what follows has to be later.
            self._ltid = tid
            raise

    def _take_back(self, error: OSError) -> None:
        self._refusal = (
            f"a commit failed ({error}) and could not be taken back; start the program"
            " that has the file again"
        )
        self._file.truncate(self._pos)
        os.fsync(self._file.fileno())
        self._files.empty()
        self._refusal = None
        self._is_taken_back = True

    def _check_usable(self) -> None:
        if self._refusal is not None:
            raise StorageError(self._refusal)


class MemoryStorage(MappingStorage, ConflictResolvingStorage):  # type: ignore[misc]
    """Memory; conflicts are resolved as in a file, so that both behave alike."""

    def __init__(self, calendar: ICalendar) -> None:
        self._calendar = calendar
        self._resolved: list[bytes] = []
        super().__init__()

    def tpc_begin(self, transaction: object, tid: bytes | None = None) -> None:
        super().tpc_begin(transaction, tid)
        self._resolved = []
        if tid is None:
            self._tid = later_tid(self._calendar.now(), self.lastTransaction())

    def store(
        self, oid: bytes, serial: bytes, data: bytes, version: str, transaction: Any
    ) -> None:
        try:
            super().store(oid, serial, data, version, transaction)
        except ConflictError as error:
            committed = error.serials[0]
            resolved = self.tryToResolveConflict(oid, committed, serial, data)
            super().store(oid, committed, resolved, version, transaction)
            self._resolved.append(oid)

    def tpc_vote(self, transaction: object) -> list[bytes]:
        super().tpc_vote(transaction)
        return self._resolved
