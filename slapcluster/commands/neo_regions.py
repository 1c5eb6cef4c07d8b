"""Shell. ``storage replace`` and ``storage region``: other storage nodes, regions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slapcluster.commands.neo_storages import (
    check_created,
    directory_argument,
    exit_code_of,
    regions_at,
    with_progress,
)
from slapcluster.documents import document_of
from slapcluster.outcomes import CommandFailed, ExitCode
from slapcluster.printing import Progress
from slapcluster.session import Session, pass_session
from slapcluster.tables import Table, line

if TYPE_CHECKING:
    # Loads Twisted, and the shell loads this module at every TAB.
    from collections.abc import Iterator

    from replication.regions import NeoCluster
    from replication.undertakings import Undertaking
    from runtime.ports import Runtime
    from slapcluster.regions.changing import Changed

    Plan = Callable[[NeoCluster, Iterator[int]], Undertaking]

_CODES = (
    "Exit codes: 0 done, 2 done or not completed and something is missing: the "
    "sentence says what, and the command is repeated; 3 it does not run, 10 another "
    "command works on it, 1 refused."
)
_DOCUMENT = (
    "JSON: {steps: [{verb, region, storage_node_id, what}], notes, is_dry_run, "
    "store_uri, standing, remarks}"
)
_EPILOG = f"{_CODES}\n\n{_DOCUMENT}."

_dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Say what would be done, and do nothing."
)


@click.command(epilog=_EPILOG)
@directory_argument
@click.option("--region", "name", required=True, metavar="NAME", help="Which one.")
@click.option(
    "--discard",
    metavar="STORAGE_NODE",
    help="Remove its database although it can be read: that of this storage node, as "
    "`status` names it (S100001).",
)
@_dry_run_option
@pass_session
def replace(
    session: Session, *, directory: Path, name: str, discard: str | None, dry_run: bool
) -> int:
    """Have a new storage node in a region whose database is lost or damaged.

    It begins with nothing, everything is copied to it while clients go on, and the one
    that is lost is dropped. Repeated it goes on, or finds that nothing is left to do.
    """
    discarded = _number(discard)

    def plan(neo_cluster: NeoCluster, _: Iterator[int]) -> Undertaking:
        from replication.undertakings import plan_replacement  # noqa: PLC0415 - as above

        return plan_replacement(neo_cluster, name, discarded)

    return _change(session, directory, plan, f"replacing in {name}", is_dry_run=dry_run)


@click.group()
def region() -> None:
    """Regions of a neo_cluster: two more, two less, one elsewhere.

    What clients are given, the line `store`, is another one afterwards.
    """


@region.command(epilog=_EPILOG)
@directory_argument
@click.argument("first")
@click.argument("second")
@_dry_run_option
@pass_session
def add(
    session: Session, *, directory: Path, first: str, second: str, dry_run: bool
) -> int:
    """Add two regions: of an even number no more may be lost than of one less.

    Everything is copied to them while clients go on; then the programs of the other
    regions are started anew, one region after the other.
    """

    def plan(neo_cluster: NeoCluster, ports: Iterator[int]) -> Undertaking:
        from replication.undertakings import plan_addition  # noqa: PLC0415 - as above

        return plan_addition(neo_cluster, (first, second), ports)

    return _change(session, directory, plan, "adding regions", is_dry_run=dry_run)


@region.command(epilog=_EPILOG)
@directory_argument
@click.argument("first")
@click.argument("second")
@_dry_run_option
@pass_session
def remove(
    session: Session, *, directory: Path, first: str, second: str, dry_run: bool
) -> int:
    """Remove two regions; three is the least.

    Most of those that stay must have everything. Files are left where they are.
    """

    def plan(neo_cluster: NeoCluster, _: Iterator[int]) -> Undertaking:
        from replication.undertakings import plan_removal  # noqa: PLC0415 - as above

        return plan_removal(neo_cluster, (first, second))

    return _change(session, directory, plan, "removing regions", is_dry_run=dry_run)


@region.command(epilog=_EPILOG)
@directory_argument
@click.argument("name")
@click.argument("new_name")
@_dry_run_option
@pass_session
def move(
    session: Session, *, directory: Path, name: str, new_name: str, dry_run: bool
) -> int:
    """Have a region in another directory, with other ports.

    Everything is copied to it before the old one is stopped, whose files are left.
    """

    def plan(neo_cluster: NeoCluster, ports: Iterator[int]) -> Undertaking:
        from replication.undertakings import plan_move  # noqa: PLC0415 - as above

        return plan_move(neo_cluster, name, new_name, ports)

    return _change(session, directory, plan, f"moving {name}", is_dry_run=dry_run)


def _change(
    session: Session, directory: Path, plan: Plan, subject: str, *, is_dry_run: bool
) -> int:
    async def main(runtime: Runtime, say: Progress) -> Changed:
        from replication.undertakings import Refused  # noqa: PLC0415 - as above
        from slapcluster.regions.changing import Changing, free_ports  # noqa: PLC0415

        regions = regions_at(runtime, directory)
        place = regions.place
        with place.held():
            check_created(regions)
            ports = await free_ports(place)
            try:
                undertaking = plan(place.neo_cluster(), ports)
            except Refused as error:
                raise CommandFailed(f"{error}.") from error
            changing = Changing(place, undertaking, say.show)
            return await (changing.foresee() if is_dry_run else changing.carry_out())

    changed = with_progress(session, subject, main)
    _answer(session, changed, is_dry_run=is_dry_run)
    return ExitCode.DONE if is_dry_run else exit_code_of(changed.seen)


def _answer(session: Session, changed: Changed, *, is_dry_run: bool) -> None:
    from slapcluster.regions.changing import describe  # noqa: PLC0415 - loads Twisted

    seen = changed.seen
    steps = [
        {
            "verb": step.verb.value,
            "region": step.region,
            "storage_node_id": f"S{step.storage}" if step.storage else None,
            "what": describe(step),
        }
        for step in changed.steps
    ]
    session.answer(
        {
            "steps": steps,
            "notes": list(changed.notes),
            "is_dry_run": is_dry_run,
            "store_uri": seen.store_uri,
            "standing": document_of(seen.standing),
            "remarks": list(seen.remarks),
        },
        Table(
            ("would be done" if is_dry_run else "done",),
            tuple(line(it["what"]) for it in steps) or (line("nothing"),),
        ),
        Table(("store",), (line(seen.store_uri),)),
    )
    session.add_text("\n".join((*changed.notes, *seen.remarks)))


def _number(storage_node_id: str | None) -> int | None:
    if storage_node_id is None:
        return None
    if storage_node_id[:1] != "S" or not storage_node_id[1:].isdigit():
        raise CommandFailed(
            f"{storage_node_id!r} is no storage node: `status` says S and a number."
        )
    return int(storage_node_id[1:])
