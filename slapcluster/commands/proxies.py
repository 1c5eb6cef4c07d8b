"""Shell. ``proxy``: the mini-master."""

from __future__ import annotations

from pathlib import Path

import click

from slapcluster.commands.serving import parse_listen, serving_options
from slapcluster.commands.takeovers import import_
from slapcluster.session import Session, pass_session

DEFAULT_LISTEN = "127.0.0.1:5000"


@click.group(invoke_without_command=True)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help=f"Where to listen, on loopback only.  [default: {DEFAULT_LISTEN}]",
)
@click.option(
    "--computer-id", metavar="ID", help="The computer of requests that name none."
)
@click.option(
    "--trust-forwarded",
    "has_trusted_proxy",
    is_flag=True,
    help="Believe X-Forwarded-Proto and -Prefix: there is a proxy that sets them.",
)
@click.option(
    "--identity",
    "identity_directory",
    type=click.Path(exists=True, file_okay=False, resolve_path=True),
    help="An identity directory with the key of a region, which then signs all "
    "certificates: `slapcluster authority --help`.",
)
@click.option(
    "--cfg",
    "config_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A slapos.cfg with [slapproxy]; the other options win over it.",
)
@serving_options
@pass_session
@click.pass_context
def proxy(
    ctx: click.Context,
    session: Session,
    *,
    listen: str | None,
    store_uri: str | None,
    computer_id: str | None,
    release_directory: str | None,
    log_format: str,
    access_log: str,
    path_prefix: str,
    has_trusted_proxy: bool,
    identity_directory: str | None,
    documents_directory: str | None,
    announced: tuple[str, str] | None,
    config_path: Path | None,
) -> None:
    """Run the mini-master of one computer, or of the first of many."""
    if ctx.invoked_subcommand is not None:
        return
    from slapcluster.masters import run_master  # noqa: PLC0415 - loads ZODB, Twisted

    run_master(
        config_path,
        listen=parse_listen(listen) if listen else None,
        store_uri=store_uri,
        computer_id=computer_id,
        release_directory=release_directory,
        access_log=access_log,
        has_trusted_proxy=has_trusted_proxy,
        is_log_json=log_format == "json",
        path_prefix=path_prefix,
        identity_directory=identity_directory,
        documents_directory=documents_directory,
        announced=announced,
        is_debug=session.is_debug,
    )


proxy.add_command(import_)
