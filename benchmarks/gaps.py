"""How long three regions acknowledge nothing when one is lost, and where it goes.

Real programs, each region in a network of its own, on this computer: the way from one
to another takes no time, and neither a disk nor a core is anybody's own.
"""

from __future__ import annotations

import json
import sys
from functools import partial

from benchmarks.phases import PHASES
from benchmarks.result import Figure, Goal, Result
from benchmarks.spread import spread_of
from slapgrid.environment import PATH
from tests import programs
from tests.interop.stock import neo_environment
from tests.neo_port.three_regions import APART
from tests.source_tree import TOP

ROUND_COUNT = 20
ROUND_SECONDS_MAX = 90
"""A silent cut takes 20, and until all copies are whole again twice that."""


def run(name: str, fault: str, seconds_max: float) -> Result:
    """Play a fault again and again. The goal is of the worst gap, not the median."""
    neo_environment()  # which needs a network to be made
    ended = programs.run(
        (*APART, sys.executable, "-m", "benchmarks.gap_life", str(ROUND_COUNT), fault),
        {"PATH": PATH, "PYTHONPATH": str(TOP)},
        timeout_seconds=ROUND_COUNT * ROUND_SECONDS_MAX,
        directory=TOP,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr[-8000:]
    rounds = [json.loads(line) for line in ended.stdout.splitlines()]
    gaps = [sum(it.values()) for it in rounds]
    return Result(
        name,
        (
            Figure(f"{fault}: gap", "s", spread_of(gaps)),
            *(Figure(it, "s", spread_of([one[it] for one in rounds])) for it in PHASES),
        ),
        (Goal(f"{fault}: worst gap, s", spread_of([max(gaps)]), at_most=seconds_max),),
    )


run_storage_node = partial(run, "gap_storage_node", "storage node killed", 10)
run_primary = partial(run, "gap_primary", "primary killed", 10)
run_region = partial(run, "gap_region", "region of the primary killed", 10)
run_cut = partial(run, "gap_cut", "region of the primary cut off", 20)
