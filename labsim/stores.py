"""Shell. Where simulated masters keep what they are told."""

from __future__ import annotations

from ZODB.DB import DB  # type: ignore[import-untyped]

from master_cluster.store.announcing import AnnouncingStorage
from master_cluster.store.storages import (
    CACHED_OBJECTS_MAX,
    CONNECTIONS_MAX,
    MemoryStorage,
    Opening,
)
from runtime.ports import ICalendar

MASTERS_MAX = 20
"""That use one database at once, with as many connections as each would have alone."""


class LastingDatabase(DB):  # type: ignore[misc] # ZODB has no types
    """One that all masters of a world use; it lasts when one of them stops."""

    def close(self) -> None:
        """Leave it open: others use it."""


def open_shared_memory() -> Opening:
    """One memory for all masters of a world, which stays while they come and go.

    It stands beside all hosts: no fault reaches it. Its transaction ids follow the
    calendar of the master that was first.
    """
    opened: list[DB] = []

    def open_it(uri: str, calendar: ICalendar) -> DB:
        assert uri == "memory:", uri
        if not opened:
            storage = AnnouncingStorage(MemoryStorage(calendar))
            opened.append(
                LastingDatabase(
                    storage,
                    pool_size=MASTERS_MAX * CONNECTIONS_MAX,
                    cache_size=CACHED_OBJECTS_MAX,
                )
            )
        return opened[0]

    return open_it
