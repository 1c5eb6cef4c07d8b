"""Shell. Calls of the store that run, and who waits for them.

A store that is lost may be silent for as long as its own heartbeats take; whoever waits
is told before, and asks another master. What runs goes on: nothing can take it back.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from master_cluster.store.callers import Caller
from master_cluster.store.outages import StillInDoubt
from slap.errors import SlapError, Unavailable

RETRY_AFTER_SECONDS = 2
"""Another master is asked at once; this one has found its store as soon as it can."""

T = TypeVar("T")


class AwaitedCalls:
    """Those of one store."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._is_lost = False
        self._awaited: dict[Deferred[Any], Caller] = {}
        self._running: dict[Deferred[Any], None] = {}
        self._settled: list[Deferred[None]] = []

    async def answer(self, work: Coroutine[Any, Any, T], caller: Caller) -> T:
        """Run it; raise what a lost store is to whoever waits."""
        if self._is_lost:
            work.close()
            sentence = "the store is away, and nothing is written"
            raise Unavailable(sentence, RETRY_AFTER_SECONDS)
        running = Deferred.fromCoroutine(work)
        if running.called:
            return await running
        told: Deferred[T] = Deferred()
        self._awaited[told] = caller
        self._running[running] = None
        running.addBoth(self._end, running, told)
        return await told

    def lose(self) -> None:
        """Tell everybody who waits; nothing more is begun for them."""
        self._is_lost = True
        awaited, self._awaited = self._awaited, {}
        for told, caller in awaited.items():
            caller.is_gone = True
            sentence = "the store was lost meanwhile"
            told.errback(StillInDoubt(sentence, RETRY_AFTER_SECONDS))

    def find(self) -> None:
        self._is_lost = False

    async def settle(self) -> None:
        """Return when nothing runs."""
        if self._running:
            settled: Deferred[None] = Deferred()
            self._settled.append(settled)
            await settled

    def _end(
        self, result: T | Failure, running: Deferred[T], told: Deferred[T]
    ) -> None:
        del self._running[running]
        if self._awaited.pop(told, None) is not None:
            told.callback(result)
        elif isinstance(result, Failure) and not result.check(SlapError):
            self._log.failure("a call that nobody waits for", result)
        while self._settled and not self._running:
            self._settled.pop().callback(None)
