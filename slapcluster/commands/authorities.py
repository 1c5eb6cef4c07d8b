"""Shell. ``authority``: who signs the certificates of a cloud, and their calendar."""

from __future__ import annotations

from pathlib import Path

import click

from slapcluster.documents import document_of
from slapcluster.session import Session, pass_session
from slapcluster.tables import Table, line

ROLES = ("region", "replica", "link", "person")
"""Whose key is made by `authority request`; computers come by `node join`."""

_DIRECTORY = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, exists=True, path_type=Path)

_address_option = click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="IP",
    help="An address at which stock clients reach the replica; may be repeated.",
)


@click.group()
def authority() -> None:
    r"""The authority of a cloud: an offline root, and one for each region.

    Keys are made where they are used, and never travel:

    \b
    1. `create DIR`, once, on a disk that is carried away;
    2. `request region NAME --home HOME`, on the replica of a region;
    3. `sign DIR region NAME FILE.csr`, with the root;
    4. `install HOME FILE.crt`, on the replica;
    5. `request replica NAME --home HOME`, which the region's key signs there.

    `show` says when which of them ends, and what to do.
    """


@authority.command(epilog="JSON: {name, digest, expires_at}.")
@click.argument("directory", type=_DIRECTORY)
@pass_session
def create(session: Session, *, directory: Path) -> None:
    """Make the root of a cloud in DIRECTORY: root.key and root.crt.

    Carry it away afterwards: who has root.key can be anybody, for ever. A second time
    changes nothing.
    """
    from slapcluster import authorities  # noqa: PLC0415 - loads Twisted

    made = authorities.create_root(session, directory)
    session.answer(
        {"name": made.name, "digest": made.digest, "expires_at": made.expires_at},
        Table(("root", "digest"), (line(directory, made.digest),)),
    )


@authority.command(
    epilog="JSON: {key, certificate_request, name, expires_at}; the last two are null "
    "until it is signed, the second once it is."
)
@click.argument("role", type=click.Choice(ROLES))
@click.argument("name")
@click.option(
    "--home", type=_DIRECTORY, required=True, help="The identity directory to fill."
)
@_address_option
@pass_session
def request(
    session: Session, *, role: str, name: str, home: Path, addresses: tuple[str, ...]
) -> None:
    """Make a key in HOME, and the request for its certificate.

    Where HOME has the key of its region, that one signs at once. A second time asks
    once more for the same key.
    """
    from slapcluster import authorities  # noqa: PLC0415 - loads Twisted

    subject = authorities.Subject(role, name, addresses)
    asked = authorities.ask(session, subject, home)
    described = asked.described
    session.answer(
        {
            "key": str(asked.key),
            "certificate_request": _path(asked.certificate_request),
            "name": described and described.name,
            "expires_at": described and described.expires_at,
        },
        Table(
            ("key, stays here", "to be signed"),
            (line(asked.key, asked.certificate_request),),
        ),
    )
    if asked.certificate_request is not None:
        signer = "the root" if role == "region" else "its region"
        options = "".join(f" --address {it}" for it in addresses)
        file = asked.certificate_request.name
        session.add_text(
            f"Where {signer} is: `slapcluster authority sign DIR {role} {name} {file}"
            f"{options}`; then here: `slapcluster authority install {home} FILE.crt`."
        )


@authority.command(epilog="JSON: {file, name, issuer, serial, expires_at}.")
@click.argument("directory", type=_DIRECTORY)
@click.argument("role", type=click.Choice(ROLES))
@click.argument("name")
@click.argument("file", type=_FILE)
@_address_option
@pass_session
def sign(
    session: Session,
    *,
    directory: Path,
    role: str,
    name: str,
    file: Path,
    addresses: tuple[str, ...],
) -> None:
    """Sign the request in FILE, as that of NAME, with what has its key in DIRECTORY.

    The root signs regions, a region all others. Nothing in FILE is believed but its
    key: make sure that it comes from NAME. The answer is beside it, as FILE.crt, with
    the root.
    """
    from slapcluster import authorities  # noqa: PLC0415 - loads Twisted

    subject = authorities.Subject(role, name, addresses)
    made = authorities.sign(session, directory, subject, file)
    _answer_signed(session, made.file, made.described)


@authority.command(epilog="JSON: {file, name, issuer, serial, expires_at}.")
@click.argument("home", type=_DIRECTORY)
@click.argument("file", type=_FILE)
@pass_session
def install(session: Session, *, home: Path, file: Path) -> None:
    """Put the certificate in FILE into HOME, beside the key that it is of.

    What does not fit, is over, or leads to another root changes nothing.
    """
    from slapcluster import authorities  # noqa: PLC0415 - loads Twisted

    made = authorities.install(session, home, file)
    _answer_signed(session, made.file, made.described)


@authority.command(epilog="JSON: {file, name, issuer, serial, expires_at}.")
@click.argument("home", type=click.Path(file_okay=False, exists=True, path_type=Path))
@pass_session
def renew(session: Session, *, home: Path) -> None:
    """Have the master renew the certificate of HOME, if it is due.

    For links: run it daily. The key stays. Computers and replicas renew by themselves.
    """
    from slapcluster import authorities  # noqa: PLC0415 - loads Twisted

    made, is_new = authorities.renew(session, home)
    _answer_signed(session, made.file, made.described)
    if not is_new:
        session.add_text("It is not due yet.")


@authority.command(
    epilog="JSON: [{entry: {holding, name, identity, issuer, addresses, serial, "
    "digest, starts_at, expires_at, renew_at, problem}, outlook, advice}]; outlook is "
    "good, due, late, waiting or useless. Exit codes: 0 nothing is to be done, 1 "
    "something is."
)
@click.argument("home", type=click.Path(file_okay=False, exists=True, path_type=Path))
@pass_session
def show(session: Session, *, home: Path) -> int:
    """Show the certificates of HOME: whose, until when, and what to do."""
    from slapcluster import authorities  # noqa: PLC0415 - loads Twisted
    from slapcluster.certificate_views import (  # noqa: PLC0415 - loads cryptography
        calendar_sentences,
        calendar_table,
    )

    found = authorities.show(session, home)
    session.answer(document_of(found), calendar_table(found))
    session.add_text(calendar_sentences(found))
    return int(any(it.advice for it in found))


def _answer_signed(session: Session, file: Path, described: object) -> None:
    from runtime.certificates import Described  # noqa: PLC0415 - loads cryptography
    from slapcluster.instants import show_instant  # noqa: PLC0415 - as above

    assert isinstance(described, Described)
    session.answer(
        {
            "file": str(file),
            "name": described.name,
            "issuer": described.issuer,
            "serial": described.serial,
            "expires_at": described.expires_at,
        },
        Table(
            ("file", "of", "signed by", "until"),
            (
                line(
                    file,
                    described.name,
                    described.issuer,
                    show_instant(described.expires_at),
                ),
            ),
        ),
    )


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path)
