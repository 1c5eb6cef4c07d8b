"""Which release each region is asked to run, one region at a time."""

from __future__ import annotations

import pytest
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st

from slap.model import PartitionKey
from slap.reports import InstanceReport
from slapcluster.hosting.rolling import (
    WAITING,
    Leg,
    RegionLeg,
    decide_roll,
    read_legs,
)

NAMES = ("paris", "lyon", "tokyo")
NUMBERS = {name: number for number, name in enumerate(NAMES, 1)}
REGIONS = "paris=1 lyon=2 tokyo=3"
OLD, NEW, THIRD = "http://old/", "http://new/", "http://third/"


def at(url: str, number: str = "", settled: str | None = "=", trouble: str = ""):
    """A region that is asked for this; by default it is settled."""
    settled = number if settled == "=" else settled
    return RegionLeg(Leg(url, number, REGIONS), settled, trouble)


def numbered(known):
    """Regions by name: each has its number, and has seen cells if it is there."""
    return {
        name: evolve(it, number=NUMBERS[name], has_seen_cells=it.is_there)
        for name, it in known.items()
    }


@pytest.mark.parametrize(
    ("wanted", "known", "asked", "held"),
    [
        ("a cloud begins", (), (NEW, NEW, NEW), ""),
        (
            "nothing changes",
            (at(NEW), at(NEW, "3"), at(NEW)),
            (NEW, (NEW, "3"), NEW),
            "",
        ),
        (
            "the first region goes first",
            (at(OLD), at(OLD), at(OLD)),
            ((NEW, "1"), OLD, OLD),
            "paris takes up http://new/; lyon, tokyo are next",
        ),
        (
            "nobody follows before it is settled",
            (at(NEW, "1", ""), at(OLD), at(OLD)),
            ((NEW, "1"), OLD, OLD),
            "paris takes up http://new/; lyon, tokyo are next",
        ),
        (
            "the next one follows then",
            (at(NEW, "1"), at(OLD), at(OLD)),
            ((NEW, "1"), (NEW, "1"), OLD),
            "lyon takes up http://new/; tokyo is next",
        ),
        (
            "one that fails holds the others, and says why",
            (at(NEW, "1", "", "log\nno disk"), at(OLD), at(OLD)),
            ((NEW, "1"), OLD, OLD),
            "paris takes up http://new/ (no disk); lyon, tokyo are next",
        ),
        (
            "one that fails after it was settled does too",
            (at(NEW, "1", trouble="no disk"), at(OLD), at(OLD)),
            ((NEW, "1"), OLD, OLD),
            "paris takes up http://new/ (no disk); lyon, tokyo are next",
        ),
        (
            "one that fails with the former release goes first",
            (at(OLD), at(OLD), at(OLD, trouble="x")),
            (OLD, OLD, (NEW, "1")),
            "tokyo takes up http://new/ (x); paris, lyon are next",
        ),
        (
            "who is in the middle goes back first, and nobody else meanwhile",
            (at(OLD, "1"), at(OLD, "4", "3"), at(NEW)),
            ((OLD, "1"), (NEW, "5"), NEW),
            "lyon takes up http://new/; paris is next",
        ),
        (
            "of two that are in the middle one after the other",
            (at(OLD, "1", ""), at(OLD, "4", "3"), at(NEW)),
            ((NEW, "2"), (OLD, "4"), NEW),
            "paris takes up http://new/, lyon takes up http://old/; lyon is next",
        ),
        (
            "three releases at once",
            (at(THIRD, "1"), at(OLD), at(NEW, "2")),
            ((NEW, "2"), OLD, (NEW, "2")),
            "paris takes up http://new/; lyon is next",
        ),
        (
            "one that never was there waits for nobody, and nobody for it",
            (at(OLD, settled=None), at(OLD)),
            ((NEW, "1"), (NEW, "1"), NEW),
            "lyon takes up http://new/",
        ),
    ],
)
def test_what_each_region_is_asked(wanted, known, asked, held):
    legs = (it if isinstance(it, tuple) else (it, "") for it in asked)
    expected = {
        name: Leg(url, number, REGIONS)
        for name, (url, number) in zip(NAMES, legs, strict=True)
    }
    named = dict(zip(NAMES, known, strict=False))

    for there in (named, numbered(named)):
        if there is not named and len(known) < len(NAMES):
            # Whoever comes when there are cells has a test of its own.
            continue
        roll = decide_roll(NEW, NUMBERS, there)
        assert roll.legs == expected, wanted
        assert roll.held.startswith(held), wanted
        assert bool(roll.held) == bool(held), wanted


def test_the_last_region_is_waited_for_too():
    known = {"paris": at(NEW), "lyon": at(NEW, "1"), "tokyo": at(NEW, "1", "")}
    roll = decide_roll(NEW, NUMBERS, numbered(known))

    assert roll.held == "tokyo takes up http://new/"


def test_a_region_is_asked_in_the_words_of_the_recipe():
    asked = {"paris": 1, "lyon": 2, "tokyo": 3}
    roll = decide_roll(NEW, asked, {"paris": at(OLD)})

    document = roll.document()
    assert document["paris"] == {
        "software-url": NEW,
        "parameters": {"leg": "1", "regions": REGIONS},
    }
    assert document["lyon"] == {
        "software-url": NEW,
        "parameters": {"regions": REGIONS},
    }


