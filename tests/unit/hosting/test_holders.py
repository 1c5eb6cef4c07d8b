"""How a region gets its cells when its storage node has none."""

from __future__ import annotations

import pytest
from attrs import evolve, frozen
from hypothesis import given
from hypothesis import strategies as st

from replication.answers import (
    OUT_OF_DATE,
    PENDING,
    RUNNING,
    STORAGE,
    UP_TO_DATE,
    Answer,
    CellSeen,
    NodeSeen,
)
from replication.changing import (
    DatabaseKind,
    DatabaseSeen,
    Step,
    Verb,
    plan_next_drop,
)
from replication.undertakings import Refused
from slapcluster.hosting.holders import choose_step, lacks_cells
from tests.unit.hosting.regions import NAMES, a_region, all_published

PARIS = a_region("paris", NAMES)
CREATED = all_published(lyon=True)
OTHERS = {200001: UP_TO_DATE, 300001: UP_TO_DATE}
EMPTY, FILLED = DatabaseKind.EMPTY, DatabaseKind.FILLED
MISSING, DAMAGED = DatabaseKind.MISSING, DatabaseKind.DAMAGED
STEPS_MAX = 12


def an_answer(
    cells: dict[int, str],
    running: set[int] | None = None,
    pending: set[int] | None = None,
) -> Answer:
    """What an admin node says: each storage node with its cells."""
    there = set(cells) if running is None else running
    nodes = [(it, RUNNING if it in there else "DOWN") for it in cells]
    nodes += [(it, PENDING) for it in pending or ()]
    row = tuple(CellSeen(f"S{it}", cell_state) for it, cell_state in cells.items())
    return Answer(
        "10.0.0.1:20002",
        cluster_state=RUNNING,
        nodes=tuple(NodeSeen(f"S{it}", STORAGE, "", word) for it, word in nodes),
        rows=(row, row) if row else (),
    )


WHOLE = an_answer({100001: UP_TO_DATE, **OTHERS})
LOST = {100001: OUT_OF_DATE, **OTHERS}
"""The storage node of paris is away for ever."""
ADDED = {**LOST, 100002: OUT_OF_DATE}
COPIED = {**LOST, 100002: UP_TO_DATE}
NEW = DatabaseSeen(EMPTY, 100002)
ALIVE = {200001, 300001}


@pytest.mark.parametrize(
    ("database", "answer", "expected"),
    [
        (DatabaseSeen(FILLED, 100001), WHOLE, False),
        (DatabaseSeen(EMPTY, 100001), WHOLE, False),
        (NEW, an_answer(LOST, ALIVE), True),
        (NEW, an_answer(ADDED, {*ALIVE, 100002}), True),
        (DatabaseSeen(MISSING), WHOLE, True),
        (DatabaseSeen(FILLED, 100001), None, False),
        (DatabaseSeen(FILLED, 100001), Answer("", failure="no answer"), False),
        (DatabaseSeen(MISSING), None, True),
        (DatabaseSeen(DAMAGED), an_answer({}), True),
    ],
)
def test_a_region_lacks_cells_when_others_than_its_own_storage_node_have_them(
    database, answer, expected
):
    """While NEO is silent, who has something is taken for a holder."""
    assert lacks_cells(PARIS, CREATED, database, answer) is expected


def test_nobody_lacks_cells_before_there_are_some():
    assert not lacks_cells(PARIS, all_published(), DatabaseSeen(MISSING), None)


@pytest.mark.parametrize(
    ("database", "answer", "verb", "storage", "reason"),
    [
        (DatabaseSeen(FILLED, 100001), WHOLE, Verb.DONE, None, ""),
        (
            DatabaseSeen(MISSING),
            an_answer(LOST, ALIVE),
            Verb.WAIT,
            None,
            "the storage node of paris comes",
        ),
        (
            NEW,
            an_answer(LOST, ALIVE),
            Verb.WAIT,
            None,
            "the storage node of paris comes",
        ),
        (NEW, an_answer(LOST, ALIVE, {100002}), Verb.ADD, 100002, ""),
        (
            NEW,
            an_answer(ADDED, {*ALIVE, 100002}),
            Verb.WAIT,
            100002,
            "paris replicates: 0 of 2 cells are readable",
        ),
        (NEW, an_answer(COPIED, {*ALIVE, 100002}), Verb.DROP, 100001, ""),
        (
            NEW,
            an_answer({100002: UP_TO_DATE, **OTHERS}),
            Verb.DONE,
            None,
            "",
        ),
        # Its file is gone below it, and it does not know that yet.
        (DatabaseSeen(MISSING), WHOLE, Verb.SET_ASIDE, None, "it is gone"),
        (
            DatabaseSeen(DAMAGED, reason="file is not a database"),
            an_answer(LOST, ALIVE),
            Verb.SET_ASIDE,
            None,
            "file is not a database",
        ),
        (NEW, None, Verb.WAIT, None, "it does not run: the admin node says nothing"),
        (
            NEW,
            evolve(WHOLE, is_primary_silent=True),
            Verb.WAIT,
            None,
            "it does not run: the neo_master that is primary does not answer",
        ),
        (
            NEW,
            evolve(WHOLE, cluster_state="RECOVERING"),
            Verb.WAIT,
            None,
            "it does not run: NEO is RECOVERING",
        ),
    ],
)
def test_the_next_step_is_chosen_from_what_is_seen(
    database, answer, verb, storage, reason
):
    step = choose_step(PARIS, database, answer)
    assert (step.verb, step.storage, step.reason) == (verb, storage, reason)


