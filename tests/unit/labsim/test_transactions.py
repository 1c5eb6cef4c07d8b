"""The order of transactions: what breaks it is named, and nothing else is."""

from __future__ import annotations

import random
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsim.checkers.order import FRONT, Order
from labsim.checkers.table import CHECKERS
from labsim.checkers.transactions import match_each
from labsim.checkers.violation import Bounds
from labsim.history import Committed, Doubted
from tests.unit.labsim.events import committed


def anomalies(history):
    found = CHECKERS["transactions"](history, Bounds())
    return [it.sentence.partition(":")[0] for it in found]


PLANTED = {
    "fork": (
        ["fork"],
        (committed("1", "x0", "x"), committed("1", "y0", "y", "m2")),
    ),
    "read of the future": (
        ["read of the future"],
        (committed("3", "x0", "x"), committed("2", "x3", "y", "m2")),
    ),
    "dirty read": (
        ["dirty read"],
        (committed("1", "x0", "x"), committed("3", "x2", "y", "m2")),
    ),
    "a dirty read that a doubt about another object does not explain": (
        ["dirty read"],
        (
            committed("1", "x0", "x"),
            Doubted(1.5, "m3", {}, ("y",)),
            committed("3", "x2", "z", "m2"),
        ),
    ),
    "a dirty read of what its writer did not write": (
        ["dirty read"],
        (
            committed("1", "x0 y0", "x y"),
            committed("2", "x1", "x"),
            committed("3", "y2", "z", "m2"),
        ),
    ),
    "two dirty reads and one doubt": (
        ["dirty read"],
        (
            committed("1", "x0", "x"),
            Doubted(1.5, "m3", {}, ("x",)),
            committed("4", "x2", "y", "m2"),
            committed("5", "x3", "z", "m2"),
        ),
    ),
    "lost update": (
        ["lost update"],
        (
            committed("1", "x0", "x"),
            committed("2", "x1", "x"),
            committed("3", "x1", "x", "m2"),
        ),
    ),
    "lost update, two versions ago": (
        ["lost update"],
        (
            committed("1", "x0", "x"),
            committed("2", "x1", "x"),
            committed("3", "x2", "x"),
            committed("4", "x1", "x", "m2"),
        ),
    ),
    "lost update, of one that another object was known from": (
        ["lost update"],
        (
            committed("1", "", "x"),
            committed("2", "y0 x0", "x", "m2"),
        ),
    ),
    "lost update, told before what it lost": (
        ["lost update"],
        (
            committed("1", "x0", "x"),
            committed("3", "x1", "x", "m2"),
            committed("2", "x1", "x"),
        ),
    ),
    "stale read: half of a transaction": (
        ["stale read"],
        (
            committed("1", "x0 y0", "x y"),
            committed("2", "x1 y1", "x y"),
            committed("3", "x1 y2", "z", "m2"),
        ),
    ),
    "stale read by one that wrote nothing": (
        ["stale read"],
        (
            committed("1", "x0 y0", "x y"),
            committed("2", "x1 y1", "x y"),
            committed("", "x1 y2"),
        ),
    ),
    "stale read: what came of it, and not it": (
        ["stale read"],
        (
            committed("1", "x0 y0", "x y"),
            committed("2", "x1", "x"),
            committed("3", "x2 y1", "y"),
            committed("4", "x1 y3", "z", "m2"),
        ),
    ),
    "stale read, by a longer way than one that skews": (
        ["stale read"],
        (
            committed("1", "x0 y0 z0", "x y z"),
            committed("2", "y1", "x"),
            committed("3", "x2 z1", "z"),
            committed("4", "x1 z3", "y", "m2"),
        ),
    ),
    "stale read, told late": (
        ["stale read"],
        (
            committed("1", "x0 y0", "x y"),
            committed("3", "x1 y2", "z", "m2"),
            committed("2", "x1 y1", "x y"),
        ),
    ),
    "stale read: one of two that were merged": (
        ["stale read"],
        (
            committed("1", "x0 y0", "x y"),
            committed("2", "y1", "x y", merged=("x",)),
            committed("3", "", "x", "m2", merged=("x",)),
            committed("4", "x3 y1", "z", "m3"),
        ),
    ),
    "write skew of one who missed two that were merged": (
        ["write skew"],
        (
            committed("1", "x0 y0", "x y"),
            committed("2", "", "x", "m2", merged=("x",)),
            committed("3", "y1", "x", "m3", merged=("x",)),
            committed("4", "x1 y1", "y"),
        ),
    ),
    "write skew": (
        ["write skew"],
        (
            committed("1", "x0 y0", "x y"),
            committed("2", "x1 y1", "x"),
            committed("3", "x1 y1", "y", "m2"),
        ),
    ),
    "write skew of three": (
        ["write skew"],
        (
            committed("1", "x0 y0 z0", "x y z"),
            committed("2", "x1 y1", "x"),
            committed("3", "y1 z1", "y", "m2"),
            committed("4", "z1 x1", "z", "m3"),
        ),
    ),
    "write skew that only a reader sees": (
        ["write skew"],
        (
            committed("1", "x0 y0", "x y"),
            committed("2", "y1", "y"),
            committed("3", "x1 y1", "x", "m2"),
            committed("", "x1 y2", "", "m3"),
        ),
    ),
}

