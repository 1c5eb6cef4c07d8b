"""Shell. ``region``: the regions of a cloud that hosts its own master."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from attrs import evolve

from slap.errors import NotReady, SlapError
from slap.model import InstanceRequest, RequestedState
from slapcluster.commands.options import timeout_option, wait_option
from slapcluster.documents import document_of
from slapcluster.master import Master
from slapcluster.outcomes import CommandFailed
from slapcluster.session import Session, pass_session
from slapcluster.tables import Table, line
from slapcluster.trees import request_of, root_of
from slapcluster.waiting import wait_for

if TYPE_CHECKING:
    # Loads Twisted, and the shell loads this module at every TAB.
    from runtime.ports import Runtime
    from slapcluster.hosting.comings import RegionComing

    Standing = tuple[RegionComing, ...]


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
    from slapcluster.hosting.numbering import Misasked  # noqa: PLC0415 - as above

    async def question(runtime: Runtime, master: Master) -> tuple[list[str], bool]:
        await root_of(master, service)
        tree = await master.tree(service)
        try:
            waiting = signing.keys_to_sign(tree)
        except Misasked as error:
            raise CommandFailed(f"{service} is not the master: {error}.") from error
        except (BadCertificate, SlapError) as error:
            raise CommandFailed(f"{service}: {error}.") from error
        if not waiting or root_directory is None:
            return [*waiting], False
        signed = authorities.sign_regions(runtime, root_directory, waiting)
        root = tree.instances[0]
        known = request_of(root, RequestedState(root.requested_state))
        await _request(master, signing.with_authority(known, signed))
        return [*waiting], True

    waiting, is_signed = session.ask_from(question)
    session.answer(
        {"service": service, "regions": waiting, "is_signed": is_signed},
        Table(
            ("region", "its key"),
            tuple(line(it, "signed" if is_signed else "waits") for it in waiting)
            or (line("all", "signed before"),),
        ),
    )


_CHANGE_EPILOG = """A region that is added needs a computer where it may be: one that
says `region=NAME`, has built the release of the master and has a free partition. Its
key is signed by `slapcluster region sign` when it has begun. To move a region add one
and remove the other in one command: the new one has all before the old one leaves.

Interrupted it goes on by itself; the same command follows it. The other way round is
how to take it back, at any time.

Exit codes: 0 done, or asked for without --wait; 2 not there after --timeout, and each
region says what it waits for; 3 the master is away, 1 refused.

JSON: {service, regions: {name: number}, is_done, is_dry_run,
standing: [{name, computer_id, sentence, is_done}]}."""


@region.command(epilog=_CHANGE_EPILOG)
@click.argument("service")
@click.option(
    "--add", "added", multiple=True, metavar="NAME", help="A region that comes."
)
@click.option(
    "--remove", "removed", multiple=True, metavar="NAME", help="One that leaves."
)
@click.option(
    "--dry-run", "is_dry_run", is_flag=True, help="Say how each region is, and no more."
)
@wait_option("Wait until who comes has everything, and who leaves is gone.")
@timeout_option
@pass_session
def change(
    session: Session,
    service: str,
    *,
    added: tuple[str, ...],
    removed: tuple[str, ...],
    is_dry_run: bool,
    is_waiting: bool,
    timeout_seconds: float,
) -> None:
    """Add regions to the master and remove some; SERVICE is the master's own.

    There is an odd number of them before and after. One region at a time is told of
    the others, and changes go on meanwhile.
    """
    from slapcluster.hosting import comings  # noqa: PLC0415 - loads Twisted
    from slapcluster.hosting.numbering import (  # noqa: PLC0415 - as above
        REGIONS_KEY,
        Misasked,
        write_numbers,
    )

    progress = session.progress(service)

    async def question(master: Master) -> tuple[dict[str, int], Standing]:
        await root_of(master, service)
        tree = await master.tree(service)
        try:
            numbers = comings.choose_regions(tree, added, removed)
            standing = comings.look_at_regions(tree, numbers)
        except (Misasked, ValueError) as error:
            raise CommandFailed(f"{service}: {error}.") from error
        if is_dry_run:
            return numbers, standing
        root = tree.instances[0]
        wanted = request_of(root, RequestedState(root.requested_state))
        told = {**wanted.parameters, REGIONS_KEY: write_numbers(numbers)}
        if told != wanted.parameters:
            await _request(master, evolve(wanted, parameters=told))
        if is_waiting:
            tree = await wait_for(
                master,
                lambda: master.tree(service),
                lambda tree: _activity(comings.look_at_regions(tree, numbers)),
                progress.show,
                timeout_seconds,
            )
            standing = comings.look_at_regions(tree, numbers)
        return numbers, standing

    try:
        numbers, standing = session.ask(question)
    finally:
        progress.close()
    session.answer(
        {
            "service": service,
            "regions": numbers,
            "is_done": all(it.is_done for it in standing),
            "is_dry_run": is_dry_run,
            "standing": document_of(standing),
        },
        Table(
            ("region", "computer", "how"),
            tuple(line(it.name, it.computer_id, it.sentence) for it in standing),
        ),
    )


def _activity(standing: Iterable[RegionComing]) -> str:
    """Say what is waited for first, ``""`` when nothing is."""
    late = [f"{it.name} {it.sentence}" for it in standing if not it.is_done]
    return "; ".join(late)


async def _request(master: Master, wanted: InstanceRequest) -> None:
    try:
        await master.request_instance(wanted)
    except NotReady:
        # It is accepted, and its regions follow.
        return
