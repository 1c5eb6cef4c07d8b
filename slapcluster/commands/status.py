"""Shell. ``status`` and ``why``: what the master knows, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from attrs import frozen

from slap.reports import CloudReport, TreeReport
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

if TYPE_CHECKING:
    # Slow to load, and the shell loads this module at every TAB.
    from runtime.ports import Runtime
    from slapcluster.hosting.outlook import CloudOutlook


@frozen
class Failure:
    """Something that is reported as an error."""

    subject: str
    place: str
    message: str


@frozen
class Answer:
    """What ``status`` shows; ``outlook`` of a cloud that hosts itself."""

    cloud: CloudReport
    failures: tuple[Failure, ...]
    warnings: tuple[str, ...]
    outlook: CloudOutlook | None


_EPILOG = """JSON: {computers: as computer list, services: as service list, failures:
[{subject, place, message}], warnings, self_hosted, hosted}; hosted is null, or of a
cloud that hosts itself {title, is_quorum_kept, quorum, regions: [{name, computer_id,
replica_url, replica: ready|not ready|away|none|unknown, reason, promises: {NAME:
kept|broken|unknown}, trouble, goes_on, if_lost}]}. goes_on and if_lost say what happens
when that region ends now; null is unknown, of is_quorum_kept too."""


@click.command(epilog=_EPILOG)
@pass_session
def status(session: Session) -> None:
    """Show computers, services, ends of logs of what fails, and what ends soon.

    Of a cloud that hosts itself: its regions, too, and what the end of each would do.
    Each replica is asked whether it is ready.
    """
    found = session.launch(lambda runtime: _ask(session, runtime))
    cloud, outlook = found.cloud, found.outlook
    session.answer(
        {
            "computers": document_of(cloud.computers),
            "services": document_of(cloud.trees),
            "failures": document_of(found.failures),
            "warnings": list(found.warnings),
            "self_hosted": outlook is not None,
            "hosted": document_of(outlook),
        },
        computers_table(cloud.computers),
        services_table(cloud.trees),
    )
    if session.is_json:
        return
    if outlook is not None:
        _show(session, outlook)
    if not cloud.computers:
        print_note("No computer yet: `slapcluster node format --cfg FILE` adds one.")
    for warning in found.warnings:
        print_note(warning)
    for failure in found.failures:
        click.echo(f"\n{failure.subject} fails on {failure.place}:")
        click.echo(log_end(failure.message))


def _show(session: Session, outlook: CloudOutlook) -> None:
    from slapcluster.outlook_views import (  # noqa: PLC0415 - slow to load
        outlook_sentences,
        outlook_table,
    )

    click.echo()
    session.answer({}, outlook_table(outlook))
    session.add_text(outlook_sentences(outlook))


async def _ask(session: Session, runtime: Runtime) -> Answer:
    from slapcluster.asking import ask  # noqa: PLC0415 - loads Twisted
    from slapcluster.hosting.finding import (  # noqa: PLC0415 - slow to load
        find_tree_of_master,
    )
    from slapcluster.hosting.outlook import (  # noqa: PLC0415 - as above
        foresee,
        replica_urls,
    )
    from slapcluster.hosting.readiness import ask_readiness  # noqa: PLC0415 - as above

    async def question(
        master: Master,
    ) -> tuple[CloudReport, tuple[Failure, ...], tuple[str, ...], TreeReport | None]:
        cloud = await master.cloud()
        warnings = certificate_warnings(cloud.computers, master.now())
        failures = await _failures(master, cloud)
        return cloud, failures, warnings, await find_tree_of_master(master, cloud)

    urls, directory = session.master_urls, session.identity_directory
    cloud, failures, warnings, tree = await ask(runtime, urls, question, directory)
    outlook = None
    if tree is not None:
        outlook = foresee(
            tree, await ask_readiness(runtime, replica_urls(tree), directory)
        )
    return Answer(cloud, failures, warnings, outlook)


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
