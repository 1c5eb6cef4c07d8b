"""A NEO cluster whose links are cut without a word, in a namespace."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from slapgrid.environment import PATH
from tests.capabilities import needs_namespaces
from tests.interop.stock import neo_environment
from tests.neo_port.test_cluster import HERE
from tests.programs import run

SCENARIOS_SECONDS_MAX = 300
APART = ("unshare", "--user", "--map-root-user", "--net")


@needs_namespaces
def test_silence_is_noticed(tmp_path: Path) -> None:
    """Every scenario of ``silence_scenarios.py`` passes."""
    neo_environment()
    root = HERE.parents[1]
    argv = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-s")
    argv += ("--basetemp", str(tmp_path / "t"))
    argv += (str(HERE / "silence_scenarios.py"),)

    ended = run(
        (*APART, "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *argv),
        {"PATH": PATH, "PYTHONPATH": str(root)},
        timeout_seconds=SCENARIOS_SECONDS_MAX,
        directory=root,
    )

    print(ended.stdout)  # noqa: T201 - the gaps, for `pytest -s`
    if ended.returncode != 0:
        pytest.fail(ended.stdout + ended.stderr)
