"""What a run is said to take is what was measured, and not twice as much."""

from __future__ import annotations

import pytest

from labsim.cli import load_scenario
from labsim.memory import estimate_bytes
from labsim.run import draw_plan
from labsim.scenario import resize

MEBIBYTE = 1024**2


@pytest.mark.parametrize(
    ("computers", "partitions", "measured_mebibytes"), [(20, 20, 93), (8, 100, 104)]
)
def test_the_estimate_is_near_what_was_measured(
    computers: int, partitions: int, measured_mebibytes: int
) -> None:
    """Peaks of ``dense``, of short runs."""
    scenario = resize(
        load_scenario("dense"), regions=5, computers=computers, partitions=partitions
    )

    estimate = estimate_bytes(draw_plan(scenario, 0)) / MEBIBYTE

    assert measured_mebibytes <= estimate <= 2 * measured_mebibytes
