"""A promise that finds the copier missing asks for a pass, and not too often."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import define, evolve, field
from hypothesis import given
from hypothesis import strategies as st
from zope.interface import implementer

from replication.answers import CellSeen
from runtime.ports import ICalendar, Runtime
from runtime.real import build_runtime
from slap.errors import Unavailable
from slapcluster.hosting.bang_marks import (
    BANG_SECONDS_MIN,
    RETRY_SECONDS_MIN,
    BangMark,
    may_bang,
    parse_mark,
    render_mark,
)
from slapcluster.hosting.complaining import ASKED, complain_of_copier
from slapcluster.hosting.configuring import read_asked
from slapcluster.hosting.layout import (
    ASKED_FILE,
    COPIER_BANG_FILE,
    NEO_HOME,
    SERVICE_DIRECTORY,
)
from slapcluster.hosting.planning import InForce
from tests.reactor import ReactorBench
from tests.unit.hosting.regions import NAMES, all_published, an_answer
from tests.unit.recipe.loopback_master import LoopbackMaster, serve

IN_FORCE = InForce("lyon", 2, all_published(lyon=True), admin_node="10.0.0.2:20002")
CELLS = tuple(CellSeen(f"S{it}00001", "UP_TO_DATE") for it in (1, 2, 3))
RUNNING = an_answer("RUNNING", cells=CELLS, cluster_state="RUNNING")

HEARD = BangMark(1000.0, "why", is_heard=True)
UNHEARD = evolve(HEARD, is_heard=False)


@pytest.mark.parametrize(
    ("mark", "now", "expected"),
    [
        (None, 0.0, True),
        (HEARD, 1000.0, False),
        (HEARD, 1000.0 + BANG_SECONDS_MIN - 1, False),
        (HEARD, 1000.0 + BANG_SECONDS_MIN, True),
        (UNHEARD, 1000.0 + RETRY_SECONDS_MIN - 1, False),
        (UNHEARD, 1000.0 + RETRY_SECONDS_MIN, True),
        # The calendar was set back.
        (HEARD, 999.0, True),
        (BangMark(float("inf"), "", is_heard=True), 1.0, True),
        (BangMark(float("nan"), "", is_heard=True), 1.0, True),
    ],
)
def test_a_bang_is_due_when_the_last_one_had_its_time(mark, now, expected):
    assert may_bang(mark, now) is expected


def test_a_mark_is_read_as_it_was_written():
    assert parse_mark(render_mark(HEARD)) == HEARD
    assert parse_mark(render_mark(UNHEARD)) == UNHEARD


@given(st.binary() | st.recursive(st.none(), st.lists).map(json.dumps).map(str.encode))
def test_a_damaged_mark_is_none(content):
    assert parse_mark(content) is None


@pytest.mark.parametrize(
    "content",
    [None, b"", b'{"at": 1}', b'{"at": [], "message": "", "is_heard": true}', b"["],
)
def test_a_mark_that_lacks_something_is_none(content):
    assert parse_mark(content) is None


@implementer(ICalendar)
@define
class Calendar:
    seconds: float = 5000.0

    def now(self) -> float:
        return self.seconds


@define
class Region:
    """One in a real directory, whose master hears a bang as a test says."""

    home: Path
    runtime: Runtime
    master: LoopbackMaster
    calendar: Calendar
    refusals: list[Unavailable] = field(factory=list)

    def complain(self, in_force: InForce = IN_FORCE) -> str:
        tree = self.runtime.file_tree(str(self.home))
        return complain_of_copier(
            self.runtime, tree, read_asked(tree), in_force, RUNNING
        )

    @property
    def told(self) -> list[str]:
        return [it.arguments["message"] for it in self.master.calls]


@pytest.fixture
def region(tmp_path: Path, run_real: ReactorBench) -> Iterator[Region]:
    refusals: list[Unavailable] = []

    def answer(_: object) -> None:
        if refusals:
            raise refusals.pop()

    for directory in (NEO_HOME, SERVICE_DIRECTORY):
        (tmp_path / directory).mkdir(parents=True)
    calendar = Calendar()
    runtime = evolve(build_runtime(run_real.reactor), calendar=calendar)
    with serve(answer) as master:
        asked = {
            "parameters": {"regions": " ".join(NAMES), "region": "lyon"},
            "connection": {
                "server_urls": master.url,
                "computer_id": "COMP-1",
                "partition_id": "slappart0",
            },
        }
        (tmp_path / ASKED_FILE).write_text(json.dumps(asked))
        yield Region(tmp_path, runtime, master, calendar, refusals)


def test_a_lost_database_is_told_once_in_ten_minutes(region):
    """The promise says so all the while."""
    assert region.complain() == ASKED
    region.calendar.seconds += BANG_SECONDS_MIN - 1
    assert region.complain() == ASKED
    assert region.told == ["the storage node of lyon has no cells"]
    region.calendar.seconds += 1
    assert region.complain() == ASKED
    assert len(region.told) == 2


def test_a_master_that_does_not_hear_is_asked_again_after_a_minute(region):
    region.refusals.append(Unavailable("no quorum"))
    assert region.complain() == "no master heard that a pass is wanted: no quorum"
    assert region.complain() == "no master heard that a pass is wanted"
    region.calendar.seconds += RETRY_SECONDS_MIN
    assert region.complain() == ASKED
    assert len(region.told) == 2


@pytest.mark.parametrize("name", ["lyon", "tokyo"])
def test_a_replica_hears_it_where_the_master_of_the_last_pass_is_gone(region, name):
    """As a mini-master is: what its last pass was asked by is what a region knows."""
    file = region.home / ASKED_FILE
    file.write_text(file.read_text().replace(region.master.url, "http://127.0.0.1:9/"))
    assert region.complain().startswith("no master heard that a pass is wanted: http")
    region.calendar.seconds += RETRY_SECONDS_MIN
    published = dict(IN_FORCE.published)
    published[name] = evolve(published[name], replica_url=region.master.url)
    assert region.complain(evolve(IN_FORCE, published=published)) == ASKED
    assert region.told == ["the storage node of lyon has no cells"]


def test_a_damaged_mark_costs_one_bang_more(region):
    assert region.complain() == ASKED
    (region.home / COPIER_BANG_FILE).write_bytes(b"\xff{" * 9000)
    assert region.complain() == ASKED
    assert region.complain() == ASKED
    assert len(region.told) == 2


def test_nobody_bangs_who_could_not_keep_that(region):
    """A directory in the way stands for a full disk: else each look were a bang."""
    (region.home / COPIER_BANG_FILE).mkdir()
    assert region.complain().startswith("no pass is asked for: ")
    assert region.told == []


def test_a_region_with_a_copier_or_with_its_cells_does_not_complain(region):
    (region.home / SERVICE_DIRECTORY / "copier-1234abcd").touch()
    assert region.complain() == ""
    (region.home / SERVICE_DIRECTORY / "copier-1234abcd").unlink()
    assert region.complain(evolve(IN_FORCE, published=all_published())) == ""
    assert region.told == []
