"""Regions come to a hosted master, and leave it, in an order that loses no vote."""

from __future__ import annotations

import pytest
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st

from slapcluster.hosting.numbering import read_numbers, write_numbers
from slapcluster.hosting.rolling import (
    USUAL,
    WAITING,
    CellsWish,
    Leg,
    RegionLeg,
    decide_roll,
    read_cells,
)

URL = "http://release/"
ALL = {
    name: n
    for n, name in enumerate(["paris", "lyon", "tokyo", "oslo", "rome", "nice"], 1)
}


def these(names: str) -> dict[str, int]:
    return {name: ALL[name] for name in names.split()}


def text_of(names: str) -> str:
    return write_numbers(these(names))


def at(name: str, regions: str, cells: str = "", number: str = "", **changes):
    """A region that is settled in what it was asked, but for ``changes``."""
    region = RegionLeg(
        Leg(URL, number, text_of(regions), read_cells(cells)),
        number,
        number=ALL[name],
        has_seen_cells=True,
    )
    return evolve(region, **changes)


THREE, FIVE = "paris lyon tokyo", "paris lyon tokyo oslo rome"
SWAPPED, FOUR = "paris tokyo oslo", "paris lyon tokyo oslo"


@pytest.mark.parametrize(
    ("wanted", "known", "changed", "held"),
    [
        (
            FIVE,
            {it: at(it, THREE) for it in THREE.split()},
            {"oslo": ("1", FIVE, "wait"), "rome": ("1", FIVE, "wait")},
            "oslo has not begun",
        ),
        (
            # Of the first regions, one is late to publish: it is to have its cells.
            THREE,
            {
                **{it: at(it, THREE) for it in ("paris", "lyon")},
                "tokyo": at("tokyo", THREE, settled=None),
            },
            {},
            "tokyo has not begun",
        ),
        (
            # Nobody is told before all that come are there.
            FIVE,
            {
                **{it: at(it, THREE) for it in THREE.split()},
                "oslo": at("oslo", FIVE, "wait", "1", settled=""),
                "rome": at("rome", FIVE, "wait", "1", settled=None),
            },
            {},
            "rome has not begun",
        ),
        (
            FIVE,
            {
                **{it: at(it, THREE) for it in THREE.split()},
                "oslo": at("oslo", FIVE, "wait", "1", settled=""),
                "rome": at("rome", FIVE, "wait", "1", settled=""),
            },
            {"paris": ("1", FIVE, "")},
            "paris takes up http://release/ with paris lyon tokyo oslo rome; lyon,",
        ),
        (
            # All that have cells know them; they wait for nothing else.
            FIVE,
            {
                **{it: at(it, FIVE, number="1") for it in THREE.split()},
                "oslo": at("oslo", FIVE, "wait", "1", settled=""),
                "rome": at("rome", FIVE, "wait", "1"),
            },
            {"rome": ("2", FIVE, "")},
            "oslo begins without cells",
        ),
        (
            FIVE,
            {
                **{it: at(it, FIVE, number="1") for it in THREE.split()},
                "oslo": at("oslo", FIVE, "wait", "1", settled="", trouble="no disk"),
                "rome": at("rome", FIVE, number="2", settled="1"),
            },
            {},
            "rome takes up http://release/ with paris lyon tokyo oslo rome",
        ),
        (
            FIVE,
            {it: at(it, FIVE, number="1") for it in FIVE.split()},
            {},
            "",
        ),
        (
            THREE,
            {it: at(it, FIVE, number="1") for it in FIVE.split()},
            {"paris": ("2", FIVE, "drop 4 5")},
            "paris has the cells of region 4, region 5 dropped",
        ),
        (
            THREE,
            {
                **{it: at(it, FIVE, number="1") for it in FIVE.split()},
                "paris": at("paris", FIVE, "drop 4 5", "2", settled="1"),
            },
            {},
            "paris has the cells of region 4, region 5 dropped",
        ),
        (
            # Those without cells are destroyed, and nobody forgets them before.
            THREE,
            {
                **{it: at(it, FIVE, number="1") for it in FIVE.split()},
                "paris": at("paris", FIVE, "drop 4 5", "2"),
            },
            {"oslo": None, "rome": None},
            "oslo, rome is destroyed",
        ),
        (
            THREE,
            {
                **{it: at(it, FIVE, number="1") for it in FIVE.split()},
                "paris": at("paris", FIVE, "drop 4 5", "2"),
                "oslo": at("oslo", FIVE, "", "1", is_going=True),
                "rome": at("rome", FIVE, "", "1", is_going=True),
            },
            {"oslo": None, "rome": None},
            "oslo, rome is destroyed",
        ),
        (
            # Whoever is wanted again meanwhile comes when it is gone.
            FIVE,
            {
                **{it: at(it, FIVE, number="1") for it in THREE.split()},
                "paris": at("paris", FIVE, "drop 4 5", "2"),
                "oslo": at("oslo", FIVE, "", "1", is_going=True),
            },
            {"oslo": None},
            "oslo is destroyed",
        ),
        (
            THREE,
            {
                **{it: at(it, FIVE, number="1") for it in THREE.split()},
                "paris": at("paris", FIVE, "drop 4 5", "2"),
            },
            {"lyon": ("2", THREE, "")},
            "lyon takes up http://release/ with paris lyon tokyo; tokyo is",
        ),
        (
            # Whoever drops goes on with that until all others have no way there.
            THREE,
            {
                "paris": at("paris", FIVE, "drop 4 5", "2"),
                "lyon": at("lyon", THREE, "", "2"),
                "tokyo": at("tokyo", THREE, "", "2"),
            },
            {"paris": ("3", THREE, "")},
            "paris takes up http://release/ with paris lyon tokyo",
        ),
        (
            # One leaves and another one comes: first it comes.
            SWAPPED,
            {
                **{it: at(it, FOUR, number="1") for it in THREE.split()},
                "oslo": at("oslo", FOUR, "wait", "1"),
            },
            {"oslo": ("2", FOUR, "")},
            "oslo begins without cells",
        ),
        (
            SWAPPED,
            {it: at(it, FOUR, number="1") for it in FOUR.split()},
            {"paris": ("2", FOUR, "drop 2")},
            "paris has the cells of region 2 dropped",
        ),
        (
            # Whoever never took cells may be let go at once.
            THREE,
            {
                **{it: at(it, THREE) for it in THREE.split()},
                "oslo": at("oslo", FIVE, "wait", "1", settled=None),
            },
            {"oslo": None},
            "",
        ),
    ],
)
def test_what_regions_are_asked_when_others_are_wanted(wanted, known, changed, held):
    roll = decide_roll(URL, these(wanted), known)

    expected = {name: it.asked for name, it in known.items()}
    for name, told in changed.items():
        if told is None:
            del expected[name]
        else:
            number, regions, cells = told
            expected[name] = Leg(URL, number, text_of(regions), read_cells(cells))
    assert roll.legs == expected
    assert roll.held.startswith(held)
    assert bool(roll.held) == bool(held)


