"""Three regions under every fault: direct, TLS, stunnel, and with clocks apart."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from slapgrid.environment import PATH
from tests.capabilities import needs_namespaces, needs_nft
from tests.neo_port.test_cluster import HERE
from tests.neo_port.three_regions import APART
from tests.programs import run

#: Ten faults of some 15 s each, and a slow machine.
LIFE_SECONDS_MAX = 500
SEED = "1"


@needs_namespaces
@needs_nft
@pytest.mark.parametrize("way", ["direct", "tls", "stunnel", "skewed"])
def test_nothing_acknowledged_is_lost(way: str, tmp_path: Path) -> None:
    """Commits go on by themselves, all copies are equal at the end.

    ``make emulate RUNS=30`` is the same for many seeds.
    """
    runs = tmp_path / "runs.jsonl"
    module = (sys.executable, "-m", "tests.neo_port.run_regions")

    ended = run(
        (*APART, *module, SEED, way, "1", str(runs), "test"),
        {"PATH": PATH, "PYTHONPATH": str(HERE.parents[1])},
        timeout_seconds=LIFE_SECONDS_MAX,
        directory=HERE.parents[1],
    )

    print(ended.stdout)  # noqa: T201 - the gaps, for `pytest -s`
    assert ended.returncode == 0, ended.stdout + ended.stderr[-8000:]
