"""Shell. ``link``: programs of other places behind local ports, by stunnel."""

from __future__ import annotations

from pathlib import Path

import click

from slapcluster.session import Session, pass_session
from slapcluster.tables import Table, line

VALID_DAYS = 2 * 365
"""A certificate of a link is replaced by hand."""

_PATH = click.Path(dir_okay=False, path_type=Path)


@click.group()
def link() -> None:
    """Links: programs of other places behind local ports, by stunnel.

    For any TCP service. Both ends pin each other's certificate.
    """


@link.command(epilog="JSON: {key, certificate}.")
@click.argument("name")
@click.option(
    "--days",
    default=VALID_DAYS,
    show_default=True,
    type=click.IntRange(1, 7300),
    help="How long the certificate is valid.",
)
@click.option("--force", is_flag=True, help="Replace a key that is there already.")
@pass_session
def key(session: Session, *, name: str, days: int, force: bool) -> None:
    """Make a key for the place NAME: NAME.pem, which stays here, and NAME.crt.

    Peers get the file NAME.crt and pin it.
    """
    from slapcluster.linking import make_key  # noqa: PLC0415 - loads cryptography

    own, certificate = make_key(session, name, days, is_forced=force)
    session.answer(
        {"key": str(own), "certificate": str(certificate)},
        Table(("stays here", "for the peers"), (line(own, certificate),)),
    )


_HOME = click.option(
    "--home",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="A directory for stunnel alone; run `stunnel HOME/stunnel.conf`.",
)


@link.command(
    epilog="JSON: {entries: {PEER/PROGRAM: HOST:PORT}, is_running, is_changed, "
    "closed_count, warnings}."
)
@click.argument("file", type=_PATH)
@_HOME
@pass_session
def apply(session: Session, *, file: Path, home: Path) -> None:
    """Bring the links of FILE into force, and say where programs are now.

    Connections of who is still wanted go on; those of who is not are closed. What
    stunnel does not take changes nothing. Without a running stunnel the files are
    written, for it to begin with.
    """
    from slapcluster.linking import apply_links  # noqa: PLC0415 - loads Twisted

    applied = apply_links(session, file, home)
    entries = {name: str(entry) for name, entry in applied.entries.items()}
    session.answer(
        {
            "entries": entries,
            "is_running": applied.is_running,
            "is_changed": applied.is_changed,
            "closed_count": applied.closed_count,
            "warnings": list(applied.warnings),
        },
        Table(
            ("program", "is at"),
            tuple(line(name, entry) for name, entry in sorted(entries.items())),
        ),
    )
    session.add_text("\n".join(applied.warnings))
    if not applied.is_running:
        session.add_text(
            f"stunnel does not run: begin it with `stunnel {home}/stunnel.conf`."
        )


@link.command()
@click.argument("file", type=_PATH)
@_HOME
@click.option(
    "--identity",
    "identities",
    multiple=True,
    metavar="DIRECTORY",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Have the certificate of this directory renewed in time, by a master of "
    "`slapcluster --master URL`; its link.pem may be the certificate of FILE, and it "
    "may be the identity of a gateway. May be repeated.",
)
@pass_session
def run(
    session: Session, *, file: Path, home: Path, identities: tuple[Path, ...]
) -> None:
    """Keep the links of FILE in force: run stunnel, and apply what changes.

    It stays until it is told to stop; then stunnel ends too. Killed and begun again,
    it goes on with the stunnel that it left, and no connection ends.
    """
    from slapcluster.linking import run_links  # noqa: PLC0415 - loads Twisted

    run_links(session, file, home, identities)