def a_report(title: str, **fields) -> InstanceReport:
    known = {
        "root_title": "cloud",
        "instance_guid": f"I-{title}",
        "requester_title": "cloud",
        "software_release_url": OLD,
        "software_type": "region",
        "is_shared": False,
        "requested_state": "started",
        "reported_state": "started",
        "message": "fine",
        "partition": PartitionKey(f"COMP-{title}", "slappart0"),
        "connection_parameters": {"address": "fd00::1"},
    }
    parameters = {"regions": f"{REGIONS} oslo=7", **fields.pop("parameters", {})}
    return InstanceReport(title, parameters=parameters, **{**known, **fields})


def test_regions_are_read_from_what_the_master_tells():
    """Those of a release that knew no legs are settled in none."""
    reports = [
        a_report("paris"),
        a_report(
            "lyon",
            parameters={"leg": "2"},
            connection_parameters={
                "address": "fd00::2",
                "settled": "1",
                "storage": "created",
            },
            reported_state="error",
            message="no\ndisk\n",
        ),
        a_report(
            "tokyo", connection_parameters={"settled": ""}, parameters={"leg": "x"}
        ),
        a_report("oslo", parameters={"cells": "wait"}),
        a_report("rome", parameters={"regions": "rome=9"}, requested_state="destroyed"),
    ]
    text = f"{REGIONS} oslo=7"

    assert read_legs(reports) == {
        "paris": RegionLeg(Leg(OLD, "", text), "", "", 1),
        "lyon": RegionLeg(Leg(OLD, "2", text), "1", "no\ndisk", 2, has_seen_cells=True),
        "tokyo": RegionLeg(Leg(OLD, "", text), None, "", 3),
        "oslo": RegionLeg(Leg(OLD, "", text, WAITING), "", "", 7),
        "rome": RegionLeg(Leg(OLD, "", "rome=9"), "", "", 9, is_going=True),
    }


def test_what_a_pass_of_another_release_published_proves_nothing():
    """It read the parameters of the leg, and its programs are not of it."""
    told = {"address": "fd00::1", "settled": "1", "release-url": NEW}
    early = a_report("paris", parameters={"leg": "1"}, connection_parameters=told)

    assert read_legs([early])["paris"].is_settled is False
    assert read_legs([evolve(early, software_release_url=NEW)])["paris"].is_settled


def test_a_region_that_bangs_because_it_is_settled_is_in_no_trouble():
    """A bang is an error until the next report; one of an earlier leg is another's."""
    fields = {
        "reported_state": "error",
        "message": "bang called: the region is settled in leg 2",
        "connection_parameters": {"address": "fd00::2", "settled": "2"},
    }
    settled = a_report("paris", parameters={"leg": "2"}, **fields)
    later = a_report("lyon", parameters={"leg": "3"}, **fields)

    known = read_legs([settled, later])

    assert known["paris"].trouble == ""
    assert known["lyon"].trouble == fields["message"]


@define
class Cloud:
    """Regions that do what they were asked, late, in pieces, or not at all.

    ``restarting`` are those whose programs were told to be of another leg, and whose
    promises were not seen kept since.
    """

    has_cells: bool
    known: dict[str, RegionLeg] = field(factory=dict)
    running: dict[str, Leg] = field(factory=dict)
    restarting: set[str] = field(factory=set)

    def ask(self, wanted_url: str) -> None:
        """A pass of the root."""
        roll = decide_roll(wanted_url, NUMBERS, self.known)
        for name, leg in roll.legs.items():
            before = self.known.get(name, RegionLeg(leg, None, "", NUMBERS[name]))
            self.known[name] = evolve(before, asked=leg)

    def begin(self, name: str) -> None:
        """A pass of a region begins what it is asked, and is killed."""
        if self.running.get(name) != self.known[name].asked:
            if name in self.running:
                self.restarting.add(name)
            self.running[name] = self.known[name].asked

    def publish(self, name: str) -> None:
        """It comes to its end, of what it was asked."""
        self.begin(name)
        if not self.known[name].is_there:
            self.known[name] = evolve(
                self.known[name], settled="", has_seen_cells=self.has_cells
            )

    def prove(self, name: str) -> None:
        """Its promises are seen kept, and a pass publishes that."""
        leg = self.running.get(name)
        if leg is None or not self.known[name].is_there:
            return
        if leg == self.known[name].asked:
            self.restarting.discard(name)
        self.known[name] = evolve(self.known[name], settled=leg.number)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from([OLD, NEW, THIRD])),
        st.tuples(
            st.sampled_from(["begin", "publish", "prove"]), st.sampled_from(NAMES)
        ),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.booleans())
def test_one_region_is_restarted_at_a_time_and_all_come_to_what_is_wanted(
    steps, has_cells
):
    """Whatever was wanted meanwhile, and whoever was killed when."""
    cloud = Cloud(has_cells)
    cloud.ask(OLD)
    for name in NAMES:
        cloud.publish(name)

    for step, word in steps:
        getattr(cloud, step)(word)
        assert len(cloud.restarting) <= 1

    for _ in range(2 * len(NAMES) + 1):
        cloud.ask(NEW)
        for name in NAMES:
            cloud.publish(name)
            assert len(cloud.restarting) <= 1
            cloud.prove(name)
    assert {it.asked.release_url for it in cloud.known.values()} == {NEW}
    assert all(it.is_settled for it in cloud.known.values())
    assert decide_roll(NEW, NUMBERS, cloud.known).held == ""


@given(STEPS, st.booleans())
@settings(max_examples=50, deadline=None)
def test_what_was_decided_is_decided_again(steps, has_cells):
    cloud = Cloud(has_cells)
    cloud.ask(OLD)
    for step, word in steps:
        getattr(cloud, step)(word)
        if step == "ask":
            before = dict(cloud.known)
            unsettled = sum(not it.is_settled for it in before.values() if it.is_there)
            cloud.ask(word)
            if unsettled <= 1:
                assert cloud.known == before
