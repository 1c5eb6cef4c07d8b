"""Shell. ``region``: the regions of a cloud that hosts its own master."""

from __future__ import annotations

from pathlib import Path

import click

from slap.errors import NotReady, SlapError
from slap.model import InstanceRequest, RequestedState
from slap.reports import TreeReport
from slapcluster.master import Master
from slapcluster.outcomes import CommandFailed
from slapcluster.session import Session, pass_session
from slapcluster.tables import Table, line
from slapcluster.trees import request_of, root_of


@click.group()
def region() -> None:
    """Regions of a cloud that hosts its own master."""


@region.command(
    epilog="JSON: {service, regions: [the names that waited], is_signed}.",
)
@click.argument("service")
@click.option(
    "--root",
    "root_directory",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="The offline directory of the root, as `bootstrap` made it in its home. "
    "Without it nothing is signed, and what waits is shown.",
)
@pass_session
def sign(session: Session, service: str, *, root_directory: Path | None) -> None:
    """Sign the keys of regions that wait for it; SERVICE is the master's own.

    A region that begins on another computer has another key there, and no replica
    before that is signed. Done again it signs nothing.
    """
    from runtime.certificates import BadCertificate  # noqa: PLC0415 - as below
    from slapcluster import authorities  # noqa: PLC0415 - loads Twisted
    from slapcluster.hosting import signing  # noqa: PLC0415 - as above
    from slapcluster.hosting.wanted import Misasked  # noqa: PLC0415 - as above

    async def look(master: Master) -> TreeReport:
        await root_of(master, service)
        return await master.tree(service)

    tree = session.ask(look)
    try:
        waiting = signing.keys_to_sign(tree)
    except Misasked as error:
        raise CommandFailed(f"{service} is not the master: {error}.") from error
    except (BadCertificate, SlapError) as error:
        raise CommandFailed(f"{service}: {error}.") from error
    is_signed = bool(waiting) and root_directory is not None
    if waiting and root_directory is not None:
        signed = authorities.sign_regions(session, root_directory, waiting)
        root = tree.instances[0]
        known = request_of(root, RequestedState(root.requested_state))
        _ask_for(session, signing.with_authority(known, signed))
    session.answer(
        {"service": service, "regions": list(waiting), "is_signed": is_signed},
        Table(
            ("region", "its key"),
            tuple(line(it, "signed" if is_signed else "waits") for it in waiting)
            or (line("all", "signed before"),),
        ),
    )


def _ask_for(session: Session, wanted: InstanceRequest) -> None:
    async def question(master: Master) -> None:
        try:
            await master.request_instance(wanted)
        except NotReady:
            # It is accepted, and its regions follow.
            return

    session.ask(question)
