"""Shell. ``upgrade``: another release for the master of a cloud that hosts itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slapcluster.commands.options import (
    RELEASE_DIRECTORY,
    bootstrap_home_option,
    limit_option,
)
from slapcluster.documents import document_of
from slapcluster.outcomes import CommandFailed
from slapcluster.session import Session, pass_session
from slapcluster.tables import Table, line

if TYPE_CHECKING:
    # Loads Twisted, and the shell loads this module at every TAB.
    from slapcluster.upgrading.performing import Upgraded

_EPILOG = """RELEASE is a directory as `make release` fills it, the fingerprint of a
release that replicas have, or its address.

Interrupted or killed at any instant, the same command goes on; nothing is kept here.
Former releases stay installed: `slapcluster remove URL COMPUTER` removes one.

Exit codes: 0 all instances of the master run it, 2 not there after --timeout: the
sentence says who holds it up and how to go back; 3 the master is away, 1 refused, or it
does not build.

JSON: {release_url, fingerprint, is_done, is_dry_run, steps: [{verb, subject, reason}],
instances: [{title, computer_id, runs, is_done, is_in_leg, sentence}],
former: [URL]}."""


@click.command(epilog=_EPILOG)
@click.argument("release", required=False)
@click.option(
    "--back",
    "goes_back",
    is_flag=True,
    help="Take up the former release again, which is installed still.",
)
@click.option(
    "--dry-run",
    "is_dry_run",
    is_flag=True,
    help="Say each step that would be done, and do none.",
)
@bootstrap_home_option(
    "The directory of the bootstrap: whose master it is and who asks, where --identity"
    " does not say."
)
@limit_option("a build, a region")
@pass_session
def upgrade(
    session: Session,
    *,
    release: str | None,
    goes_back: bool,
    is_dry_run: bool,
    home: Path,
    limit_seconds: float,
) -> None:
    """Have the master of a cloud that hosts itself take up RELEASE, by itself.

    The release is sent to the replicas, built by all computers of the master, and then
    requested; one region after the other takes it up, and the others serve meanwhile.
    Without RELEASE it is dist/release.
    """
    if release and goes_back:
        raise CommandFailed("--back says which release it is: name none.")
    from slapcluster.upgrading import running  # noqa: PLC0415 - loads Twisted

    wish = running.Wish(
        release or RELEASE_DIRECTORY, goes_back, is_dry_run, limit_seconds
    )
    _answer(session, running.upgrade(session, home, wish), is_dry_run=is_dry_run)


def _answer(session: Session, upgraded: Upgraded, *, is_dry_run: bool) -> None:
    target = upgraded.target
    document = {
        "release_url": target.release_url,
        "fingerprint": target.fingerprint,
        "is_done": upgraded.is_done,
        "is_dry_run": is_dry_run,
        "steps": document_of(upgraded.steps),
        "instances": document_of(upgraded.instances),
        "former": list(upgraded.former),
    }
    steps = Table(
        ("step", "of", "why"),
        tuple(line(it.verb.value, it.subject, it.reason) for it in upgraded.steps),
        title="Steps",
    )
    instances = Table(
        ("instance", "computer", "how"),
        tuple(line(it.title, it.computer_id, it.sentence) for it in upgraded.instances),
        title="Instances",
    )
    session.answer(document, steps, instances)
    if upgraded.is_done and not is_dry_run:
        session.add_text(_after(upgraded))


def _after(upgraded: Upgraded) -> str:
    told = f"The master runs {upgraded.target.release_url}."
    if not upgraded.former:
        return told
    former = upgraded.former[0]
    return (
        f"{told}\nTo go back: slapcluster upgrade {former}\n"
        f"When you never will: slapcluster remove {former} COMPUTER, for each computer."
    )
