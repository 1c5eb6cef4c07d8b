"""Shell. ``recover``: a cloud that was lost goes on, from what is left of its state."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slapcluster.commands.bootstrap import document_of_cloud, hosted_text, steps_table
from slapcluster.commands.options import (
    bootstrap_home_option,
    cloud_file_argument,
    detach_option,
    limit_option,
    release_directory_option,
)
from slapcluster.documents import document_of
from slapcluster.printing import print_note
from slapcluster.session import Session, pass_session

if TYPE_CHECKING:
    # Loads Twisted, and the shell loads this module at every TAB.
    from slapcluster.recovery.running import Foreseen

_EPILOG = """Interrupted or killed at any instant, the same command goes on.

JSON: {name, is_self_hosted, replicas: {REGION: URL}, identity, steps: [{step, is_done,
seconds}], recovered: {source, kind, digest, last_transaction, last_at, history,
follows_history, masters, services, joining, new, absent: [{computer_id, title,
services}], replicas: {URL: REGION}, warnings}}; last_at is in seconds since 1970."""


@click.command(epilog=_EPILOG)
@cloud_file_argument
@click.argument(
    "source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path, resolve_path=True),
)
@click.option(
    "--root",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path, resolve_path=True),
    help="The directory of the offline root of the cloud that was lost.",
)
@bootstrap_home_option(
    "Where this is written down, with the keys of the person who recovers; not the one "
    "of a bootstrap."
)
@release_directory_option
@click.option(
    "--leave-it-behind",
    "may_answer",
    is_flag=True,
    help="Go on although the cloud answers; what it acknowledges from now on is lost.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Read what would be taken and say what would be done; change nothing, ask "
    "nobody.",
)
@limit_option("a computer, a build, a promise")
@detach_option
@pass_session
def recover(
    session: Session,
    *,
    cloud_file: Path,
    source: Path,
    root: Path,
    home: Path,
    release: Path,
    may_answer: bool,
    dry_run: bool,
    limit_seconds: float,
    detach: bool,
) -> None:
    """Go on with the state in SOURCE on the computers in CLUSTER.toml.

    SOURCE is a backup, or the database (database.sqlite) of any storage node that is
    left. Services go on where they are; the master is made anew, under another name,
    as `bootstrap` makes it. SOURCE is only read.
    """
    from slapcluster.bootstrap import cloud_files  # noqa: PLC0415 - Twisted
    from slapcluster.bootstrap.running import Options, watch  # noqa: PLC0415 - as above
    from slapcluster.recovery import running  # noqa: PLC0415 - as above
    from slapcluster.recovery.taking import Source  # noqa: PLC0415 - as above

    wanted = cloud_files.read_file(cloud_file)
    options = Options(home, release, limit_seconds)
    taken = Source(source, str(root), may_answer)
    if dry_run:
        foreseen = running.foresee(session, wanted, options, taken)
    else:
        foreseen = running.recover(session, wanted, options, taken, print_note)
    _answer(session, wanted.name, home, foreseen)
    if not dry_run and not detach:
        watch(session, options, foreseen.logbook)


def _answer(session: Session, name: str, home: Path, foreseen: Foreseen) -> None:
    from slapcluster.bootstrap.home import OPERATOR  # noqa: PLC0415 - as above
    from slapcluster.recovery.comparing import tell  # noqa: PLC0415 - as above

    logbook = foreseen.logbook
    identity = str(home.absolute() / OPERATOR)
    document = document_of_cloud(name, identity, logbook)
    recovered = document_of(foreseen.recovered)
    session.answer({**document, "recovered": recovered}, steps_table(logbook))
    session.add_text(tell(foreseen.recovered))
    if logbook.is_self_hosted:
        session.add_text(hosted_text(logbook, identity).rstrip())
