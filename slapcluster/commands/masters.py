"""Shell. ``master``: a replica of the master, for other computers."""

from __future__ import annotations

import click

from slapcluster.commands.serving import parse_listen, serving_options
from slapcluster.outcomes import CommandFailed
from slapcluster.session import Session, pass_session

DEFAULT_LISTEN = "[::]:5443"


@click.command()
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default=DEFAULT_LISTEN,
    show_default=True,
    help="Where to listen, for everybody who has a certificate of the cloud.",
)
@click.option(
    "--identity",
    "identity_directory",
    type=click.Path(exists=True, file_okay=False, resolve_path=True),
    help="Its identity directory: root.crt, own.key and own.crt, read again when they"
    " change, and those of its region's authority if it has them. By default that of"
    " `slapcluster --identity`.",
)
@click.option(
    "--receive",
    "receives",
    is_flag=True,
    help="Make no state in an empty store, but wait until one is moved there: the copy"
    " is kept in --documents meanwhile. A store that has an open state is served.",
)
@click.option(
    "--pushed-releases",
    "pushed_directory",
    type=click.Path(file_okay=False, resolve_path=True),
    help="Keep releases here that `slapcluster release push` sends, and serve each"
    " below /release/FINGERPRINT/.",
)
@serving_options
@pass_session
def master(
    session: Session,
    *,
    listen: str,
    identity_directory: str | None,
    receives: bool,
    pushed_directory: str | None,
    store_uri: str | None,
    documents_directory: str | None,
    announced: tuple[str, str] | None,
    release_directory: str | None,
    log_format: str,
    access_log: str,
    path_prefix: str,
) -> None:
    """Run one replica of the master: TLS, and a certificate asked of everybody.

    The mini-master of one computer is `slapcluster proxy`.
    """
    identity_directory = identity_directory or session.identity_directory
    if not identity_directory:
        raise CommandFailed(
            "Say who this replica is: --identity DIRECTORY, which `slapcluster"
            " authority --help` tells how to make. The mini-master, which asks nobody"
            " who they are, is `slapcluster proxy`."
        )
    if store_uri is None:
        raise CommandFailed("Say where the state is kept: --store URI.")
    if receives and documents_directory is None:
        raise CommandFailed(
            "Say where the copy of the state is kept until it is open: --documents"
            " DIRECTORY."
        )
    from slapcluster.masters import run_replica  # noqa: PLC0415 - loads ZODB, Twisted

    run_replica(
        store_uri,
        parse_listen(listen, DEFAULT_LISTEN),
        identity_directory,
        documents_directory=documents_directory,
        announced=announced,
        release_directory=release_directory,
        pushed_directory=pushed_directory,
        access_log=access_log,
        is_log_json=log_format == "json",
        path_prefix=path_prefix,
        receives=receives,
        is_debug=session.is_debug,
    )
