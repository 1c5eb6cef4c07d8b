"""Store threads without threads: a call begins at once and commits at a later instant.

Between the two other calls begin and commit, as they would in other threads, so that
overlapping changes meet the conflicts of the real ZODB.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from random import Random
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from runtime.ports import IStoreThreads, StoreUnavailable
from runtime.threads import STORE_CALLS_MAX, STORE_THREADS_MAX

T = TypeVar("T")

COMMIT_SECONDS_MAX = 0.05
"""A replicated commit crosses regions once or twice."""


@implementer(IStoreThreads)
class SimulatedThreads:
    """At most ``threads_max`` calls are between their begin and their commit."""

    def __init__(
        self,
        clock: IReactorTime,
        entropy: Random,
        record: Callable[[str], None],
        threads_max: int = STORE_THREADS_MAX,
        calls_max: int = STORE_CALLS_MAX,
    ) -> None:
        self._clock = clock
        self._entropy = entropy
        self._record = record
        self.threads_max = threads_max
        self._free_count = threads_max
        self._calls_max = calls_max
        self.call_count = 0
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_paused = False
        self._is_stopping = False
        self._stopping: list[Deferred[None]] = []
        self._told: list[Callable[[], None]] = []
        self._is_working = False

    def call(self, begin: Callable[[], Callable[[], T]]) -> Deferred[T]:
        if self._is_stopping:
            return fail(StoreUnavailable("the store is stopping"))
        if self.call_count >= self._calls_max:
            return fail(
                StoreUnavailable(f"{self.call_count} calls of the store are waiting")
            )
        self.call_count += 1
        answer: Deferred[T] = Deferred()
        context = copy_context()

        def start() -> None:
            self._free_count -= 1
            commit = self._work(context, begin)
            delay_seconds = self._entropy.uniform(0, COMMIT_SECONDS_MAX)
            self._clock.callLater(delay_seconds, self._finish, context, commit, answer)

        self._waiting.append(start)
        self._start_waiting()
        return answer

    def pause(self) -> None:
        """Let no call begin, as a storage that hangs does; those that began end."""
        self._is_paused = True

    def resume(self) -> None:
        """Let calls begin again."""
        self._is_paused = False
        self._start_waiting()

    def tell(self, callback: Callable[[], None]) -> None:
        self._told.append(callback)
        if not self._is_working:
            self._clock.callLater(0, self._deliver)

    def stop(self) -> Deferred[None]:
        self._is_stopping = True
        if self.call_count == 0:
            return succeed(None)
        stopped: Deferred[None] = Deferred()
        self._stopping.append(stopped)
        return stopped

    def _finish(self, context: Context, commit: Any, answer: Deferred[Any]) -> None:
        is_failed = isinstance(commit, Failure)
        result = commit if is_failed else self._work(context, commit)
        self._record("failed" if isinstance(result, Failure) else "committed")
        self._free_count += 1
        self.call_count -= 1
        self._start_waiting()
        answer.callback(result)
        if self._is_stopping and self.call_count == 0:
            while self._stopping:
                self._stopping.pop().callback(None)

    def _start_waiting(self) -> None:
        while self._waiting and self._free_count > 0 and not self._is_paused:
            self._waiting.popleft()()

    def _work(self, context: Context, work: Callable[[], Any]) -> Any:
        """Do half of a call, then what it told."""
        self._is_working = True
        result = context.run(_outcome, work)
        self._is_working = False
        self._deliver()
        return result

    def _deliver(self) -> None:
        told, self._told = self._told, []
        for callback in told:
            callback()


def _outcome(work: Callable[[], Any]) -> Any:
    """What ``work`` gives, or its failure as the caller of a thread gets it."""
    try:
        return work()
    except Exception:  # noqa: BLE001 - it belongs to the caller
        return Failure()
