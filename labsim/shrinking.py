"""Core. Makes a plan that fails as small as it can, so that a person can read it.

Everything is made smaller together, in rounds, until a round changes nothing: the time
after which nothing is needed, hosts, faults, operations, partitions, and the time in
between. What is left is 1-minimal: without any one host, fault or operation it does not
fail in that way, unless the runs were too few to find out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from attrs import define, evolve, field, frozen

from labsim.faults.package import FaultProfile
from labsim.plan import Plan, encode_plan, without_rest
from labsim.refusals import BadInput
from labsim.scenario import Durations, Workload
from labsim.schedule import TimedFault, settle_after
from labsim.workloads.fleets import Fleet

T = TypeVar("T")

RUNS_MAX = 400
"""Some minutes at ten hosts, of which most runs are."""

ROUNDS_MAX = 10
"""Two or three are usual."""

HORIZONS = (0.05, 0.125, 0.25, 0.5, 0.75)
"""Parts of the time that are tried, before anything else: a short run is a fast one."""

PARTITIONS = (1, 2, 4)


@frozen
class Shrunk:
    """The smallest plan that was found, and whether nothing more can be left out."""

    plan: Plan
    run_count: int
    is_minimal: bool


class _Enough(Exception):
    """The runs are used up."""


def shrink(
    plan: Plan, fails: Callable[[Plan], bool], runs_max: int = RUNS_MAX
) -> Shrunk:
    """Make a plan smaller while it fails; ``fails`` plays it, ``False`` if unlike."""
    search = _Search(plan, fails, runs_max)
    is_minimal = False
    try:
        for _ in range(ROUNDS_MAX):
            before = search.best
            search.round()
            if search.best == before:
                is_minimal = True
                break
    except _Enough:
        pass
    return Shrunk(_plain(search.best), search.run_count, is_minimal)


@define
class _Search:
    best: Plan
    _fails: Callable[[Plan], bool]
    _runs_max: int
    run_count: int = 0
    _known: dict[str, bool] = field(factory=dict)

    def round(self) -> None:
        """Try everything once."""
        self._shorten()
        self._drop_faults()
        self._drop_hosts()
        self._drop_operations()
        self._drop_partitions()
        self._pull_together()

    def _holds(self, build: Callable[[], Plan]) -> bool:
        """Whether a smaller plan fails too; then it is the best one."""
        try:
            plan = without_rest(build())
        except BadInput:
            return False  # no plan: a world needs a master, for one
        text = encode_plan(plan)
        if text not in self._known:
            if self.run_count >= self._runs_max:
                raise _Enough
            self.run_count += 1
            self._known[text] = self._fails(plan)
        if self._known[text]:
            self.best = plan
        return self._known[text]

    def _shorten(self) -> None:
        """Drop what comes after an instant."""
        best = self.best
        for part in HORIZONS:
            seconds = best.scenario.durations.fault_seconds * part
            if self._holds(lambda seconds=seconds: _until(best, seconds)):  # type: ignore[misc] # mypy sees no default
                return

    def _drop_hosts(self) -> None:
        """Drop regions, then hosts one by one."""
        best = self.best
        regions = best.topology.regions
        self._reduce(
            tuple(region.hosts for region in regions),
            lambda kept: _keeping(best, [host for hosts in kept for host in hosts]),
        )
        best = self.best
        self._reduce(best.topology.hosts, lambda kept: _keeping(best, list(kept)))

    def _drop_faults(self) -> None:
        best = self.best
        self._reduce(best.faults, lambda kept: evolve(best, faults=kept))

    def _drop_operations(self) -> None:
        best = self.best
        self._reduce(best.operations, lambda kept: evolve(best, operations=kept))

    def _drop_partitions(self) -> None:
        best = self.best
        for count in PARTITIONS:
            if count >= best.scenario.fleet.partitions:
                return
            if self._holds(lambda count=count: _with_partitions(best, count)):  # type: ignore[misc] # as above
                return

    def _pull_together(self) -> None:
        """Let the same happen in half of the time, and at instants that are round."""
        while self._holds(lambda: _at_pace(self.best, 0.5)):
            pass
        for digits in (0, 1):
            if self._holds(lambda digits=digits: _rounded(self.best, digits)):  # type: ignore[misc] # as above
                return

    def _reduce(
        self, items: tuple[T, ...], build: Callable[[tuple[T, ...]], Plan]
    ) -> None:
        """Leave out as many items as can be: all, then halves, then smaller parts."""
        if not items or self._holds(lambda: build(())):
            return
        part_count = 2
        while len(items) > 1:
            for rest in _without_parts(items, part_count):
                if self._holds(lambda rest=rest: build(rest)):  # type: ignore[misc] # as above
                    items, part_count = rest, max(2, part_count - 1)
                    break
            else:
                if part_count >= len(items):
                    return
                part_count = min(len(items), part_count * 2)


def _plain(plan: Plan) -> Plan:
    """The same without what was only there to draw it."""
    scenario = plan.scenario
    fleet = Fleet(partitions=scenario.fleet.partitions)
    return evolve(
        plan,
        scenario=evolve(
            scenario, fleet=fleet, workload=Workload(), faults=FaultProfile()
        ),
    )


def _without_parts(items: tuple[T, ...], part_count: int) -> Iterator[tuple[T, ...]]:
    size = -(-len(items) // part_count)
    for begin in range(0, len(items), size):
        yield (*items[:begin], *items[begin + size :])


def _keeping(plan: Plan, hosts: list[str]) -> Plan:
    return evolve(plan, topology=plan.topology.keeping(frozenset(hosts)))


def _with_partitions(plan: Plan, count: int) -> Plan:
    scenario = plan.scenario
    return evolve(
        plan, scenario=evolve(scenario, fleet=evolve(scenario.fleet, partitions=count))
    )


def _with_durations(plan: Plan, **changed: float) -> Plan:
    scenario = plan.scenario
    durations = evolve(scenario.durations, **changed)
    return evolve(plan, scenario=evolve(scenario, durations=durations))


def _until(plan: Plan, fault_seconds: float) -> Plan:
    end = plan.scenario.durations.beginning_seconds + fault_seconds
    return evolve(
        _with_durations(plan, fault_seconds=fault_seconds),
        faults=settle_after(plan.faults, end),
        operations=tuple(it for it in plan.operations if it.at < end),
    )


def _at_pace(plan: Plan, factor: float) -> Plan:
    """Everything so much earlier; how long the world has to settle stays."""
    durations = plan.scenario.durations
    return _moved(
        _with_durations(
            plan,
            beginning_seconds=durations.beginning_seconds * factor,
            fault_seconds=durations.fault_seconds * factor,
        ),
        lambda instant: instant * factor,
    )


def _rounded(plan: Plan, digits: int) -> Plan:
    """Every instant rounded; a fault keeps an end after its beginning."""
    durations: Durations = plan.scenario.durations
    return _moved(
        _with_durations(
            plan,
            beginning_seconds=max(1, round(durations.beginning_seconds, digits)),
            fault_seconds=round(durations.fault_seconds + 0.5, digits),
        ),
        lambda instant: round(instant, digits),
    )


def _moved(plan: Plan, move: Callable[[float], float]) -> Plan:
    end = plan.scenario.durations.healed_at

    def moved(fault: TimedFault) -> TimedFault:
        until = end if fault.until is None else min(end, move(fault.until))
        return evolve(fault, at=min(move(fault.at), until), until=until)

    return evolve(
        plan,
        faults=tuple(moved(fault) for fault in plan.faults),
        operations=tuple(evolve(it, at=move(it.at)) for it in plan.operations),
    )
