"""Core. What computers report of instances and releases, and what is kept of it.

A report that says the same again is not written again: agents report at every pass, and
a poll must not cost a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from master_cluster.records import (
    InstallationRecord,
    InstanceRecord,
    Report,
    ReportedState,
)
from master_cluster.timestamps import MICROSECONDS, microseconds_of
from slap.statuses import ERROR, reported_text

MESSAGE_BYTES_MAX = 16 * 1024
"""What is kept of an error log: its end, where the cause stands."""

BANG = "bang called: "
"""How the message of a report begins that an instance makes by a bang."""

EARLIER_COUNT_MAX = 9
"""With the last one ten reports: enough to see that something comes and goes."""

EARLIER_MESSAGE_BYTES_MAX = 2 * 1024
"""Of each report from before the last one: the line of the cause."""

STATUS_LENGTH_MAX = 80
"""What a node is told of its own error; the reference keeps as much."""


def report_of(reported_state: ReportedState, message: str, now: float) -> Report:
    """Return a report, with the end of its message."""
    return Report(reported_state, _end(message, MESSAGE_BYTES_MAX), now)


def remembered(reports: Sequence[Report]) -> tuple[Report, ...]:
    """Return what is kept of earlier reports, the latest first."""
    return tuple(
        evolve(it, message=_end(it.message, EARLIER_MESSAGE_BYTES_MAX))
        for it in reports[:EARLIER_COUNT_MAX]
    )


def decide_instance_report(
    instance: InstanceRecord, reported_state: ReportedState, message: str, now: float
) -> InstanceRecord:
    """Return the instance with its report, or the same one when that is no news.

    The first report after a change is news whatever it says: the node obeyed.
    """
    report = report_of(reported_state, message, now)
    if _is_news(instance.report, report) or _changed_since_report(instance):
        return evolve(instance, report=report)
    return instance


def decide_release_report(
    installation: InstallationRecord,
    reported_state: ReportedState,
    message: str,
    now: float,
) -> InstallationRecord:
    """Return the installation with its report, or the same one when that is no news."""
    report = report_of(reported_state, message, now)
    if _is_news(installation.report, report):
        return evolve(installation, report=report)
    return installation


def access_status(report: Report) -> str | None:
    """Return a report of an instance in the words that nodes know, ``None`` at first.

    Nodes read one thing in it: whether it starts with ``#error``.
    """
    match report.reported_state:
        case ReportedState.NOTHING:
            return None
        case ReportedState.ERROR if report.message.startswith(BANG):
            return f"{ERROR} {report.message[: len(BANG) + STATUS_LENGTH_MAX]}"
        case ReportedState.ERROR:
            reason = report.message[-STATUS_LENGTH_MAX:]
            return f"{ERROR} while instanciating: {reason}"
        case reported:
            return reported_text(reported.value)


def installation_status(software_release_url: str, report: Report) -> str | None:
    """Return a report of a release in the words of the reference, ``None`` at first."""
    match report.reported_state:
        case ReportedState.NOTHING:
            return None
        case ReportedState.ERROR:
            return f"{ERROR} while installing {software_release_url}"
        case ReportedState.BUILDING:
            return f"#building software release {software_release_url}"
        case reported:
            return f"#access software release {software_release_url} {reported.value}"


def _changed_since_report(instance: InstanceRecord) -> bool:
    reported_at = instance.report.reported_at
    changed_at = microseconds_of(instance.timestamp) / MICROSECONDS
    return reported_at is not None and reported_at < changed_at


def _end(message: str, bytes_max: int) -> str:
    return message.encode(errors="replace")[-bytes_max:].decode(errors="ignore")


def _is_news(known: Report, report: Report) -> bool:
    return (known.reported_state, known.message) != (
        report.reported_state,
        report.message,
    )
