"""What our series changes in the client of NEO, in moments that tests can hold."""

from __future__ import annotations

import threading  # noqa: TID251 - NEO's queue stands on its lock
from collections.abc import Callable, Collection
from queue import Empty
from types import SimpleNamespace
from typing import Any

import pytest
from neo.client.app import Application
from neo.client.cache import ClientCache
from neo.client.exception import (
    NEOAway,
    NEOInDoubt,
    NEOPrimaryMasterLost,
    NEOReadOnly,
    NEORetry,
)
from neo.client.handlers import AnswerBaseHandler
from neo.client.handlers.master import PrimaryNotificationsHandler
from neo.lib import locking
from transaction.interfaces import TransientError
from ZODB.mvccadapter import MVCCAdapter
from ZODB.POSException import ConflictError, ReadOnlyError, StorageError
from ZODB.utils import p64, u64

OLD, NEW, OID = p64(7), p64(8), p64(1)
NEAR, FAR = ("fd00::1", 1), ("fd00::2", 1)


class WakingLock:
    """A lock whose release finds, once, that the consumer took it and did not say so.

    CPython marks a lock as taken when its new owner has the GIL again.
    """

    is_waking = False

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def acquire(self, *arguments: Any) -> bool:
        return self._lock.acquire(*arguments)

    def release(self) -> None:
        self._lock.release()
        if self.is_waking:
            self.is_waking = False
            raise RuntimeError("release unlocked lock")


def test_a_consumer_that_wakes_up_does_not_break_the_producer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Trap 19."""
    locks: list[WakingLock] = []

    def new_lock() -> WakingLock:
        locks.append(WakingLock())
        return locks[-1]

    monkeypatch.setattr(locking, "Lock", new_lock)
    queue = locking.SimpleQueue()
    (lock,) = locks

    lock.is_waking = True
    queue.put("first")
    queue.put("second")

    assert [queue.get(True), queue.get(True)] == ["first", "second"]
    with pytest.raises(Empty):
        queue.get(True, 0.001)


class Meanwhile:
    """A database with a connection that begins a transaction just before it is told."""

    def __init__(self) -> None:
        self.app = SimpleNamespace(
            ignore_invalidations=False,
            last_tid=OLD,
            getDB=lambda: self,
            _cache=ClientCache(),
            _cache_lock_acquire=lambda: None,
            _cache_lock_release=lambda: None,
            _loading_oid=None,
        )
        storage = SimpleNamespace(lastTransaction=lambda: self.app.last_tid)
        self._adapter = MVCCAdapter(storage)
        self._connection = self._adapter.new_instance()

    def begin(self) -> tuple[bytes, Collection[bytes]]:
        """Which transaction a connection knows, and what it forgets for that."""
        forgotten = self._connection.poll_invalidations()
        return p64(u64(self._connection._start) - 1), forgotten  # noqa: SLF001

    def invalidate(self, tid: bytes, oids: Collection[bytes]) -> None:
        assert self.begin() == (OLD, [])
        self._adapter.invalidate(tid, oids)


@pytest.mark.parametrize("is_own", [False, True])
def test_a_transaction_is_the_last_one_when_everybody_was_told_of_it(
    *, is_own: bool
) -> None:
    """Trap 32: who knows its id, and was not told what it changed, reads old state."""
    meanwhile = Meanwhile()
    handler = PrimaryNotificationsHandler(meanwhile.app)

    if is_own:
        handler.answerTransactionFinished(
            *(None, None, NEW),
            callback=lambda tid: meanwhile.invalidate(tid, [OID]),
            cache_dict={OID: b"data"},
        )
    else:
        handler.invalidateObjects(None, NEW, [OID])

    assert meanwhile.begin() == (NEW, [OID])


@pytest.mark.parametrize("near", [None, "[fd00::1]:1 [fd00::3]:1"])
def test_near_nodes_are_read_from_and_failed_ones_last(near: str | None) -> None:
    app = Application("127.0.0.1:1", "probe", near=near)
    app._node_failure_dict["failed"] = 4e9  # noqa: SLF001 - as when a node failed
    ask: Callable[..., float] = app.getCellSortKey

    def cell(name: str, address: tuple[str, int]) -> SimpleNamespace:
        return SimpleNamespace(getUUID=lambda: name, getAddress=lambda: address)

    unlucky, lucky = (lambda: 0.9), (lambda: 0.1)
    keys = [
        ask(cell("near", NEAR), unlucky),
        ask(cell("far", FAR), lucky),
        ask(cell("failed", NEAR), lucky),
    ]
    assert (keys == sorted(keys)) is (near is not None)
    assert max(keys) == keys[2]
    app.close()


def test_errors_say_what_to_do() -> None:
    """``transaction`` repeats what is transient; what is in doubt must not be."""
    assert issubclass(NEOAway, TransientError)
    assert not issubclass(NEOAway, ConflictError)
    for error in (NEORetry, NEOPrimaryMasterLost):
        assert issubclass(error, ConflictError)
    assert not issubclass(NEOInDoubt, TransientError)
    assert all(
        issubclass(it, StorageError)
        for it in (NEOAway, NEORetry, NEOInDoubt, NEOReadOnly)
    )


def test_a_backup_cluster_is_read_only() -> None:
    handler = AnswerBaseHandler(SimpleNamespace())

    with pytest.raises(NEOReadOnly, match="backup") as raised:
        handler.readOnlyAccess(None, "a backup")
    assert isinstance(raised.value, ReadOnlyError)
