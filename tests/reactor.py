"""Coroutines of tests on the real reactor, one after the other.

The reactor of the test process is the monotonic one. It runs while a coroutine runs and
stands still between tests; what a test leaves on it fails that test.
"""

from __future__ import annotations

import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure

from runtime.reactor import MonotonicReactor

T = TypeVar("T")

LEFTOVER_SECONDS = 2.0
"""Closing sockets and idle timers of a loopback exchange have this long to end."""


class ReactorBench:
    """Call it with a coroutine: runs it to its end and gives its result.

    A coroutine that needs more than ``timeout_seconds`` fails, as do delayed calls,
    open sockets and unhandled failures of Deferreds that it leaves behind.
    """

    def __init__(self, reactor: MonotonicReactor) -> None:
        self.reactor = reactor
        self._internal = set(reactor._internalReaders)  # noqa: SLF001 - no other way

    def __call__(
        self, coroutine: Coroutine[Any, Any, T], timeout_seconds: float = 30.0
    ) -> T:
        unhandled: list[Failure] = []

        def observe(event: LogEvent) -> None:
            if "log_failure" in event:
                unhandled.append(event["log_failure"])

        globalLogPublisher.addObserver(observe)
        try:
            result = self._run(coroutine, timeout_seconds)
            leftovers = self._leftovers()
            gc.collect()  # an unhandled failure is logged when its Deferred goes
        finally:
            globalLogPublisher.removeObserver(observe)
        if isinstance(result, Failure):
            result.raiseException()
        assert not unhandled, "\n".join(f.getTraceback() for f in unhandled)
        assert not leftovers, f"left on the reactor: {leftovers}"
        return result

    def _run(
        self, coroutine: Coroutine[Any, Any, T], timeout_seconds: float
    ) -> T | Failure:
        results: list[T | Failure] = []

        def start() -> None:
            running = Deferred.fromCoroutine(coroutine)
            running.addTimeout(timeout_seconds, self.reactor)
            running.addBoth(results.append)
            running.addBoth(lambda _: self.reactor.crash())

        self.reactor.callWhenRunning(start)
        self.reactor.run(installSignalHandlers=False)
        return results[0]

    def _leftovers(self) -> list[object]:
        """What stands on the reactor once it had time to close."""
        deadline = self.reactor.seconds() + LEFTOVER_SECONDS
        while (left := self._pending()) and self.reactor.seconds() < deadline:
            self.reactor.runUntilCurrent()
            self.reactor.doIteration(0.01)
        for call in self.reactor.getDelayedCalls():
            call.cancel()
        self.reactor.removeAll()
        return left

    def _pending(self) -> list[object]:
        calls: list[object] = list(self.reactor.getDelayedCalls())
        sockets = self.reactor.getReaders() + self.reactor.getWriters()
        internal = self.reactor._internalReaders  # noqa: SLF001 - no other way
        return calls + [s for s in sockets if s not in internal]
