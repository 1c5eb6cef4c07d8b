"""The page of a run: what it has, that it stays small, and that texts stay texts."""

from __future__ import annotations

import json
import re

import pytest

from labsim.checkers.table import CHECKERS
from labsim.checkers.violation import Bounds
from labsim.history import (
    Applied,
    CallBegan,
    CallEnded,
    Committed,
    Ending,
    Epoch,
    FaultBegan,
    FaultEnded,
    History,
    Life,
    Outcome,
    Phase,
    PhaseBegan,
    Placed,
)
from labsim.report.drawing import ELSEWHERE, MARKS_MAX, PALETTE, draw
from labsim.report.page import VIOLATIONS_MAX, explain
from tests.unit.labsim.runs import COLOURS, a_run, regions_of

BYTES_MAX = 5_000_000

REGIONS = {"north": ("m1", "COMP-1"), "south": ("m2",)}

HISTORY: History = (
    PhaseBegan(10.0, Phase.BEGINNING),
    Epoch(10.5, "m1", 2),
    CallBegan(11.0, "alice", 0, "request", "shop", "started"),
    FaultBegan(11.5, 0, "crash", ("south", "COMP-1")),
    Life(11.5, "COMP-1", is_up=False),
    Life(11.6, "COMP-1", is_up=False),
    CallEnded(12.0, "alice", 0, Outcome.ACKNOWLEDGED),
    Committed(12.0, "m1", "0a", {}, ("1", "2")),
    Life(13.0, "COMP-1", is_up=True),
    FaultEnded(13.0, 0),
    FaultBegan(13.5, 1, "cut", ("m2",)),
    Applied(14.0, "COMP-1", "0a"),
    Placed(14.0, "COMP-1", "slappart0", "shop"),
    Placed(15.0, "COMP-1", "slappart0", "notes"),
    CallBegan(15.5, "alice", 1, "request", "shop", ""),
    Ending(16.0, "shop", "started", "stopped"),
)


def document_of(page: str):
    """The only script that is no program."""
    (found,) = re.findall(
        r'<script type="application/json" id="\w+">(.*?)</script>', page
    )
    return json.loads(found)


def test_a_drawing_has_lanes_with_what_happened_there():
    violations = CHECKERS["partitions"](HISTORY, Bounds())

    drawing = draw(HISTORY, REGIONS, violations, {"crash": "#102030"})

    words = drawing.pop("words")
    assert words == ["0a", "slappart0", "shop", "notes", "request", "started", ""]
    assert drawing == {
        "end": 6000,
        "resolution": 0,
        "phases": [(0, "beginning")],
        "regions": ["north", "south", ELSEWHERE],
        "kinds": [["crash", "#102030"], ["cut", PALETTE[1]]],
        "faults": [[0, 1500, 3000, [1], [1], 0], [1, 3500, 6000, [2], [], 1]],
        "lanes": [
            {
                "name": "m1",
                "region": 0,
                "rank": 0,
                "epochs": [[500, 2]],
                "commits": [[2000, 0, 1, 0, 2]],
            },
            {
                "name": "COMP-1",
                "region": 0,
                "rank": 2,
                "down": [[1500, 3000]],
                "documents": [[4000, 0, 1, 0]],
                "places": [[4000, 0, 1, 1, 2], [5000, 0, 1, 1, 3]],
            },
            {"name": "m2", "region": 1, "rank": 2},
            {
                "name": "alice",
                "region": 2,
                "rank": 1,
                "calls": [[1000, 1000, 1, 0, 4, 2, 5], [5500, 500, 1, 3, 4, 2, 6]],
            },
        ],
        "violations": [
            [5000, "partitions", violations[0].sentence, [[1, 4000], [1, 5000]]]
        ],
        "endings": [(6000, "shop", "started", "stopped")],
    }


def test_a_page_needs_no_other_address():
    page = explain(HISTORY, "a run", REGIONS)

    assert re.findall(r"https?:|//[a-z]|src=|href=|url\(|@import|import\(", page) == []
    assert "default-src 'none'" in page


def test_a_page_tells_violations_facts_and_recoveries():
    page = explain(
        HISTORY,
        "a run",
        REGIONS,
        CHECKERS["partitions"](HISTORY, Bounds()),
        facts={"seed": "184467"},
    )

    assert "notes runs there since 15 s" in page
    assert "<dt>seed</dt><dd>184467</dd>" in page
    assert "<dd>1 acknowledged, 0 refused, 0 unknown</dd>" in page


def test_a_run_without_violations_says_so():
    assert "No violation was found." in explain(HISTORY, "a run", REGIONS)


EVIL = "</script><!--<script>alert(1)//&\u2028"


def test_texts_of_a_run_stay_texts():
    history = (
        Placed(1.0, EVIL, EVIL, EVIL),
        Placed(2.0, EVIL, EVIL, "shop"),
        FaultBegan(2.0, 0, EVIL, (EVIL,)),
        CallBegan(3.0, EVIL, 0, EVIL, EVIL, EVIL),
        CallEnded(4.0, EVIL, 0, Outcome.ACKNOWLEDGED),
    )
    violations = CHECKERS["partitions"](history, Bounds())

    page = explain(history, EVIL, {EVIL: (EVIL,)}, violations, facts={EVIL: EVIL})

    assert "alert(1)//&\u2028" not in page.replace("&amp;", "")
    assert page.count("</script>") == 2
    assert "<!--" not in page
    assert EVIL in document_of(page)["words"]
    assert [lane["name"] for lane in document_of(page)["lanes"]] == [EVIL]


@pytest.mark.parametrize(
    ("region_count", "computer_count", "seconds"),
    [(3, 165, 3600.0), (10, 100, 86400.0)],
    ids=["500 hosts", "1,000 hosts"],
)
def test_a_page_of_many_hosts_stays_small(region_count, computer_count, seconds):
    regions = regions_of(region_count, computer_count)
    history = a_run(regions, seconds, 200)

    page = explain(history, "a run", regions, colours=COLOURS)

    assert len(page.encode()) < BYTES_MAX
    assert len(document_of(page)["lanes"]) == sum(map(len, regions.values()))


def test_what_is_close_becomes_one_mark_with_a_count():
    count = 3 * MARKS_MAX
    history = tuple(Applied(it / 1000, "COMP-1", f"{it:x}") for it in range(count))

    drawing = draw(history, {"north": ("COMP-1",)})

    marks = drawing["lanes"][0]["documents"]
    assert drawing["resolution"] == 4
    assert len(marks) == count / 4
    assert sum(mark[2] for mark in marks) == count


def test_only_the_first_violations_are_listed():
    history = tuple(
        Placed(float(it), "COMP-1", "slappart0", f"shop-{it}") for it in range(99)
    )
    violations = CHECKERS["partitions"](history, Bounds())

    page = explain(history, "a run", {}, violations)

    assert len(document_of(page)["violations"]) == VIOLATIONS_MAX
    assert f"{98 - VIOLATIONS_MAX} more are not shown" in page