@pytest.mark.parametrize("text", ["", "wait", "drop 2", "drop 2 15"])
def test_what_is_done_about_cells_is_read_as_it_was_written(text):
    assert str(read_cells(text)) == text


@pytest.mark.parametrize("text", ["drop", "wait 2", "drop x", "drop -1", "take"])
def test_what_cannot_be_done_about_cells_is_refused(text):
    with pytest.raises(ValueError, match="is neither wait nor drop with numbers"):
        read_cells(text)


@define
class Cloud:
    """Regions that do what they were asked, late, in pieces, or not at all.

    ``holders`` are the numbers of regions with cells, ``filled`` those that have had
    some. ``restarting`` are holders whose programs were started anew, and whose
    promises were not seen kept since.
    """

    known: dict[str, RegionLeg]
    running: dict[str, Leg]
    holders: set[int]
    filled: set[int]
    restarting: set[str] = field(factory=set)

    @classmethod
    def of(cls, names: str) -> Cloud:
        known = {it: at(it, names) for it in names.split()}
        numbers = set(these(names).values())
        running = {name: it.asked for name, it in known.items()}
        return cls(known, running, numbers, {*numbers})

    def ask(self, wanted: str, url: str = URL) -> None:
        """A pass of the root, which may be killed after any of its requests."""
        legs = decide_roll(url, these(wanted), self.known).legs
        for name, leg in legs.items():
            before = self.known.get(name, RegionLeg(leg, None, "", ALL[name]))
            self.known[name] = evolve(before, asked=leg)
        for name in self.known.keys() - legs.keys():
            assert ALL[name] not in self.holders
            self.known[name] = evolve(self.known[name], is_going=True)

    def ask_in_part(self, wanted: str, count: int) -> None:
        legs = decide_roll(URL, these(wanted), self.known).legs
        for name, leg in [*legs.items()][:count]:
            before = self.known.get(name, RegionLeg(leg, None, "", ALL[name]))
            self.known[name] = evolve(before, asked=leg)

    def vanish(self, name: str) -> None:
        """The computer of a region that is to be destroyed says that it is."""
        if name in self.known and self.known[name].is_going:
            del self.known[name]
            self.running.pop(name, None)
            self.restarting.discard(name)
            self.filled.discard(ALL[name])
            self.holders.discard(ALL[name])

    def begin(self, name: str) -> None:
        """A pass of a region begins what it is asked, and is killed."""
        region = self.known.get(name)
        is_left = region is None or region.is_going
        if is_left or not self._may_begin(region.asked, name):
            return
        before = self.running.get(name)
        asked = region.asked
        if before and evolve(before, number="", cells=USUAL) != evolve(
            asked, number="", cells=USUAL
        ):
            self.restarting |= {name} if ALL[name] in self.holders else set()
        self.running[name] = asked

    def _may_begin(self, asked: Leg, name: str) -> bool:
        """As ``restarting`` has it: it is to reach all that have cells."""
        numbers = read_numbers(asked.regions)
        others = numbers.keys() - {name}
        are_there = all(it in self.known and self.known[it].is_there for it in others)
        return name not in self.running or (
            are_there and self.holders <= {*numbers.values()}
        )

    def publish(self, name: str) -> None:
        self.begin(name)
        if name in self.running and not self.known[name].is_there:
            self.known[name] = evolve(self.known[name], settled="", has_seen_cells=True)

    def copy(self, name: str) -> None:
        """A copier has cells given to its storage node, or a dropper drops some."""
        leg, number = self.running.get(name), ALL[name]
        if leg is None:
            return
        has_way = any(
            number in read_numbers(it.regions).values()
            for other, it in self.running.items()
            if other != name and ALL[other] in self.holders
        )
        if not leg.cells.waits and has_way and number not in self.filled:
            self.holders.add(number)
            self.filled.add(number)
        self.holders -= leg.cells.drops

    def prove(self, name: str) -> None:
        """Its promises are seen kept, and a pass publishes that."""
        leg = self.running.get(name)
        if leg is None or not self.known[name].is_there:
            return
        if not leg.cells.waits and ALL[name] not in self.holders:
            return
        if leg.cells.drops & self.holders:
            return
        if leg == self.known[name].asked:
            self.restarting.discard(name)
        self.known[name] = evolve(self.known[name], settled=leg.number)

    def check(self) -> None:
        assert len(self.restarting) <= 1
        assert len(self.holders) >= len(THREE.split())
        dropped: frozenset[int] = frozenset().union(
            *(it.cells.drops for it in self.running.values())
        )
        knowing = {
            name: {*read_numbers(leg.regions).values()}
            for name, leg in self.running.items()
        }
        holding = {it for it in knowing if ALL[it] in self.holders - dropped}
        # Those with a replica of the master: it calls whom it cannot reach dead.
        calling = {it for it, leg in self.running.items() if not leg.cells.waits}
        for name in calling:
            assert self.holders - dropped <= knowing[name], name
            for other in holding:
                assert ALL[name] in knowing[other], (name, other)


