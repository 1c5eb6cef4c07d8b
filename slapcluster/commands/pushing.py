"""Shell. ``release``: how a new release reaches the replicas of a cloud."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slapcluster.commands.options import bootstrap_home_option
from slapcluster.documents import document_of
from slapcluster.outcomes import CommandFailed, ExitCode
from slapcluster.printing import print_note
from slapcluster.session import Session, pass_session
from slapcluster.tables import Table, line

if TYPE_CHECKING:
    # Loads Twisted, and the shell loads this module at every TAB.
    from collections.abc import Iterable

    from runtime.ports import Runtime
    from slap.pushing import HeldRelease
    from slapcluster.pushes import AllAtReplica, AtReplica, Standing
    from slapcluster.pushing import CloudReplicas

_REPLICAS = "replicas: [{url, region, is_whole, file_count, byte_count, failure}]"


_home_option = bootstrap_home_option(
    "The directory of the bootstrap: whose replicas they are and who asks, where"
    " --identity does not say."
)


@click.group()
def release() -> None:
    """Software releases that replicas keep, and serve by their fingerprints."""


@release.command(
    epilog="""Interrupted or killed at any instant, the same command goes on.

Exit codes: 0 replicas of most regions have it whole, 2 fewer: the sentence says which
and why, and the command is repeated; 3 the master is away, 1 refused.

JSON: {fingerprint, file_count, byte_count, is_spread, is_dry_run, """
    + _REPLICAS
    + "}."
)
@click.argument(
    "directory", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option(
    "--dry-run", "is_dry_run", is_flag=True, help="Say who has it, and send nothing."
)
@_home_option
@pass_session
def push(session: Session, *, directory: Path, is_dry_run: bool, home: Path) -> int:
    """Send DIRECTORY, as `make release` fills it, to all replicas of the cloud.

    They keep it beside what they run from, and computers build it by its fingerprint.
    """
    from slapcluster import pushing  # noqa: PLC0415 - loads Twisted

    found = pushing.read_release(directory)
    progress = session.progress(found.fingerprint[:12])

    async def main(runtime: Runtime) -> Standing:
        replicas = await _find(session, runtime, home)
        if is_dry_run:
            return await pushing.look_at(replicas, found)
        return await pushing.push(replicas, found, progress.show)

    try:
        standing = session.launch(main)
    finally:
        progress.close()
    document = {
        "fingerprint": standing.fingerprint,
        "file_count": standing.file_count,
        "byte_count": standing.byte_count,
        "is_spread": standing.is_spread,
        "is_dry_run": is_dry_run,
        "replicas": document_of(standing.replicas),
    }
    session.answer(document, _table(standing.replicas))
    if not session.is_json:
        print_note(f"{standing.fingerprint}: {standing.sentence}")
    if is_dry_run or standing.is_spread:
        return ExitCode.DONE
    return ExitCode.PENDING


@release.command(
    "list",
    epilog="JSON: {replicas: [{url, region, failure, is_taking, "
    "releases: [{fingerprint, is_whole, is_run, file_count, byte_count, changed_at, "
    "missing}]}]}.",
)
@_home_option
@pass_session
def list_releases(session: Session, home: Path) -> None:
    """List the releases at each replica: what it runs from, and what was pushed."""
    from slapcluster import pushing  # noqa: PLC0415 - loads Twisted

    async def main(runtime: Runtime) -> tuple[AllAtReplica, ...]:
        return await pushing.list_all(await _find(session, runtime, home))

    found = session.launch(main)
    lines = [
        line(it.region, held.fingerprint, _how(held), held.byte_count or None)
        for it in found
        for held in it.releases
    ]
    lines += [line(it.region, None, it.failure, None) for it in found if it.failure]
    columns = ("region", "release", "how", "bytes")
    document = {"replicas": document_of(found)}
    session.answer(document, Table(columns, tuple(lines)))


@release.command(
    epilog=f"""Exit codes: 0 no replica has it any more, 1 one refuses or is away.

JSON: {{fingerprint, {_REPLICAS}}}."""
)
@click.argument("fingerprint")
@_home_option
@pass_session
def forget(session: Session, fingerprint: str, home: Path) -> int:
    """Have all replicas remove a pushed release that nobody is to build any more.

    One that is supplied to a computer, or that an instance has, stays.
    """
    from slapcluster import pushing  # noqa: PLC0415 - loads Twisted

    async def main(runtime: Runtime) -> tuple[AtReplica, ...]:
        return await pushing.forget(await _find(session, runtime, home), fingerprint)

    found = session.launch(main)
    document = {"fingerprint": fingerprint, "replicas": document_of(found)}
    session.answer(document, _table(found))
    failed = [it for it in found if it.failure]
    if failed:
        raise CommandFailed(f"{failed[0].region}: {failed[0].failure}.")
    return ExitCode.DONE


async def _find(session: Session, runtime: Runtime, home: Path) -> CloudReplicas:
    from slapcluster.bootstrap.addressing import (  # noqa: PLC0415 - loads Twisted
        addressed,
    )
    from slapcluster.pushing import find_replicas  # noqa: PLC0415 - as above

    told = addressed(session, runtime, home)
    return await find_replicas(runtime, told.master_urls, told.identity_directory)


def _how(held: HeldRelease) -> str:
    if held.is_run:
        return "runs"
    return "pushed" if held.is_whole else f"not whole: {held.file_count} files"


def _table(replicas: Iterable[AtReplica]) -> Table:
    return Table(
        ("region", "replica", "release", "bytes"),
        tuple(
            line(it.region, it.url, it.sentence, it.byte_count or None)
            for it in replicas
        ),
    )
