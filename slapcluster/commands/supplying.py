"""Shell. ``supply`` and ``remove``: which releases a computer has."""

from __future__ import annotations

import click

from slap.model import SoftwareInstallation, SupplyState
from slap.reports import ComputerReport, InstallationReport
from slapcluster.commands.options import timeout_option, wait_option
from slapcluster.documents import document_of
from slapcluster.master import Master
from slapcluster.session import Session, pass_session
from slapcluster.settling import (
    find_installation,
    removal_activity,
    supply_activity,
)
from slapcluster.tables import Table, line
from slapcluster.waiting import wait_for

_EPILOG = """JSON: {computer_id, software_release_url, requested_state, reported_state,
message, reported_at}."""


@click.command(epilog=_EPILOG)
@click.argument("release_url")
@click.argument("computer_id")
@wait_option("Wait until the release is built; show the end of the log if it fails.")
@timeout_option
@pass_session
def supply(
    session: Session,
    release_url: str,
    computer_id: str,
    is_waiting: bool,
    timeout_seconds: float,
) -> None:
    """Make a software release available on a computer."""
    _change(
        session,
        SoftwareInstallation(release_url, computer_id),
        timeout_seconds if is_waiting else None,
    )


@click.command(epilog=_EPILOG)
@click.argument("release_url")
@click.argument("computer_id")
@wait_option("Wait until the computer has removed it.")
@timeout_option
@pass_session
def remove(
    session: Session,
    release_url: str,
    computer_id: str,
    is_waiting: bool,
    timeout_seconds: float,
) -> None:
    """Remove a software release from a computer."""
    _change(
        session,
        SoftwareInstallation(release_url, computer_id, SupplyState.DESTROYED),
        timeout_seconds if is_waiting else None,
    )


def _change(
    session: Session, wanted: SoftwareInstallation, limit_seconds: float | None
) -> None:
    progress = session.progress(wanted.software_release_url)

    async def question(master: Master) -> InstallationReport:
        await master.supply(wanted)
        if limit_seconds is None:
            report = await master.computer(wanted.computer_id)
        else:
            report = await wait_for(
                master,
                lambda: master.computer(wanted.computer_id),
                lambda report: _activity(report, wanted),
                progress.show,
                limit_seconds,
            )
        found = find_installation(report, wanted.software_release_url)
        # A removed release is listed no more.
        return found or InstallationReport(
            wanted.software_release_url, wanted.requested_state, "destroyed"
        )

    try:
        installation = session.ask(question)
    finally:
        progress.close()
    document = {
        "computer_id": wanted.computer_id,
        "software_release_url": installation.software_release_url,
        "requested_state": str(installation.requested_state),
        "reported_state": installation.reported_state,
        "message": installation.message,
        "reported_at": document_of(installation.reported_at),
    }
    table = Table(
        ("release", "computer", "wanted", "reported"),
        (
            line(
                installation.software_release_url,
                wanted.computer_id,
                installation.requested_state,
                installation.reported_state,
            ),
        ),
    )
    session.answer(document, table)


def _activity(report: ComputerReport, wanted: SoftwareInstallation) -> str:
    if wanted.requested_state is SupplyState.DESTROYED:
        return removal_activity(report, wanted.software_release_url)
    return supply_activity(report, wanted.software_release_url)
