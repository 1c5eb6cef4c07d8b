"""What was seen of partitions, for as long as none of their files changed since.

A pass over hundreds of partitions finds nearly all of them as the last one did. To know
that costs the statuses of the files that are read to see a partition; to read and
decode them again costs ten times as much.

1. What has equal statuses is unchanged: the date of the last change cannot be set back.
2. Such dates have steps, so what changed just now may change again unseen: it is not
   remembered.
3. What was seen counts from the instant at which it was seen on. A calendar that was
   set back makes everything be read again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import frozen

from runtime.ports import FileStatus, IFileTree
from slapgrid.convergence.views import LocalPartition
from slapgrid.layout import (
    PLUGIN_DIRECTORY,
    PROMISE_CACHE_DIRECTORY,
    PROMISE_DIRECTORY,
    PROMISE_RESULT_DIRECTORY,
    ProgramKind,
)

#: Some file systems keep dates in steps of two seconds.
UNSETTLED_SECONDS = 3.0

#: Whatever is read to see a partition stands in its directory or in one of these.
DIRECTORIES = (
    *ProgramKind,
    PLUGIN_DIRECTORY,
    PROMISE_DIRECTORY,
    PROMISE_CACHE_DIRECTORY,
    PROMISE_RESULT_DIRECTORY,
)

_BELOW = tuple((name.partition("/")[0], str(name)) for name in DIRECTORIES)

Marks = tuple[FileStatus | Mapping[str, FileStatus] | None, ...]


@frozen
class _Seen:
    marks: Marks
    partition: LocalPartition
    at: float


class PartitionMemory:
    """The last views of the partitions of an instance root, without programs."""

    def __init__(self, tree: IFileTree) -> None:
        self._tree = tree
        self._seen: dict[str, _Seen] = {}

    def observe(
        self, partition_id: str, now: float, read: Callable[[], LocalPartition]
    ) -> LocalPartition:
        """The partition as it was seen last, or read when that may be another."""
        marks = self._marks(partition_id)
        seen = self._seen.get(partition_id)
        if seen is not None and seen.at <= now and seen.marks == marks:
            return seen.partition
        self._seen.pop(partition_id, None)
        partition = read()
        if _is_settled(marks, now):
            self._seen[partition_id] = _Seen(marks, partition, now)
        return partition

    def _marks(self, partition_id: str) -> Marks:
        owner = self._tree.status(partition_id)
        top = self._entries(partition_id, "")
        # Most partitions have few of these directories: nobody looks below none.
        return (
            owner,
            top,
            *(
                self._entries(partition_id, path) if top and first in top else None
                for first, path in _BELOW
            ),
        )

    def _entries(self, partition_id: str, name: str) -> Mapping[str, FileStatus] | None:
        try:
            entries = self._tree.entries(f"{partition_id}/{name}")
        except (FileNotFoundError, NotADirectoryError):
            return None
        if name:
            return entries
        # Programs write their logs all the time, and nobody reads them here.
        log = f".{partition_id}_"
        return {
            name: status for name, status in entries.items() if not name.startswith(log)
        }


def _is_settled(marks: Marks, now: float) -> bool:
    for mark in marks:
        statuses = mark.values() if isinstance(mark, Mapping) else (mark,)
        for status in statuses:
            if status is not None and status.changed > now - UNSETTLED_SECONDS:
                return False
    return True
