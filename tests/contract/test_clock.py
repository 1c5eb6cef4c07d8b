"""Timers and calendars of both worlds."""

from __future__ import annotations

import subprocess  # noqa: TID251 - another interpreter, another reactor
import sys
from pathlib import Path

import pytest
from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from zope.interface.verify import verifyObject

from runtime.ports import ICalendar
from tests.contract.benches import Bench, RealBench, SimulatedBench

TICK = 0.02
"""Long for a reactor, short for a test."""

DATE_OF_THIS_PROJECT = 1_600_000_000


class ClockContract:
    def test_the_clocks_provide_their_interfaces(self, bench: Bench):
        assert verifyObject(IReactorTime, bench.runtime.clock)
        assert verifyObject(ICalendar, bench.runtime.calendar)

    def test_calls_are_made_in_the_order_of_their_instants(self, bench):
        clock = bench.runtime.clock
        order = []

        async def scenario():
            clock.callLater(3 * TICK, order.append, "third")
            clock.callLater(TICK, order.append, "first")
            clock.callLater(2 * TICK, order.append, "second")
            await deferLater(clock, 4 * TICK)

        bench.run(scenario())

        assert order == ["first", "second", "third"]

    def test_a_call_is_made_at_its_instant_and_so_is_one_that_it_schedules(self, bench):
        clock = bench.runtime.clock
        delays = []

        async def scenario():
            start = clock.seconds()
            for _ in range(2):
                await deferLater(clock, TICK)
                delays.append(clock.seconds() - start)

        bench.run(scenario())

        assert TICK <= delays[0] < delays[1]
        assert delays[1] >= 2 * TICK

    def test_a_cancelled_call_is_not_made(self, bench):
        clock = bench.runtime.clock
        made = []

        async def scenario():
            call = clock.callLater(TICK, made.append, "cancelled")
            assert call.active()
            call.cancel()
            assert not call.active()
            with pytest.raises(AlreadyCancelled):
                call.cancel()
            done = clock.callLater(TICK, made.append, "made")
            await deferLater(clock, 2 * TICK)
            with pytest.raises(AlreadyCalled):
                done.cancel()

        bench.run(scenario())

        assert made == ["made"]

    def test_calls_are_moved_both_ways(self, bench):
        clock = bench.runtime.clock
        order = []

        async def scenario():
            later = clock.callLater(TICK, order.append, "moved later")
            sooner = clock.callLater(100, order.append, "moved sooner")
            clock.callLater(3 * TICK, order.append, "between")
            later.delay(4 * TICK)
            sooner.reset(2 * TICK)
            await deferLater(clock, 7 * TICK)

        bench.run(scenario())

        assert order == ["moved sooner", "between", "moved later"]

    def test_pending_calls_are_told(self, bench):
        clock = bench.runtime.clock

        async def scenario():
            before = len(clock.getDelayedCalls())
            call = clock.callLater(100, print)
            during = len(clock.getDelayedCalls())
            call.cancel()
            return during - before, len(clock.getDelayedCalls()) - before

        assert bench.run(scenario()) == (1, 0)

    def test_a_looping_call_runs_on_it(self, bench):
        clock = bench.runtime.clock
        instants = []

        async def scenario():
            loop = LoopingCall(lambda: instants.append(clock.seconds()))
            loop.clock = clock
            ended = loop.start(TICK)
            clock.callLater(3.5 * TICK, loop.stop)
            await ended

        bench.run(scenario())

        assert 2 <= len(instants) <= 4
        assert instants == sorted(instants)

    def test_the_calendar_tells_a_date(self, bench):
        assert bench.runtime.calendar.now() > DATE_OF_THIS_PROJECT


STEP_OF_THE_WALL_CLOCK = """
import sys, time

steps = [0.0]
real_time = time.time
time.time = lambda: real_time() + steps[0]  # before Twisted takes it

if sys.argv[1] == "ours":
    from runtime.reactor import install_reactor
    reactor = install_reactor()
else:
    from twisted.internet import epollreactor
    epollreactor.install()
from twisted.internet import reactor

fired = []
def fire(name):
    fired.append((name, time.monotonic() - start))
    if len(fired) == 2:
        reactor.stop()

start = time.monotonic()
reactor.callLater(0.6, fire, "late")
reactor.callLater(0.3, fire, "early")
reactor.callLater(0.05, lambda: steps.__setitem__(0, 100.0))
reactor.run()
for name, seconds in fired:
    print(name, round(seconds, 1))
"""


def fired_with_a_step_of_the_wall_clock(reactor: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", STEP_OF_THE_WALL_CLOCK, reactor],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        cwd=Path(__file__).parents[2],
    )
    return done.stdout.splitlines()


class TestRealClock(ClockContract):
    @pytest.fixture
    def bench(self, real_bench: RealBench) -> RealBench:
        return real_bench

    def test_a_step_of_the_wall_clock_moves_no_timer(self):
        lines = fired_with_a_step_of_the_wall_clock("ours")

        early, late = (float(line.split()[1]) for line in lines)
        assert early > 0.25
        assert late > 0.55

    def test_a_step_of_the_wall_clock_fires_every_timer_of_the_stock_reactor(self):
        lines = fired_with_a_step_of_the_wall_clock("stock")

        assert max(float(line.split()[1]) for line in lines) < 0.5


class TestSimulatedClock(ClockContract):
    @pytest.fixture
    def bench(self, simulated_bench: SimulatedBench) -> SimulatedBench:
        return simulated_bench
