"""Drawn histories of several masters on one store, each transaction judged."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.master_cluster.histories import Run, Step, histories

HISTORIES = 200
"""Some seconds; `make soak` runs many more."""

BEGINNING = [
    Step("format", "a", "a", 4, 0, 0),
    Step("format", "a", "x", 2, 0, 200),
    Step("request", "a", "a", 1, 0, 200),
]
"""Without a computer and an instance, most of what is drawn would be refused."""


@settings(
    max_examples=HISTORIES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(histories(), st.integers(0, 2**32))
def test_any_history_of_several_masters_keeps_the_store_whole(
    steps: list[Step], seed: int
) -> None:
    """Nothing acknowledged is lost, no partition is used twice, no change overlooked.

    The rules are those of ``Run``: each committed transaction against those before it,
    then the whole store, then each request repeated.
    """
    Run(seed).play([*BEGINNING, *steps])
