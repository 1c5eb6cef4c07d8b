"""A hundred agents for a virtual week; see ``week`` for what happens to them."""

from __future__ import annotations

from slap.model import RequestedState
from tests.simulation.week import Week

COMPUTER_COUNT = 100


def test_a_hundred_agents_come_to_what_was_wanted_after_a_week_of_faults() -> None:
    """Every report and every running program is what the last request said."""
    week = Week(seed=20261121, computer_count=COMPUTER_COUNT)

    week.run()

    assert week.reported() == {
        title: wanted.value for title, wanted in week.wanted.items()
    }
    assert week.running() == {
        f"COMP-{number}": sum(
            week.wanted.get(f"COMP-{number}-{index}") is RequestedState.STARTED
            for index in range(2)
        )
        for number in range(COMPUTER_COUNT)
    }
    # What makes it a test of anything: builds failed, and each kind of fault came.
    assert week.failed_build_count > COMPUTER_COUNT
    assert set(week.event_counts) == {"request", "power loss", "kill", "cut", "bang"}
    week.cloud.finish()
