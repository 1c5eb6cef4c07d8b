"""A hundred agents for virtual days; see ``week`` for what happens to them."""

from __future__ import annotations

from slap.model import RequestedState
from tests.simulation.week import TITLES_PER_COMPUTER, Week

COMPUTER_COUNT = 100


def check_week(seed: int, computer_count: int, day_count: int = 7) -> None:
    """Every report and every running program is what the last request said."""
    week = Week(seed, computer_count, day_count)

    week.run()

    assert week.reported() == {
        title: wanted.value for title, wanted in week.wanted.items()
    }
    assert week.running() == {
        f"COMP-{number}": sum(
            week.wanted.get(f"COMP-{number}-{index}") is RequestedState.STARTED
            for index in range(TITLES_PER_COMPUTER)
        )
        for number in range(computer_count)
    }
    # What makes it a test of anything: builds failed, and each kind of fault came.
    assert week.failed_build_count > computer_count // 2
    assert set(week.event_counts) == {"request", "power loss", "kill", "cut", "bang"}
    week.cloud.finish()


def test_a_hundred_agents_come_to_what_was_wanted_after_a_day_of_faults() -> None:
    """Two releases each, builds that fail at random, faults and wishes.

    A whole week is four minutes of CPU: `make soak CAMPAIGN=weeks` plays those.
    """
    check_week(20261121, COMPUTER_COUNT, day_count=1)
