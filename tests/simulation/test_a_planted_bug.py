"""A bug that is planted is found, and shrunk to what a person reads at a glance."""

from __future__ import annotations

from labsim.cli import load_scenario
from labsim.history import CallEnded
from labsim.plan import Plan, decode_plan, encode_plan
from labsim.run import draw_plan, play
from labsim.shrinking import shrink
from tests.simulation.forgetting import Forgetful

SEEDS_MAX = 5


def failure_of(plan: Plan) -> str | None:
    return play(plan, Forgetful).failure


def test_a_client_that_forgets_is_found_and_shrunk() -> None:
    scenario = load_scenario("power")
    plans = (draw_plan(scenario, seed) for seed in range(SEEDS_MAX))
    found = next(plan for plan in plans if failure_of(plan) == "settled")

    shrunk = shrink(found, lambda plan: failure_of(plan) == "settled")

    plan = decode_plan(encode_plan(shrunk.plan), "shrunk")
    assert failure_of(plan) == "settled"
    assert shrunk.is_minimal
    assert len(plan.topology.hosts) <= 3
    assert len(plan.faults) == 1
    assert len(plan.operations) <= 2
    assert shrunk.run_count <= 100
    # The bug, and not the world: with a client that asks again it holds.
    honest = play(plan)
    assert honest.violations == ()
    assert any(isinstance(it, CallEnded) for it in honest.history)
