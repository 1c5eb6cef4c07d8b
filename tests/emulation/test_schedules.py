"""Three regions of NEO with the quorum, under several faults at once."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from slapgrid.environment import PATH
from tests.capabilities import needs_namespaces, needs_nft
from tests.neo_port.three_regions import APART
from tests.programs import run
from tests.source_tree import TOP

SCHEDULE_SECONDS_MAX = 300


@needs_namespaces
@needs_nft
@pytest.mark.parametrize("seed", [218, 232])
def test_nothing_acknowledged_is_lost(tmp_path: Path, seed: int) -> None:
    """And it goes on by itself; ``make soak CAMPAIGN=schedules`` draws many more."""
    argv = (*APART, sys.executable, "-m", "tests.neo_port.schedules")
    argv += (str(seed), "direct", str(tmp_path / "runs.jsonl"), "test")

    ended = run(
        argv,
        {"PATH": PATH, "PYTHONPATH": str(TOP)},
        timeout_seconds=SCHEDULE_SECONDS_MAX,
        directory=TOP,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr[-8000:]
    assert json.loads(ended.stdout)["commit_count"]
