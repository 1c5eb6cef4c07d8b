"""What is seen of a neo_cluster, and the sentences about it."""

from __future__ import annotations

import json

import pytest
from attrs import evolve

from replication.answers import Answer, CellSeen, NodeSeen, decode_answers
from replication.regions import PORTS, NeoCluster, ProgramKind, plan_neo_cluster
from replication.sight import (
    HungProcess,
    NeoClusterSeen,
    ProgramSeen,
    RegionFound,
    Standing,
    SupervisordSeen,
    is_failing,
    is_settled,
    look_at,
    name_regions,
)

NAMES = ("paris", "lyon", "tokyo")
PARTITION_COUNT = 4


def a_neo_cluster() -> NeoCluster:
    planned = plan_neo_cluster(
        "probe", NAMES, PARTITION_COUNT, "127.0.0.1", iter(PORTS)
    )
    return planned.numbered(
        {it.storage_node: f"S{n}00001" for n, it in enumerate(planned.regions, start=1)}
    )


NEO_CLUSTER = a_neo_cluster()


def a_supervisord(**process_states: str) -> SupervisordSeen:
    """All programs run; or with supervisord's word, or ``stopped`` or ``waiting``."""
    return SupervisordSeen(
        1,
        tuple(
            ProgramSeen(it, "RUNNING", 2, is_stopped=told == "stopped")
            if told == "stopped"
            else ProgramSeen(it, "RUNNING", 2, is_waiting=told == "waiting")
            if told == "waiting"
            else ProgramSeen(it, told, 2)
            for it in ProgramKind
            for told in (process_states.get(it.value, "RUNNING"),)
        ),
    )


def an_answer(
    cluster_state: str = "RUNNING", primary: str = "paris", **node_states: str
) -> Answer:
    """By the admin node of paris; a word for each node that does not run.

    ``"DOWN OUT_OF_DATE"`` is the word of its cells too, ``unknown`` one that has not
    come since the primary started.
    """
    nodes = []
    row: list[CellSeen] = []
    for number, region in enumerate(NEO_CLUSTER.regions, start=1):
        told = node_states.get(region.name, "RUNNING")
        node_state, _, cell_state = told.partition(" ")
        address = region.storage_node
        if node_state == "unknown":
            node_state, address = "DOWN", ""
        nodes += [
            NodeSeen(f"S{number}00001", "STORAGE", address, node_state),
            NodeSeen(f"M{number}", "MASTER", region.neo_master, "RUNNING"),
        ]
        row.append(CellSeen(f"S{number}00001", cell_state or "UP_TO_DATE"))
    primary_id = f"M{1 + NAMES.index(primary)}"
    last = "03d0" if cluster_state == "RUNNING" else None
    return Answer(
        NEO_CLUSTER.regions[0].admin_node,
        "",
        cluster_state,
        primary_id,
        tuple(nodes),
        (tuple(row),) * PARTITION_COUNT,
        last,
        epoch=2,
    )


def a_sight(*answers: Answer, **supervisords: SupervisordSeen | None) -> NeoClusterSeen:
    return look_at(
        NEO_CLUSTER,
        "/d",
        {name: supervisords.get(name, a_supervisord()) for name in NAMES},
        answers or (an_answer(),),
    )


NOTHING = dict.fromkeys(NAMES)


def test_one_that_is_whole_needs_no_remark() -> None:
    seen = a_sight()

    assert (seen.standing, seen.remarks) == (Standing.WHOLE, ())
    assert [it.is_primary for it in seen.regions] == [True, False, False]
    assert [it.storage_node_id for it in seen.regions] == [
        "S100001",
        "S200001",
        "S300001",
    ]


