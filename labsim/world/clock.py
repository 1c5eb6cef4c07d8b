"""Simulated time: a heap of calls, run one by one.

``twisted.internet.task.Clock`` moves to the end of an advance before it runs what was
due on the way, so causes and effects between hosts get wrong instants. Here the clock
stands at the instant of the call that runs.

A call belongs to a life: of a host, or of a program on it. When that life ends, its
calls are kept but never run: dropping them would free coroutines, whose ``finally``
blocks would then run as ghosts at the instant of the crash. The calls of a life that
is paused run when it goes on: at once those that were due, in the order of their
instants.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Sized
from itertools import count
from math import inf, nextafter
from random import Random
from typing import Any

from twisted.internet.base import DelayedCall
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

STEPS_PER_INSTANT_MAX = 100_000
"""More calls without any time between them are a loop."""

DRIFT_MAX = 0.1
"""A clock that is wronger is broken, and no timeout means anything."""


class EndlessInstant(Exception):
    """Calls follow each other and no time passes."""


class WorldClock:
    """The only clock of a world. ``ties`` permutes calls that are due together."""

    def __init__(self, ties: Random | None = None) -> None:
        self._draw_tie = None if ties is None else ties.random
        self._take_number = count().__next__
        self._heap: list[_Entry] = []
        self._graveyard: list[object] = []
        self._parked: list[_Entry] = []
        self.now = 0.0

    def seconds(self) -> float:
        return self.now

    def next_due(self) -> float | None:
        """When the next call is due, ``None`` when nothing is left to happen."""
        heap = self._heap
        while heap:
            entry = heap[0]
            life = entry[3]
            if life is None:
                return entry[0]
            call = entry[4]
            if life.is_over:
                self._graveyard.append(heapq.heappop(heap))
            elif call.cancelled or call.called or call.time != entry[5]:
                heapq.heappop(heap)
            elif call.delayed_time > 0:
                heapq.heappop(heap)
                call.activate_delay()
                self.push(life, call)
            elif life.pause_count:
                self._parked.append(heapq.heappop(heap))
            else:
                return entry[0]
        return None

    def step(self) -> bool:
        """Make the next call; ``False`` when there is none."""
        if self.next_due() is None:
            return False
        self.make_next()
        return True

    def run(self, end: float, trouble: Sized) -> None:
        """Make all calls until ``end``, or until there is ``trouble`` after one.

        ``EndlessInstant`` when calls follow each other and no time passes.
        """
        heap, pop = self._heap, heapq.heappop
        steps_left = STEPS_PER_INSTANT_MAX
        while heap:
            due, _, _, life, call, arguments = heap[0]
            if life is not None and (
                life.is_over
                or life.pause_count
                or call.called
                or call.cancelled
                or call.delayed_time
                or call.time != arguments
            ):
                self.next_due()  # which takes it away
                continue
            if due > end:
                return
            pop(heap)
            steps_left -= 1
            if due > self.now:
                self.now = due
                steps_left = STEPS_PER_INSTANT_MAX
            if life is None:
                call(*arguments)
            else:
                call.called = 1
                call.func(*call.args, **call.kw)
            if trouble:
                return
            if not steps_left:
                raise EndlessInstant

    def make_next(self) -> None:
        """Make the call that ``next_due`` has just told."""
        due, _, _, life, call, arguments = heapq.heappop(self._heap)
        if due > self.now:  # noqa: PLR1730 - a call less for each event
            self.now = due
        if life is None:
            call(*arguments)
        else:
            call.called = 1
            call.func(*call.args, **call.kw)

    def advance_to(self, instant: float) -> None:
        """Let time pass in which nothing happens."""
        due = self.next_due()
        assert due is None or due > instant, "a call is due before"
        self.now = max(self.now, instant)

    def call_at(self, instant: float, call: Callable[..., object], *args: Any) -> None:
        """Make a call of no life: it cannot be cancelled, paused or moved."""
        self.call_with(instant, call, args)

    def call_with(
        self, instant: float, call: Callable[..., object], arguments: tuple[Any, ...]
    ) -> None:
        """The same, for who has the arguments together."""
        tie = 0.0 if self._draw_tie is None else self._draw_tie()
        heapq.heappush(
            self._heap, (instant, tie, self._take_number(), None, call, arguments)
        )

    def push(self, life: LifeClock, call: DelayedCall) -> None:
        tie = 0.0 if self._draw_tie is None else self._draw_tie()
        time = call.time
        due = time if life.pace.is_true else life.pace.world_instant(time)
        heapq.heappush(self._heap, (due, tie, self._take_number(), life, call, time))

    def pending(self, lives: Collection[object]) -> list[DelayedCall]:
        """What these lives have to do, in the order of the instants."""
        found = [
            entry
            for entry in (*self._heap, *self._parked)
            if entry[3] in lives and entry[4].active() and entry[4].time == entry[5]
        ]
        return [entry[4] for entry in sorted(found)]

    def unpark(self) -> None:
        """Take back the calls of lives that go on."""
        parked, self._parked = self._parked, []
        for entry in parked:
            life = entry[3]
            if life is not None and life.pause_count:
                self._parked.append(entry)
            else:
                heapq.heappush(self._heap, entry)

    def repace(self, pace: Pace) -> None:
        """Give the calls of a clock that runs at another pace now their instants."""
        for entries in (self._heap, self._parked):
            for index, entry in enumerate(entries):
                life = entry[3]
                if life is not None and life.pace is pace:
                    due = pace.world_instant(entry[5])
                    entries[index] = (due, *entry[1:])
        heapq.heapify(self._heap)


class Pace:
    """How fast the oscillator of a host runs: its clock and its calendar follow it."""

    def __init__(self, world_clock: WorldClock) -> None:
        self._world_clock = world_clock
        self._rate = 1.0
        self._world_begin = 0.0
        self._host_begin = 0.0
        self.is_true = True

    def seconds(self) -> float:
        """What has passed on the host since the world began."""
        now = self._world_clock.now
        return now if self.is_true else self._seconds_at(now)

    def error_seconds(self) -> float:
        """How far it is behind the world."""
        return self._world_clock.now - self.seconds()

    def set_drift(self, drift: float) -> None:
        """Gain so many seconds each second from now on; lose them, below zero."""
        if abs(drift) > DRIFT_MAX:
            raise ValueError(f"a drift of {drift}, more than {DRIFT_MAX}")
        self._host_begin, self._world_begin = self.seconds(), self._world_clock.now
        self._rate = 1 + drift
        self.is_true = self.is_true and drift == 0
        self._world_clock.repace(self)

    def world_instant(self, seconds: float) -> float:
        """When the host's clock shows so much, and no earlier."""
        if self.is_true:
            return seconds
        instant = self._world_begin + (seconds - self._host_begin) / self._rate
        while self._seconds_at(instant) < seconds:
            instant = nextafter(instant, inf)
        return instant

    def _seconds_at(self, instant: float) -> float:
        return self._host_begin + (instant - self._world_begin) * self._rate


