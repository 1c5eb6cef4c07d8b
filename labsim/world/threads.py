"""Store threads without threads: a call begins at once and commits at a later instant.

Between the two other calls begin and commit, as they would in other threads, so that
overlapping changes meet the conflicts of the real ZODB.

What a call waits for in its storage takes virtual time: ``wait_for`` suspends it alone,
and all else goes on. Whatever ends the waiting resumes it at that instant.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from random import Random
from typing import Any, NoReturn, TypeVar

from attrs import frozen
from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from runtime.ports import IStoreThreads, StoreUnavailable
from runtime.threads import STORE_CALLS_MAX, STORE_THREADS_MAX

T = TypeVar("T")

COMMIT_SECONDS_MAX = 0.05
"""A replicated commit crosses regions once or twice."""


@frozen
class _Ended:
    """What work gave that a greenlet did; it has no more."""

    result: Any


def run_suspendable(
    work: Callable[[], T],
    end: Callable[[T], object],
    idle: list[greenlet] | None = None,
) -> None:
    """Run work that may ``wait_for`` something; ``end`` is given what it returns.

    A call that is never resumed, because its host crashed, has to be kept by whoever
    would resume it: one that is dropped runs its ``finally`` blocks. ``idle`` are
    greenlets to take and to leave: another one costs more than most work.
    """
    known = [] if idle is None else idle
    _resume(known.pop() if known else greenlet(_work_on), end, known, work)


def wait_for(awaited: Deferred[T]) -> T:
    """Suspend the present call until there is a result, and give or raise that."""
    surroundings = getcurrent().parent
    assert surroundings is not None, "nothing but a store call can wait"
    result: T | Failure = surroundings.switch(awaited)
    if isinstance(result, Failure):
        result.raiseException()
    return result


def _work_on(work: Callable[[], Any]) -> NoReturn:
    while True:
        ended = _Ended(work())
        # Whoever resumed it last is its parent by now.
        work = getcurrent().parent.switch(ended)


def _resume(
    call: greenlet, end: Callable[[Any], object], idle: list[greenlet], given: object
) -> None:
    call.parent = getcurrent()
    told = call.switch(given)
    if isinstance(told, _Ended):
        idle.append(call)
        end(told.result)
    else:
        told.addBoth(lambda result: _resume(call, end, idle, result))


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
        self._idle: list[greenlet] = []

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
            self._work(context, begin, begun)

        def begun(commit: Any) -> None:
            delay_seconds = self._entropy.uniform(0, COMMIT_SECONDS_MAX)
            self._clock.callLater(delay_seconds, finish, commit)

        def finish(commit: Any) -> None:
            if isinstance(commit, Failure):
                self._end(commit, answer)
            else:
                self._work(context, commit, lambda result: self._end(result, answer))

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

    def _end(self, result: Any, answer: Deferred[Any]) -> None:
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

    def _work(
        self, context: Context, work: Callable[[], Any], end: Callable[[Any], None]
    ) -> None:
        """Do half of a call, then what it told."""

        def ended(result: Any) -> None:
            self._is_working = False
            self._deliver()
            end(result)

        self._is_working = True
        run_suspendable(lambda: context.run(_outcome, work), ended, self._idle)
        self._is_working = False

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
