"""Shell. ``request``: ask for an instance."""

from __future__ import annotations

from pathlib import Path

import click

from slap.model import InstanceRequest, RequestedInstance, RequestedState
from slapcluster.commands.options import timeout_option, wait_option
from slapcluster.documents import document_of
from slapcluster.master import Master
from slapcluster.parameters import merge, parse_document, parse_pairs
from slapcluster.session import Session, pass_session
from slapcluster.trees import request_and_wait
from slapcluster.views import connection_table, requested_table

_EPILOG = """The same request again changes nothing and shows what is published by then;
one with other parameters replaces all of them.

JSON: {key: {computer_id, partition_id}, software_release_url, software_type,
instance_guid, requested_state, timestamp, parameters, connection_parameters,
addresses: [{interface, address}],
routes: [{interface, address, gateway, netmask, network}]}."""


@click.command(epilog=_EPILOG)
@click.argument("title")
@click.argument("release_url")
@click.option(
    "--type",
    "software_type",
    default="default",
    show_default=True,
    help="Which kind of instance of the release.",
)
@click.option(
    "--parameters",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="A parameter of the instance; may be repeated.",
)
@click.option(
    "--parameters-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A JSON object of parameters; --parameters wins over it.",
)
@click.option(
    "--node",
    "filter_pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="Where it may be placed, such as computer_guid=ID; may be repeated.",
)
@click.option(
    "--state",
    "requested_state",
    type=click.Choice([str(it) for it in RequestedState]),
    help="The wanted state; without it a new instance is started.",
)
@click.option(
    "--shared",
    "is_shared",
    is_flag=True,
    help="An instance hosted inside another one of the same release.",
)
@wait_option("Wait until all instances of the tree are in their wanted state.")
@timeout_option
@pass_session
def request(
    session: Session,
    *,
    title: str,
    release_url: str,
    software_type: str,
    pairs: tuple[str, ...],
    parameters_file: Path | None,
    filter_pairs: tuple[str, ...],
    requested_state: str | None,
    is_shared: bool,
    is_waiting: bool,
    timeout_seconds: float,
) -> None:
    """Request an instance of a software release."""
    document = {}
    if parameters_file is not None:
        document = parse_document(parameters_file.read_bytes(), str(parameters_file))
    wanted = InstanceRequest(
        title=title,
        software_release_url=release_url,
        software_type=software_type,
        parameters=merge(document, parse_pairs(pairs, "--parameters")),
        allocation_filter=parse_pairs(filter_pairs, "--node"),
        requested_state=RequestedState(requested_state) if requested_state else None,
        is_shared=is_shared,
    )
    progress = session.progress(title)

    async def question(master: Master) -> RequestedInstance:
        if not is_waiting:
            return await master.request_instance(wanted)
        return await request_and_wait(master, wanted, progress.show, timeout_seconds)

    try:
        instance = session.ask(question)
    finally:
        progress.close()
    session.answer(
        document_of(instance),
        requested_table(title, instance),
        connection_table(instance.connection_parameters),
    )
