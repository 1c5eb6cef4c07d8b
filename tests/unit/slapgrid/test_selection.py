"""Which part of what is wanted a pass is about."""

from __future__ import annotations

import pytest

from slap.model import (
    Computer,
    Partition,
    PartitionKey,
    RequestedState,
    SoftwareInstallation,
)
from slapgrid.convergence.retrying import Attempt, Effort, RetryMemory
from slapgrid.layout import release_directory
from slapgrid.selection import ALL, Selection


def a_partition(number: int) -> Partition:
    key = PartitionKey("COMP-1", f"slappart{number}")
    return Partition(key, RequestedState.DESTROYED)


URLS = ("http://releases.example/a.cfg", "http://releases.example/b.cfg")
DESIRED = Computer(
    "COMP-1",
    partitions=tuple(a_partition(i) for i in (1, 10)),
    installations=tuple(SoftwareInstallation(url, "COMP-1") for url in URLS),
)
MEMORY = RetryMemory(
    {
        "build http://releases.example/a.cfg": Attempt(3, 1.0),
        "build http://releases.example/b.cfg": Attempt(3, 1.0),
        "install slappart1": Attempt(2, 1.0),
        "destroy slappart1": Attempt(2, 1.0),
    }
)


def names(desired: Computer) -> list[str]:
    return [
        *(each.key.partition_id for each in desired.partitions),
        *(each.software_release_url for each in desired.installations),
    ]


@pytest.mark.parametrize(
    ("selection", "left"),
    [
        (ALL, ["slappart1", "slappart10", *URLS]),
        (Selection(partition_ids=("slappart1",)), ["slappart1", *URLS]),
        (Selection(releases=(URLS[1],)), ["slappart1", "slappart10", URLS[1]]),
        (
            Selection(releases=(release_directory(URLS[0]),)),
            ["slappart1", "slappart10", URLS[0]],
        ),
    ],
)
def test_only_what_is_chosen_is_left(selection: Selection, left: list[str]) -> None:
    """Names are exact: slappart1 is not slappart10."""
    assert names(selection.narrow(DESIRED)) == left


def test_what_is_chosen_and_nowhere_is_named() -> None:
    """A release also when it is written another way."""
    selection = Selection(("slappart1", "slappart2"), (URLS[0], "0" * 32))

    assert selection.unknown(DESIRED) == ("slappart2", "0" * 32)


@pytest.mark.parametrize(
    ("selection", "efforts", "left"),
    [
        (ALL, {Effort.BUILD}, 4),
        (Selection(is_impatient=True), {Effort.BUILD}, 2),
        (Selection(releases=(URLS[0],), is_forced=True), {Effort.BUILD}, 3),
        (Selection(is_impatient=True), {Effort.INSTALL}, 3),
        (Selection(("slappart10",), is_impatient=True), {Effort.INSTALL}, 4),
    ],
)
def test_who_does_not_wait_forgets_failures_of_what_is_chosen(
    selection: Selection, efforts: set[Effort], left: int
) -> None:
    """And of this kind of pass, no others."""
    assert len(selection.forget_delays(MEMORY, DESIRED, efforts).attempts) == left
