"""Rules that shape the ways between hosts and regions."""

from __future__ import annotations

from itertools import pairwise

import pytest

from labsim.world.links import Cut, Shape
from labsim.world.world import World

REGIONS = {"north": ("n1", "n2"), "south": ("s1", "s2"), "east": ("e1",)}


@pytest.fixture
def world():
    world = World(1)
    for region, names in REGIONS.items():
        for name in names:
            world.host(name, region=region)
    return world


def severed(world):
    """The ways that are cut, as ``source>target``."""
    names = [host.name for host in world.hosts]
    return {
        f"{source}>{target}"
        for source in names
        for target in names
        if world.network.way(source, target).cut
    }


def both_ways(*pairs):
    return {way for one, other in pairs for way in (f"{one}>{other}", f"{other}>{one}")}


NORTH_SOUTH = both_ways(("n1", "s1"), ("n1", "s2"), ("n2", "s1"), ("n2", "s2"))


def test_one_call_severs_two_regions(world):
    world.sever("north", "south")
    assert severed(world) == NORTH_SOUTH
    world.heal("south", "north")
    assert severed(world) == set()


def test_one_call_severs_a_region_from_everything_else(world):
    world.sever("east")
    assert severed(world) == both_ways(*(("e1", n) for n in ("n1", "n2", "s1", "s2")))
    world.heal("east")
    assert severed(world) == set()


def test_one_way_between_regions_is_cut_alone(world):
    world.sever("east", "south", is_one_way=True)

    assert severed(world) == {"e1>s1", "e1>s2"}


def test_hosts_and_regions_are_severed_together(world):
    world.sever(("n1", "east"), "s1")

    assert severed(world) == both_ways(("n1", "s1"), ("e1", "s1"))


def test_a_host_that_comes_later_is_severed_with_its_region(world):
    world.sever("north", "south")
    world.host("n3", region="north")

    assert severed(world) == NORTH_SOUTH | both_ways(("n3", "s1"), ("n3", "s2"))


def test_what_several_severed_is_whole_when_the_last_has_healed_it(world):
    world.sever("north", "south", by="1")
    world.sever("n1", by="2")
    world.unshape("1")
    assert severed(world) == both_ways(*(("n1", n) for n in ("n2", "s1", "s2", "e1")))
    world.unshape("2")
    assert severed(world) == set()


def test_healing_a_link_leaves_the_cut_of_its_regions(world):
    world.sever("n1", "s1")
    world.sever("north", "south")
    world.heal("n1", "s1")

    assert severed(world) == NORTH_SOUTH


def test_a_host_is_always_connected_with_itself(world):
    world.sever(("north", "south", "east"), ("north", "south", "east"))

    assert "n1>n1" not in severed(world)
    assert "n1>n2" in severed(world)


def test_shapes_that_meet_are_all_in_force(world):
    world.shape("n1", None, Shape(loss=0.5, latency_factor=2, bytes_per_second=10))
    world.shape("north", "s1", Shape(loss=0.5, latency_factor=3, bytes_per_second=20))
    world.shape("n1", "s1", Shape(latency_seconds=0.1, cut=Cut.REFUSED))
    world.shape("s1", "n1", Shape(cut=Cut.SILENT), is_one_way=True)
    there, back = world.network.way("n1", "s1"), world.network.way("s1", "n1")

    assert there.shape == Shape(
        loss=0.75,
        latency_seconds=0.1,
        latency_factor=6,
        bytes_per_second=10,
        cut=Cut.REFUSED,
    )
    assert there.latency_seconds == pytest.approx(0.6)
    assert back.cut is Cut.SILENT


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": 1.0},
        {"loss": -0.1},
        {"duplication": 2.0},
        {"latency_seconds": -1.0},
        {"latency_factor": 0.0},
        {"bytes_per_second": 0.0},
        {"queue_bytes": 0},
        {"cut": "silent"},
    ],
)
def test_impossible_shapes_are_refused(wrong):
    with pytest.raises((ValueError, TypeError)):
        Shape(**wrong)


def test_a_host_and_a_region_do_not_share_a_name(world):
    for name, region in (
        ("north", ""),
        ("new", "n1"),
        ("same", "same"),
        ("n1", "east"),
    ):
        with pytest.raises(ValueError, match=name):
            world.host(name, region=region)


