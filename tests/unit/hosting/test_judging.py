"""The promises of a region: one sentence each, and when its key is renewed."""

from __future__ import annotations

import pytest
from attrs import evolve

from replication.answers import Answer, CellSeen
from slapcluster.hosting.judging import (
    DISK_BYTES_MIN,
    judge_certificates,
    judge_disk,
    judge_lag,
    judge_links,
    judge_quorum,
    judge_regions,
    judge_replica,
    judge_waiting,
)
from slapcluster.hosting.keys import KeyStep, decide_key_step
from slapcluster.hosting.planning import InForce
from slapcluster.hosting.rolling import WAITING, CellsWish
from stunnel_conf.links import Endpoint
from stunnel_conf.pins import Pin
from tests.unit.hosting.regions import all_published, an_answer

DAY = 86400.0
IN_FORCE = InForce("lyon", 2, all_published(lyon=True), admin_node="10.0.0.2:20002")
ENDS = (Endpoint("fd00::1", 20000), Endpoint("127.0.0.1", 11000))


def cells(*states):
    return tuple(CellSeen(f"S{n}00001", it) for n, it in enumerate(states, start=1))


WHOLE = an_answer("RUNNING", cells=cells("UP_TO_DATE", "UP_TO_DATE", "UP_TO_DATE"))
RUNNING = evolve(WHOLE, cluster_state="RUNNING")
AWAY = evolve(RUNNING, nodes=RUNNING.nodes[1:])


@pytest.mark.parametrize(
    ("judgement", "is_kept", "sentence"),
    [
        (judge_waiting(None), False, "nothing was configured yet"),
        (
            judge_waiting(evolve(IN_FORCE, admin_node="", missing=("a", "b"))),
            False,
            "a, b has not published yet",
        ),
        (
            judge_links(is_running=False, is_taken=True, wanted=ENDS, listening=()),
            False,
            "stunnel does not run",
        ),
        (
            judge_links(
                is_running=True, is_taken=True, wanted=ENDS, listening=ENDS[:1]
            ),
            False,
            "stunnel does not listen at 127.0.0.1:11000",
        ),
        (
            judge_links(is_running=True, is_taken=False, wanted=ENDS, listening=ENDS),
            False,
            "the next pass of the agent looks whether stunnel took its file",
        ),
        (
            judge_links(is_running=True, is_taken=True, wanted=ENDS, listening=ENDS),
            True,
            "stunnel listens at all 2 ends",
        ),
        (
            judge_quorum(IN_FORCE, Answer("", failure="no answer within 4 s"), "", ""),
            False,
            "the admin node says: no answer within 4 s",
        ),
        (
            judge_quorum(IN_FORCE, an_answer(), "", "why"),
            False,
            "NEO has no cells: why",
        ),
        (
            judge_quorum(IN_FORCE, evolve(RUNNING, is_primary_silent=True), "", ""),
            False,
            "the neo_master that is primary does not answer",
        ),
        (
            judge_quorum(IN_FORCE, WHOLE, "waits for two regions", ""),
            False,
            "NEO is RECOVERING: waits for two regions",
        ),
        (judge_quorum(IN_FORCE, RUNNING, "", "x"), True, "NEO runs with all 3 regions"),
        (
            judge_quorum(IN_FORCE, AWAY, "", ""),
            True,
            "NEO runs with 2 of 3 regions; paris is away",
        ),
        (
            judge_lag(IN_FORCE, WHOLE),
            False,
            "nobody knows what lyon has: NEO is RECOVERING",
        ),
        (judge_lag(IN_FORCE, RUNNING), True, "all 1 cells of lyon are up to date"),
        (
            judge_lag(
                IN_FORCE, evolve(RUNNING, rows=(cells("UP_TO_DATE", "OUT_OF_DATE"),))
            ),
            False,
            "1 of 1 cells of lyon are out of date",
        ),
        (
            judge_lag(
                IN_FORCE,
                evolve(RUNNING, rows=(cells("UP_TO_DATE"),)),
                "waiting: the storage node of lyon comes",
            ),
            False,
            (
                "no storage node of lyon has cells: waiting: the storage node of lyon"
                " comes"
            ),
        ),
        (
            judge_lag(
                IN_FORCE,
                evolve(RUNNING, rows=(cells("UP_TO_DATE", "OUT_OF_DATE"),)),
                "dropping storage node S200001 of lyon",
            ),
            False,
            (
                "1 of 1 cells of lyon are out of date: dropping storage node S200001 of"
                " lyon"
            ),
        ),
        (
            judge_lag(IN_FORCE, RUNNING, "setting it aside"),
            False,
            (
                "all 1 cells of lyon are up to date, and not in its own database:"
                " setting it aside"
            ),
        ),
        (
            judge_certificates({"links": 10 * DAY}, "", 11 * DAY),
            False,
            "the certificate of links is over",
        ),
        (
            judge_certificates({"links": 20 * DAY}, "", 10 * DAY),
            False,
            "the certificate of links is over in 10 days, and was not renewed",
        ),
        (judge_certificates({}, "own: is of nobody", 0), False, "own: is of nobody"),
        (
            judge_replica("", ""),
            False,
            (
                "the key of the region has no certificate: `slapcluster region sign`"
                " signs it, where the root of the cloud is"
            ),
        ),
        (
            judge_replica("https://[fd00::1]:5443", "the store is away"),
            False,
            "the replica at https://[fd00::1]:5443 is not ready: the store is away",
        ),
        (
            judge_replica("https://[fd00::1]:5443", "receiving: it waits for a state"),
            True,
            (
                "the replica at https://[fd00::1]:5443 is receiving: it waits for a"
                " state"
            ),
        ),
        (
            judge_replica("https://[fd00::1]:5443", ""),
            True,
            "the replica at https://[fd00::1]:5443 is ready",
        ),
        (
            judge_certificates({"a": 99 * DAY, "b": 90 * DAY}, "", 10 * DAY),
            True,
            "certificates last 80 days",
        ),
        (
            judge_disk(DISK_BYTES_MIN - 1),
            False,
            (
                "255 MiB are free on the disk of the database, and 256 are wanted:"
                " make room"
            ),
        ),
        (judge_disk(DISK_BYTES_MIN), True, "256 MiB are free"),
        (
            judge_regions(("a", "b"), {"a": {"storage": "created"}}, {"b": "no room"}),
            False,
            "b: no room",
        ),
        (
            judge_regions(("a", "b"), {"a": {"storage": "created"}, "b": {}}, {}),
            False,
            "b has no cells yet",
        ),
        (
            judge_regions(("a",), {"a": {"storage": "created"}}, {}, "a takes up x"),
            False,
            "a takes up x",
        ),
        (
            judge_regions(("a",), {"a": {"storage": "created"}}, {}),
            True,
            "all 1 regions are there",
        ),
    ],
)
def test_a_promise_says_what_is_wrong_or_what_holds(judgement, is_kept, sentence):
    """In one sentence."""
    assert judgement is not None
    assert (judgement.is_kept, judgement.sentence) == (is_kept, sentence)


