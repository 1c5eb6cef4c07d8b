"""Each checker rejects a run in which what it is for is wrong, and not its twin."""

from __future__ import annotations

import pytest
from attrs import evolve

from labsim.cli import load_scenario
from labsim.plan import Plan
from labsim.run import draw_plan, play
from labsim.scenario import resize
from tests.simulation.wrong_runs import (
    Forgetting,
    Overwriting,
    Restoring,
    Stale,
)


def busy_plan(seed: int) -> Plan:
    """A small cloud in which instances come and go."""
    scenario = resize(load_scenario("cuts"), computers=3, partitions=2)
    scenario = evolve(
        scenario,
        workload=evolve(scenario.workload, requests=4.0, destructions=4.0),
        durations=evolve(scenario.durations, fault_seconds=200, settle_seconds=300),
    )
    return draw_plan(scenario, seed)


def rejecting(plan: Plan, **wrong) -> set[str]:
    return {it.checker for it in play(plan, **wrong).violations}


@pytest.mark.parametrize(
    ("checker", "wrong"),
    [
        ("acknowledged", {"build_stage": Forgetting}),
        ("partitions", {"build_stage": Restoring}),
        ("tids", {"build_stage": Stale}),
        ("transactions", {"build_stage": Overwriting}),
    ],
)
def test_a_wrong_run_is_rejected(checker, wrong) -> None:
    assert checker in rejecting(busy_plan(1), **wrong)


def test_the_same_run_without_it_is_not() -> None:
    assert rejecting(busy_plan(1)) == set()
