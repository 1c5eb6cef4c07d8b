"""Core. Access statuses, made of reports and of contacts.

Computers report what is new, so one that polls and reports nothing confirms what it
said last: a status is as old as the last contact with its computer.
"""

from __future__ import annotations

from master_cluster.contacts import Contact
from master_cluster.records import (
    InstallationRecord,
    InstanceRecord,
    Report,
    ReportedState,
)
from master_cluster.reporting import access_status, installation_status
from slap.statuses import AccessStatus, Subject

SILENT_SECONDS_SHORT = 5 * 60
SILENT_SECONDS_LONG = 15 * 60
"""The two limits that the protocol names."""

MASTER = "SlapOS Master"
"""Who speaks when nothing was heard."""


def status_of_computer(contact: Contact) -> AccessStatus:
    """Say when a computer was last heard."""
    text = None if contact.heard_at is None else f"#access {contact.computer_id}"
    report = Report(reported_at=contact.heard_at)
    return _status(Subject.COMPUTER, contact.computer_id, text, report, contact)


def status_of_instance(instance: InstanceRecord, contact: Contact) -> AccessStatus:
    """Say what was last heard of an instance."""
    subject = Subject.SHARED_INSTANCE if instance.is_shared else Subject.INSTANCE
    text = access_status(instance.report)
    return _status(subject, instance.instance_guid, text, instance.report, contact)


def status_of_installation(
    installation: InstallationRecord, contact: Contact
) -> AccessStatus:
    """Say what was last heard of a release on a computer."""
    url, report = installation.software_release_url, installation.report
    text = installation_status(url, report)
    return _status(Subject.INSTALLATION, url, text, report, contact)


def _status(
    subject: Subject, reference: str, text: str | None, report: Report, contact: Contact
) -> AccessStatus:
    reported_at = report.reported_at
    if text is None or reported_at is None:
        return AccessStatus(
            subject=subject,
            reference=reference,
            reporter=MASTER,
            text=f"#error no data found for {reference}",
            reported_state="",
            heard_at=int(contact.now),
            since=int(contact.now),
            is_known=False,
        )
    heard_at = max(reported_at, contact.heard_at or 0)
    silent_seconds = min(contact.silent_seconds, contact.now - heard_at)
    is_failing = report.reported_state is ReportedState.ERROR
    return AccessStatus(
        subject=subject,
        reference=reference,
        reporter=contact.computer_id,
        text=text,
        reported_state="" if is_failing else report.reported_state.value,
        heard_at=int(heard_at),
        since=int(reported_at),
        is_silent_5_minutes=silent_seconds > SILENT_SECONDS_SHORT,
        is_silent_15_minutes=silent_seconds > SILENT_SECONDS_LONG,
    )
