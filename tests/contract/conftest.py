"""The two worlds in which each contract of a port is tested."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.benches import RealBench, SimulatedBench
from tests.reactor import ReactorBench


@pytest.fixture
def real_bench(run_real: ReactorBench, tmp_path: Path) -> RealBench:
    """The ports over this machine, with files below ``tmp_path``."""
    return RealBench(run_real, str(tmp_path))


@pytest.fixture
def simulated_bench() -> SimulatedBench:
    """The ports of a host of a simulated world."""
    return SimulatedBench()
