"""Schedules of faults: drawn, settled, written and read."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsim.faults.package import FaultProfile, Verb
from labsim.faults.table import PACKAGES, check_verbs, generate
from labsim.refusals import BadInput
from labsim.schedule import (
    TimedFault,
    active_at,
    check_schedule,
    decode_fault,
    encode_fault,
    in_order,
    settle_after,
)
from labsim.topology import Topology, build_topology

EVERY_KIND = FaultProfile(tuple(PACKAGES), 20.0, 1.0, 200.0)
END = 1000.0

instants = st.floats(0, 2000, allow_nan=False)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def faults(draw: st.DrawFn) -> TimedFault:
    at = draw(instants)
    length = draw(st.none() | st.floats(0, 500))
    return TimedFault(
        at,
        draw(st.sampled_from(sorted(PACKAGES))),
        tuple(draw(st.lists(st.sampled_from(["r1", "COMP-0"]), min_size=1))),
        None if length is None else at + length,
        tuple(draw(st.lists(st.sampled_from(["r2", "COMP-1"])))),
        draw(st.dictionaries(st.text(max_size=5), numbers, max_size=2)),
    )


def schedules():
    return st.lists(faults(), max_size=20).map(in_order)


def a_drawn_schedule(seed: int, topology: Topology | None = None):
    topology = topology or build_topology(3, 3, 12, 3)
    return generate(Random(seed), EVERY_KIND, topology, 100.0, END)


@given(schedules(), instants)
def test_no_fault_is_active_once_a_schedule_is_settled(schedule, at) -> None:
    settled = settle_after(schedule, at)

    assert [active_at(settled, it) for it in (at, at + 1, 1e9)] == [(), (), ()]


@given(schedules(), instants)
def test_settling_changes_nothing_of_what_happens_before(schedule, at) -> None:
    before = at * 0.999

    def seen(faults):
        return [(it.at, it.kind, it.targets) for it in active_at(faults, before)]

    if before < at:
        assert seen(settle_after(schedule, at)) == seen(schedule)


@given(faults())
def test_a_fault_is_read_as_it_was_written(fault) -> None:
    assert decode_fault(json.loads(json.dumps(encode_fault(fault)))) == fault


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 20))
def test_a_drawn_schedule_is_whole_in_order_and_about_hosts_that_are_there(
    seed, region_count, computer_count
) -> None:
    topology = build_topology(region_count, 1, computer_count + region_count, 1)

    schedule = a_drawn_schedule(seed, topology)

    check_schedule(schedule, tuple(PACKAGES), topology.names())
    assert active_at(schedule, END) == ()
    assert all(100.0 <= fault.at < END for fault in schedule)


def test_one_seed_draws_one_schedule_and_another_another() -> None:
    assert a_drawn_schedule(1) == a_drawn_schedule(1)
    assert a_drawn_schedule(1) != a_drawn_schedule(2)


def test_each_kind_of_fault_is_drawn() -> None:
    drawn = {fault.kind for seed in range(20) for fault in a_drawn_schedule(seed)}

    assert drawn == set(PACKAGES)


def test_symbols_are_resolved_when_a_schedule_is_drawn() -> None:
    """A minority of five regions is one or two of them, by their names."""
    topology = build_topology(5, 1, 10, 1)
    profile = FaultProfile(("cut",), 1.0)
    drawn = generate(Random(1), profile, topology, 0.0, 1000.0)

    regions = {f"r{number}" for number in range(1, 6)}
    counts = {len(it.targets) for it in drawn if set(it.targets) <= regions}
    machines = {it.targets for it in drawn if not set(it.targets) & regions}
    assert counts == {1, 2}
    assert all(len(it) == 1 and it[0] in topology.machines for it in machines)


def test_a_kind_that_a_world_has_no_verb_for_is_refused_with_what_there_is() -> None:
    with pytest.raises(BadInput) as refused:
        check_verbs(("cut", "pause"), (Verb.SEVER, Verb.CRASH))

    assert str(refused.value) == (
        "this world cannot pause, which 'pause' needs; take cut, flap, region cut, "
        "crash, bounce, region power loss, power loss"
    )


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([], "a fault must be an object, not []"),
        ({"kind": "cut", "targets": ["r1"]}, "a fault has no 'at'"),
        (
            {"at": "now", "kind": "cut", "targets": ["r1"]},
            "at must be a number, not 'now'",
        ),
        (
            {"at": float("nan"), "kind": "cut", "targets": ["r1"]},
            "at must be 0 to 2.6784e+06, not nan",
        ),
        (
            {"at": 1, "kind": "cut", "targets": []},
            "the number of targets must be 1 to 2000, not 0",
        ),
        (
            {"at": 5, "until": 4, "kind": "cut", "targets": ["r1"]},
            "until must be 5 to 2.6784e+06, not 4",
        ),
        (
            {"at": 1, "kind": "cut", "targets": ["r1"], "til": 4},
            "a fault: no 'til'; there are at, kind, targets, until, others, settings",
        ),
    ],
)
def test_what_is_no_fault_is_refused_with_what_to_write(document, sentence) -> None:
    with pytest.raises(BadInput) as refused:
        decode_fault(document)

    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("schedule", "sentence"),
    [
        (
            (TimedFault(5, "cut", ("r1",)), TimedFault(4, "cut", ("r1",))),
            (
                "fault 1: begins at 4, before the one above it at 5: faults stand in "
                "the order of their beginnings"
            ),
        ),
        (
            (TimedFault(5, "cut", ("r9",)),),
            "fault 0: no host or region 'r9'; there are COMP-0, master-0, r1",
        ),
        ((TimedFault(5, "sabotage", ("r1",)),), "fault 0: kind: no 'sabotage'"),
    ],
)
def test_a_schedule_that_cannot_be_played_is_refused(schedule, sentence) -> None:
    names = build_topology(1, 1, 1, 0).names()

    with pytest.raises(BadInput) as refused:
        check_schedule(schedule, tuple(PACKAGES), names)

    assert str(refused.value).startswith(sentence)
