"""What a recovery tells of the state that is left, beside the wanted cloud."""

from __future__ import annotations

import pytest

from slap.model import PartitionKey
from slap.reports import InstanceReport, TreeReport
from slapcluster.documents import document_of
from slapcluster.recovery.comparing import (
    ComputerFound,
    Recovered,
    SourceKind,
    split_computers,
    tell,
    warn_of_backup,
    warn_of_database,
)
from slapcluster.recovery.taking import clear_activity, recovered_of

FOUND = (
    ComputerFound("COMP-1", "paris-1", ("cloud", "wiki")),
    ComputerFound("COMP-2", "lyon-1", ("cloud",)),
    ComputerFound("COMP-3", "tokyo-1"),
)

RECOVERED = Recovered(
    source="/srv/backup.fs",
    kind=SourceKind.BACKUP,
    digest="d" * 64,
    last_transaction="03f6c1d2a4b5c6d7",
    last_at=1_795_000_000.0,
    history=2,
    follows_history=1,
    masters=("cloud",),
    services=("wiki", "mail"),
    joining=("paris-1",),
    new=("lyon-9",),
    absent=FOUND[1:],
    replicas={"https://[2001:db8::1]:20003": "paris"},
    warnings=("something may be missing",),
)


def test_it_says_what_follows_what_and_who_comes_back() -> None:
    reached = "up to transaction 03f6c1d2a4b5c6d7, of 2026-11-18T11:06:40Z"
    later = "it gets nothing new until it joins again"
    assert tell(RECOVERED).splitlines() == [
        f"From the backup /srv/backup.fs, {reached}.",
        "History 2 follows history 1.",
        "Note: something may be missing.",
        "The master that was ends: cloud.",
        "2 services go on.",
        "To join again: paris-1.",
        "New: lyon-9.",
        f"Not in the file: lyon-1 (COMP-2), which has cloud; {later}.",
        f"Not in the file: tokyo-1 (COMP-3), which has nothing; {later}.",
    ]


def test_a_logbook_has_all_of_it() -> None:
    document = document_of(RECOVERED)
    assert isinstance(document, dict)

    assert recovered_of(document) == RECOVERED


def test_computers_come_back_are_new_or_absent() -> None:
    joining, new, absent = split_computers(FOUND, ("lyon-1", "oslo-1", "paris-1"))

    assert (joining, new) == (("lyon-1", "paris-1"), ("oslo-1",))
    assert absent == FOUND[2:]


def test_what_may_be_missing_is_said() -> None:
    (of_backup,) = warn_of_backup(0.0)
    assert "acknowledged after 1970-01-01T00:00:00Z" in of_backup

    (whole,) = warn_of_database(0.0, is_whole=True, later_count=0, voted_count=0)
    assert "after they had lost it" in whole

    behind, in_part, voted = warn_of_database(
        0.0, is_whole=False, later_count=7, voted_count=2
    )
    assert "was behind" in behind
    assert "of 7 later transactions" in in_part
    assert "2 transactions were being committed" in voted


def an_instance(title: str, computer_id: str) -> InstanceReport:
    return InstanceReport(
        title=title,
        root_title="cloud",
        instance_guid=f"SOFTINST-{title}",
        requester_title=None,
        software_release_url="http://[::1]/software.cfg",
        software_type="default",
        is_shared=False,
        requested_state="destroyed",
        partition=PartitionKey(computer_id, "slappart0"),
    )


@pytest.mark.parametrize(
    ("places", "waiting"),
    [
        ((), ""),
        ((("cloud", "COMP-1"), ("lyon", "COMP-2")), "cloud on COMP-1, lyon on COMP-2"),
        # A child that nobody can empty keeps its root, and nobody waits for them.
        ((("cloud", "COMP-1"), ("lyon", "COMP-9")), ""),
        ((("cloud", "COMP-1"), ("lyon", "COMP-9"), ("oslo", "COMP-2")), "oslo"),
        ((("cloud", "COMP-9"), ("lyon", "COMP-1")), "lyon on COMP-1"),
        ((("cloud", "COMP-9"),), ""),
    ],
)
def test_partitions_of_the_old_master_are_waited_for_where_computers_are(
    places: tuple[tuple[str, str], ...], waiting: str
) -> None:
    tree = TreeReport("cloud", tuple(an_instance(*it) for it in places))

    told = clear_activity(tree, {"COMP-1", "COMP-2"})

    assert told.startswith(waiting)
    assert bool(told) == bool(waiting)