SETS = (THREE, FIVE, SWAPPED, "tokyo oslo rome", "paris oslo nice")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from(SETS)),
        st.tuples(st.just("ask_in_part"), st.sampled_from(SETS), st.integers(1, 4)),
        st.tuples(
            st.sampled_from(["begin", "publish", "copy", "prove", "vanish"]),
            st.sampled_from(sorted(ALL)),
        ),
        # A while in which all goes well.
        st.tuples(st.just("settle"), st.sampled_from(SETS), st.integers(1, 12)),
    ),
    max_size=25,
)


def settle(cloud: Cloud, wanted: str, rounds: int) -> None:
    for _ in range(rounds):
        cloud.ask(wanted)
        cloud.check()
        for name in [*cloud.known]:
            for step in (cloud.publish, cloud.copy, cloud.prove, cloud.vanish):
                step(name)
                cloud.check()


@settings(max_examples=100, deadline=None)
@given(STEPS, st.sampled_from(SETS))
def test_whoever_runs_knows_all_that_have_cells_and_all_come_to_what_is_wanted(
    steps, last
):
    """Whatever was wanted meanwhile, and whoever was killed when."""
    cloud = Cloud.of(THREE)

    for step, *words in steps:
        if step == "settle":
            settle(cloud, *words)
        else:
            getattr(cloud, step)(*words)
            cloud.check()

    settle(cloud, last, 40)
    assert cloud.known.keys() == these(last).keys()
    assert cloud.holders == {*these(last).values()}
    assert {it.asked.regions for it in cloud.known.values()} == {text_of(last)}
    assert {it.asked.cells for it in cloud.known.values()} == {USUAL}
    assert all(it.is_settled for it in cloud.known.values())
    assert decide_roll(URL, these(last), cloud.known).held == ""


def test_a_region_that_drops_is_no_region_that_waits():
    """What both are asked is told apart."""
    assert CellsWish(drops=frozenset({2})) not in {USUAL, WAITING}
