"""Three replicas over NEO and stunnel under each fault, and a thousand that come back.

Runs are lines of ``.emulate/replicas.jsonl`` and ``rush.jsonl`` with the commit that
they tried: what is there for the present commit is not played again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.emulate.figures import tell
from tests.neo_port.three_regions import APART
from tests.programs import run
from tests.replicas.run_replicas import FAULTS
from tests.source_tree import TOP, present_commit

RUNS = TOP / ".emulate" / "replicas.jsonl"
RUSHES = TOP / ".emulate" / "rush.jsonl"

MODULE = (sys.executable, "-m")
RUNS_PER_LIFE_MAX = 8
"""What an interruption costs; and each life has another seed."""

LIFE_SECONDS_MAX = 1500
GAP_SECONDS_MAX = 15.0
ANSWER_SECONDS_MAX = 5.0
SERVED_SECONDS_MAX = 60.0
FAILED_FRACTION_MAX = 0.01


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_any_replica_will_do(fault: str, pytestconfig: pytest.Config) -> None:
    """Changes go on, agents are answered, nothing is lost, no time goes back."""
    wanted = pytestconfig.getoption("--runs")

    while (lacking := wanted - len(done := _done(RUNS, fault=fault))) > 0:
        rounds = str(min(lacking, RUNS_PER_LIFE_MAX))
        life = ("tests.replicas.run_replicas", str(len(done)), rounds, str(RUNS))
        _play(*APART, *MODULE, *life, present_commit(), fault)

    worst = {
        name: max(it[name] for it in done)
        for name in ("gap_seconds", "poll_seconds", "unanswered_count")
    }
    tell(fault, runs=len(done), **worst)
    assert not any(it["missing"] or it["backwards"] for it in done)
    assert worst["gap_seconds"] < GAP_SECONDS_MAX
    assert worst["poll_seconds"] < ANSWER_SECONDS_MAX
    assert worst["unanswered_count"] == 0


def test_a_thousand_come_back_at_once(pytestconfig: pytest.Config) -> None:
    lacking = pytestconfig.getoption("--runs") - len(_done(RUSHES))
    if lacking > 0:
        rounds = ("tests.replicas.run_rush", str(lacking), str(RUSHES))
        _play(*MODULE, *rounds, present_commit())

    done = _done(RUSHES)
    served = max(it["served_seconds"] for it in done)
    failed = max(it["failed_count"] / it["agent_count"] for it in done)
    tell("a thousand come back", runs=len(done), worst_served=served, failed=failed)
    assert served < SERVED_SECONDS_MAX
    assert failed <= FAILED_FRACTION_MAX


def _done(runs: Path, **wanted: str) -> list[dict[str, Any]]:
    lines = runs.read_text().splitlines() if runs.exists() else []
    named = {"commit": present_commit(), **wanted}
    return [it for it in map(json.loads, lines) if named.items() <= it.items()]


def _play(*argv: str) -> None:
    RUNS.parent.mkdir(exist_ok=True)
    ended = run(argv, timeout_seconds=LIFE_SECONDS_MAX, directory=TOP)
    assert ended.returncode == 0, ended.stdout + ended.stderr[-8000:]
