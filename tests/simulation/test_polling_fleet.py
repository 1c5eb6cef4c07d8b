"""A fleet of pollers polls, plans and converges, and is the same in each run."""

from __future__ import annotations

import pytest

from benchmarks.lab_fleets import fill
from labsim.faults.package import FaultProfile
from labsim.polling_fleet import PollingFleet
from labsim.topology import build_topology

COMPUTER_COUNT = 6
PARTITION_COUNT = 2
PERIOD_SECONDS = 60.0
ways = pytest.mark.parametrize("has_http", [False, True])


def a_fleet(*, has_http: bool) -> PollingFleet:
    """Six computers in three regions, each of which has polled twice."""
    topology = build_topology(3, 3, COMPUTER_COUNT, 0)
    fleet = PollingFleet(
        7,
        topology,
        lambda opening, calendar: fill(topology, opening, calendar, PARTITION_COUNT),
        period_seconds=PERIOD_SECONDS,
        has_http=has_http,
    )
    fleet.warm()
    fleet.world.run_for(3 * PERIOD_SECONDS)
    return fleet


@ways
def test_what_is_as_it_is_wanted_is_polled_and_planned_and_left_alone(
    has_http: bool,
) -> None:
    fleet = a_fleet(has_http=has_http)
    before = fleet.counts.copy()

    fleet.world.run_for(10 * PERIOD_SECONDS)

    polls = fleet.counts.polls - before.polls
    assert abs(polls - 10 * COMPUTER_COUNT) <= COMPUTER_COUNT
    assert fleet.counts.plans - before.plans == polls
    assert before.documents == fleet.counts.documents == COMPUTER_COUNT
    assert fleet.counts.actions == 0
    fleet.world.finish()


@ways
def test_what_somebody_changes_is_installed_and_reported(has_http: bool) -> None:
    fleet = a_fleet(has_http=has_http)
    fleet.begin_updates(2.0)
    fleet.world.run_for(4 * PERIOD_SECONDS)
    fleet.end_updates()
    fleet.world.run_for(4 * PERIOD_SECONDS)

    assert fleet.counts.documents > COMPUTER_COUNT + 3
    assert fleet.unsettled() == ()
    fleet.world.finish()


@ways
def test_faults_are_survived_alike_in_each_run(has_http: bool) -> None:
    digests = []
    for _ in range(2):
        fleet = a_fleet(has_http=has_http)
        kinds = ("cut", "crash", "region cut", "process killer", "poll storm")
        assert fleet.begin_faults(FaultProfile(kinds, 60.0), 600.0) > 5
        fleet.begin_updates(1.0)
        fleet.world.run_for(600.0)
        fleet.end_updates()
        fleet.world.run_for(900.0)
        assert fleet.unsettled() == ()
        digests.append((fleet.world.digest(), fleet.counts.copy()))

    assert digests[0] == digests[1]