@pytest.mark.parametrize(
    ("database", "answer", "sentence"),
    [
        (
            DatabaseSeen(FILLED, 100001),
            an_answer({100002: UP_TO_DATE, **OTHERS}),
            "is that of storage node S100001, which has no cells any more: remove it",
        ),
        # Nothing is put away while it may be the last copy that a majority needs.
        (
            DatabaseSeen(DAMAGED, reason="malformed"),
            an_answer({**LOST, 300001: OUT_OF_DATE}, {200001}),
            "may be lost when the others go on without it",
        ),
    ],
)
def test_what_a_person_has_to_decide_is_refused(database, answer, sentence):
    with pytest.raises(Refused, match=sentence):
        choose_step(PARIS, database, answer)


@frozen
class Play:
    """A region whose storage node begins with nothing, as it goes on."""

    database: DatabaseSeen
    cells: dict[int, str]
    running: frozenset[int]
    pending: frozenset[int] = frozenset()

    @property
    def answer(self) -> Answer:
        return an_answer(self.cells, set(self.running), set(self.pending))

    def perform(self, step: Step) -> Play:
        """What follows; what is waited for comes."""
        if step.verb is Verb.SET_ASIDE:
            # Its agent starts another one, with another number.
            new = DatabaseSeen(EMPTY, 100007)
            gone = self.running - {100001}
            return evolve(self, database=new, running=gone, pending=frozenset({100007}))
        if step.verb is Verb.ADD:
            added = {**self.cells, step.storage: OUT_OF_DATE}
            running = self.running | {step.storage}
            return evolve(self, cells=added, running=running, pending=frozenset())
        if step.verb is Verb.DROP:
            left = {it: word for it, word in self.cells.items() if it != step.storage}
            return evolve(self, cells=left)
        storage = self.database.storage
        if storage is None or storage not in {*self.running, *self.pending}:
            new = DatabaseSeen(EMPTY, 100007)
            return evolve(self, database=new, pending=frozenset({100007}))
        return evolve(self, cells={**self.cells, storage: UP_TO_DATE})


def majority(play: Play) -> set[int]:
    """Regions all of whose holders run and have all."""
    whole = {it for it, word in play.cells.items() if word == UP_TO_DATE}
    regions = {it // 100_000 for it in play.cells}
    late = {
        it // 100_000 for it in play.cells if it not in whole or it not in play.running
    }
    return regions - late


@given(
    kind=st.sampled_from((MISSING, DAMAGED)),
    is_running=st.booleans(),
)
def test_whoever_lost_a_database_comes_to_have_all_and_the_others_never_stop(
    kind: DatabaseKind, is_running: bool
) -> None:
    """Each step is found anew, as after a kill; then nothing is left to do."""
    running = frozenset({100001, *ALIVE}) if is_running else frozenset(ALIVE)
    cells = {100001: UP_TO_DATE if is_running else OUT_OF_DATE, **OTHERS}
    play = Play(DatabaseSeen(kind), cells, running)
    for _ in range(STEPS_MAX):
        assert majority(play) >= {2, 3}
        step = choose_step(PARIS, play.database, play.answer)
        if step.verb is Verb.DONE:
            break
        assert lacks_cells(PARIS, CREATED, play.database, play.answer)
        play = play.perform(step)
    assert play.cells == {**OTHERS, 100007: UP_TO_DATE}
    assert not lacks_cells(PARIS, CREATED, play.database, play.answer)


FOUR = "paris=1 lyon=2 tokyo=3 oslo=4"
COME = {100001: UP_TO_DATE, **OTHERS, 400001: UP_TO_DATE}


def test_whoever_comes_is_added_as_the_fourth_and_drops_nobody():
    """There may be an even number of regions while one comes for another."""
    oslo = evolve(a_region("paris", NAMES, regions=FOUR), name="oslo")
    own = DatabaseSeen(EMPTY, 400001)
    before = an_answer({100001: UP_TO_DATE, **OTHERS}, pending={400001})

    assert choose_step(oslo, own, before) == Step(Verb.ADD, "oslo", 400001)
    assert choose_step(oslo, own, an_answer(COME)) == Step(Verb.DONE)


@pytest.mark.parametrize(
    ("cells", "running", "step"),
    [
        (COME, None, Step(Verb.DROP, "S200001", 200001)),
        # Who leaves may be away.
        (COME, {100001, 300001, 400001}, Step(Verb.DROP, "S200001", 200001)),
        (
            {**COME, 400001: OUT_OF_DATE},
            {100001, 200001, 400001},
            Step(
                Verb.WAIT,
                reason="1 of the 3 regions that stay have all: most of them have to",
            ),
        ),
        (
            {**COME, 400001: OUT_OF_DATE},
            {100001, 200001, 300001, 400001},
            Step(Verb.DROP, "S200001", 200001),
        ),
        ({it: UP_TO_DATE for it in COME if it != 200001}, None, Step(Verb.DONE)),
    ],
)
def test_whoever_leaves_is_dropped_when_most_of_the_others_have_all(
    cells, running, step
):
    assert plan_next_drop(frozenset({2}), an_answer(cells, running)) == step


def test_whoever_waits_for_its_cells_lacks_none():
    """So no copier is begun for it before all others have a way to it."""
    lost = an_answer(LOST, ALIVE)
    waiting = a_region("paris", NAMES, cells="wait")
    assert not lacks_cells(waiting, CREATED, NEW, lost)
