"""Shell. All that a simulated neo_cluster has committed, to be looked at at its end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from labsim.models.neo.storage_disk import NO_TID, Oid, Revisions, StorageDisk
from replication.observation import Tid


class KeptStorage:
    """A storage of ZODB that nobody writes, of what is on disks."""

    def __init__(self, disks: Iterable[StorageDisk]) -> None:
        committed = {
            tid: vote for disk in disks for tid, (_, vote) in disk.committed.items()
        }
        self._objects: dict[Oid, Revisions] = {}
        self._last_tid = NO_TID
        for tid, vote in sorted(committed.items()):
            self._last_tid = tid
            for oid, data in vote.changes:
                self._objects.setdefault(oid, Revisions()).known.append((tid, data))

    def loadBefore(self, oid: Oid, tid: Tid) -> tuple[bytes, Tid, Tid | None] | None:
        return self._objects[oid].before(tid)

    def history(self, oid: Oid, size: int = 1) -> list[dict[str, Any]]:
        """The newest versions, the newest first."""
        return [{"tid": tid} for tid, _ in self._objects[oid].known[: -size - 1 : -1]]

    def lastTransaction(self) -> Tid:
        return self._last_tid

    def getName(self) -> str:
        return "what a neo_cluster kept"

    def sortKey(self) -> str:
        return self.getName()

    def isReadOnly(self) -> bool:
        return True

    def supportsUndo(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing is open."""
