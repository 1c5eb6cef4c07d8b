from __future__ import annotations

from attrs import evolve

from master_cluster.publishing import decide_bang, decide_publication
from master_cluster.records import Change, Report, ReportedState
from tests.builders import a_child_record, a_record, a_shared_record

NOW = 2.0
TOUCHED = "2000000"


def test_what_is_published_touches_the_direct_requester() -> None:
    root, child = a_record(0), a_child_record(1)

    change = decide_publication(child, root, {"url": "http://[::1]/"}, NOW)

    published = evolve(child, connection_parameters={"url": "http://[::1]/"})
    assert change == Change((published, evolve(root, timestamp=TOUCHED)))


def test_the_same_publication_touches_nobody() -> None:
    child = a_child_record(1, connection_parameters={"url": "http://[::1]/"})

    assert decide_publication(child, a_record(), {"url": "http://[::1]/"}, NOW) == (
        Change()
    )


def test_a_person_has_no_timestamp() -> None:
    change = decide_publication(a_record(), None, {"a": "1"}, NOW)

    assert change == Change((a_record(connection_parameters={"a": "1"}),))


def test_a_bang_gives_a_whole_tree_one_timestamp_later_than_any() -> None:
    root = a_record(0, timestamp="7000000")
    child = a_child_record(1)

    change = decide_bang((root, child, a_shared_record()), "SOFTINST-1", "help", NOW)

    complaint = Report(ReportedState.ERROR, "bang called: help", NOW)
    assert change == Change(
        (
            evolve(root, timestamp="7000001"),
            evolve(child, timestamp="7000001", report=complaint),
        )
    )


def test_a_bang_of_an_empty_computer_changes_nothing() -> None:
    assert decide_bang((), "", "help", NOW) == Change()
