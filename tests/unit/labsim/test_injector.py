"""Faults in a world: begun, overlapping, and undone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labsim.faults.package import FaultPackage, Verb
from labsim.faults.table import PACKAGES
from labsim.injector import SWITCHES, Injector
from labsim.schedule import TimedFault
from labsim.topology import build_topology
from labsim.world.links import Cut
from labsim.world.world import World

TOPOLOGY = build_topology(2, 1, 3, 1)
SETTINGS = {"factor": 5.0, "fraction": 0.5, "seconds": 60.0, "rate": 0.01}


class Broken:
    """A world of the topology, an injector, and who was made to poll."""

    def __init__(self) -> None:
        self.world = World(1)
        for region in TOPOLOGY.regions:
            for name in region.hosts:
                self.world.host(name, region.name)
        self.polled: list[str] = []
        self.injector = Injector(self.world, TOPOLOGY, self.polled.append)

    def begin(self, number: int, kind: str, *targets: str) -> TimedFault:
        fault = TimedFault(1, kind, targets, 2, settings=SETTINGS)
        self.injector.begin(number, fault)
        return fault

    def cut(self, source: str, target: str) -> Cut | None:
        return self.world.network.links.way(source, target).cut

    def standing(self) -> list[object]:
        """All that a fault could have changed, of each machine and way."""
        ways = self.world.network.links.way
        hosts = [self.world.host(name) for name in TOPOLOGY.machines]
        return [
            [(it.is_up, it.is_paused, it.calendar.now()) for it in hosts],
            [it.disk.layers.capacity_bytes for it in hosts],
            [ways(a, b).shape for a in TOPOLOGY.hosts for b in TOPOLOGY.hosts],
            self.injector.broken_count,
        ]


def test_a_region_is_cut_off_from_the_rest_and_not_from_itself() -> None:
    broken = Broken()

    fault = broken.begin(0, "region cut", "r1")

    cuts = {
        (a, b)
        for a in TOPOLOGY.hosts
        for b in TOPOLOGY.hosts
        if broken.cut(a, b) is Cut.SILENT
    }
    inside, outside = (it.hosts for it in TOPOLOGY.regions)
    ways = {(a, b) for a in inside for b in outside}
    assert cuts == ways | {(b, a) for a, b in ways}
    broken.injector.end(0, fault)
    assert broken.cut("master-0", "COMP-1") is None


def test_a_one_way_cut_leaves_the_way_back() -> None:
    broken = Broken()

    broken.begin(0, "one-way cut", "COMP-1")

    assert broken.cut("COMP-1", "master-0") is Cut.SILENT
    assert broken.cut("master-0", "COMP-1") is None


def test_a_machine_gets_its_power_back_when_the_last_fault_ends() -> None:
    broken = Broken()
    host = broken.world.host("COMP-0")

    region = broken.begin(0, "region power loss", "r1")
    crash = broken.begin(1, "process killer", "COMP-0")
    broken.injector.end(0, region)

    assert (host.is_up, broken.world.host("master-0").is_up) == (False, True)
    broken.injector.end(1, crash)
    assert host.is_up


def test_stopped_processes_do_nothing_until_the_fault_ends() -> None:
    broken = Broken()
    host = broken.world.host("COMP-0")
    done: list[str] = []
    host.runtime.clock.callLater(1, done.append, "late")

    fault = broken.begin(0, "stopped processes", "COMP-0")
    broken.world.run_for(5)

    assert (done, host.is_up, host.is_paused) == ([], True, False)
    broken.injector.end(0, fault)
    broken.world.run_for(0.1)
    assert done == ["late"]


def test_what_began_first_says_how_a_thing_is_mended() -> None:
    broken = Broken()
    calendar = broken.world.host("COMP-0").calendar
    before = calendar.now()

    first = broken.begin(0, "clock step", "COMP-0")
    second = TimedFault(1, "clock step", ("COMP-0",), 2, settings={"seconds": -7.0})
    broken.injector.begin(1, second)
    broken.injector.end(0, first)
    assert calendar.now() == before + 60
    broken.injector.end(1, second)

    assert calendar.now() == before


def test_a_storm_makes_computers_poll_and_nobody_else() -> None:
    broken = Broken()

    broken.begin(0, "poll storm", "r1", "r2")

    assert sorted(broken.polled) == ["COMP-0", "COMP-1", "COMP-2"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([it for it in sorted(PACKAGES) if it != "corrupted block"]),
            st.sampled_from(["r1", "r2", "COMP-0", "COMP-1"]),
        ),
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)
def test_the_world_is_whole_when_all_faults_have_ended(kinds, entropy) -> None:
    """In whatever order they end."""
    broken = Broken()
    before = broken.standing()

    begun = [
        (number, broken.begin(number, kind, target))
        for number, (kind, target) in enumerate(kinds)
    ]
    entropy.shuffle(begun)
    for number, fault in begun:
        broken.injector.end(number, fault)

    assert broken.standing() == before


@pytest.mark.parametrize("package", PACKAGES.values(), ids=lambda it: it.name)
def test_the_world_has_a_verb_for_each_kind(package: FaultPackage) -> None:
    assert package.verb in Injector.VERBS


def test_colours_tell_kinds_apart() -> None:
    assert len({it.colour for it in PACKAGES.values()}) == len(PACKAGES)
    assert set(SWITCHES) < set(Verb)
