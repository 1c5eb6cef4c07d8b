"""Regions of NEO whose disks hang or are full, or that lose their power."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.emulate.figures import tell
from tests.interop.stock import neo_environment
from tests.programs import run
from tests.source_tree import TOP

SCENARIO_SECONDS_MAX = 900


@pytest.mark.parametrize(
    ("fault", "rounds", "gap_seconds_max"),
    [
        # A disk that hangs is a lost storage node.
        ("disk stuck", 3, 10.0),
        # Without power nobody could go on: the way back is in the gap.
        ("power of all lost", 20, 30.0),
        ("power of two lost", 20, 30.0),
        ("disk full", 10, 20.0),
        # A primary is killed when nobody can write its verdict.
        ("disks of verdicts full", 10, 20.0),
        # Nobody can go on: that somebody makes room is in the gap.
        ("disks of all full", 10, 60.0),
    ],
)
def test_nothing_acknowledged_is_lost_with_a_disk(
    tmp_path: Path, fault: str, rounds: int, gap_seconds_max: float
) -> None:
    """Commits go on by themselves, and all copies are equal at the end."""
    neo_environment()
    argv = ("unshare", "--net", "--mount", sys.executable, "-m")
    argv += ("tests.neo_port.disks", str(tmp_path), str(rounds), fault)

    ended = run(argv, directory=TOP, timeout_seconds=SCENARIO_SECONDS_MAX)

    assert ended.returncode == 0, ended.stdout + ended.stderr[-8000:]
    gaps = [json.loads(line)["gap_seconds"] for line in ended.stdout.splitlines()]
    assert len(gaps) == rounds
    tell(fault, runs=rounds, worst_gap_seconds=max(gaps))
    assert max(gaps) < gap_seconds_max


def test_a_disk_that_hangs_is_named_by_the_status(tmp_path: Path) -> None:
    """Or is full; the stalls are told with it."""
    neo_environment()
    culprits = ("disk stuck", "disk full")
    argv = ("unshare", "--net", "--mount", sys.executable, "-m")
    argv += ("tests.neo_port.culprits", str(tmp_path), "device", *culprits)

    ended = run(argv, directory=TOP, timeout_seconds=SCENARIO_SECONDS_MAX)

    assert ended.returncode == 0, ended.stdout + ended.stderr[-8000:]
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [it["culprit"] for it in told] == list(culprits)
    for it in told:
        figures = ("named_seconds", "stall_seconds")
        tell(f"{it['culprit']}, named", **{name: it[name] for name in figures})
