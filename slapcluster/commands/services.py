"""Shell. ``service``: what people requested, with everything it requested in turn."""

from __future__ import annotations

from collections.abc import Callable

import click

from slap.errors import NotFound
from slap.model import RequestedState
from slap.reports import TreeReport
from slapcluster.commands.options import EARLIER, timeout_option, wait_option
from slapcluster.documents import document_of
from slapcluster.master import Master
from slapcluster.report_views import log_ends, reports_table, subjects_of_tree
from slapcluster.session import Session, pass_session
from slapcluster.trees import request_and_wait, request_of, root_of
from slapcluster.views import connection_table, instances_table, services_table


@click.group()
def service() -> None:
    """Services: root instances, with the trees that they request."""


@service.command(
    "list",
    epilog="JSON: [{title, instance_count, failing_count, requested_state, "
    "reported_state}].",
)
@pass_session
def list_services(session: Session) -> None:
    """List the services."""
    cloud = session.ask(lambda master: master.cloud())
    session.answer(document_of(cloud.trees), services_table(cloud.trees))


@service.command(
    epilog="JSON: {title, instances: [{title, root_title, instance_guid, "
    "requester_title, software_release_url, software_type, is_shared, requested_state, "
    "reported_state, message, reported_at, partition: {computer_id, partition_id}, "
    "parameters, connection_parameters, addresses, earlier, "
    "master_url}]}, the root first. "
    f"{EARLIER}"
)
@click.argument("title")
@pass_session
def info(session: Session, title: str) -> None:
    """Show the instances of a service, their reports, and what its root publishes.

    Of what fails now, the end of the log.
    """
    tree = session.ask(lambda master: _tree(master, title))
    subjects = subjects_of_tree(tree)
    session.answer(
        document_of(tree),
        instances_table(tree),
        reports_table(subjects),
        connection_table(tree.instances[0].connection_parameters),
    )
    session.add_text(log_ends(subjects))


async def _tree(master: Master, title: str) -> TreeReport:
    await root_of(master, title)
    return await master.tree(title)


def _state_command(
    name: str, requested_state: RequestedState, help_text: str
) -> Callable[..., None]:
    @service.command(
        name, help=help_text, epilog="JSON: {title, requested_state, reported_state}."
    )
    @click.argument("title")
    @wait_option("Wait until all its instances are so.")
    @timeout_option
    @pass_session
    def change(
        session: Session, title: str, is_waiting: bool, timeout_seconds: float
    ) -> None:
        _change(
            session, title, requested_state, timeout_seconds if is_waiting else None
        )

    return change


start = _state_command("start", RequestedState.STARTED, "Start a stopped service.")
stop = _state_command("stop", RequestedState.STOPPED, "Stop a service; it stays there.")
destroy = _state_command(
    "destroy", RequestedState.DESTROYED, "Destroy a service and free its partitions."
)


def _change(
    session: Session,
    title: str,
    requested_state: RequestedState,
    limit_seconds: float | None,
) -> None:
    progress = session.progress(title)

    async def question(master: Master) -> str:
        root = await root_of(master, title)
        wanted = request_of(root, requested_state)
        try:
            if limit_seconds is None:
                await master.request_instance(wanted)
                return root.reported_state
            await request_and_wait(master, wanted, progress.show, limit_seconds)
        except NotFound:
            # It was there. A master that gave no answer may have destroyed it.
            if requested_state is not RequestedState.DESTROYED:
                raise
        return str(requested_state)

    try:
        reported_state = session.ask(question)
    finally:
        progress.close()
    session.answer(
        {
            "title": title,
            "requested_state": str(requested_state),
            "reported_state": reported_state,
        }
    )
