"""Shell. A neo_cluster copied to a file while it is used, and filled from one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from master_cluster.store.backup import make_copy
from master_cluster.store.content import Content, Watch, snapshot_of
from master_cluster.store.neo_uri import parse_neo_uri
from master_cluster.store.restoring import restore_into
from replication import transfer

if TYPE_CHECKING:
    from master_cluster.store.neo_client import NeoStorage

AWAY_SECONDS_MAX = 60.0
"""Another primary is there in seconds, and nobody waits for each answer."""


def back_up(store_uri: str, target: Path, watch: Watch, *, is_forced: bool) -> Content:
    """Copy a neo_cluster with its transactions, and verify the copy."""

    def write(part: Path) -> None:
        with _opened(store_uri) as storage:
            transfer.write_file(storage, part, watch)

    return make_copy(write, target, watch, is_forced=is_forced)


def restore(backup: Path, store_uri: str, watch: Watch, *, is_dry: bool) -> Content:
    """Put a backup into a neo_cluster that has nothing, or a beginning of the same."""
    # What is no copy is said at once, whether the store is there or not.
    with snapshot_of(backup), _opened(store_uri) as storage:
        return restore_into(backup, storage, lambda _: watch, is_dry=is_dry)


@contextmanager
def _opened(store_uri: str) -> Iterator[NeoStorage]:
    place = parse_neo_uri(store_uri)
    # It takes signals of the process and a third of a second.
    from master_cluster.store.neo_client import NeoStorage  # noqa: PLC0415

    storage = NeoStorage(place)
    # Only from here on: what is not reached at all is said within seconds.
    storage.app.wait = max(place.wait_seconds, AWAY_SECONDS_MAX)
    try:
        yield storage
    finally:
        storage.close()
