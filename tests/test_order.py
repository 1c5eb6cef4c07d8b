"""Long tests are dealt to the workers, and begin first."""

from __future__ import annotations

import pytest

from tests.order import LONGEST_FIRST, deal
from tests.source_tree import tracked_files

LONG = [f"{module}::test" for module in LONGEST_FIRST]
SHORT = [f"tests/unit/test_{number}.py::test" for number in range(100)]


def module_of(test: str) -> str:
    return test.partition("::")[0]


@pytest.mark.parametrize("worker_count", [1, 2, 3, 4])
def test_every_worker_begins_with_long_tests(worker_count: int) -> None:
    dealt = deal(SHORT + LONG, module_of, worker_count)

    assert sorted(dealt) == sorted(SHORT + LONG)
    begun = []
    for number in range(worker_count):
        begun.append(dealt[0])
        del dealt[: len(dealt) // (worker_count - number)]
    assert begun == LONG[:worker_count]


@pytest.mark.parametrize("tests", [[], LONG[:2], SHORT[:3], LONG + SHORT[:1]])
def test_no_test_is_lost_where_there_are_few(tests: list[str]) -> None:
    assert sorted(deal(tests, module_of, 4)) == sorted(tests)


def test_short_tests_stay_in_their_order() -> None:
    dealt = deal(SHORT + LONG, module_of, 3)

    assert [it for it in dealt if it in SHORT] == SHORT


def test_what_is_said_to_be_long_is_there() -> None:
    assert set(LONGEST_FIRST) <= set(tracked_files())