@implementer(IReactorTime)
class LifeClock:
    """The clock as one life sees it: a host from boot to crash, a program of it."""

    def __init__(
        self,
        world_clock: WorldClock,
        surrounding: LifeClock | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._world_clock = world_clock
        self._surrounding = surrounding
        self._parts: dict[LifeClock, None] = {}
        self.is_over = False
        self.pause_count = 0
        if surrounding is not None:
            surrounding._parts[self] = None  # noqa: SLF001 - its own kind
            pace = surrounding.pace
            self.is_over = surrounding.is_over
            self.pause_count = surrounding.pause_count
        self.pace: Pace = pace or Pace(world_clock)

    def seconds(self) -> float:
        return self.pace.seconds()

    def end(self) -> None:
        """Make no more calls."""
        self.is_over = True
        if self._surrounding is not None:
            self._surrounding._parts.pop(self, None)  # noqa: SLF001 - its own kind
        for part in tuple(self._parts):
            part.end()

    def pause(self) -> None:
        """Make no calls until as many ``resume`` as ``pause`` have been said."""
        self.pause_count += 1
        for part in self._parts:
            part.pause()

    def resume(self) -> None:
        assert self.pause_count > 0, "it is not paused"
        self.pause_count -= 1
        for part in self._parts:
            part.resume()
        self._world_clock.unpark()

    def block(self, seconds: float) -> None:
        """Be busy for so long, as a process is that waits for its disk."""
        self.pause()
        instant = self._world_clock.now + seconds
        self._world_clock.call_at(instant, self.resume)

    def within(self) -> LifeClock:
        """The clock of a life that ends with this one at the latest."""
        return LifeClock(self._world_clock, self)

    def callLater(
        self,
        delay: float,
        callable: Callable[..., object],  # noqa: A002 - the name in IReactorTime
        *args: object,
        **kw: object,
    ) -> IDelayedCall:
        assert delay >= 0, f"{delay} s is in the past"
        call = _Call(self, self.pace.seconds() + delay, callable, args, kw)
        self._world_clock.push(self, call)
        return call

    def getDelayedCalls(self) -> list[IDelayedCall]:
        return list(self._world_clock.pending((self,)))

    def push(self, call: DelayedCall) -> None:
        """A call has moved."""
        self._world_clock.push(self, call)


class _Call(DelayedCall):
    """One of a life; what is the same for all is of the class, as timers are many."""

    cancelled = called = 0
    delayed_time = 0.0

    def __init__(
        self,
        life: LifeClock,
        time: float,
        func: Callable[..., Any],
        args: tuple[object, ...],
        kw: dict[str, object],
    ) -> None:
        self.life = life
        self.time = time
        self.func = func
        self.args = args
        self.kw = kw

    def seconds(self) -> float:
        return self.life.pace.seconds()

    def resetter(self, call: DelayedCall) -> None:
        self.life.push(call)

    def canceller(self, call: DelayedCall) -> None:
        """Its entry is stale, that is all."""


_Entry = tuple[float, float, int, LifeClock | None, Any, Any]
"""When, in which order of a tie, whose, what, and of when on its host's clock.

The third is unique: it ends comparisons. An entry of a life is stale once its call has
moved, was cancelled or was made. One of no life has a function and its arguments.
"""
