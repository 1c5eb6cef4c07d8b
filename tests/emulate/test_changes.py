"""Regions come to the master of a cloud that hosts itself, leave it, and move.

Runs are lines of ``.emulate/changes.jsonl`` with the commit that they tried: what is
there for the present commit is not played again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.emulate.figures import tell
from tests.emulation.test_demo import a_checkout
from tests.programs import run
from tests.self_hosting.run_changes import CHANGE_SECONDS_MAX, KINDS
from tests.source_tree import TOP, present_commit

RUNS = TOP / ".emulate" / "changes.jsonl"

CLOUD_SECONDS_MAX = 1800


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_nobody_is_refused_while_regions_change(
    kind: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """There and back, in one life of a cloud."""
    lacking = pytestconfig.getoption("--runs") - len(_done(kind)) // 2
    if lacking > 0:
        RUNS.parent.mkdir(exist_ok=True)
        campaign = (sys.executable, "-m", "tests.self_hosting.run_changes")
        changes = (str(a_checkout(tmp_path)), str(RUNS), present_commit())
        ended = run(
            (*campaign, *changes, f"{kind}={lacking}"),
            timeout_seconds=CLOUD_SECONDS_MAX + 2 * lacking * CHANGE_SECONDS_MAX,
            directory=TOP,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr[-8000:]

    done = _done(kind)
    worst = {
        name: max(it[name] for it in done)
        for name in ("seconds", "gap_seconds", "poll_seconds")
    }
    counts = {
        name: sum(it[name] for it in done)
        for name in ("poll_count", "granted_count", "refused_count")
    }
    failed = [refusal for it in done for refusal in it["failed_polls"]]
    tell(kind, runs=len(done), failed_polls=len(failed), **worst, **counts)
    assert not any(it["missing"] for it in done)
    assert (failed, counts["refused_count"]) == ([], 0)


def _done(kind: str) -> list[dict[str, Any]]:
    lines = RUNS.read_text().splitlines() if RUNS.exists() else []
    named = {"commit": present_commit(), "kind": kind}
    return [it for it in map(json.loads, lines) if named.items() <= it.items()]
