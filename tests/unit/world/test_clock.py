"""Simulated time."""

from __future__ import annotations

import pytest

from labsim.world.clock import LifeClock, WorldClock
from labsim.world.entropy import stream


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