ALLOWED = {
    "an old snapshot": (
        committed("1", "x0 y0", "x y"),
        committed("2", "x1", "x"),
        committed("3", "x1 y1", "y", "m2"),
    ),
    "what is older than all that is told": (
        committed("5", "x3 y4", "x"),
        committed("6", "x5 y4", "y"),
    ),
    "a version that one in doubt may have written": (
        committed("1", "x0", "x"),
        Doubted(1.5, "m3", {"x": "1"}, ("x",)),
        committed("3", "x2", "y", "m2"),
    ),
    "a version whose writer is told later": (
        committed("1", "x0", "x"),
        committed("3", "x2", "y", "m2"),
        committed("2", "x1", "x"),
    ),
    "what the store merged": (
        committed("1", "x0", "x"),
        committed("2", "x1", "x"),
        committed("3", "x1", "x", "m2", merged=("x",)),
    ),
    "what the store merged, of those that another object has an order of": (
        committed("1", "x0 y0", "x y"),
        committed("2", "y1", "y x", merged=("x",)),
        committed("3", "y2", "y x", "m2", merged=("x",)),
        committed("4", "y1", "x", "m3", merged=("x",)),
    ),
    "what the store merged with one of which something else was missed": (
        committed("1", "x0 y0", "x y"),
        committed("2", "x1 y1", "x y"),
        committed("3", "x1 y1", "x z", "m2", merged=("x",)),
    ),
    "objects that nobody read before": (
        committed("1", "", "x"),
        committed("2", "", "x"),
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_was_planted_is_named(name):
    expected, history = PLANTED[name]

    assert anomalies(history) == expected


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_allowed_is_not_named(name):
    assert anomalies(ALLOWED[name]) == []


@pytest.mark.parametrize("name", [*PLANTED, *ALLOWED])
def test_what_is_found_does_not_hang_on_the_order_of_answers(name):
    history = PLANTED[name][1] if name in PLANTED else ALLOWED[name]

    found = {bool(anomalies(told)) for told in permutations(history)}

    assert found == {name in PLANTED}


def test_a_circle_is_told_with_all_that_are_in_it():
    (violation,) = CHECKERS["transactions"](PLANTED["write skew"][1], Bounds())

    assert violation.sentence == (
        "write skew: 0000000000000003 of m2 missed x of 0000000000000002 of m1;"
        " 0000000000000002 of m1 missed y of 0000000000000003 of m2"
    )
    assert [it.master for it in violation.happenings] == ["m2", "m1"]


OIDS = "uvwxyz"


def serialisable(entropy: random.Random, count: int) -> list[Committed]:
    """Transactions done one after the other, with tids that need not be in this order.

    A tid is above those of the versions that were read and replaced, and nothing else.
    """
    current = dict.fromkeys(OIDS, -1)
    reads, writes, needed = [], [], []
    for number in range(count):
        read = entropy.sample(OIDS, entropy.randint(0, 3))
        written = entropy.sample(OIDS, entropy.randint(0, 2))
        reads.append({oid: current[oid] for oid in read})
        writes.append(written)
        needed.append({current[oid] for oid in (*read, *written)} - {-1})
        current.update(dict.fromkeys(written, number))
    tids: dict[int, int] = {-1: 0}
    waiting = list(range(count))
    while waiting:
        ready = [it for it in waiting if needed[it] <= tids.keys()]
        number = entropy.choice(ready)
        tids[number] = len(tids)
        waiting.remove(number)
    return [
        Committed(
            float(tids[number]),
            f"m{number % 3}",
            f"{tids[number]:x}" if writes[number] else "",
            {oid: f"{tids[writer]:x}" for oid, writer in reads[number].items()},
            tuple(writes[number]),
        )
        for number in range(count)
    ]


def dependencies(history) -> set[tuple[int, int]]:
    """Who comes before whom, by the definitions and by nothing clever."""
    versions = [
        (oid, int(it.tid, 16), place)
        for place, it in enumerate(history)
        for oid in it.writes
    ]
    merges = [
        (oid, int(it.reads.get(oid, "0"), 16), int(it.tid, 16))
        for it in history
        for oid in it.merged
    ]
    ordered = [
        (oid, tid)
        for oid, tid, _ in versions
        if not any(it == oid and low < tid <= high for it, low, high in merges)
    ]
    edges = {
        (place, after)
        for oid, tid, place in versions
        for other, later, after in versions
        if oid == other
        and tid < later
        and any(it == oid and tid <= between <= later for it, between in ordered)
    }
    for place, it in enumerate(history):
        for oid, tid, writer in versions:
            if oid not in it.reads or oid in it.merged:
                continue
            if tid <= int(it.reads[oid], 16):
                edges.add((writer, place))
            elif oid not in it.writes or tid < int(it.tid, 16):
                edges.add((place, writer))
    return {(one, other) for one, other in edges if one != other}


def has_circle(history) -> bool:
    """The same question, asked of the whole graph."""
    edges = dependencies(history)
    left = set(range(len(history)))
    while True:
        bound = {later for one, later in edges if one in left}
        if left <= bound:
            return bool(left)
        left &= bound


@given(st.randoms(use_true_random=False), st.integers(1, 25), st.booleans())
def test_nothing_serialisable_is_named(entropy, count, is_shuffled):
    history = serialisable(entropy, count)
    if is_shuffled:
        entropy.shuffle(history)

    assert anomalies(history) == []


def any_reads(
    entropy: random.Random, count: int, *, has_merges: bool = False
) -> list[Committed]:
    """Transactions that read any committed version below their tid.

    A store that merges lets nobody replace what was not read.
    """
    versions: dict[str, list[int]] = {oid: [0] for oid in OIDS}
    history = []
    for tid in range(1, count + 1):
        reads = {
            oid: f"{entropy.choice(versions[oid][-3:]):x}"
            for oid in entropy.sample(OIDS, entropy.randint(0, 3))
        }
        writes = tuple(entropy.sample(OIDS, entropy.randint(0, 2)))
        merged = ()
        if has_merges:
            merged = tuple(it for it in writes if entropy.random() < 0.6)
            latest = {it: f"{versions[it][-1]:x}" for it in writes}
            reads.update({it: latest[it] for it in writes if it not in merged})
            reads = {**{it: latest[it] for it in merged}, **reads}
        name = f"{tid:x}" if writes else ""
        history.append(Committed(float(tid), "m1", name, reads, writes, merged))
        for oid in writes:
            versions[oid].append(tid)
    return history


@given(st.randoms(use_true_random=False), st.integers(1, 12), st.booleans())
def test_what_has_a_circle_is_named_and_nothing_else(entropy, count, is_shuffled):
    history = any_reads(entropy, count)
    if is_shuffled:
        entropy.shuffle(history)

    assert bool(anomalies(history)) == has_circle(history)


@given(st.randoms(use_true_random=False), st.integers(1, 12))
def test_what_was_merged_has_no_order(entropy, count):
    """What was found once is told, and a later merge may show that it was nothing."""
    history = any_reads(entropy, count, has_merges=True)

    expected = any(has_circle(history[:it]) for it in range(1, count + 1))
    assert bool(anomalies(history)) == expected


@given(st.randoms(use_true_random=False), st.integers(1, 60))
def test_an_order_is_that_of_a_list(entropy, count):
    order, expected = Order(), [FRONT]
    for _ in range(count):
        place = entropy.choice(expected)
        if entropy.random() < 0.5 or len(expected) < 4:
            number = order.add(place)
            expected.insert(expected.index(place) + 1, number)
        else:
            moved = entropy.sample(expected[1:], 2)
            expected = [it for it in expected if it not in moved]
            place = entropy.choice(expected)
            order.move(moved, place)
            after = expected.index(place) + 1
            expected[after:after] = moved

    assert sorted(expected, key=order.labels.__getitem__) == expected
    assert order.last == expected[-1]


def test_an_order_has_room_at_one_place_for_ever():
    order = Order()

    numbers = [order.add(FRONT) for _ in range(1000)]

    assert sorted(numbers, key=order.labels.__getitem__) == numbers[::-1]


def test_as_many_as_can_be_get_one_of_their_choices():
    assert match_each([[0, 1], [0], [1], []]) in ({0: 1, 1: 0}, {1: 0, 2: 1})
