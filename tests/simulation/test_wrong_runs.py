"""Each checker rejects a run in which what it is for is wrong, and not its twin."""

from __future__ import annotations

import pytest
from attrs import evolve

from labsim.cli import load_scenario
from labsim.plan import Plan
from labsim.run import draw_plan, play
from labsim.scenario import Durations, Recovery, Scenario, resize
from labsim.schedule import TimedFault
from labsim.topology import Region, Topology
from labsim.workloads.operation import Operation
from tests.simulation.wrong_runs import (
    Forgetting,
    Overwriting,
    Restoring,
    Stale,
    Tardy,
    Unsettled,
    WithoutMajority,
)


def busy_plan(seed: int = 1) -> Plan:
    """A small cloud in which instances come and go."""
    scenario = resize(load_scenario("cuts"), computers=3, partitions=2)
    workload = evolve(scenario.workload, requests=4.0, destructions=4.0)
    return draw_plan(evolve(_short(scenario), workload=workload), seed)


def plan_on_neo(seed: int = 3) -> Plan:
    """In this one two regions are apart while the third is down."""
    return draw_plan(
        _short(resize(load_scenario("neo"), computers=3, partitions=2)), seed
    )


def plan_with_a_crash() -> Plan:
    """Of the only master, for five seconds; somebody asks meanwhile."""
    scenario = Scenario(
        "A crash",
        durations=Durations(60, 120, 300),
        recovery=Recovery(fault_seconds={"crash": 60}),
    )
    return Plan(
        1,
        scenario,
        Topology((Region("r1", ("master-0",), ("COMP-0",), ("people-0",)),)),
        (TimedFault(80.0, "crash", ("master-0",), 85.0),),
        (
            Operation(10.0, "people-0", "request", "shop", "started", "r1"),
            Operation(81.0, "people-0", "update", "shop", "stopped", "r1"),
        ),
    )


def _short(scenario: Scenario) -> Scenario:
    durations = evolve(scenario.durations, fault_seconds=200, settle_seconds=300)
    return evolve(scenario, durations=durations)


def rejecting(plan: Plan, **wrong) -> set[str]:
    return {it.checker for it in play(plan, **wrong).violations}


@pytest.mark.parametrize(
    ("checker", "stage", "build_plan"),
    [
        ("acknowledged", Forgetting, busy_plan),
        ("epochs", WithoutMajority, plan_on_neo),
        ("partitions", Restoring, busy_plan),
        ("recovery", Tardy, plan_with_a_crash),
        ("tids", Stale, busy_plan),
        ("transactions", Overwriting, busy_plan),
    ],
)
def test_a_wrong_run_is_rejected(checker, stage, build_plan) -> None:
    assert checker in rejecting(build_plan(), build_stage=stage)


@pytest.mark.parametrize("build_plan", [busy_plan, plan_on_neo, plan_with_a_crash])
def test_the_same_run_without_it_is_not(build_plan) -> None:
    assert rejecting(build_plan()) == set()


def test_what_settled_is_not_late_because_something_else_never_does() -> None:
    """Each thing is judged by the first look that found it as it is wanted."""
    played = play(plan_with_a_crash(), build_stage=Unsettled)

    (violation,) = played.violations
    assert violation.sentence.startswith("a wish should be granted at")
