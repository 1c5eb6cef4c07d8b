"""Simulated time."""

from __future__ import annotations

import pytest

from labsim.world.clock import LifeClock, Pace, WorldClock
from labsim.world.entropy import stream
from labsim.world.world import World


def instants_of(world_clock, clock, schedule):
    """Run what ``schedule`` schedules to the end; the instants of its notes."""
    notes = []
    schedule(clock, lambda note: notes.append((world_clock.seconds(), note)))
    while world_clock.step():
        pass
    return notes


@pytest.fixture
def world_clock():
    return WorldClock()


def test_a_call_that_a_call_schedules_is_due_from_its_own_instant(world_clock):
    def schedule(clock, note):
        clock.callLater(1, lambda: (note("cause"), clock.callLater(1, note, "effect")))
        clock.callLater(5, note, "end")

    assert instants_of(world_clock, LifeClock(world_clock), schedule) == [
        (1.0, "cause"),
        (2.0, "effect"),
        (5.0, "end"),
    ]


def test_calls_that_are_due_together_are_made_in_the_order_of_scheduling(world_clock):
    def schedule(clock, note):
        for number in range(5):
            clock.callLater(1, note, number)

    notes = instants_of(world_clock, LifeClock(world_clock), schedule)

    assert [note for _, note in notes] == [0, 1, 2, 3, 4]


def test_a_seed_permutes_calls_that_are_due_together():
    def order(seed):
        world_clock = WorldClock(stream(seed, "ties"))
        return [
            note
            for _, note in instants_of(
                world_clock,
                LifeClock(world_clock),
                lambda clock, note: [clock.callLater(1, note, n) for n in range(5)],
            )
        ]

    orders = [order(seed) for seed in range(10)]

    assert all(sorted(one) == [0, 1, 2, 3, 4] for one in orders)
    assert len({tuple(one) for one in orders}) > 5
    assert orders == [order(seed) for seed in range(10)]


def test_calls_of_a_life_that_is_over_are_never_made(world_clock):
    life = LifeClock(world_clock)
    part = life.within()
    made = []
    life.callLater(1, made.append, "by the life")
    part.callLater(1, made.append, "by a part of it")
    life.end()
    LifeClock(world_clock).callLater(2, made.append, "by another")

    while world_clock.step():
        pass

    assert made == ["by another"]


def test_a_part_of_a_life_ends_without_it(world_clock):
    life = LifeClock(world_clock)
    part = life.within()
    part.end()

    assert (part.is_over, life.is_over) == (True, False)


def test_time_passes_to_the_next_call_at_once(world_clock):
    LifeClock(world_clock).callLater(1_000_000, lambda: None)

    assert world_clock.next_due() == 1_000_000
    assert world_clock.step()
    assert world_clock.seconds() == 1_000_000
    assert not world_clock.step()


def test_the_past_cannot_be_scheduled(world_clock):
    with pytest.raises(AssertionError):
        LifeClock(world_clock).callLater(-1, lambda: None)


def test_a_clock_that_runs_fast_is_early_and_tells_what_was_asked(world_clock):
    pace = Pace(world_clock)
    pace.set_drift(0.01)
    clock = LifeClock(world_clock, pace=pace)
    seen = []
    clock.callLater(101, lambda: seen.append((world_clock.seconds(), clock.seconds())))
    LifeClock(world_clock).callLater(100.5, seen.append, "right")
    while world_clock.step():
        pass

    (instant, shown), right = seen
    assert right == "right"
    assert instant == pytest.approx(100)
    assert 101 <= shown < 101.000001


def test_calls_that_wait_follow_a_drift_that_begins_and_ends(world_clock):
    pace = Pace(world_clock)
    clock = LifeClock(world_clock, pace=pace)
    made = []
    clock.callLater(200, lambda: made.append(world_clock.seconds()))
    LifeClock(world_clock).callLater(50, pace.set_drift, -0.1)
    LifeClock(world_clock).callLater(150, pace.set_drift, 0)
    while world_clock.step():
        pass

    assert made == [pytest.approx(210)]
    assert clock.seconds() == pytest.approx(200)


def test_time_never_goes_back_under_any_drift(world_clock):
    entropy = stream(1, "drifts")
    pace = Pace(world_clock)
    clock = LifeClock(world_clock, pace=pace)
    shown = []

    def show(due):
        assert clock.seconds() >= due
        shown.append(clock.seconds())
        if len(shown) < 2000:
            pace.set_drift(entropy.uniform(-0.1, 0.1))
            delay = entropy.expovariate(1)
            clock.callLater(delay, show, clock.seconds() + delay)

    clock.callLater(0, show, 0)
    while world_clock.step():
        pass

    assert len(shown) == 2000
    assert shown == sorted(shown)


def test_a_drift_that_no_clock_has_is_refused(world_clock):
    with pytest.raises(ValueError, match="more than"):
        Pace(world_clock).set_drift(0.5)


def test_drift_moves_timers_and_the_calendar_of_one_host():
    world = World(1)
    wrong, right = world.host("wrong"), world.host("right")
    wrong.set_drift(0.001)
    before = wrong.calendar.now()
    world.run_for(1000)

    assert wrong.calendar.now() - before == pytest.approx(1001)
    assert wrong.runtime.clock.seconds() == pytest.approx(1001)
    assert right.runtime.clock.seconds() == 1000
    wrong.calendar.set_offset(0)
    assert wrong.calendar.now() == pytest.approx(right.calendar.now())
    assert wrong.runtime.clock.seconds() == pytest.approx(1001)
    wrong.calendar.set_offset(60)
    assert wrong.calendar.now() == pytest.approx(right.calendar.now() + 60)


def test_a_drift_survives_a_crash():
    world = World(1)
    host = world.host("alone")
    host.set_drift(0.01)
    world.run_for(100)
    host.bounce()
    begin = host.runtime.clock.seconds()
    world.run_for(100)

    assert host.runtime.clock.seconds() - begin == pytest.approx(101)


def test_a_life_that_is_blocked_makes_its_calls_later():
    world = World(1)
    clock = LifeClock(world.clock)
    made = []
    clock.callLater(1, lambda: made.append(world.clock.seconds()))
    clock.block(3)
    clock.block(2)
    world.run_for(10)

    assert made == [3]


def test_calls_of_a_paused_life_are_cancelled_moved_and_told(world_clock):
    clock = LifeClock(world_clock)
    made = []
    cancelled = clock.callLater(1, made.append, "cancelled")
    moved = clock.callLater(1, made.append, "moved")
    clock.pause()
    LifeClock(world_clock).callLater(5, lambda: None)
    world_clock.step()
    assert clock.getDelayedCalls() == [cancelled, moved]
    cancelled.cancel()
    moved.reset(3)
    clock.resume()
    while world_clock.step():
        pass

    assert made == ["moved"]
    assert world_clock.seconds() == 8
