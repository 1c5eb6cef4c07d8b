"""Shell. What the replicas of a bootstrap stand on: one memory, reached by regions.

It stands for NEO: who has no majority is told so. A copy comes into it transaction by
transaction, each of which takes its time, so that whoever fills it may be killed, or
cut off, between two of them, and somebody else may begin with it meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from ZODB.DB import DB  # type: ignore[import-untyped]
from ZODB.POSException import ConflictError  # type: ignore[import-untyped]
from ZODB.utils import u64, z64  # type: ignore[import-untyped]

from labsim.lives.freshness import Away, MasterDatabase
from labsim.lives.replicas import AwayStorage
from labsim.world.threads import wait_for
from master_cluster.errors import Misconfigured
from master_cluster.store.announcing import EVERYTHING
from master_cluster.store.restoring import COPIED
from master_cluster.store.storages import CONNECTIONS_MAX, MemoryStorage
from runtime.ports import ICalendar, Runtime

COMMIT_SECONDS = 0.02
"""Of one transaction of a copy: NEO takes some tens of them a second."""


class SharedStorage(MemoryStorage):
    """The memory; ``tell_opened`` is called when a state in it is served from then on.

    Ids of transactions grow, as those of NEO do.
    """

    loses_ends = True
    _oid: int

    def __init__(self, calendar: ICalendar, tell_opened: Callable[[], None]) -> None:
        super().__init__(calendar)
        self._tell_opened = tell_opened

    def close(self) -> None:
        """Leave it open: others use it."""

    def sync(self) -> None:
        """Hear of what others commit: it is there."""

    def store(self, oid: bytes, *arguments: Any) -> None:
        super().store(oid, *arguments)
        # Memory forgets which ids it has not given out itself.
        self._oid = max(self._oid, u64(oid))

    def tpc_begin(
        self, transaction: Any, tid: bytes | None = None, _: str = " "
    ) -> None:
        if tid is not None and tid <= self.lastTransaction():
            raise ConflictError("somebody else has committed that already")
        super().tpc_begin(transaction, tid)

    def tpc_finish(
        self, transaction: Any, func: Callable[[bytes], None] = lambda _: None
    ) -> bytes:
        is_root = z64 in self._tdata
        tid: bytes = super().tpc_finish(transaction, func)
        if is_root and not COPIED.items() <= transaction.extension.items():
            self._tell_opened()
        return tid


@define(eq=False)
class ReceivingStorage:
    """The memory as one replica fills it, in one life of its host."""

    master: str
    _shared: SharedStorage
    _cut_off: dict[str, bytes]
    _runtime: Runtime
    _kept: list[Deferred[None]]

    loses_ends = True

    def close(self) -> None:
        """Leave it open: others use it."""

    def sync(self) -> None:
        self._check()

    def loadBefore(self, oid: bytes, tid: bytes) -> Any:
        self._check()
        return self._shared.loadBefore(oid, tid)

    def iterator(
        self, start: bytes | None = None, stop: bytes | None = None
    ) -> Iterator[Any]:
        self._check()
        yield from self._shared.iterator(start, stop)

    def tpc_begin(
        self, transaction: Any, tid: bytes | None = None, status: str = " "
    ) -> None:
        if tid is not None:
            due: Deferred[None] = deferLater(self._runtime.clock, COMMIT_SECONDS)
            # Who is killed meanwhile never goes on, nor ends.
            self._kept.append(due)
            wait_for(due)
            self._kept.remove(due)
        self._check()
        self._shared.tpc_begin(transaction, tid, status)

    def tpc_vote(self, transaction: Any) -> Any:
        return self._shared.tpc_vote(transaction)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shared, name)

    def _check(self) -> None:
        if self.master in self._cut_off:
            raise Away("nobody there")


@define(eq=False)
class ReplicaStore:
    """The memory, and the databases of those who serve what is in it."""

    tell_opened: Callable[[], None]
    shared: SharedStorage | None = None
    whole: DB | None = None
    _away: AwayStorage | None = None
    _cut_off: dict[str, bytes] = field(factory=dict)
    _databases: dict[str, MasterDatabase] = field(factory=dict)
    _kept: list[Deferred[None]] = field(factory=list)

    def open_storage(
        self, master: str, runtime: Runtime, _: str, calendar: ICalendar
    ) -> ReceivingStorage:
        """What a replica without a state opens."""
        shared = self._begin(calendar)
        return ReceivingStorage(master, shared, self._cut_off, runtime, self._kept)

    def open_database(self, master: str, _: str, calendar: ICalendar) -> MasterDatabase:
        """What a replica opens that serves."""
        if master in self._cut_off:
            raise Misconfigured("no store is reached")
        if self._away is None or self.whole is None:
            self._away = AwayStorage(self._begin(calendar))
            self._away.cut_off = self._cut_off
            self.whole = DB(self._away, pool_size=5 * CONNECTIONS_MAX)
        database = MasterDatabase(self.whole, master, self._away, loses_ends=True)
        self._databases[master] = database
        return database

    def cut_off(self, master: str) -> None:
        """Let a replica reach it no more."""
        if self.shared is not None:
            self._cut_off[master] = self.shared.lastTransaction()

    def find(self, master: str) -> None:
        """Let it be reached again."""
        self._cut_off.pop(master, None)
        if master in self._databases:
            self._databases[master].announce(EVERYTHING)

    def _begin(self, calendar: ICalendar) -> SharedStorage:
        if self.shared is None:
            self.shared = SharedStorage(calendar, self.tell_opened)
        return self.shared
