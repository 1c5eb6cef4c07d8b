"""The master of a cloud that hosts itself takes up another release, and goes back.

Runs are lines of ``.emulate/rolls.jsonl`` with the commit that they tried: what is
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
from tests.self_hosting.run_rolls import KINDS, PLAIN, ROLL_SECONDS_MAX
from tests.source_tree import TOP, present_commit

RUNS = TOP / ".emulate" / "rolls.jsonl"

CLOUD_SECONDS_MAX = 2400
"""Two releases are made, and built on three computers."""


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_is_refused_while_a_release_rolls(
    kind: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Unless a computer dies meanwhile; then what was granted is there."""
    lacking = pytestconfig.getoption("--runs") - len(_done(kind)) // 2
    if lacking > 0:
        RUNS.parent.mkdir(exist_ok=True)
        campaign = (sys.executable, "-m", "tests.self_hosting.run_rolls")
        rolls = (str(a_checkout(tmp_path)), str(RUNS), present_commit())
        ended = run(
            (*campaign, *rolls, f"{kind}={lacking}"),
            timeout_seconds=CLOUD_SECONDS_MAX + 2 * lacking * ROLL_SECONDS_MAX,
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
    assert all(len(it["order"]) == len({*it["order"]}) for it in done)
    if kind == PLAIN:
        assert (failed, counts["refused_count"]) == ([], 0)


def _done(kind: str) -> list[dict[str, Any]]:
    lines = RUNS.read_text().splitlines() if RUNS.exists() else []
    named = {"commit": present_commit(), "kind": kind}
    return [it for it in map(json.loads, lines) if named.items() <= it.items()]
