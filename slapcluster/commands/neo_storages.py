"""Shell. ``storage create`` and on: a NEO cluster of regions of this computer."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from replication.regions import NAME_RULE, PARTITION_COUNT_MAX
from slapcluster.documents import document_of
from slapcluster.instants import show_instant
from slapcluster.outcomes import CommandFailed, ExitCode
from slapcluster.printing import Progress, print_note
from slapcluster.session import Session, pass_session
from slapcluster.tables import Table, line

if TYPE_CHECKING:
    # Loads Twisted, and the shell loads this module at every TAB.
    from replication.sight import NeoClusterSeen
    from runtime.ports import Runtime
    from slapcluster.regions.running import Regions

T = TypeVar("T")

PARTITION_COUNT = 12
"""Enough for some storage nodes in each region to share the work evenly."""

DAYS_KEPT = 1.0
"""What is younger can be undone and looked at as it was."""

_SEEN = (
    "JSON: {name, directory, store_uri, cluster_state, epoch, standing, "
    "last_transaction, partition_count, remarks, regions: [{name, supervisord: {pid, "
    "programs: [{kind, process_state, pid, said, is_stopped, is_waiting}]}, "
    "is_primary, storage_node_id, node_state, readable_count, out_of_date_count, "
    "admin_node, verdict, if_lost, free_bytes}]}; supervisord is null where none "
    "answers; is_stopped: by a signal; is_waiting: for a disk; if_lost is what becomes "
    "of the others; free_bytes is of the disk of the region"
)
_CODES = (
    "Exit codes: 0 it runs with all regions, 2 it runs and a region is missing or "
    "catches up, 3 it does not run, 10 another command works on it, 1 anything else."
)

directory_argument = click.argument(
    "directory", type=click.Path(file_okay=False, resolve_path=True, path_type=Path)
)

_region_option = click.option(
    "--region", metavar="NAME", help="This one alone; by default all."
)


@click.command(epilog=f"{_CODES}\n\n{_SEEN}, is_new.")
@directory_argument
@click.option(
    "--region",
    "region_names",
    multiple=True,
    required=True,
    metavar="NAME",
    help="A region; repeat it: 3, 5, 7 or 9, and most of them keep going.",
)
@click.option("--name", default="slapcluster", show_default=True, help=f"{NAME_RULE}.")
@click.option(
    "--partitions",
    "partition_count",
    type=click.IntRange(1, PARTITION_COUNT_MAX),
    default=PARTITION_COUNT,
    show_default=True,
    help="How many parts the objects are spread over, for ever.",
)
@click.option(
    "--host",
    type=click.Choice(["127.0.0.1", "::1"]),
    default="127.0.0.1",
    show_default=True,
    help="Where all programs listen.",
)
@pass_session
def create(
    session: Session,
    *,
    directory: Path,
    region_names: tuple[str, ...],
    name: str,
    partition_count: int,
    host: str,
) -> int:
    """Make a neo_cluster of regions of this computer, and leave it running.

    Each region has a neo_master, a storage node with a copy of everything and an admin
    node, on ports that are free now and stay. Repeated it changes nothing; one that was
    interrupted goes on.
    """
    from slapcluster.regions import creating  # noqa: PLC0415 - loads Twisted

    wanted = creating.plan(name, region_names, partition_count, host)

    async def main(runtime: Runtime, say: Progress) -> tuple[NeoClusterSeen, bool]:
        from slapcluster.regions.places import place_at  # noqa: PLC0415

        place = place_at(runtime, directory)
        regions, is_new = await creating.create(place, wanted, say.show)
        if not is_new:
            return await regions.look(), False
        return await regions.until_settled(regions.names(None), say.show), True

    seen, is_new = with_progress(session, f"creating {directory.name}", main)
    if not is_new and not session.is_json:
        print_note(f"{directory} has this neo_cluster already; nothing was changed.")
    _answer(session, seen, {"is_new": is_new})
    # What was asked for is there, whether it runs now or not.
    return exit_code_of(seen) if is_new else ExitCode.DONE


@click.command(epilog=f"{_CODES}\n\n{_SEEN}.")
@directory_argument
@_region_option
@pass_session
def start(session: Session, *, directory: Path, region: str | None) -> int:
    """Start all programs of a neo_cluster that do not run, and wait until it runs.

    Within a minute it runs, or it is said what is missing.
    """

    async def main(runtime: Runtime, say: Progress) -> NeoClusterSeen:
        regions = regions_at(runtime, directory)
        with regions.place.held():
            check_created(regions)
            names = regions.names(region)
            regions.check_databases(names)
            await regions.start(names, say.show)
            return await regions.until_settled(names, say.show)

    seen = with_progress(session, f"starting {directory.name}", main)
    _answer(session, seen)
    return exit_code_of(seen)


@click.command(
    epilog="Exit codes: 0 stopped, 10 another command works on it, 1 anything else.\n\n"
    "JSON: {stopped: [NAME], remarks: [SENTENCE]}; names of regions that ran, and what "
    "is to be known of the others."
)
@directory_argument
@_region_option
@pass_session
def stop(session: Session, *, directory: Path, region: str | None) -> None:
    """Stop all programs, or those of a region, and wait until they ended.

    All: first who answers, then who decides, then who stores, so that no copy falls
    behind. A region: first its storage node, while there is a primary to notice it;
    then the others go on, with another primary when it had that.
    """

    async def main(
        runtime: Runtime, say: Progress
    ) -> tuple[tuple[str, ...], NeoClusterSeen | None]:
        regions = regions_at(runtime, directory)
        with regions.place.held():
            names = regions.names(region)
            stopped = await regions.stop(names, say.show)
            others = await regions.running_but(names)
            if not others:
                return stopped, None
            return stopped, await regions.until_settled(others, say.show)

    stopped, seen = with_progress(session, f"stopping {directory.name}", main)
    remarks = seen.remarks if seen else ()
    session.answer({"stopped": list(stopped), "remarks": list(remarks)})
    if not session.is_json:
        click.echo(f"Stopped: {', '.join(stopped)}." if stopped else "Nothing ran.")
    session.add_text("\n".join(remarks))


@click.command(epilog=f"{_CODES}\n\n{_SEEN}.")
@directory_argument
@pass_session
def status(session: Session, *, directory: Path) -> int:
    """Show how a neo_cluster is: its programs, its primary, its cells, and what to do.

    Numbers before a state are processes. It works with any part of it down.
    """

    async def main(runtime: Runtime) -> NeoClusterSeen:
        return await regions_at(runtime, directory).look()

    seen = session.launch(main)
    _answer(session, seen)
    return exit_code_of(seen)


@click.command(epilog="JSON: {up_to, seconds, is_done}.")
@directory_argument
@click.option(
    "--days",
    "day_count",
    type=click.FloatRange(min=0),
    default=DAYS_KEPT,
    show_default=True,
    help="What is younger keeps all its revisions.",
)
@click.option(
    "--dry-run", is_flag=True, help="Say up to which instant, and do nothing."
)
@pass_session
def pack(session: Session, *, directory: Path, day_count: float, dry_run: bool) -> None:
    """Forget revisions of objects that nothing older than some days needs.

    Objects that nobody refers to stay: NEO has no garbage collection.
    """
    from slapcluster.regions import packing  # noqa: PLC0415 - loads Twisted

    async def main(runtime: Runtime, progress: Progress) -> packing.Packing:
        regions = regions_at(runtime, directory)
        up_to = packing.instant(runtime, day_count)
        if dry_run:
            return packing.Packing(show_instant(up_to), None, is_done=False)
        return await packing.pack(regions, up_to, progress)

    packed = with_progress(session, f"packing {directory.name}", main)
    seconds = None if packed.seconds is None else f"{packed.seconds:.1f}"
    session.answer(
        document_of(packed),
        Table(
            ("up to", "seconds", "done"),
            (line(packed.up_to, seconds, packed.is_done),),
        ),
    )


def regions_at(runtime: Runtime, directory: Path) -> Regions:
    from slapcluster.regions.places import place_at  # noqa: PLC0415 - loads Twisted
    from slapcluster.regions.running import Regions  # noqa: PLC0415

    place = place_at(runtime, directory)
    return Regions(place, place.neo_cluster())


def check_created(regions: Regions) -> None:
    from slapcluster.regions.creating import check_installed  # noqa: PLC0415

    check_installed()
    if not regions.neo_cluster.is_created:
        raise CommandFailed(
            f"The creation of {regions.place.path} was not completed: repeat "
            "`slapcluster storage create` with the same arguments."
        )


def with_progress(
    session: Session,
    subject: str,
    main: Callable[[Runtime, Progress], Coroutine[Any, Any, T]],
) -> T:
    progress = session.progress(subject)
    try:
        return session.launch(lambda runtime: main(runtime, progress))
    finally:
        progress.close()


def _answer(
    session: Session, seen: NeoClusterSeen, more: dict[str, object] | None = None
) -> None:
    from slapcluster.regions.views import seen_tables  # noqa: PLC0415 - loads Twisted

    document = document_of(seen)
    assert isinstance(document, dict)
    session.answer({**document, **(more or {})}, *seen_tables(seen))
    session.add_text("\n".join(seen.remarks))


def exit_code_of(seen: NeoClusterSeen) -> int:
    from slapcluster.regions.views import EXIT_CODES  # noqa: PLC0415

    return EXIT_CODES[seen.standing]
