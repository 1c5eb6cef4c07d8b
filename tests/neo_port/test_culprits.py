"""Whatever hangs in a neo_cluster, ``storage status`` names it, and commits go on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from slapgrid.environment import PATH
from tests.capabilities import needs_namespaces, needs_nft
from tests.interop.stock import neo_environment
from tests.neo_port.test_cluster import HERE
from tests.neo_port.three_regions import APART
from tests.programs import run

SCENARIOS_SECONDS_MAX = 500
"""Half a minute of each is waiting; the rest is for a machine of which others have
most."""


@needs_namespaces
@needs_nft
@pytest.mark.parametrize(
    ("culprits", "count"),
    [
        (("storage node stopped", "primary stopped", "follower stopped"), 3),
        (("admin node stopped", "supervisord stopped", "disk full"), 3),
        # Its links alone: the region is named.
        (("stunnel",), 1),
    ],
)
def test_the_culprit_is_named(
    culprits: tuple[str, ...], count: int, tmp_path: Path
) -> None:
    """And nobody else; that of a disk that hangs is in ``tests/emulate``."""
    neo_environment()
    module = (sys.executable, "-m", "tests.neo_port.culprits")

    ended = run(
        (*APART, *module, str(tmp_path), "memory", *culprits),
        {"PATH": PATH, "PYTHONPATH": str(HERE.parents[1])},
        timeout_seconds=SCENARIOS_SECONDS_MAX,
        directory=HERE.parents[1],
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr[-8000:]
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    print(told)  # noqa: T201 - the stalls, for `pytest -s`
    assert len(told) == count