def test_hosts_are_found_by_their_names_and_regions(world):
    found = world.hosts_of(("s2", "north", "n1"))

    assert [host.name for host in found] == ["s2", "n1", "n2"]


def test_regions_are_farther_from_each_other_than_their_hosts():
    for seed in range(20):
        world = World(seed)
        for region, names in REGIONS.items():
            for name in names:
                world.host(name, region=region)
        way = world.network.way
        assert way("n1", "n2").latency_seconds <= 0.001
        assert way("n1", "s1").latency_seconds >= 0.005
        far = [way("n1", "s1").latency_seconds, way("n2", "s2").latency_seconds]
        assert max(far) - min(far) < 0.001


# Packets, which behave worse than connections.


class Target:
    """Sends numbered packets over one way and keeps which arrive, and when."""

    def __init__(self, shape, seed=1, pair=("n1", "s1")):
        self.world = World(seed)
        for name in pair:
            self.world.host(name)
        self.way = self.world.network.way(*pair)
        if shape is not None:
            self.world.shape(*pair, shape)
        self.heard = []

    def send(self, count, seconds=0.001, byte_count=100):
        for number in range(count):
            self.world.network.send(self.way, byte_count, self._hear, number)
            self.world.run_for(seconds)
        return self

    def settle(self):
        self.world.run_for(1000)
        return [number for number, _ in self.heard]

    def _hear(self, number):
        self.heard.append((number, self.world.clock.seconds()))


def test_packets_are_lost_as_often_as_said():
    assert 600 < len(Target(Shape(loss=0.3)).send(1000).settle()) < 800


def test_packets_are_doubled_as_often_as_said():
    heard = Target(Shape(duplication=0.3)).send(1000).settle()

    assert 1200 < len(heard) < 1400
    assert set(heard) == set(range(1000))


def test_late_packets_are_overtaken():
    heard = Target(Shape(reordering=0.1, reordering_seconds=1, jitter=0)).send(1000)
    order = heard.settle()

    assert sorted(order) == list(range(1000))
    assert 50 < sum(a > b for a, b in pairwise(order)) < 150


def test_packets_of_a_narrow_link_come_at_its_pace_and_the_queue_overflows():
    target = Target(Shape(bytes_per_second=1000, queue_bytes=2000, jitter=0)).send(
        100, seconds=0
    )
    heard = target.settle()
    instants = [at for _, at in target.heard]

    assert 19 <= len(heard) <= 20
    assert instants[-1] - instants[0] == pytest.approx((len(heard) - 1) / 10)


def test_packets_wait_for_the_end_of_a_hold_and_do_not_survive_a_cut():
    target = Target(Shape(jitter=0))
    target.world.hold("n1", "s1")
    target.send(3)
    target.world.run_for(10)
    assert target.heard == []
    target.world.release("n1", "s1")
    target.world.run_for(1)
    assert [number for number, _ in target.heard] == [0, 1, 2]
    target.world.sever("n1", "s1")
    target.send(3)
    target.world.heal("n1", "s1")

    assert target.settle() == [0, 1, 2]


def test_a_firewall_answers_packets():
    target = Target(Shape(cut=Cut.REFUSED))
    answers = []
    target.world.network.send(target.way, 1, print, refuse=lambda: answers.append(1))
    target.settle()

    assert answers == [1]


def test_a_fault_on_one_way_moves_no_draw_of_another():
    """Nor does a fault of one kind move the draws of another kind on the same way."""

    def run(shape_there, seed=3):
        target = Target(None, seed=seed, pair=("n1", "n2"))
        world = target.world
        world.host("s1")
        if shape_there is not None:
            world.shape("n1", "s1", shape_there)
        there = world.network.way("n1", "s1")
        for _ in range(50):
            world.network.send(there, 10, lambda: None)
            target.send(1)
        target.settle()
        return target.heard

    everything = Shape(loss=0.5, duplication=0.5, reordering=0.5, bytes_per_second=500)
    assert run(None) == run(everything)

    doubled = Target(Shape(duplication=0.5)).send(200)
    doubled.settle()
    both = Target(Shape(duplication=0.5, reordering=0.01)).send(200)
    both.settle()
    assert sorted(n for n, _ in doubled.heard) == sorted(n for n, _ in both.heard)
