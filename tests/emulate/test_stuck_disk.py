"""A storage node of NEO whose disk hangs: it is a lost node."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.emulate.figures import tell
from tests.programs import run
from tests.source_tree import TOP

ROUNDS = 3
GAP_SECONDS_MAX = 10.0
SCENARIO_SECONDS_MAX = 400


def test_commits_go_on_when_a_disk_hangs(tmp_path: Path) -> None:
    """And the node has a complete copy again after it."""
    argv = ("unshare", "--net", "--mount", sys.executable, "-m")
    argv += ("tests.neo_port.stuck_disk", str(tmp_path), str(ROUNDS))

    ended = run(argv, directory=TOP, timeout_seconds=SCENARIO_SECONDS_MAX)

    assert ended.returncode == 0, ended.stdout + ended.stderr[-8000:]
    gaps = [json.loads(line)["gap_seconds"] for line in ended.stdout.splitlines()]
    assert len(gaps) == ROUNDS
    tell("disk stuck", runs=ROUNDS, worst_gap_seconds=max(gaps))
    assert max(gaps) < GAP_SECONDS_MAX
