"""Each checker accepts what may be and rejects what must not."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsim.checkers.recovery import (
    Distribution,
    distributions,
    measure_recoveries,
)
from labsim.checkers.table import CHECKERS, VIOLATIONS_MAX, WATCHES, Watch, judge
from labsim.checkers.violation import Bounds
from labsim.history import (
    UNREPORTED,
    Applied,
    Ending,
    Epoch,
    FaultBegan,
    FaultEnded,
    Life,
    Outcome,
    Phase,
    PhaseBegan,
    Placed,
)
from tests.unit.labsim.events import (
    REFUSED,
    UNKNOWN,
    began,
    called,
    committed,
    ended,
)

BOUNDS = Bounds(settle_seconds=60.0, healed_seconds=10.0, fault_seconds={"crash": 10.0})
ENDED = PhaseBegan(100.0, Phase.ENDED)


def found(value, wanted=None, subject="shop"):
    return Ending(101.0, subject, value if wanted is None else wanted, value)


ACCEPTED = {
    "acknowledged": {
        "nothing": (),
        "the last one": (*called(1), *called(2, "stopped", 1), found("stopped")),
        "its computer does not say": (*called(1), found(UNREPORTED, "started")),
        "either of two at once": (
            began(1, "started", "alice"),
            began(2, "stopped", "bob"),
            ended(3, client="alice"),
            ended(4, client="bob"),
            found("started"),
        ),
        "one at the same instant but later": (
            began(1),
            ended(1),
            began(1, "stopped", number=1),
            ended(1, number=1),
            found("stopped"),
        ),
        "an unknown one that came late": (
            *called(1, "stopped", 0, UNKNOWN),
            *called(2, "started", 1),
            found("stopped"),
        ),
        "one without an end": (
            *called(1),
            began(2, "stopped", "bob"),
            found("stopped"),
        ),
        "nothing acknowledged": (*called(1, outcome=UNKNOWN), found("")),
        "a question": (*called(1), *called(2, "", 1), found("started"), ENDED),
    },
    "partitions": {
        "one after the other": (
            Placed(1, "COMP-1", "slappart0", "shop"),
            Placed(2, "COMP-1", "slappart0", ""),
            Placed(3, "COMP-1", "slappart0", "notes"),
        ),
        "the same again": (
            Placed(1, "COMP-1", "slappart0", "shop"),
            Placed(3, "COMP-1", "slappart0", "shop"),
        ),
        "two computers": (
            Placed(1, "COMP-1", "slappart0", "shop"),
            Placed(3, "COMP-2", "slappart0", "notes"),
        ),
    },
    "tids": {
        "forward": (Applied(1, "COMP-1", "0f"), Applied(2, "COMP-1", "10")),
        "the same": (Applied(1, "COMP-1", "0f"), Applied(2, "COMP-1", "0f")),
        "two agents": (Applied(1, "COMP-1", "10"), Applied(2, "COMP-2", "0f")),
        "answers that cross": (
            began(1),
            began(2, number=1),
            ended(3, number=1, tid="10"),
            ended(4, tid="0f"),
        ),
        "an answer that says no tid": (
            began(1),
            ended(2, tid="10"),
            began(3, number=1),
            ended(4, number=1),
        ),
    },
    "settled": {
        "in time": (PhaseBegan(20.0, Phase.HEALED), Ending(70.0, "a", "b", "b")),
        "nothing wanted and nothing there": (Ending(70.0, "a", "", ""),),
    },
    "recovery": {
        "in time": (
            FaultBegan(1.0, 0, "crash", ("h1",)),
            *called(2),
            PhaseBegan(20.0, Phase.HEALED),
            *called(28, number=1),
            *called(99, number=2),
        ),
        "nobody asked": (
            FaultBegan(1.0, 0, "crash", ("h1",)),
            PhaseBegan(90.0, Phase.HEALED),
            ENDED,
        ),
        "two faults at once": (
            FaultBegan(1.0, 0, "crash", ("h1",)),
            began(2.0),
            FaultBegan(3.0, 1, "crash", ("h2",)),
            ended(30.0),
        ),
        "a fault without a bound": (
            FaultBegan(1.0, 0, "power loss", ("h1",)),
            began(2.0),
            ended(90.0),
        ),
        "no time was left": (PhaseBegan(90.0, Phase.HEALED), began(95), ENDED),
    },
    "epochs": {
        "one after the other": (
            Epoch(1, "h1", 2),
            committed("1", epoch=2),
            Epoch(3, "h2", 4),
            committed("3", epoch=4),
        ),
        "a late answer": (committed("3", epoch=4), committed("1", epoch=2)),
        "the same host again": (Epoch(1, "h1", 2), Epoch(2, "h1", 2)),
        "nobody knows": (committed("3", epoch=4), committed("4")),
    },
    "transactions": {
        "one after the other": (
            committed("1", "x0", "x"),
            committed("2", "x1", "x"),
        ),
    },
}

REJECTED = {
    "acknowledged": {
        "lost": (
            (*called(1), found("")),
            (
                "shop: “started” was acknowledged to alice at 1.1 s, and nothing was"
                " found at the end; it may be “started”"
            ),
        ),
        "an older one": (
            (*called(1), *called(2, "stopped", 1), found("started")),
            (
                "shop: “stopped” was acknowledged to alice at 2.1 s, and “started” was"
                " found at the end; it may be “stopped”"
            ),
        ),
        "a refused one": (
            (*called(1), *called(2, "stopped", 1, REFUSED), found("stopped")),
            (
                "shop: “started” was acknowledged to alice at 1.1 s, and “stopped” was"
                " found at the end; it may be “started”"
            ),
        ),
        "neither of two at once nor the unknown one": (
            (
                *called(0, "first"),
                began(1, "started", "alice", 1),
                began(2, "stopped", "bob"),
                ended(3, client="alice", number=1),
                ended(4, client="bob"),
                *called(5, "destroyed", 2, UNKNOWN),
                found("first"),
            ),
            (
                "shop: “stopped” was acknowledged to bob at 4 s, and “first” was found"
                " at the end; it may be “started” or “stopped” or “destroyed”"
            ),
        ),
        "nobody looked": (
            (*called(1), ENDED),
            (
                "shop: “started” was acknowledged to alice, and nobody looked for it"
                " at the end"
            ),
        ),
    },
    "partitions": {
        "two instances": (
            (
                Placed(1, "COMP-1", "slappart0", "shop"),
                Life(2, "COMP-1", is_up=False),
                Life(3, "COMP-1", is_up=True),
                Placed(4, "COMP-1", "slappart0", "notes"),
            ),
            (
                "slappart0 of COMP-1: notes runs there since 4 s, and shop, placed"
                " there at 1 s, never left"
            ),
        ),
    },
    "tids": {
        "an agent after a crash": (
            (
                Applied(1, "COMP-1", "10"),
                Life(2, "COMP-1", is_up=False),
                Life(3, "COMP-1", is_up=True),
                Applied(4, "COMP-1", "0f"),
            ),
            "COMP-1 took a document of 0f at 4 s, after one of 10 at 1 s",
        ),
        "a client that had two answers at once": (
            (
                began(1),
                began(2, number=1),
                ended(3, number=1, tid="10"),
                ended(4, tid="0e"),
                began(5, number=2),
                ended(6, number=2, tid="0f"),
            ),
            "alice was answered as of 0f at 6 s, and had known 10 since 3 s",
        ),
        "a client": (
            (
                began(1),
                ended(2, tid="10"),
                began(3, number=1),
                ended(4, REFUSED, number=1, tid="0f"),
            ),
            "alice was answered as of 0f at 4 s, and had known 10 since 2 s",
        ),
    },
    "settled": {
        "never": (
            (PhaseBegan(20.0, Phase.HEALED), Ending(70.0, "a", "b", "")),
            "a should be b at 70 s, and is nothing",
        ),
        "too late": (
            (PhaseBegan(20.0, Phase.HEALED), Ending(81.0, "a", "b", "b")),
            "a became b 61 s after the healing; 60 s are allowed",
        ),
    },
    "recovery": {
        "a fault": (
            (FaultBegan(1.0, 0, "crash", ("h1",)), began(2.0), ended(13.0)),
            (
                "after the crash of h1 at 1 s nothing that was asked for since 2 s was"
                " acknowledged within 10 s"
            ),
        ),
        "a change that was under way proves nothing": (
            (
                began(0.5, number=7),
                FaultBegan(1.0, 0, "crash", ("h1",)),
                began(2.0),
                ended(3.0, number=7),
                ENDED,
            ),
            (
                "after the crash of h1 at 1 s nothing that was asked for since 2 s was"
                " acknowledged within 10 s"
            ),
        ),
        "an unknown outcome is no recovery": (
            (
                PhaseBegan(1.0, Phase.HEALED),
                *called(2, outcome=UNKNOWN),
                *called(3, "", 1),
                ENDED,
            ),
            (
                "after the healing at 1 s nothing that was asked for since 2 s was"
                " acknowledged within 10 s"
            ),
        ),
        "a fault after one that is over": (
            (
                FaultBegan(1.0, 0, "crash", ("h1",)),
                *called(2),
                FaultEnded(3.0, 0),
                FaultBegan(4.0, 1, "crash", ("h2",)),
                began(5.0, number=1),
                ENDED,
            ),
            (
                "after the crash of h2 at 4 s nothing that was asked for since 5 s was"
                " acknowledged within 10 s"
            ),
        ),
    },
    "epochs": {
        "two primaries": (
            (Epoch(1, "h1", 2), Epoch(2, "h2", 2)),
            "epoch 2 has two primaries: h1 since 1 s and h2 since 2 s",
        ),
        "an older one goes on": (
            (committed("1", epoch=2), committed("3", epoch=4), committed("5", epoch=2)),
            "epoch 2 acknowledged 5 to m1, and epoch 4 had begun with 3",
        ),
        "and is told first": (
            (committed("5", epoch=2), committed("3", epoch=4)),
            "epoch 2 acknowledged 5 to m1, and epoch 4 had begun with 3",
        ),
    },
    "transactions": {
        "lost update": (
            (
                committed("1", "x0", "x"),
                committed("2", "x1", "x"),
                committed("3", "x1", "x", "m2"),
            ),
            (
                "lost update: 0000000000000003 of m2 missed x of 0000000000000002 of"
                " m1; 0000000000000003 of m2 replaced x of 0000000000000002 of m1"
            ),
        ),
    },
}


def cases(table):
    return [
        pytest.param(name, case, id=f"{name}: {told}")
        for name, named in table.items()
        for told, case in named.items()
    ]


@pytest.mark.parametrize(("name", "history"), cases(ACCEPTED))
def test_what_may_be_is_accepted(name, history):
    assert CHECKERS[name](history, BOUNDS) == ()


@pytest.mark.parametrize(("name", "case"), cases(REJECTED))
def test_what_must_not_be_is_told_in_a_sentence(name, case):
    history, sentence = case

    violations = CHECKERS[name](history, BOUNDS)

    assert [(it.checker, it.sentence) for it in violations] == [(name, sentence)]


@pytest.mark.parametrize(("name", "case"), cases(REJECTED))
def test_evidence_is_of_the_history(name, case):
    (violation,) = CHECKERS[name](case[0], BOUNDS)

    told = {it.at for it in case[0]}
    assert violation.happenings != ()
    assert set(violation.instants) <= told


def test_each_checker_has_histories_that_it_rejects_and_accepts():
    assert set(ACCEPTED) == set(REJECTED) == set(CHECKERS) == set(WATCHES)


def test_a_violation_is_told_when_it_can_be_seen():
    watch = Watch(BOUNDS)

    found_at = [
        bool(watch.take(happening))
        for happening in REJECTED["partitions"]["two instances"][0]
    ]

    assert found_at == [False, False, False, True]


def test_what_is_broken_for_good_is_told_a_hundred_times():
    history = [
        Placed(float(it), "COMP-1", "slappart0", f"shop-{it}")
        for it in range(2 * VIOLATIONS_MAX)
    ]

    assert len(CHECKERS["partitions"](history, BOUNDS)) == VIOLATIONS_MAX
    assert len(judge(history, BOUNDS)) == VIOLATIONS_MAX


def test_all_checkers_together_find_what_each_finds():
    history = (
        REJECTED["tids"]["a client"][0] + REJECTED["partitions"]["two instances"][0]
    )

    assert {it.checker for it in judge(history, BOUNDS)} == {"tids", "partitions"}


def brute_force(calls, outcomes):
    """All values that the last call has in any order that the real one allows."""
    count = len(calls)
    optional = [it for it in range(count) if outcomes[it] is UNKNOWN]
    needed = [it for it in range(count) if outcomes[it] is Outcome.ACKNOWLEDGED]
    if not needed:
        return None
    last = set(optional)
    last.update(
        it
        for it in needed
        if not any(calls[it][1] < calls[other][0] for other in needed)
    )
    return {str(it) for it in last}


@given(st.data())
def test_the_values_that_may_be_found_are_those_of_all_orders(data):
    count = data.draw(st.integers(1, 5))
    places = data.draw(st.permutations(range(2 * count)))
    calls = [tuple(sorted(places[2 * it : 2 * it + 2])) for it in range(count)]
    outcomes = [data.draw(st.sampled_from(Outcome)) for _ in calls]
    events = [
        event
        for it, (first, last) in enumerate(calls)
        for event in (
            began(float(first), str(it), number=it),
            ended(float(last), outcomes[it], number=it),
        )
    ]
    history = tuple(sorted(events, key=lambda event: event.at))
    allowed = brute_force(calls, outcomes)

    for value in ("", *map(str, range(count))):
        is_accepted = not CHECKERS["acknowledged"]((*history, found(value)), BOUNDS)
        assert is_accepted == (allowed is None or value in allowed)


def test_recoveries_are_measured_by_kind():
    history = (
        FaultBegan(1.0, 0, "crash", ("h1",)),
        began(2.0),
        ended(5.0),
        FaultEnded(6.0, 0),
        FaultBegan(7.0, 1, "crash", ("h2",)),
        began(8.0, number=1),
        ended(8.5, number=1),
        PhaseBegan(20.0, Phase.HEALED),
        began(21.0, number=2),
    )

    recoveries = measure_recoveries(history)

    assert [(it.kind, it.seconds) for it in recoveries] == [
        ("crash", 3.0),
        ("crash", 0.5),
        ("healing", inf),
    ]
    assert distributions(recoveries) == {
        "crash": Distribution(2, 0.5, 3.0, 3.0),
        "healing": Distribution(1, inf, inf, inf),
    }
