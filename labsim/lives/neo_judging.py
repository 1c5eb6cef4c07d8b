"""Shell. What must hold of a neo_cluster in the end, whatever broke."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

from attrs import frozen
from ZODB.utils import p64, u64  # type: ignore[import-untyped]

from labsim.models.neo.storage_disk import NO_TID, Oid, StorageDisk
from replication.observation import StorageId, Tid


@frozen
class Commit:
    """One that was acknowledged."""

    began: float
    ended: float
    tid: Tid
    oid: Oid
    data: bytes


@frozen
class Reading:
    """What a client found as of a transaction."""

    asof: Tid
    oid: Oid
    serial: Tid


def find_problems(
    disks: Collection[StorageDisk],
    holders: Collection[StorageId],
    commits: Sequence[Commit],
    readings: Sequence[Reading],
) -> Iterator[str]:
    """Say what does not hold at the end, when all copies are whole."""
    first, *others = (it for it in disks if it.storage in holders)
    for disk in others:
        if disk.committed != first.committed:
            yield f"{first.storage} and {disk.storage} differ"
    yield from _commit_problems(first, commits)
    for reading in readings:
        found = first.revisions(reading.oid).before(p64(u64(reading.asof) + 1))
        serial = found[1] if found else NO_TID
        if serial != reading.serial:
            yield f"what was read as of {reading.asof.hex()} is otherwise now"


def _commit_problems(disk: StorageDisk, commits: Sequence[Commit]) -> Iterator[str]:
    for commit in commits:
        kept = disk.committed.get(commit.tid)
        if kept is None or (commit.oid, commit.data) not in kept[1].changes:
            yield f"{commit.tid.hex()} was acknowledged and is lost"
    by_tid = sorted(commits, key=lambda it: it.tid)
    for earlier, later in pairwise(by_tid):
        if earlier.tid == later.tid:
            yield f"{later.tid.hex()} was acknowledged twice"
        if earlier.began > later.ended:
            yield f"{later.tid.hex()} is above one that came later"
