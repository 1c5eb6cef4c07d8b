"""Seeds of the laboratory's scenarios: production code in worlds that break.

`make soak CAMPAIGN=lab` plays more of them; `labsim run NAME --seed N` one.
"""

from __future__ import annotations

import pytest
from attrs import evolve

from labsim.cli import cli, load_scenario, scenario_names
from labsim.history import (
    Applied,
    CallEnded,
    Committed,
    Ending,
    Epoch,
    FaultBegan,
    FaultEnded,
    Life,
    Outcome,
    Phase,
    PhaseBegan,
    Placed,
)
from labsim.plan import encode_plan
from labsim.run import Played, draw_plan, play
from labsim.scenario import resize
from labsim.schedule import active_at

SMALL = ("cuts", "everything", "power")
SEEDS_EACH = 3
"""`make soak CAMPAIGN=lab` plays hundreds."""
ON_NEO = (("neo", 1), ("neo", 2))
COMPUTERS = 6
"""Two in a region: a seed costs half of what it does at the size in the file."""


def played(name: str, seed: int) -> Played:
    scenario = resize(load_scenario(name), computers=COMPUTERS)
    return play(draw_plan(scenario, seed))


@pytest.mark.parametrize(
    ("name", "seed"),
    [*((name, seed) for name in SMALL for seed in range(SEEDS_EACH)), *ON_NEO],
)
def test_everything_comes_to_what_was_wanted_once_the_world_is_whole(
    name, seed
) -> None:
    """Every report and every running program is what was granted last."""
    run = played(name, seed)

    assert run.violations == (), (
        f"labsim run {name} --computers {COMPUTERS} --seed {seed}"
    )
    kinds = {type(it) for it in run.history}
    assert {Applied, Committed, Placed} <= kinds
    assert (Epoch in kinds) == (name == "neo")
    phases = [it.phase for it in run.history if isinstance(it, PhaseBegan)]
    assert phases == list(Phase)
    # What makes it a test of anything:
    outcomes = [it.outcome for it in run.history if isinstance(it, CallEnded)]
    assert outcomes.count(Outcome.ACKNOWLEDGED) > 0.8 * len(run.plan.operations)
    assert len([it for it in run.history if isinstance(it, Ending)]) > 12
    begun = [it.number for it in run.history if isinstance(it, FaultBegan)]
    ended = [it.number for it in run.history if isinstance(it, FaultEnded)]
    assert begun == sorted(ended) == list(range(len(run.plan.faults)))


@pytest.mark.parametrize("name", scenario_names())
def test_each_scenario_makes_plans_that_end_healed(name) -> None:
    scenario = resize(load_scenario(name), computers=10, partitions=4)

    plan = draw_plan(scenario, 0)

    assert plan.faults
    assert active_at(plan.faults, scenario.durations.healed_at) == ()


def test_a_day_of_agents_with_builds_that_fail_and_an_hour_between_faults() -> None:
    """Four computers; `labsim run day` has a hundred."""
    scenario = resize(load_scenario("day"), computers=4)

    run = play(draw_plan(scenario, 20261121))

    assert run.violations == ()
    kinds = {it.fault for it in run.history if isinstance(it, FaultBegan)}
    assert kinds == {"crash", "process killer", "cut"}
    assert any(isinstance(it, Life) for it in run.history)


def test_one_seed_gives_one_trace_under_different_hash_seeds(tmp_path) -> None:
    """Fresh interpreters, three hash seeds, most kinds of faults."""
    plan = tmp_path / "plan.json"
    scenario = resize(load_scenario("everything"), computers=3, partitions=2)
    short = evolve(scenario, durations=evolve(scenario.durations, fault_seconds=300))
    drawn = draw_plan(short, 3)
    assert len({it.kind for it in drawn.faults}) > 5
    plan.write_text(encode_plan(drawn))

    with pytest.raises(SystemExit) as ended:
        cli.main(["verify-determinism", str(plan)])

    assert ended.value.code == 0


def test_another_seed_gives_another_trace() -> None:
    scenario = resize(load_scenario("cuts"), computers=3)
    short = evolve(scenario, durations=evolve(scenario.durations, fault_seconds=60))

    runs = [play(draw_plan(short, seed)) for seed in (4, 5, 4)]

    assert runs[0].digest == runs[2].digest != runs[1].digest
