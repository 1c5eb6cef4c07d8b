"""Shell. A storage that tells what each transaction read and wrote, by their serials.

An object that a connection has in its cache is read without asking its storage, so each
transaction begins with an empty one.

Whoever looks up one key of a container has no opinion on the others, and the storage
does not see which it was. So a container counts as read by who writes it, and by who
relies on all of it, which the storage is told (``readCurrent``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ZODB.Connection import Connection  # type: ignore[import-untyped]
from ZODB.DB import DB  # type: ignore[import-untyped]
from ZODB.utils import get_pickle_metadata  # type: ignore[import-untyped]

from labsim.documents import Finishing, Seen
from labsim.history import Committed, Doubted
from master_cluster.store.announcing import AnnouncingInstance, AnnouncingStorage

Tell = Callable[[Seen], None]


class RecordingStorage(AnnouncingStorage):
    """A storage whose commits are told; ``seconds`` is the clock of the world."""

    def __init__(
        self, storage: object, tell: Tell, seconds: Callable[[], float]
    ) -> None:
        super().__init__(storage)
        self.tell = tell
        self.seconds = seconds
        self._containers: dict[bytes, bool] = {}
        self._names: dict[bytes, str] = {}

    def name(self, number: bytes) -> str:
        """An oid or a tid as text: one text for all, as a history has millions."""
        name = self._names.get(number)
        if name is None:
            name = self._names[number] = number.hex()
        return name

    def is_container(self, oid: bytes, data: bytes) -> bool:
        """Whether an object is a part of a BTree, which it is for ever."""
        known = self._containers.get(oid)
        if known is None:
            module, _ = get_pickle_metadata(data)
            known = self._containers[oid] = module.startswith("BTrees.")
        return known

    def build_instance(self) -> RecordingInstance:
        return RecordingInstance(self)


class RecordingInstance(AnnouncingInstance):
    """What one connection stands on; ``master`` is who has it now."""

    _base: RecordingStorage

    def __init__(self, base: RecordingStorage) -> None:
        super().__init__(base)
        self.master = ""
        self._reads: dict[bytes, bytes] = {}
        self._looked_up: dict[bytes, bytes] = {}
        self._merged: tuple[bytes, ...] = ()

    def poll_invalidations(self) -> Any:
        self._reads = {}
        self._looked_up = {}
        self._merged = ()
        return super().poll_invalidations()

    def load(self, oid: bytes) -> Any:
        data, serial = super().load(oid)
        is_container = self._base.is_container(oid, data)
        (self._looked_up if is_container else self._reads)[oid] = serial
        return data, serial

    def checkCurrentSerialInTransaction(
        self, oid: bytes, serial: bytes, transaction: object
    ) -> None:
        self._storage.checkCurrentSerialInTransaction(oid, serial, transaction)
        self._reads[oid] = serial

    def tpc_vote(self, transaction: object) -> Any:
        resolved = self._storage.tpc_vote(transaction)
        self._merged = tuple(resolved or ())
        return resolved

    def tpc_finish(
        self, transaction: object, func: Callable[[bytes], None] = lambda _: None
    ) -> Any:
        epoch = getattr(self._storage, "epoch", 0)
        written = self._looked_up.keys() & self._modified
        self._reads.update((oid, self._looked_up[oid]) for oid in sorted(written))
        base = self._base
        name = base.name
        reads = {name(oid): name(serial) for oid, serial in self._reads.items()}
        writes = tuple(sorted(map(name, self._modified)))
        merged = tuple(sorted(map(name, self._merged)))
        finishing = Finishing(Doubted(base.seconds(), self.master, reads, writes))
        base.tell(finishing)
        tid = super().tpc_finish(transaction, func)
        finishing.has_ended = True
        told = Committed(
            base.seconds(), self.master, name(tid), reads, writes, merged, epoch
        )
        base.tell(told)
        return tid


class RecordedDatabase:
    """A database as one master has it; it lasts when that stops, if others use it."""

    def __init__(self, database: DB, master: str, *, is_shared: bool) -> None:
        self._database = database
        self._master = master
        self._is_shared = is_shared

    @property
    def storage(self) -> RecordingStorage:
        storage: RecordingStorage = self._database.storage
        return storage

    def open(self, manager: object) -> Connection:
        connection = self._database.open(manager)
        connection.cacheMinimize()
        connection._storage.master = self._master  # noqa: SLF001 - ZODB's name
        return connection

    def close(self) -> None:
        if not self._is_shared:
            self._database.close()
