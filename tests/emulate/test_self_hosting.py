"""A cloud that hosts itself loses a computer, a disk, or all power.

Runs are lines of ``.emulate/losses.jsonl`` with the commit that they tried: what is
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
from tests.self_hosting.run_losses import LAST, LOSSES
from tests.source_tree import TOP, present_commit

RUNS = TOP / ".emulate" / "losses.jsonl"

CLOUD_SECONDS_MAX = 1800
LOSS_SECONDS_MAX = {"death": 300, "cold-start": 300, "disk": 900, LAST: 1200}
"""A copier waits for a look at promises and a pass; a region elsewhere for its key."""

SERVICE_SECONDS_MAX = 180.0


@pytest.mark.parametrize("kind", sorted(LOSSES))
def test_nothing_granted_is_lost(
    kind: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """All of one kind are played in one life of a cloud, but for what ends it."""
    lacking = pytestconfig.getoption("--runs") - len(_done(kind))
    if lacking > 0:
        RUNS.parent.mkdir(exist_ok=True)
        checkout = a_checkout(tmp_path)
        for count in [1] * lacking if kind == LAST else [lacking]:
            _play(checkout, kind, count)

    done = _done(kind)
    worst = {
        name: max(it[name] or 0.0 for it in done)
        for name in ("gap_seconds", "whole_seconds", "service_seconds")
    }
    tell(kind, runs=len(done), **worst)
    assert not any(it["missing"] for it in done)
    assert worst["service_seconds"] < SERVICE_SECONDS_MAX


def _play(checkout: Path, kind: str, count: int) -> None:
    campaign = (sys.executable, "-m", "tests.self_hosting.run_losses")
    ended = run(
        (*campaign, str(checkout), str(RUNS), present_commit(), f"{kind}={count}"),
        timeout_seconds=CLOUD_SECONDS_MAX + count * LOSS_SECONDS_MAX[kind],
        directory=TOP,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr[-8000:]


def _done(kind: str) -> list[dict[str, Any]]:
    lines = RUNS.read_text().splitlines() if RUNS.exists() else []
    named = {"commit": present_commit(), "kind": kind}
    return [it for it in map(json.loads, lines) if named.items() <= it.items()]
