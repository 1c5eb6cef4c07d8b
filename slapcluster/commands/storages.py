"""Shell. ``storage``: what a master keeps its state in."""

from __future__ import annotations

from pathlib import Path

import click

from slapcluster.commands.neo_regions import region, replace
from slapcluster.commands.neo_storages import create, pack, start, status, stop
from slapcluster.documents import document_of
from slapcluster.outcomes import CommandFailed
from slapcluster.session import Session, pass_session


@click.group()
def storage() -> None:
    """Storage: what a master keeps its state in.

    A file: serve. A neo_cluster of regions of this computer: create, start, stop,
    status, pack, replace, region. Both: backup, verify, restore.
    """


for _command in (create, start, stop, status, pack, replace, region):
    storage.add_command(_command)


@storage.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--listen",
    required=True,
    metavar="ADDRESS",
    help="Where masters reach it, on this computer only: 127.0.0.1:8100, [::1]:8100 "
    "or the path of a socket.",
)
@pass_session
def serve(session: Session, *, path: Path, listen: str) -> None:
    """Serve the file of a state to several masters of this computer.

    Each of them is started with `--store zeo:ADDRESS`.
    """
    from slapcluster.storages import run_storage_server  # noqa: PLC0415 - loads ZODB

    run_storage_server(str(path), listen, is_debug=session.is_debug)


_CONTENT = (
    "JSON: {byte_count, transaction_count, object_count, computer_count, "
    "partition_count, instance_count, tree_count, history, last_transaction, digest}"
)


@storage.command(epilog=f"{_CONTENT}.")
@click.argument("store_uri")
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace TARGET when it is there already.")
@pass_session
def backup(session: Session, *, store_uri: str, target: Path, force: bool) -> None:
    """Copy a store (file:PATH or neo:NAME@HOST:PORT,...) to the file TARGET.

    It may be used meanwhile: the copy has all that was acknowledged before it began,
    with the ids of all transactions. It is whole each time, verified, and gets its
    name when it is complete.
    """
    from slapcluster.storages import back_up, content_table  # noqa: PLC0415 - ZODB

    content = back_up(session, store_uri, target, is_forced=force)
    session.answer(document_of(content), content_table(content))


@storage.command(epilog=f"{_CONTENT}.")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--digest", help="Fail when the content has another digest.")
@pass_session
def verify(session: Session, *, path: Path, digest: str | None) -> None:
    """Read a whole backup: each record loads, and they fit together.

    A file that a master is writing is verified by a backup of it.
    """
    from slapcluster.storages import content_table, verify_backup  # noqa: PLC0415

    content = verify_backup(session, path)
    if digest is not None and digest != content.digest:
        raise CommandFailed(f"{path} has the digest {content.digest}.")
    session.answer(document_of(content), content_table(content))


@storage.command(
    epilog=f"{_CONTENT} as content, and as lost (null when there was nothing that can "
    "be read); is_done."
)
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("store_uri")
@click.option(
    "--force", is_flag=True, help="Replace the file of file:PATH; what it has is lost."
)
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would be.")
@pass_session
def restore(
    session: Session, *, path: Path, store_uri: str, force: bool, dry_run: bool
) -> None:
    """Verify a backup and make it the state of a store that nobody uses.

    It becomes the file of file:PATH, or goes into the neo_cluster of
    neo:NAME@HOST:PORT,..., which must have nothing: what is there is never replaced.
    One that was killed is repeated and goes on. Of whichever kind of store the backup
    was made.
    """
    from slapcluster import storages  # noqa: PLC0415 - loads ZODB

    restored = storages.restore(
        session, path, store_uri, is_forced=force, is_dry=dry_run
    )
    session.answer(document_of(restored), storages.restored_table(restored))
