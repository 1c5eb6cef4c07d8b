"""Shell. What a storage node keeps, and what is gone when it ends at any instant.

What is changed is kept from the next ``commit`` on; ``roll_back`` is what a program
finds that starts after one that ended without.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from operator import itemgetter

from attrs import define, field, frozen

from replication.observation import StorageId, Table, TableId, Tid, Ttid

Oid = bytes
NO_TID = bytes(8)


@frozen
class Vote:
    """A transaction before it has a tid: who made it, and what each object becomes."""

    changes: tuple[tuple[Oid, bytes], ...]
    description: tuple[bytes, bytes, bytes] = (b"", b"", b"")


@frozen
class Revisions:
    """An object, oldest first."""

    known: list[tuple[Tid, bytes]] = field(factory=list)

    @property
    def last_tid(self) -> Tid:
        return self.known[-1][0] if self.known else NO_TID

    def before(self, tid: Tid) -> tuple[bytes, Tid, Tid | None] | None:
        """Return the data, its tid and the next one, as ``loadBefore`` does."""
        place = bisect_left(self.known, tid, key=itemgetter(0))
        if not place:
            return None
        found_tid, data = self.known[place - 1]
        next_tid = self.known[place][0] if place < len(self.known) else None
        return data, found_tid, next_tid


@define(eq=False)
class StorageDisk:
    """The database of one storage node, through all its lives.

    ``floor`` is the last tid that it had when it was outdated, ``None`` as long as it
    has all. ``committed`` has each transaction by its tid, with the ttid that it had.
    """

    storage: StorageId
    promise: int = 0
    table: Table | None = None
    floor: Tid | None = None
    votes: dict[Ttid, Vote] = field(factory=dict)
    locks: dict[Ttid, Tid] = field(factory=dict)
    verdict: dict[Ttid, Tid] = field(factory=dict)
    committed: dict[Tid, tuple[Ttid, Vote]] = field(factory=dict)
    final_tids: dict[Ttid, Tid] = field(factory=dict)
    objects: dict[Oid, Revisions] = field(factory=dict)
    last_tid: Tid = NO_TID
    last_oid: Oid = bytes(8)
    _undo: list[Callable[[], None]] = field(factory=list)

    @property
    def table_id(self) -> TableId:
        return self.table.table_id if self.table else TableId(0, 0)

    @property
    def is_readable(self) -> bool:
        return self.table is not None and self.storage in self.table.readable

    def commit(self) -> None:
        self._undo.clear()

    def roll_back(self) -> None:
        while self._undo:
            self._undo.pop()()

    def wipe(self) -> None:
        """Be an empty disk under the same number."""
        self.__init__(self.storage)  # type: ignore[misc] # all that it keeps

    def revisions(self, oid: Oid) -> Revisions:
        return self.objects.get(oid) or Revisions()

    # -- committed by the caller

    def adopt(self, table: Table) -> None:
        self.table = table
        if self.storage in table.readable:
            self.floor = None
        elif self.floor is None:
            self.floor = self.last_tid

    def drop(self, ttid: Ttid) -> None:
        self.votes.pop(ttid, None)
        self.locks.pop(ttid, None)

    # -- undone by ``roll_back``

    def forget_verdict(self) -> None:
        held, self.verdict = self.verdict, {}
        self._undo.append(lambda: setattr(self, "verdict", held))

    def unlock(self, ttid: Ttid, tid: Tid) -> None:
        """Commit what was voted; nothing if it was not."""
        if ttid not in self.votes:
            return
        vote = self.votes.pop(ttid)
        locked = self.locks.pop(ttid, None)
        last_tid = self.last_tid
        self.add(tid, ttid, vote)

        def undo() -> None:
            self._remove(tid)
            self.last_tid = last_tid
            self.votes[ttid] = vote
            if locked is not None:
                self.locks[ttid] = locked

        self._undo.append(undo)

    def add(self, tid: Tid, ttid: Ttid, vote: Vote) -> None:
        """Have a transaction that is committed elsewhere."""
        if tid in self.committed:
            return
        self.committed[tid] = ttid, vote
        self.final_tids[ttid] = tid
        for oid, data in vote.changes:
            revisions = self.objects.setdefault(oid, Revisions())
            insort(revisions.known, (tid, data), key=itemgetter(0))
            self.last_oid = max(self.last_oid, oid)
        self.last_tid = max(self.last_tid, tid)

    def above(self, floor: Tid, last: Tid) -> Iterable[tuple[Tid, Ttid, Vote]]:
        """Return what is committed above a tid, until another one."""
        for tid in sorted(self.committed):
            if floor < tid <= last:
                ttid, vote = self.committed[tid]
                yield tid, ttid, vote

    def _remove(self, tid: Tid) -> None:
        ttid, vote = self.committed.pop(tid)
        del self.final_tids[ttid]
        for oid, _ in vote.changes:
            known = self.objects[oid].known
            del known[bisect_left(known, tid, key=itemgetter(0))]
            if not known:
                del self.objects[oid]
