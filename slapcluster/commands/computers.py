"""Shell. ``computer``: the machines that offer partitions."""

from __future__ import annotations

import click

from slapcluster.documents import document_of
from slapcluster.session import Session, pass_session
from slapcluster.views import computers_table, installations_table, partitions_table


@click.group()
def computer() -> None:
    """Computers: the machines that offer partitions."""


@computer.command(
    "list",
    epilog="JSON: [{computer_id, partition_count, free_count, installation_count, "
    "failing_count}].",
)
@pass_session
def list_computers(session: Session) -> None:
    """List the computers."""
    cloud = session.ask(lambda master: master.cloud())
    session.answer(document_of(cloud.computers), computers_table(cloud.computers))


@computer.command(
    epilog="JSON: {computer_id, address, partitions: [{partition_id, addresses, "
    "requested_state, title, root_title, reported_state, message}], installations: "
    "[{software_release_url, requested_state, reported_state, message, reported_at}]}; "
    "the titles of a free partition are null."
)
@click.argument("computer_id")
@pass_session
def info(session: Session, computer_id: str) -> None:
    """Show the releases and the partitions of a computer."""
    report = session.ask(lambda master: master.computer(computer_id))
    session.answer(
        document_of(report), installations_table(report), partitions_table(report)
    )


@computer.command(epilog="JSON: {computer_id, message}.")
@click.argument("computer_id")
@click.option(
    "--message", default="asked by a person", show_default=True, help="The reason."
)
@pass_session
def bang(session: Session, computer_id: str, message: str) -> None:
    """Ask a computer to process all its partitions again."""
    session.ask(lambda master: master.bang_computer(computer_id, message))
    session.answer({"computer_id": computer_id, "message": message})
