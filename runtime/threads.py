"""The threads in which ZODB code runs."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from runtime.ports import IStoreThreads, StoreUnavailable

T = TypeVar("T")

STORE_THREADS_MAX = 8
"""Each holds a ZODB connection with its cache; storages serialise commits anyway."""

STORE_CALLS_MAX = 1000
"""Calls accepted and not yet answered: some seconds of work; more would time out."""


@implementer(IStoreThreads)
class StoreThreads:
    """A bounded pool; it starts its threads when they are first needed."""

    def __init__(
        self,
        reactor: IReactorFromThreads,
        threads_max: int = STORE_THREADS_MAX,
        calls_max: int = STORE_CALLS_MAX,
    ) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(0, threads_max, name="store")
        self._calls_max = calls_max
        self.threads_max = threads_max
        self.call_count = 0
        self._is_stopping = False
        self._stopping: list[Deferred[None]] = []

    def call(self, begin: Callable[[], Callable[[], T]]) -> Deferred[T]:
        if self._is_stopping:
            return fail(StoreUnavailable("the store is stopping"))
        if self.call_count >= self._calls_max:
            return fail(
                StoreUnavailable(f"{self.call_count} calls of the store are waiting")
            )
        if not self._pool.started:
            self._pool.start()
        self.call_count += 1
        answer: Deferred[T] = Deferred()
        context = copy_context()

        def run() -> T:
            commit = context.run(begin)
            return context.run(commit)

        def finish(_: bool, result: T | Failure) -> None:
            self._reactor.callFromThread(self._finish, answer, result)

        self._pool.callInThreadWithCallback(finish, run)
        return answer

    def tell(self, callback: Callable[[], None]) -> None:
        # The answer of a call takes the same way, later.
        self._reactor.callFromThread(callback)

    def stop(self) -> Deferred[None]:
        self._is_stopping = True
        if self.call_count == 0:
            self._stop_pool()
            return succeed(None)
        stopped: Deferred[None] = Deferred()
        self._stopping.append(stopped)
        return stopped

    def _finish(self, answer: Deferred[T], result: T | Failure) -> None:
        self.call_count -= 1
        answer.callback(result)
        if self._is_stopping and self.call_count == 0:
            self._stop_pool()
            while self._stopping:
                self._stopping.pop().callback(None)

    def _stop_pool(self) -> None:
        """End the idle threads: joining them takes no time worth the name."""
        if self._pool.started:
            self._pool.stop()


async def work_in_thread(threads: IStoreThreads, work: Callable[[], T]) -> T:
    """Return what ``work`` returns, or raise what it raises."""

    def begin() -> Callable[[], T]:
        done = work()
        return lambda: done

    return await threads.call(begin)