@pytest.mark.parametrize(
    ("seen", "standing", "sentences"),
    [
        (
            look_at(NEO_CLUSTER, "/d", NOTHING, ()),
            Standing.AWAY,
            ["Nothing of it runs: `slapcluster storage start /d`."],
        ),
        (
            a_sight(an_answer(lyon="DOWN OUT_OF_DATE"), lyon=None),
            Standing.PARTIAL,
            [
                (
                    "Region lyon is stopped or was killed: "
                    "`slapcluster storage start /d --region lyon`."
                ),
                "lyon: 4 of 4 cells are out of date; it catches up when it is back.",
            ],
        ),
        (
            a_sight(an_answer(lyon="RUNNING OUT_OF_DATE")),
            Standing.PARTIAL,
            ["lyon: 4 of 4 cells are out of date; it replicates what it missed."],
        ),
        (
            a_sight(tokyo=a_supervisord(storage_node="BACKOFF")),
            Standing.PARTIAL,
            [
                (
                    "tokyo: the storage_node is BACKOFF; "
                    "the end of /d/tokyo/log/storage_node.log says why."
                )
            ],
        ),
        (
            a_sight(tokyo=a_supervisord(neo_master="STARTING")),
            Standing.PARTIAL,
            ["tokyo: the neo_master has just started."],
        ),
        (
            a_sight(
                an_answer("RECOVERING", "lyon", paris="unknown", tokyo="DOWN"),
                paris=None,
            ),
            Standing.AWAY,
            [
                (
                    "Region paris is stopped or was killed: "
                    "`slapcluster storage start /d --region paris`."
                ),
                (
                    "It is RECOVERING, without the storage node of paris and tokyo: it "
                    "starts by itself as soon as a majority of regions is there."
                ),
                (
                    "tokyo: the storage_node, process 2, runs and is not heard: it is "
                    "stopped, its disk hangs, or the network is cut."
                ),
            ],
        ),
        (
            a_sight(an_answer("RECOVERING", paris="PENDING", lyon="PENDING")),
            Standing.AWAY,
            [
                (
                    "It is RECOVERING: it starts by itself as soon as a majority of "
                    "regions is there."
                )
            ],
        ),
        (
            a_sight(an_answer(), Answer("127.0.0.1:20005", "no answer within 4 s")),
            Standing.WHOLE,
            [
                (
                    "lyon: the admin_node, process 2, runs and is not heard: it is "
                    "stopped, its disk hangs, or the network is cut."
                )
            ],
        ),
        (
            a_sight(Answer("127.0.0.1:20002", "not connected")),
            Standing.AWAY,
            ["No admin node answers: not connected."],
        ),
        (
            a_sight(an_answer(), an_answer(primary="tokyo")),
            Standing.WHOLE,
            [
                (
                    "There are 2 primaries, 127.0.0.1:20000 and 127.0.0.1:20006: they "
                    "do not reach each other. At most one of them can acknowledge "
                    "anything; mend the network."
                )
            ],
        ),
    ],
)
def test_what_is_missing_is_said_with_what_to_do(
    seen: NeoClusterSeen, standing: Standing, sentences: list[str]
) -> None:
    assert (seen.standing, list(seen.remarks)) == (standing, sentences)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (an_answer(), ["goes on"] * 3),
        (
            an_answer(lyon="DOWN OUT_OF_DATE"),
            [
                "stops: regions tokyo of paris, lyon, tokyo: 2 are needed",
                "goes on",
                "stops: regions paris of paris, lyon, tokyo: 2 are needed",
            ],
        ),
        (
            an_answer(lyon="RUNNING OUT_OF_DATE", tokyo="RUNNING OUT_OF_DATE"),
            [
                "stops: nobody else has all, until the replication ends",
                "goes on",
                "goes on",
            ],
        ),
        (an_answer("RECOVERING"), [""] * 3),
    ],
)
def test_what_the_loss_of_a_region_does_is_known_before(answer, told) -> None:
    assert [it.if_lost for it in a_sight(answer).regions] == told


def a_sight_of(
    found: RegionFound, supervisord: SupervisordSeen | None, **node_states: str
) -> NeoClusterSeen:
    """Of lyon that is known besides."""
    supervisords = {name: a_supervisord() for name in NAMES}
    return look_at(
        NEO_CLUSTER,
        "/d",
        {**supervisords, "lyon": supervisord},
        (an_answer(**node_states),),
        {"lyon": found},
    )


ROOM = RegionFound(free_bytes=16 * 1024**2)
NO_ROOM = RegionFound(free_bytes=16 * 1024**2 - 1)
FULL = (
    "lyon: its disk is full, 15 MB are left: make room. A storage node that cannot "
    "write ends; it begins again by itself when 16 MB are free."
)
HUNG = "lyon: its supervisord, process 7, runs and does not answer: "


