from __future__ import annotations

import pytest
from attrs import evolve

from master_cluster.records import InstallationRecord, Report, ReportedState
from master_cluster.reporting import (
    MESSAGE_BYTES_MAX,
    access_status,
    decide_instance_report,
    decide_release_report,
)
from tests.builders import COMPUTER_ID, SOFTWARE_RELEASE_URL, a_record

STARTED, STOPPED, ERROR = (
    ReportedState.STARTED,
    ReportedState.STOPPED,
    ReportedState.ERROR,
)


def test_a_report_is_kept() -> None:
    reported = decide_instance_report(a_record(), STARTED, "", 5.0)

    assert reported == a_record(report=Report(STARTED, "", 5.0))


def test_a_report_that_says_the_same_is_no_news() -> None:
    instance = a_record(report=Report(STARTED, "", 5.0))

    assert decide_instance_report(instance, STARTED, "", 6.0) is instance


def test_another_state_is_news() -> None:
    instance = a_record(report=Report(STARTED, "", 5.0))

    reported = decide_instance_report(instance, STOPPED, "", 6.0)

    assert reported.report == Report(STOPPED, "", 6.0)


def test_the_end_of_a_long_error_is_kept() -> None:
    log = "é" * MESSAGE_BYTES_MAX + "the cause"

    reported = decide_instance_report(a_record(), ERROR, log, 5.0)

    assert reported.report.message.endswith("éthe cause")
    assert len(reported.report.message.encode()) <= MESSAGE_BYTES_MAX


def test_the_error_of_a_release_is_kept() -> None:
    installation = InstallationRecord(SOFTWARE_RELEASE_URL, COMPUTER_ID, 1)

    reported = decide_release_report(installation, ERROR, "no compiler", 5.0)

    assert reported == evolve(installation, report=Report(ERROR, "no compiler", 5.0))
    assert decide_release_report(reported, ERROR, "no compiler", 9.0) is reported


@pytest.mark.parametrize(
    ("report", "status"),
    [
        (Report(), None),
        (Report(STARTED), "#access Instance correctly started"),
        (Report(STOPPED), "#access Instance correctly stopped"),
        (
            Report(ERROR, "a" * 100 + "end"),
            "#error while instanciating: " + "a" * 77 + "end",
        ),
        (Report(ERROR, "bang called: late"), "#error bang called: late"),
    ],
)
def test_a_node_reads_its_own_report(report: Report, status: str | None) -> None:
    assert access_status(report) == status
