"""Simulated time: a heap of calls, run one by one.

``twisted.internet.task.Clock`` moves to the end of an advance before it runs what was
due on the way, so causes and effects between hosts get wrong instants. Here the clock
stands at the instant of the call that runs.

A call belongs to a life: of a host, or of a program on it. When that life ends, its
calls are kept but never run: dropping them would free coroutines, whose ``finally``
blocks would then run as ghosts at the instant of the crash.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

from twisted.internet.base import DelayedCall
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer


class WorldClock:
    """The only clock of a world. ``ties`` permutes calls that are due together."""

    def __init__(self, ties: Random | None = None) -> None:
        self._ties = ties
        self._now = 0.0
        self._sequence = 0
        self._heap: list[_Entry] = []
        self._graveyard: list[DelayedCall] = []

    def seconds(self) -> float:
        return self._now

    def next_due(self) -> float | None:
        """When the next call is due, ``None`` when nothing is left to happen."""
        while self._heap:
            due, _, _, life, call = self._heap[0]
            if not life.is_over and call.active() and call.time == due:
                if call.delayed_time <= 0:
                    return due
                heapq.heappop(self._heap)
                call.activate_delay()
                self.push(life, call)
                continue
            heapq.heappop(self._heap)
            if life.is_over:
                self._graveyard.append(call)
        return None

    def step(self) -> bool:
        """Make the next call; ``False`` when there is none."""
        due = self.next_due()
        if due is None:
            return False
        call = heapq.heappop(self._heap)[-1]
        self._now = max(self._now, due)
        call.called = 1
        call.func(*call.args, **call.kw)
        return True

    def advance_to(self, instant: float) -> None:
        """Let time pass in which nothing happens."""
        due = self.next_due()
        assert due is None or due > instant, "a call is due before"
        self._now = max(self._now, instant)

    def push(self, life: LifeClock, call: DelayedCall) -> None:
        self._sequence += 1
        tie = 0.0 if self._ties is None else self._ties.random()
        heapq.heappush(self._heap, (call.time, tie, self._sequence, life, call))

    def pending(self, life: LifeClock) -> list[DelayedCall]:
        return [
            call
            for due, _, _, owner, call in sorted(self._heap)
            if owner is life and call.active() and call.time == due
        ]


@implementer(IReactorTime)
class LifeClock:
    """The clock as one life sees it: a host from boot to crash, a program of it."""

    def __init__(
        self, world_clock: WorldClock, surrounding: LifeClock | None = None
    ) -> None:
        self._world_clock = world_clock
        self._surrounding = surrounding
        self._is_over = False

    @property
    def is_over(self) -> bool:
        """Whether this life has ended, or the one around it."""
        return self._is_over or (
            self._surrounding is not None and self._surrounding.is_over
        )

    def end(self) -> None:
        """Make no more calls."""
        self._is_over = True

    def within(self) -> LifeClock:
        """The clock of a life that ends with this one at the latest."""
        return LifeClock(self._world_clock, self)

    def seconds(self) -> float:
        return self._world_clock.seconds()

    def callLater(
        self,
        delay: float,
        callable: Callable[..., object],  # noqa: A002 - the name in IReactorTime
        *args: object,
        **kw: object,
    ) -> IDelayedCall:
        assert delay >= 0, f"{delay} s is in the past"
        call = DelayedCall(
            self.seconds() + delay,
            callable,
            args,
            kw,
            lambda _: None,
            self._reschedule,
            seconds=self.seconds,
        )
        self._reschedule(call)
        return call

    def getDelayedCalls(self) -> list[IDelayedCall]:
        return list(self._world_clock.pending(self))

    def _reschedule(self, call: DelayedCall) -> None:
        self._world_clock.push(self, call)


_Entry = tuple[float, float, int, LifeClock, DelayedCall]
"""When, in which order of a tie, and what. The third is unique: it ends comparisons.

An entry is stale once its call has moved, was cancelled or was made.
"""