def a_hung(*, is_stopped: bool) -> RegionFound:
    """A region whose supervisord does not answer."""
    hung = HungProcess(7, is_stopped=is_stopped, is_waiting=False)
    return RegionFound(hung_supervisord=hung)


UNHEARD = "lyon: the storage_node, process 2, runs and is not heard: "


@pytest.mark.parametrize(
    ("seen", "standing", "sentences"),
    [
        # The kernel knows it before anybody misses it.
        (
            a_sight_of(ROOM, a_supervisord(storage_node="stopped")),
            Standing.PARTIAL,
            [UNHEARD + "a signal stopped it; `kill -CONT 2` lets it go on."],
        ),
        (
            a_sight_of(ROOM, a_supervisord(storage_node="waiting"), lyon="DOWN"),
            Standing.PARTIAL,
            [UNHEARD + "it waits for its disk, which does not answer."],
        ),
        # Everybody waits for a disk at times.
        (
            a_sight_of(ROOM, a_supervisord(storage_node="waiting")),
            Standing.WHOLE,
            [],
        ),
        (a_sight_of(NO_ROOM, a_supervisord()), Standing.WHOLE, [FULL]),
        (
            a_sight_of(NO_ROOM, a_supervisord(), lyon="DOWN"),
            Standing.PARTIAL,
            [FULL, UNHEARD + "it waits for room on its disk."],
        ),
        (
            a_sight_of(a_hung(is_stopped=False), None),
            Standing.PARTIAL,
            [
                HUNG + "`kill -9 7` ends it and its programs, then `slapcluster "
                "storage start /d --region lyon`."
            ],
        ),
        (
            a_sight_of(a_hung(is_stopped=True), None),
            Standing.PARTIAL,
            [HUNG + "a signal stopped it; `kill -CONT 7` lets it go on."],
        ),
        # It does not hear the primary, its admin node says; others do.
        (
            a_sight(
                an_answer(),
                evolve(
                    an_answer(),
                    admin_node=NEO_CLUSTER.region("lyon").admin_node,
                    is_primary_silent=True,
                ),
            ),
            Standing.WHOLE,
            [
                (
                    "lyon: its admin_node does not hear the primary, others do: "
                    "the network of this region is cut."
                )
            ],
        ),
        (
            a_sight(evolve(an_answer(primary="lyon"), is_primary_silent=True)),
            Standing.WHOLE,
            [
                (
                    "lyon: the neo_master, process 2, runs and is not heard: it is "
                    "stopped, its disk hangs, or the network is cut."
                )
            ],
        ),
    ],
)
def test_the_culprit_is_named_with_the_reason(
    seen: NeoClusterSeen, standing: Standing, sentences: list[str]
) -> None:
    assert (seen.standing, list(seen.remarks)) == (standing, sentences)


@pytest.mark.parametrize(
    ("told", "named"),
    [
        (
            "regions [1, 3] of [1, 2, 3]: 2 are needed",
            "regions paris, tokyo of paris, lyon, tokyo: 2 are needed",
        ),
        ("regions none of [1, 9]: 2", "regions none of paris, 9: 2"),
        ("region 2 would change all", "region lyon would change all"),
        ("storage node 200001 was lost", "storage node S200001 of lyon was lost"),
        ("one of storage nodes [300001]", "one of storage nodes S300001 of tokyo"),
        (
            "follows the neo_master of 127.0.0.1 port 20003",
            "follows the neo_master of lyon",
        ),
        ("begins epoch 2", "begins epoch 2"),
    ],
)
def test_what_a_neo_master_says_has_the_names_of_regions(told, named) -> None:
    assert name_regions(told, NEO_CLUSTER) == named


def test_the_verdicts_of_regions_are_told_with_what_is_waited_for() -> None:
    seen = look_at(
        NEO_CLUSTER,
        "/d",
        {name: a_supervisord() for name in NAMES},
        (an_answer("RECOVERING", "lyon"),),
        {"paris": RegionFound("follows"), "lyon": RegionFound("too few")},
    )

    assert [it.verdict for it in seen.regions] == ["follows", "too few", ""]
    assert "(too few)" in " ".join(seen.remarks)


