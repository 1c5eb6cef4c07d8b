"""Shell. A neo_cluster whose storage nodes do only what they are told, step by step.

A storage node seeks the neo_master that it is sent to, and handles what this one says
one message at a time; a neo_master notices the loss of a storage node when it is told
to. So any order is played in which messages may come, and connections may break.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from labsim.models.neo.neo_cluster import NeoCluster
from labsim.models.neo.neo_master import NeoMaster
from labsim.models.neo.sessions import Message, Session
from labsim.models.neo.storage_disk import Oid
from labsim.models.neo.storage_node import StorageNode

_KEPT = frozenset({"promise", "table", "change", "start", "lock", "unlock"})
"""What changes what a storage node keeps, or may keep: one step each."""

_GATHERED = frozenset({"validate"})
"""Handled with what comes behind it."""


class DirectedStorageNode(StorageNode):
    """``goal`` is the neo_master that it seeks: none is a storage node that rests."""

    def __init__(self, *arguments: Any) -> None:
        self.goal: int | None = None
        self.is_held = True
        self._is_free = False
        self._queue: deque[Message] = deque()
        self._copying: Message | None = None
        self._is_unheard = False
        super().__init__(*arguments)

    def heard(self, session: Session, message: Message) -> None:
        if not self.is_held or session is not self._primary:
            super().heard(session, message)
        elif message[0] == "replicate":
            self._copying = message
        elif message[0] == "start" and not self._queue and not self._disk.verdict:
            # Nothing that it keeps would change.
            super().heard(session, message)
        else:
            self._queue.append(message)
            self._pass()

    def lost(self, session: Session) -> None:
        if session is self._primary and self.is_held:
            self._is_unheard = True
            self._conclude()
        else:
            super().lost(session)

    @property
    def is_told(self) -> bool:
        """Whether something waits to be handled."""
        return bool(self._queue)

    def serves(self, epoch: int, oid: Oid) -> bool:
        """Whether clients of an epoch are told what it has, without waiting."""
        disk = self._disk
        is_there = self._is_operating and disk.table_id.epoch == epoch
        return is_there and disk.is_readable and not self._is_locked(oid)

    def deliver(self) -> bool:
        """Handle what comes next; false when nothing waits."""
        if not self._queue:
            return False
        is_gathering = False
        while self._queue:
            verb = self._queue[0][0]
            self._handle()
            is_gathering = is_gathering or verb in _GATHERED
            if verb in _KEPT or (is_gathering and verb not in _GATHERED):
                break
        self._pass()
        self._conclude()
        return True

    def copy(self) -> bool:
        """Copy from the storage node that it was told; false when it was not."""
        message, self._copying = self._copying, None
        if message is None or self._primary is None:
            return False
        super().heard(self._primary, message)
        return True

    def leave(self) -> None:
        """Lose the primary, and what it had said; seek nobody."""
        self.goal = None
        self._queue.clear()
        if self._primary is not None:
            session = self._primary
            session.close()
            super().lost(session)

    def seek(self, place: int) -> None:
        self.goal = place
        self._end_session()
        # And not where it was about to go.
        self._later("seek", 0.0, lambda: self._seek(place))

    def release(self, *, is_free: bool = False) -> None:
        """Handle all at once from now on; a free one seeks whom it likes."""
        self.is_held = False
        self._is_free = self._is_free or is_free
        while self._queue:
            self._handle()
        self.copy()
        self._conclude()
        if self._is_free and self._primary is None:
            self._later("seek", 0.0, lambda: self._seek(self._last_place))

    def hold(self) -> None:
        """Do what it is told alone, from now on; what it has goes on."""
        self.is_held = True
        self.goal = None

    def _seek(self, place: int) -> None:
        if self._is_free:
            super()._seek(place)
        elif self.goal is not None:
            super()._seek(self.goal)

    def _end_session(self) -> None:
        super()._end_session()
        self._queue.clear()
        self._copying = None
        self._is_unheard = False

    def _handle(self) -> None:
        assert self._primary is not None
        super().heard(self._primary, self._queue.popleft())

    def _pass(self) -> None:
        """Handle what it keeps nothing of."""
        while self._queue and self._queue[0][0] not in _KEPT | _GATHERED:
            self._handle()

    def _conclude(self) -> None:
        if self._is_unheard and not self._queue and self._primary is not None:
            self._is_unheard = False
            super().lost(self._primary)


class DirectedNeoMaster(NeoMaster):
    """Loses no storage node before it is told so, as long as it is ``is_held``."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.is_held = True
        self._unnoticed: dict[Session, None] = {}
        super().__init__(*arguments, **options)

    def lost(self, session: Session) -> None:
        if self.is_held and session.role == "storage":
            self._unnoticed[session] = None
        else:
            super().lost(session)

    def notice(self, storage: int) -> bool:
        """Notice that a storage node is lost; false if it is not."""
        gone = [it for it in self._unnoticed if it.number == storage]
        for session in gone:
            del self._unnoticed[session]
            super().lost(session)
        return bool(gone)

    def lose(self, storage: int) -> bool:
        """Lose a storage node that is there; false if it is not."""
        session = self._storages.get(storage)
        if session is not None:
            self._guarded(lambda: self._lose(session))
        return session is not None


class DirectedCluster(NeoCluster):
    neo_master_class = DirectedNeoMaster
    storage_class = DirectedStorageNode

    def directed_storage(self, place: int) -> DirectedStorageNode:
        found = self.storage_node(place)
        assert isinstance(found, DirectedStorageNode)
        return found

    def directed_master(self, place: int) -> DirectedNeoMaster:
        found = self.neo_master(place)
        assert isinstance(found, DirectedNeoMaster)
        return found
