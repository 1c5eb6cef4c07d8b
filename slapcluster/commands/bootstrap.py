"""Shell. ``bootstrap``: from bare computers to a cloud whose master it hosts itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slapcluster.commands.options import (
    bootstrap_home_option,
    cloud_file_argument,
    detach_option,
    limit_option,
    release_directory_option,
)
from slapcluster.printing import print_note
from slapcluster.session import Session, pass_session
from slapcluster.tables import Table, line

if TYPE_CHECKING:
    # Loads Twisted, and the shell loads this module at every TAB.
    from slapcluster.bootstrap.logbook import Logbook

_EPILOG = """Interrupted or killed at any instant, the same command goes on.

JSON: {name, is_self_hosted, replicas: {REGION: URL}, identity, steps: [{step, is_done,
seconds}]}."""


@click.command(epilog=_EPILOG)
@cloud_file_argument
@bootstrap_home_option(
    "Where this is written down, with the keys of the root and of the person who "
    "bootstraps."
)
@release_directory_option
@click.option("--dry-run", is_flag=True, help="Say what is done and what would be.")
@limit_option("a computer, a build, a promise")
@detach_option
@pass_session
def bootstrap(
    session: Session,
    *,
    cloud_file: Path,
    home: Path,
    release: Path,
    dry_run: bool,
    limit_seconds: float,
    detach: bool,
) -> None:
    """Make a cloud of the computers in CLUSTER.toml, whose master runs on them.

    A mini-master begins here; the computers join it, build the master, run it in each
    region, and take over its state. Then the mini-master is gone.
    """
    from slapcluster.bootstrap import cloud_files, running  # noqa: PLC0415 - Twisted

    wanted = cloud_files.read_file(cloud_file)
    options = running.Options(home, release, limit_seconds)
    if dry_run:
        logbook = running.foresee(session, wanted, options)
    else:
        logbook = running.bootstrap(session, wanted, options, print_note)
    _answer(session, wanted.name, home, logbook)
    if not dry_run and not detach:
        running.watch(session, options, logbook)


def document_of_cloud(name: str, identity: str, logbook: Logbook) -> dict[str, object]:
    """Return as JSON what is done of a cloud that comes to host itself."""
    return {
        "name": name,
        "is_self_hosted": logbook.is_self_hosted,
        "replicas": dict(logbook.replica_urls),
        "identity": identity,
        "steps": [
            {
                "step": it.value,
                "is_done": it in logbook.done,
                "seconds": logbook.seconds.get(it),
            }
            for it in logbook.steps
        ],
    }


def steps_table(logbook: Logbook) -> Table:
    return Table(
        ("step", "done", "seconds"),
        tuple(
            line(
                it.value,
                "yes" if it in logbook.done else "to do",
                f"{logbook.seconds[it]:.1f}" if it in logbook.seconds else None,
            )
            for it in logbook.steps
        ),
    )


def hosted_text(logbook: Logbook, identity: str) -> str:
    """Return how a cloud that hosts itself is asked."""
    urls = " ".join(f"--master {it}" for it in logbook.replica_urls.values())
    return (
        f"The cloud hosts itself. Ask it: slapcluster {urls} --identity {identity} "
        "status\n"
    )


def _answer(session: Session, name: str, home: Path, logbook: Logbook) -> None:
    from slapcluster.bootstrap.home import OPERATOR  # noqa: PLC0415 - as above

    identity = str(home.absolute() / OPERATOR)
    session.answer(document_of_cloud(name, identity, logbook), steps_table(logbook))
    if logbook.is_self_hosted:
        session.add_text(
            hosted_text(logbook, identity)
            + "Carry the directory `root` away: it is needed to add a region."
        )