def test_who_follows_a_silent_primary_tells_how_things_were() -> None:
    """It is no second primary, and another that recovers is believed."""
    of_before = evolve(an_answer(primary="lyon"), is_primary_silent=True)

    seen = a_sight(of_before, an_answer("RECOVERING", "tokyo"))

    assert [it.is_primary for it in seen.regions] == [False, False, True]
    assert seen.cluster_state == "RECOVERING"
    assert [it for it in seen.remarks if "primaries" in it] == []
    assert any(it.startswith("lyon: the neo_master, ") for it in seen.remarks)


def test_one_without_cells_is_to_be_created_again() -> None:
    planned = plan_neo_cluster(
        "probe", NAMES, PARTITION_COUNT, "127.0.0.1", iter(PORTS)
    )

    seen = look_at(planned, "/d", NOTHING, ())

    (remark,) = seen.remarks
    assert "repeat `slapcluster storage create`" in remark


def test_the_answer_of_one_that_runs_is_believed() -> None:
    """An admin node that still follows a primary of before says less."""
    seen = a_sight(Answer("x", "no answer"), an_answer("RECOVERING"), an_answer())

    assert seen.cluster_state == "RUNNING"


@pytest.mark.parametrize(
    ("seen", "started", "settled"),
    [
        (a_sight(), NAMES, True),
        (a_sight(an_answer(lyon="DOWN"), lyon=None), ("paris",), True),
        (a_sight(an_answer(lyon="DOWN")), ("lyon",), False),
        (a_sight(lyon=a_supervisord(admin_node="STARTING")), ("lyon",), False),
        (a_sight(lyon=None), ("lyon",), False),
        # It waits for another region, which nobody starts.
        (
            a_sight(an_answer("RECOVERING", paris="DOWN", tokyo="DOWN"), paris=None),
            ("lyon",),
            True,
        ),
        # It is about to go on.
        (
            a_sight(an_answer("RECOVERING", paris="DOWN", lyon="PENDING"), paris=None),
            ("lyon",),
            False,
        ),
        # Most are there, and nobody who has all.
        (
            a_sight(
                an_answer(
                    "RECOVERING",
                    paris="DOWN",
                    lyon="PENDING OUT_OF_DATE",
                    tokyo="PENDING OUT_OF_DATE",
                )
            ),
            ("lyon",),
            True,
        ),
        (
            a_sight(an_answer("RECOVERING", paris="DOWN", lyon="DOWN"), paris=None),
            ("lyon",),
            False,
        ),
        (a_sight(an_answer("VERIFYING")), NAMES, False),
    ],
)
def test_a_start_waits_for_what_it_started(seen, started, settled: bool) -> None:
    assert is_settled(seen, started) is settled


@pytest.mark.parametrize(
    ("seen", "failing"),
    [
        (a_sight(), False),
        (a_sight(lyon=a_supervisord(neo_master="STARTING")), False),
        (a_sight(lyon=a_supervisord(neo_master="BACKOFF")), True),
        (a_sight(lyon=None), True),
        (a_sight(paris=None), False),
    ],
)
def test_a_start_waits_less_for_a_program_that_ends(seen, failing: bool) -> None:
    assert is_failing(seen, ("lyon", "tokyo")) is failing


@pytest.mark.parametrize(
    "output", [b"", b"Traceback\n  boom", b"{}", b'"x"\n', b"\xff"]
)
def test_a_question_that_was_not_put_is_a_failure(output: bytes) -> None:
    (answer,) = decode_answers(output)

    assert answer.failure.startswith("the question was not put")


def test_answers_are_read_after_what_else_is_written() -> None:
    row = ["S1", "STORAGE", "127.0.0.1:1", "RUNNING"]
    documents = [
        {"admin_node": "a", "failure": "not connected"},
        {
            "admin_node": "b",
            "cluster_state": "RUNNING",
            "primary": "M1",
            "nodes": [row],
            "rows": [[["S1", "UP_TO_DATE"]]],
            "table_number": (2 << 24 | 2) << 16 | 7,
            "last_transaction": "00",
        },
    ]

    answers = decode_answers(b"a warning\n" + json.dumps(documents).encode() + b"\n")

    assert answers == (
        Answer("a", "not connected"),
        Answer(
            "b",
            "",
            "RUNNING",
            "M1",
            (NodeSeen(*row),),
            ((CellSeen("S1", "UP_TO_DATE"),),),
            "00",
            2,
        ),
    )
