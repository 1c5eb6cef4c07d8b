"""The order of a run on several workers: what lasts longest begins first.

pytest-xdist's ``worksteal`` gives each worker a run of consecutive tests and takes from
the end of a worker's rest for one that has none. Left in the order of the folders, what
lasts minutes would be one worker's, one after the other, while the others are idle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

LONGEST_FIRST = (
    "tests/emulation/test_agent.py",
    "tests/emulation/test_demo.py",
    "tests/emulation/test_life.py",
    "tests/emulation/test_kills.py",
    "tests/emulation/test_hello_build.py",
    "tests/test_lint.py",
    "tests/simulation/test_scenarios.py",
    "tests/emulation/test_schedules.py",
    "tests/interop/test_moving.py",
    "tests/emulation/test_masters.py",
    "tests/interop/test_stock_agent.py",
    "tests/interop/test_stock_client.py",
    "tests/hostile/test_openapi.py",
    "tests/emulation/test_format.py",
    "tests/interop/test_stock_hateoas.py",
    "tests/interop/test_stock_gateway.py",
    "tests/simulation/test_wrong_runs.py",
    "tests/test_docs.py",
    "tests/interop/test_storage_regions.py",
    "tests/emulation/test_programs.py",
    "tests/unit/replication/test_quorum_worlds.py",
    "tests/emulation/test_usage.py",
    "tests/interop/test_watchdog.py",
    "tests/unit/slapgrid/test_accounting.py",
    "tests/simulation/test_guide.py",
)
"""Modules with a test of about ten seconds or more, by the longest of each."""


def deal(
    tests: Sequence[T], module_of: Callable[[T], str], worker_count: int
) -> list[T]:
    """The same tests, so that each worker begins with its share of the long ones.

    The other tests keep their order: those of a module share what it prepares.
    """
    long = sorted(
        (it for it in tests if module_of(it) in LONGEST_FIRST),
        key=lambda it: LONGEST_FIRST.index(module_of(it)),
    )
    rest = [it for it in tests if module_of(it) not in LONGEST_FIRST]
    dealt: list[T] = []
    for number in range(worker_count):
        share = long[number::worker_count]
        # As worksteal counts: of what is left, an equal part for each worker left.
        size = (len(tests) - len(dealt)) // (worker_count - number)
        filling = max(0, size - len(share))
        dealt += [*share, *rest[:filling]]
        del rest[:filling]
    return dealt + rest
