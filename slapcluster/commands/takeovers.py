"""Shell. ``proxy import``: takes over the state of a reference proxy."""

from __future__ import annotations

from pathlib import Path

import click

from slapcluster.outcomes import CommandFailed
from slapcluster.printing import print_note
from slapcluster.session import Session, pass_session
from slapcluster.takeover_views import (
    document_of_takeover,
    taken_computers_table,
    taken_instances_table,
)


@click.command(
    "import",
    epilog="JSON: {is_written, version, digest, computers: [{computer_id, partitions, "
    "busy, releases}], instances: [{title, root_title, instance_guid, is_shared, "
    "requested_state, partition: {computer_id, partition_id}}], notes: [text]}. "
    "is_written is false with --dry-run, and when this very state is in the store "
    "already.",
)
@click.option(
    "--slapproxy-database",
    "database_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The SQLite file of the reference proxy; it is only read.",
)
@click.option(
    "--store",
    "store_uri",
    metavar="URI",
    help="Where our master will keep its state; it must not run on file:PATH now.",
)
@click.option(
    "--dry-run", "is_dry_run", is_flag=True, help="Say what would be taken over."
)
@pass_session
def import_(
    session: Session, *, database_path: Path, store_uri: str | None, is_dry_run: bool
) -> None:
    """Take over the computers, releases and instances of a reference proxy.

    All or nothing: what is not understood is named, and nothing is written. Stop the
    proxy first, unless --dry-run: what it acknowledges later is not taken over.
    """
    from slapcluster.takeovers import import_proxy  # noqa: PLC0415 - loads ZODB

    if store_uri is None and not is_dry_run:
        raise CommandFailed("Say where the state goes: --store file:PATH or --dry-run.")
    takeover, is_written = import_proxy(
        session.launch, database_path, None if is_dry_run else store_uri
    )
    session.answer(
        document_of_takeover(takeover, is_written=is_written),
        taken_computers_table(takeover),
        taken_instances_table(takeover),
    )
    if session.is_json:
        return
    for note in takeover.notes:
        print_note(f"Note: {note}.")
    if is_dry_run:
        print_note("Nothing was written.")
    elif not is_written:
        print_note("This very state is in the store already; nothing was written.")
