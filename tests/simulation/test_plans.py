"""Plans that failed once, shrunk, each played again for ever.

Of a bug that was found: `labsim shrink` writes the file, and it stays here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from labsim.cli import load_plan
from labsim.history import CallEnded, Ending, Outcome
from labsim.plan import Plan, encode_plan
from labsim.run import play
from labsim.scenario import Durations, Scenario
from labsim.topology import Region, Topology
from labsim.workloads.operating import KEPT
from labsim.workloads.operation import Operation
from tests.simulation.forgetting import Forgetful

PLANS = sorted(Path(__file__).parent.joinpath("plans").glob("*.json"))
HOST = "COMP-0"


@pytest.mark.parametrize("file", PLANS, ids=lambda it: it.stem)
def test_a_plan_that_failed_once_holds(file: Path) -> None:
    assert play(load_plan(str(file))).violations == ()


@pytest.mark.parametrize("file", PLANS, ids=lambda it: it.stem)
def test_a_plan_is_kept_as_it_is_written(file: Path) -> None:
    assert encode_plan(load_plan(str(file))) == file.read_text()


def test_a_client_without_an_answer_asks_again_until_it_has_one() -> None:
    """The one that takes silence for a yes fails in this plan."""
    plan = load_plan(str(Path(__file__).parent / "plans" / "asked_without_power.json"))

    honest = play(plan)

    outcomes = [it.outcome for it in honest.history if isinstance(it, CallEnded)]
    assert outcomes[-1] is Outcome.ACKNOWLEDGED
    assert set(outcomes[:-1]) == {Outcome.UNKNOWN}
    assert play(plan, Forgetful).failure == "settled"


def test_clients_go_on_while_it_is_looked_whether_all_is_as_wanted() -> None:
    operations = tuple(
        Operation(98 + number / 50, "people-0", "use", f"usage {number}", KEPT, HOST)
        for number in range(100)
    )
    region = Region("r1", ("master-0",), (HOST,), ("people-0",))
    scenario = Scenario("Late calls", durations=Durations(60, 40, 300))

    run = play(Plan(1, scenario, Topology((region,)), (), operations))

    assert run.violations == ()
    assert len([it for it in run.history if isinstance(it, Ending)]) == 101
