"""Shell. ``status`` and ``why``: what the master knows, and why."""

from __future__ import annotations

import click
from attrs import frozen

from slap.reports import CloudReport
from slapcluster.documents import document_of
from slapcluster.master import Master
from slapcluster.printing import print_note
from slapcluster.session import Session, pass_session
from slapcluster.settling import log_end
from slapcluster.views import (
    certificate_warnings,
    computers_table,
    conditions_table,
    services_table,
)


@frozen
class Failure:
    """Something that is reported as an error."""

    subject: str
    place: str
    message: str


@click.command(
    epilog="JSON: {computers: as computer list, services: as service list, failures: "
    "[{subject, place, message}], warnings}."
)
@pass_session
def status(session: Session) -> None:
    """Show computers, services, ends of logs of what fails, and what ends soon."""

    async def question(
        master: Master,
    ) -> tuple[CloudReport, tuple[Failure, ...], tuple[str, ...]]:
        cloud = await master.cloud()
        warnings = certificate_warnings(cloud.computers, master.now())
        return cloud, await _failures(master, cloud), warnings

    cloud, failures, warnings = session.ask(question)
    session.answer(
        {
            "computers": document_of(cloud.computers),
            "services": document_of(cloud.trees),
            "failures": document_of(failures),
            "warnings": list(warnings),
        },
        computers_table(cloud.computers),
        services_table(cloud.trees),
    )
    if session.is_json:
        return
    if not cloud.computers:
        print_note("No computer yet: `slapcluster node format --cfg FILE` adds one.")
    for warning in warnings:
        print_note(warning)
    for failure in failures:
        click.echo(f"\n{failure.subject} fails on {failure.place}:")
        click.echo(log_end(failure.message))


async def _failures(master: Master, cloud: CloudReport) -> tuple[Failure, ...]:
    found = []
    for summary in cloud.computers:
        if not summary.failing_count:
            continue
        report = await master.computer(summary.computer_id)
        found += [
            Failure(it.software_release_url, report.computer_id, it.message)
            for it in report.installations
            if it.reported_state == "error"
        ]
    for service in cloud.trees:
        if not service.failing_count:
            continue
        tree = await master.tree(service.title)
        found += [
            Failure(
                f"{it.title} of {it.root_title or it.title}",
                f"{it.partition.computer_id}/{it.partition.partition_id}"
                if it.partition
                else "no partition",
                it.message,
            )
            for it in tree.instances
            if it.reported_state == "error"
        ]
    return tuple(found)


@click.command(
    epilog="JSON: {title, root_title, verdict, partition: {computer_id, partition_id} "
    "or null, conditions: [{name, excluded_count, sentence}]}."
)
@click.argument("title")
@click.option(
    "--root",
    "root_title",
    default="",
    help="The service that the instance belongs to; without it, the service itself.",
)
@pass_session
def why(session: Session, title: str, root_title: str) -> None:
    """Show why an instance is where it is, or nowhere."""
    report = session.ask(lambda master: master.why(title, root_title))
    if not session.is_json:
        click.echo(report.verdict)
    session.answer(document_of(report), conditions_table(report))
