"""Shell. Where simulated masters keep what they are told, and who hears of commits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ZODB.DB import DB  # type: ignore[import-untyped]

from labsim.recording import RecordedDatabase, RecordingStorage, Tell
from master_cluster.store.storages import (
    CACHED_OBJECTS_MAX,
    CONNECTIONS_MAX,
    MemoryStorage,
    Opening,
)
from runtime.ports import ICalendar

MASTERS_MAX = 20
"""That use one database at once, with as many connections as each would have alone."""


class SharedMemory:
    """One memory for all masters of a world, which stays while they come and go.

    It stands beside all hosts: no fault reaches it. Its transaction ids follow the
    calendar of the master that was first.
    """

    uri = "memory:"

    def __init__(self, tell: Tell, seconds: Callable[[], float]) -> None:
        self._tell = tell
        self._seconds = seconds
        self._opened: list[DB] = []

    def opening(self, master: str) -> Opening:
        """What a master of that name opens its store with."""

        def open_it(uri: str, calendar: ICalendar) -> Any:
            assert uri == self.uri, uri
            if not self._opened:
                self._opened.append(self._open(self.build_storage(calendar)))
            return RecordedDatabase(self._opened[0], master, is_shared=True)

        return open_it

    def whole(self) -> DB:
        """A database that has all that was committed, and each version of it."""
        assert self._opened, "no master has begun"
        return self._opened[0]

    def build_storage(self, calendar: ICalendar) -> MemoryStorage:
        """What all of it stands on."""
        return MemoryStorage(calendar)

    def build_recording(self, storage: object) -> RecordingStorage:
        """The same as connections have it, with commits told."""
        return RecordingStorage(storage, self._tell, self._seconds)

    def _open(self, storage: object) -> DB:
        return DB(
            self.build_recording(storage),
            pool_size=MASTERS_MAX * CONNECTIONS_MAX,
            cache_size=CACHED_OBJECTS_MAX,
        )
