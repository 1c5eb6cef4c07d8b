"""Three regions of NEO under each fault, so often as ``--runs`` says.

Runs are lines of ``.emulate/regions.jsonl`` with the commit that they tried: what is
there for the present commit is not played again.
"""

from __future__ import annotations

import json
import statistics
import sys
from typing import Any

import pytest

from tests.emulate.figures import tell
from tests.neo_port.faults import FAULTS, OTHER_STOPS
from tests.neo_port.three_regions import APART, Way
from tests.programs import run
from tests.source_tree import TOP, present_commit

RUNS = TOP / ".emulate" / "regions.jsonl"
RUNS_PER_LIFE_MAX = 10
"""What an interruption costs; and each life has another seed."""

LIFE_SECONDS_MAX = 1200
KILL_GAP_SECONDS_MAX = 10.0
SILENCE_GAP_SECONDS_MAX = 20.0
FLAPPING_GAP_SECONDS_MAX = 45.0
"""It flaps for 20 s and up to 13 s more; then one silence and a recovery."""


CASES = [
    (fault, way)
    for fault in sorted({**FAULTS, **OTHER_STOPS})
    for way in (Way.DIRECT, Way.STUNNEL)
    if way is Way.STUNNEL or fault != "stunnel stopped"
]


@pytest.mark.parametrize(("fault", "way"), CASES)
def test_nothing_acknowledged_is_lost(
    fault: str, way: Way, pytestconfig: pytest.Config
) -> None:
    """Commits go on by themselves, nothing is missing, copies are equal at the end."""
    commit, wanted = present_commit(), pytestconfig.getoption("--runs")
    RUNS.parent.mkdir(exist_ok=True)

    while (lacking := wanted - len(done := _done(commit, fault, way))) > 0:
        _live(len(done), way, min(lacking, RUNS_PER_LIFE_MAX), commit, fault)

    gaps = [it["gap_seconds"] for it in done]
    median = statistics.median(gaps)
    tell(f"{fault}, {way}", runs=len(gaps), median_gap=median, worst_gap=max(gaps))
    assert all(it["missing"] is None and it["alone_count"] == 0 for it in done)
    assert max(gaps) < _gap_seconds_max(fault)


def _gap_seconds_max(fault: str) -> float:
    if fault.endswith("killed"):
        return KILL_GAP_SECONDS_MAX
    is_flapping = fault == "region that flaps"
    return FLAPPING_GAP_SECONDS_MAX if is_flapping else SILENCE_GAP_SECONDS_MAX


def _done(commit: str, fault: str, way: Way) -> list[dict[str, Any]]:
    lines = RUNS.read_text().splitlines() if RUNS.exists() else []
    return [
        told
        for told in map(json.loads, lines)
        if (told["commit"], told["fault"], told["way"]) == (commit, fault, way)
    ]


def _live(seed: int, way: Way, rounds: int, commit: str, fault: str) -> None:
    module = (sys.executable, "-m", "tests.neo_port.run_regions")
    words = (str(seed), way, str(rounds), str(RUNS), commit, fault)
    ended = run(
        (*APART, *module, *words), timeout_seconds=LIFE_SECONDS_MAX, directory=TOP
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr[-8000:]
