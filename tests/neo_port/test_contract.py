"""The contract of a neo_cluster, on real processes: see ``tests.contract``."""

from __future__ import annotations

import sys
from pathlib import Path

from slapgrid.environment import PATH
from tests.capabilities import needs_namespaces, needs_nft
from tests.interop.stock import neo_environment
from tests.neo_port.test_cluster import HERE
from tests.neo_port.three_regions import APART
from tests.programs import run

#: Seven scenarios of up to a minute each, and a slow machine.
LIFE_SECONDS_MAX = 900


@needs_namespaces
@needs_nft
def test_neo_does_what_the_model_does(tmp_path: Path) -> None:
    """All scenarios of ``neo_contract``, one after the other on one neo_cluster."""
    neo_environment()  # from inside no registry is reached
    module = (sys.executable, "-m", "tests.neo_port.run_contract")

    ended = run(
        (*APART, *module, str(tmp_path)),
        {"PATH": PATH, "PYTHONPATH": str(HERE.parents[1])},
        timeout_seconds=LIFE_SECONDS_MAX,
        directory=HERE.parents[1],
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr[-8000:]
