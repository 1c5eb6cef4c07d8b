"""Core. Makes a plan that fails as small as it can, so that a person can read it.

Everything is made smaller together, in rounds, until a round changes nothing: hosts,
the time after which nothing is needed, faults, operations, partitions, and the time in
between. Hosts come first, and small parts of them before large ones, since a try costs
what it plays. What is left is 1-minimal: without any one host, fault or operation it
does not fail in that way, unless the tries were too few to find out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from hashlib import sha256
from math import ceil
from typing import TypeVar

from attrs import define, evolve, field, frozen

from labsim.faults.package import FaultProfile
from labsim.plan import Plan, encode_plan, without_rest
from labsim.refusals import BadInput
from labsim.scenario import Durations, Workload
from labsim.schedule import TimedFault, settle_after
from labsim.topology import ROLES
from labsim.workloads.fleets import Fleet

T = TypeVar("T")

Outcomes = Callable[[Iterable[Plan]], Iterator[bool]]
"""Plays plans, perhaps several at once, and tells of each in its turn whether it fails
in the way that is looked for: ``partial(map, fails)`` for one after the other. It ends
before the plans do when there is no time left."""

RUNS_MAX = 400
"""Some minutes at ten hosts, of which most runs are."""

ROUNDS_MAX = 10
"""Two or three are usual."""

HORIZONS = (0.0, 0.05, 0.125, 0.25, 0.5, 0.75)
"""Parts of the time that are tried, the shortest first: a short run is a fast one."""

SHORT_SECONDS = 1.0
"""What is shorter is no easier to read, and could be made shorter for ever."""

LEAPS = (16, 4)
"""Into so many parts everything is cut at first, and one of them is kept: all of them
together cost no more than one try with everything."""

SOONER = (1.0, 0.5)
"""Parts of the time before the first thing is asked or broken: it may need some."""

PARTITIONS = (1, 2, 4)


@frozen
class Shrunk:
    """The smallest plan that was found, and whether nothing more can be left out."""

    plan: Plan
    run_count: int
    is_minimal: bool


class _Enough(Exception):
    """The runs are used up, or the time."""


def shrink(
    plan: Plan,
    outcomes: Outcomes,
    runs_max: int = RUNS_MAX,
    tell: Callable[[int, Plan], None] = lambda *_: None,
) -> Shrunk:
    """Make a plan smaller while it fails.

    ``tell`` is told after each try how many there were, and what is left. How many
    plans ``outcomes`` plays at once changes nothing of what is found.
    """
    search = _Search(plan, outcomes, runs_max, tell)
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
    _outcomes: Outcomes
    _runs_max: int
    _tell: Callable[[int, Plan], None]
    run_count: int = 0
    _tried: set[bytes] = field(factory=set)
    """Digests: the text of a plan may have megabytes."""

    def round(self) -> None:
        """Try everything once."""
        self._drop_hosts()
        self._shorten()
        self._drop_faults()
        self._drop_operations()
        self._drop_partitions()
        self._pull_together()

    def _first(self, builds: Iterable[Callable[[], Plan]]) -> int | None:
        """The place of the first plan that fails too; then it is the best one.

        What was tried before, or is no plan, is passed over.
        """
        given: list[tuple[int, Plan, bytes]] = []
        told_count = 0
        runs_left = self._runs_max - self.run_count

        def untried() -> Iterator[Plan]:
            for place, build in enumerate(builds):
                try:
                    plan = without_rest(build())
                except BadInput:
                    continue  # a world needs a master, for one
                digest = sha256(encode_plan(plan).encode()).digest()
                ahead = (it[2] for it in given[told_count:])
                if digest in self._tried or digest in ahead or plan == self.best:
                    continue
                given.append((place, plan, digest))
                if len(given) > runs_left:
                    return
                yield plan

        for fails in self._outcomes(untried()):
            place, plan, digest = given[told_count]
            told_count += 1
            self._tried.add(digest)
            if fails:
                self.best = plan
            self.run_count += 1
            self._tell(self.run_count, self.best)
            if fails:
                return place
        if told_count < len(given):
            raise _Enough
        return None

    def _holds(self, build: Callable[[], Plan]) -> bool:
        """Whether a smaller plan fails too; then it is the best one."""
        return self._first((build,)) is not None

    def _drop_hosts(self) -> None:
        """Drop regions, then hosts of each role."""
        best = self.best
        regions = best.topology.regions
        self._reduce(
            tuple(region.hosts for region in regions),
            lambda kept: _keeping(best, [host for hosts in kept for host in hosts]),
        )
        topology = self.best.topology
        # The most first: what else is tried then is cheap.
        for role in sorted(ROLES, key=lambda it: -len(getattr(topology, it))):
            self._drop_hosts_of(role)

    def _drop_hosts_of(self, role: str) -> None:
        best = self.best
        hosts: tuple[str, ...] = getattr(best.topology, role)
        others = tuple(it for it in best.topology.hosts if it not in hosts)
        self._reduce(hosts, lambda kept: _keeping(best, [*kept, *others]))

    def _shorten(self) -> None:
        """Drop what comes after an instant."""
        best = self.best
        seconds = best.scenario.durations.fault_seconds
        parts = HORIZONS if seconds > SHORT_SECONDS else HORIZONS[:1]
        shorter = {seconds * part for part in parts}
        if _busy_seconds(best) < seconds:
            shorter.add(_busy_seconds(best))
        self._first([partial(_until, best, it) for it in sorted(shorter)])

    def _drop_faults(self) -> None:
        best = self.best
        self._reduce(best.faults, lambda kept: evolve(best, faults=kept))

    def _drop_operations(self) -> None:
        best = self.best
        self._reduce(best.operations, lambda kept: evolve(best, operations=kept))

    def _drop_partitions(self) -> None:
        best = self.best
        fewer = [it for it in PARTITIONS if it < best.scenario.fleet.partitions]
        self._first([partial(_with_partitions, best, count) for count in fewer])

    def _pull_together(self) -> None:
        """Let the same happen sooner, in half of the time, and at round instants."""
        best = self.best
        begins = [it.at for it in best.faults] + [it.at for it in best.operations]
        first = min(begins, default=0.0)
        self._first([partial(_earlier, best, first * part) for part in SOONER])
        while self._holds(lambda: _at_pace(self.best, 0.5)):
            pass
        self._first([partial(_rounded, self.best, digits) for digits in (0, 1)])

    def _reduce(
        self, items: tuple[T, ...], build: Callable[[tuple[T, ...]], Plan]
    ) -> None:
        """Leave out as many items as can be.

        First all, then all but a part, then halves, then smaller parts.
        """
        if not items or self._holds(lambda: build(())):
            return
        for part_count in LEAPS:
            parts = tuple(_parts(items, part_count)) if len(items) > part_count else ()
            place = self._first([partial(build, part) for part in parts])
            items = items if place is None else parts[place]
        part_count = 2
        while len(items) > 1:
            rests = tuple(_without_parts(items, part_count))
            place = self._first([partial(build, rest) for rest in rests])
            if place is not None:
                items, part_count = rests[place], max(2, part_count - 1)
            elif part_count >= len(items):
                return
            else:
                part_count = min(len(items), part_count * 2)


def _parts(items: tuple[T, ...], part_count: int) -> Iterator[tuple[T, ...]]:
    size = -(-len(items) // part_count)
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]


def _without_parts(items: tuple[T, ...], part_count: int) -> Iterator[tuple[T, ...]]:
    size = -(-len(items) // part_count)
    for begin in range(0, len(items), size):
        yield (*items[:begin], *items[begin + size :])


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


def _busy_seconds(plan: Plan) -> float:
    """How long after the beginning something is still asked or broken."""
    ends = [it.at for it in plan.operations]
    ends += [it.until for it in plan.faults if it.until is not None]
    last = max(ends, default=0.0) - plan.scenario.durations.beginning_seconds
    return max(0.0, last) + SHORT_SECONDS


def _earlier(plan: Plan, seconds: float) -> Plan:
    """Everything so much earlier, and the time before it is not waited for."""
    durations = plan.scenario.durations
    of_faults = min(seconds, durations.fault_seconds)
    beginning_seconds = durations.beginning_seconds - (seconds - of_faults)
    return _moved(
        _with_durations(
            plan,
            beginning_seconds=max(1, beginning_seconds),
            fault_seconds=durations.fault_seconds - of_faults,
        ),
        lambda instant: instant - seconds,
    )


def _at_pace(plan: Plan, factor: float) -> Plan:
    """Everything faster; how long the world has to settle stays."""
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
            fault_seconds=ceil(durations.fault_seconds * 10**digits) / 10**digits,
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
