"""What is left of a plan, and what it takes to find that; nothing is played here."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from multiprocessing import active_children

import pytest
from attrs import define, evolve, field

from labsim.faults.package import FaultProfile
from labsim.plan import Plan, decode_plan, encode_plan
from labsim.run import draw_plan
from labsim.scenario import Scenario, Workload
from labsim.shrinking import Outcomes, shrink
from labsim.trying import Tries
from labsim.workloads.fleets import Fleet

COMPUTERS = 90
AHEAD = 4


@pytest.fixture(scope="module")
def found() -> Plan:
    """A hundred hosts, some hundred operations and dozens of faults."""
    scenario = Scenario(
        "A hundred hosts",
        fleet=Fleet(regions=3, masters=4, computers=COMPUTERS),
        workload=Workload(people=6, updates=6),
        faults=FaultProfile(("crash", "cut"), 30.0),
    )
    return draw_plan(scenario, 3)


@define
class Failing:
    """Fails while all of this is in a plan, and keeps what it was asked."""

    hosts: frozenset[str] = frozenset()
    faults: frozenset[str] = frozenset()
    subjects: frozenset[str] = frozenset()
    sizes: list[int] = field(factory=list)
    texts: list[str] = field(factory=list)

    def __call__(self, plan: Plan) -> bool:
        self.sizes.append(len(plan.topology.hosts))
        self.texts.append(encode_plan(plan))
        hit = {name for it in plan.faults for name in it.targets}
        subjects = {it.subject for it in plan.operations}
        return (
            self.hosts <= plan.topology.names()
            and self.faults <= hit
            and self.subjects <= subjects
        )


def one_by_one(fails: Callable[[Plan], bool]) -> Outcomes:
    return partial(map, fails)


def ahead(fails: Callable[[Plan], bool]) -> Outcomes:
    """Some plans are played before it is asked for their outcomes."""

    def outcomes(plans: Iterable[Plan]) -> Iterator[bool]:
        coming = iter(plans)
        while playing := [fails(it) for it in islice(coming, AHEAD)]:
            yield from playing

    return outcomes


def a_computer_that_is_hit(plan: Plan) -> str:
    computers = plan.topology.computers
    hit = (it.targets[0] for it in plan.faults if it.targets[0] in computers)
    return next(hit)


def a_failure_of_one(plan: Plan) -> Failing:
    name = a_computer_that_is_hit(plan)
    subject = plan.operations[len(plan.operations) // 2].subject
    return Failing(frozenset({name}), frozenset({name}), frozenset({subject}))


def test_what_is_left_is_what_it_takes(found) -> None:
    assert len(found.topology.hosts) == 100
    assert len(found.faults) > 20
    fails = a_failure_of_one(found)

    shrunk = shrink(found, one_by_one(fails))

    left = shrunk.plan
    assert shrunk.is_minimal
    # A master for the world, who asks, and the one that is needed.
    assert len(left.topology.hosts) == 3
    assert [set(it.targets) for it in left.faults] == [set(fails.faults)]
    assert [it.subject for it in left.operations] == list(fails.subjects)
    assert decode_plan(encode_plan(left), "left") == left


def test_large_plans_are_tried_rarely(found) -> None:
    """What a try costs grows with its hosts: all of them are few times the first."""
    for number in (0, COMPUTERS // 2, COMPUTERS - 1):
        fails = Failing(frozenset({found.topology.computers[number]}))

        shrunk = shrink(found, one_by_one(fails))

        assert len(shrunk.plan.topology.hosts) == 2
        large = [it for it in fails.sizes if it > 25]
        assert sum(large) <= 250
        assert len(fails.sizes) <= 120


def test_two_that_are_far_from_each_other_are_both_kept(found) -> None:
    names = frozenset({found.topology.computers[1], found.topology.computers[-2]})
    fails = Failing(names)

    shrunk = shrink(found, one_by_one(fails))

    assert shrunk.is_minimal
    assert set(shrunk.plan.topology.computers) == names
    assert shrunk.plan.operations == ()
    assert shrunk.plan.faults == ()


def test_no_plan_is_tried_twice(found) -> None:
    fails = a_failure_of_one(found)

    shrunk = shrink(found, one_by_one(fails))

    assert len(fails.texts) == len(set(fails.texts)) == shrunk.run_count


def test_plans_that_are_played_ahead_change_nothing(found) -> None:
    alone, others = a_failure_of_one(found), a_failure_of_one(found)

    assert shrink(found, ahead(others)) == shrink(found, one_by_one(alone))
    assert len(others.sizes) > len(alone.sizes)


@pytest.mark.parametrize("play", [one_by_one, ahead], ids=lambda it: it.__name__)
def test_too_few_runs_give_the_best_that_is_known(found, play) -> None:
    told: list[tuple[int, Plan]] = []

    shrunk = shrink(
        found,
        play(a_failure_of_one(found)),
        runs_max=12,
        tell=lambda count, left: told.append((count, left)),
    )

    assert not shrunk.is_minimal
    assert shrunk.run_count == 12
    assert [count for count, _ in told] == list(range(1, 13))
    assert shrunk.plan.topology == told[-1][1].topology
    assert 3 < len(shrunk.plan.topology.hosts) < 100


def test_time_that_is_over_gives_the_best_that_is_known(found) -> None:
    fails = a_failure_of_one(found)
    left = iter(range(9))

    def outcomes(plans: Iterable[Plan]) -> Iterator[bool]:
        for plan in plans:
            if next(left, None) is None:
                return
            yield fails(plan)

    shrunk = shrink(found, outcomes)

    assert not shrunk.is_minimal
    assert shrunk.run_count == 9
    assert len(shrunk.plan.topology.hosts) < 100


def test_a_failure_without_any_cause_leaves_a_master(found) -> None:
    shrunk = shrink(found, one_by_one(Failing()))

    left = shrunk.plan
    assert shrunk.is_minimal
    assert len(left.topology.hosts) == len(left.topology.masters) == 1
    assert left.scenario.durations.healed_at <= 2


def test_nothing_is_waited_for_before_the_first_and_after_the_last(found) -> None:
    late = found.operations[-1]

    def fails(plan: Plan) -> bool:
        """It takes half an hour between the first and the last."""
        ats = {it.subject: it.at for it in plan.operations}
        if not {"first", "last"} <= ats.keys():
            return False
        return ats["last"] - ats["first"] >= 1800

    first = evolve(late, at=240.0, subject="first")
    last = evolve(late, at=2060.0, subject="last")

    shrunk = shrink(evolve(found, operations=(first, last)), one_by_one(fails))

    assert shrunk.is_minimal
    assert [it.at for it in shrunk.plan.operations] == [0.0, 1820.0]
    assert shrunk.plan.scenario.durations.healed_at <= 1830


# Tries are processes.


def wait_for_ever(_: Plan) -> bool:
    signal.pause()
    return True


def has_computers(plan: Plan) -> bool:
    return bool(plan.topology.computers)


def without_computers(plan: Plan) -> Plan:
    kept = (*plan.topology.masters, *plan.topology.people)
    topology = plan.topology.keeping(kept)
    return Plan(plan.seed, plan.scenario, topology)


@pytest.mark.parametrize("job_count", [1, 3])
def test_outcomes_come_in_the_order_of_the_plans(found, job_count) -> None:
    bare = without_computers(found)

    tries = Tries(has_computers, job_count)

    plans = [found, bare, bare, found]
    assert list(tries.results(plans)) == [True, False, False, True]
    assert list(tries.outcomes(wanted=False)(plans)) == [False, True, True, False]


def test_a_try_of_which_nobody_asks_is_ended(found) -> None:
    def fails(plan: Plan) -> bool:
        return plan is found or wait_for_ever(plan)

    outcomes = Tries(fails, 2).outcomes(wanted=True)([found, without_computers(found)])

    assert next(outcomes)
    assert len(active_children()) == 1
    del outcomes
    assert active_children() == []


def test_a_try_that_takes_longer_than_there_is_time_is_ended(found) -> None:
    tries = Tries(wait_for_ever, 2, seconds_max=0.01)

    assert list(tries.results([found, found])) == []
    assert active_children() == []
