"""Lanes: each release converges by itself, beside the others.

1. A name has one lane at a time; who begins it again is not heard until it has ended.
2. Lanes that may build share the tickets; the others wait for nobody, so that a build
   of two hours delays neither the removal of a release nor the report of another.
3. A lane that is called off ends what it runs, with its processes.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.python.failure import Failure

T = TypeVar("T")


@frozen
class _Lane:
    ended: Deferred[None]
    has_ticket: bool


class Lanes(Generic[T]):
    """Runs ``converge`` for many names; ``ticket_count`` of those that build at once.

    ``failed`` makes the result of a lane that met a defect, or was called off.
    """

    def __init__(
        self,
        converge: Callable[[str], Coroutine[Any, Any, T]],
        failed: Callable[[Failure], T],
        ticket_count: int,
    ) -> None:
        self._converge = converge
        self._failed = failed
        self._tickets = DeferredSemaphore(ticket_count)
        self._lanes: dict[str, _Lane] = {}
        self._waiting: list[Deferred[None]] = []
        self._is_stopping = False

    @property
    def building(self) -> frozenset[str]:
        """The names whose lanes may build, those that wait for a ticket included."""
        return frozenset(n for n, lane in self._lanes.items() if lane.has_ticket)

    def is_alone(self, name: str) -> bool:
        """Whether no lane runs beside this one."""
        return not set(self._lanes) - {name}

    def begin(
        self, name: str, on_end: Callable[[T], None], *, has_ticket: bool
    ) -> None:
        """Begin a lane, unless there is one; a stop calls no ``on_end``."""
        if name in self._lanes:
            return
        running = Deferred.fromCoroutine(self._run(name, has_ticket=has_ticket))
        running.addErrback(self._settle)
        ended: Deferred[None] = running.addCallback(self._tell, on_end)
        if ended.called:
            return
        self._lanes[name] = _Lane(ended, has_ticket)
        ended.addBoth(self._forget, name)

    def call_off(self, name: str) -> None:
        """End a lane with what it runs."""
        if name in self._lanes:
            self._lanes[name].ended.cancel()

    async def finish(self) -> None:
        """Wait for all lanes; when that is cancelled, they are called off."""
        try:
            while self._lanes:
                waiting: Deferred[None] = Deferred()
                self._waiting.append(waiting)
                await waiting
        except CancelledError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Call off all lanes, and wait for their ends."""
        self._is_stopping = True
        # The last first: one that waits must not get the ticket of one that ends.
        for name in reversed(tuple(self._lanes)):
            self.call_off(name)
        await self.finish()
        self._is_stopping = False

    async def _run(self, name: str, *, has_ticket: bool) -> T:
        if not has_ticket:
            return await self._converge(name)
        await self._tickets.acquire()
        try:
            return await self._converge(name)
        finally:
            self._tickets.release()

    def _settle(self, failure: Failure) -> T | None:
        return None if self._is_stopping else self._failed(failure)

    @staticmethod
    def _tell(result: T | None, on_end: Callable[[T], None]) -> None:
        if result is not None:
            on_end(result)

    def _forget(self, _: object, name: str) -> None:
        del self._lanes[name]
        if not self._lanes:
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.callback(None)
