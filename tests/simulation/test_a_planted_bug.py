"""A plan in which a planted bug shows is shrunk to what a person reads at a glance.

The plan is one that was found with eighteen hosts, 15 faults and 113 operations, after
eleven runs of `labsim shrink`: the first ones cost most of a minute and show no more.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from labsim.cli import load_plan
from labsim.history import CallEnded
from labsim.plan import Plan, decode_plan, encode_plan
from labsim.run import play
from labsim.shrinking import shrink
from tests.simulation.forgetting import Forgetful

FOUND = Path(__file__).parent / "plans" / "forgot_among_six_hosts.json"


def failure_of(plan: Plan) -> str | None:
    return play(plan, Forgetful).failure


def test_a_client_that_forgets_is_shrunk() -> None:
    found = load_plan(str(FOUND))
    assert len(found.topology.hosts) == 6
    assert len(found.operations) == 23

    shrunk = shrink(found, partial(map, lambda plan: failure_of(plan) == "settled"))

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
