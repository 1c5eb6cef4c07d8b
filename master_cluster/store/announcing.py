"""Shell. Who is told of commits: those of this process, and those of others.

ZODB lets a storage tell each of its connections which objects to forget. Here whoever
listens is told too, from the thread that heard it:

1. A commit of this process is announced when the storage has finished it, and before
   the commit returns: whoever acts on an announcement finds the change, and whoever
   waits for the commit comes after the announcement.
2. A commit of another process is announced when the storage hears of it. What begins
   after that finds the change: of ZEO because each transaction first asks its server.
3. When a storage lost its connection and cannot say what it missed, it announces
   ``EVERYTHING``.
4. A transaction that begins while no announcement is underway has ``heard_tid``: all
   that was committed up to that one was announced before. A commit is seen by others
   between its end and its announcement; who begins then has none. One whose end is lost
   counts as underway until everything is announced.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from ZODB.interfaces import IMVCCStorage  # type: ignore[import-untyped]
from ZODB.mvccadapter import (  # type: ignore[import-untyped]
    MVCCAdapter,
    MVCCAdapterInstance,
)
from ZODB.utils import p64, u64  # type: ignore[import-untyped]
from zope.interface import implementer

from master_cluster.store.outages import InDoubt
from slap.freshness import UNSEEN

Listener: TypeAlias = Callable[[Collection[bytes] | None], None]
"""Told the ids of the objects that a commit changed, or ``EVERYTHING``."""

EVERYTHING = None


@implementer(IMVCCStorage)
class AnnouncingStorage(MVCCAdapter):  # type: ignore[misc] # ZODB has no types
    """A storage, as connections see it, that announces what is committed to it.

    ``loses_ends``: whether a commit may end in ``InDoubt``.
    """

    # A database looks for tpc_vote on the storage that it is given.
    _copy_methods = (*MVCCAdapter._copy_methods, "tpc_vote")  # noqa: SLF001 - its base

    def __init__(self, storage: object) -> None:
        self._listeners: tuple[Listener, ...] = ()
        self._underway_count = 0
        self._doubt_count = 0
        self.loses_ends: bool = getattr(storage, "loses_ends", False)
        super().__init__(storage)

    def listen(self, listener: Listener) -> None:
        """Announce to ``listener`` too, from here on."""
        self._listeners += (listener,)

    def announce(self, oids: Collection[bytes] | None) -> None:
        for listener in self._listeners:
            listener(oids)
        if oids is EVERYTHING:
            with self._lock:
                self._doubt_count = 0

    @property
    def is_quiet(self) -> bool:
        """Whether all that can be seen was announced."""
        return not self._underway_count and not self._doubt_count

    @contextmanager
    def underway(self) -> Iterator[None]:
        """Within this something is there to be seen, and announced."""
        with self._lock:
            self._underway_count += 1
        try:
            yield
        except InDoubt:
            with self._lock:
                self._doubt_count += 1
            raise
        finally:
            with self._lock:
                self._underway_count -= 1

    def build_instance(self) -> AnnouncingInstance:
        """What one more connection stands on."""
        return AnnouncingInstance(self)

    def new_instance(self) -> AnnouncingInstance:
        instance = self.build_instance()
        with self._lock:
            self._instances.add(instance)
        return instance

    def invalidate(self, transaction_id: bytes, oids: Collection[bytes]) -> None:
        with self.underway():
            super().invalidate(transaction_id, oids)
            self.announce(frozenset(oids))

    def invalidateCache(self) -> None:
        with self.underway():
            super().invalidateCache()
            self.announce(EVERYTHING)


class AnnouncingInstance(MVCCAdapterInstance):  # type: ignore[misc] # as above
    """What one connection stands on."""

    _base: AnnouncingStorage

    tid: bytes
    """The last transaction that the connection knows."""

    heard_tid = UNSEEN
    """The same if all up to it was announced when the transaction began."""

    def poll_invalidations(self) -> Any:
        invalidated = super().poll_invalidations()
        # What it reads is older than this.
        self.tid = p64(u64(self._start) - 1)
        # After that: what begins meanwhile is no harm, what was underway is.
        self.heard_tid = self.tid if self._base.is_quiet else UNSEEN
        return invalidated

    def tpc_finish(
        self, transaction: object, func: Callable[[bytes], None] = lambda _: None
    ) -> Any:
        modified = frozenset(self._modified)
        with self._base.underway():
            self.tid = super().tpc_finish(transaction, func)
            self._base.announce(modified)
        return self.tid