def test_a_region_that_runs_waits_for_nothing():
    """Then each promise looks for itself."""
    assert judge_waiting(IN_FORCE) is None


def a_pin(begin: float, days: float = 366) -> Pin:
    """A certificate that was made on this day; it is valid from the day before."""
    return Pin("", "", (begin - 1) * DAY, (begin - 1 + days) * DAY)


@pytest.mark.parametrize(
    ("own", "following", "day", "step"),
    [
        (None, None, 1, KeyStep.MAKE),
        (a_pin(0), None, 242, KeyStep.KEEP),
        (a_pin(0), None, 243, KeyStep.MAKE_NEXT),
        (a_pin(0), a_pin(243), 243, KeyStep.KEEP),
        (a_pin(0), a_pin(243), 249.9, KeyStep.KEEP),
        (a_pin(0), a_pin(243), 250, KeyStep.USE_NEXT),
        (a_pin(0), a_pin(364), 365, KeyStep.USE_NEXT),
    ],
)
def test_the_next_key_is_known_for_a_week_before_it_is_used(own, following, day, step):
    """Unless the first one is over."""
    assert decide_key_step(own, following, day * DAY) is step


def test_a_region_that_waits_promises_no_cells_and_one_that_drops_that_none_are_left():
    """Of its own cells the former has none, before and after."""
    two = evolve(RUNNING, rows=(cells("UP_TO_DATE", "UP_TO_DATE"),))
    tokyo = evolve(IN_FORCE, name="tokyo", number=3)
    drops = CellsWish(drops=frozenset({1}))

    assert not judge_lag(tokyo, two).is_kept
    assert judge_lag(tokyo, two, cells=WAITING).is_kept
    assert judge_lag(IN_FORCE, two, cells=drops).sentence == "region 1 has cells still"
    assert judge_replica("https://x", "", WAITING).is_kept
    assert not judge_replica("", "", WAITING).is_kept
    gone = evolve(two, rows=((CellSeen("S200001", "UP_TO_DATE"),),))
    assert judge_lag(IN_FORCE, gone, cells=drops).is_kept
