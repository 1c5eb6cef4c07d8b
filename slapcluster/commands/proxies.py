"""Shell. ``proxy``: the mini-master."""

from __future__ import annotations

from pathlib import Path

import click

from slapcluster.commands.takeovers import import_
from slapcluster.outcomes import CommandFailed
from slapcluster.session import Session, pass_session

DEFAULT_LISTEN = "127.0.0.1:5000"


@click.group(invoke_without_command=True)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help=f"Where to listen, on loopback only.  [default: {DEFAULT_LISTEN}]",
)
@click.option(
    "--store",
    "store_uri",
    metavar="URI",
    help="Where the state is kept: file:PATH; zeo:HOST:PORT of `slapcluster storage "
    "serve` or neo:NAME@HOST:PORT,... for several masters; or memory: to forget it.",
)
@click.option(
    "--computer-id", metavar="ID", help="The computer of requests that name none."
)
@click.option(
    "--release",
    "release_directory",
    type=click.Path(exists=True, file_okay=False, resolve_path=True),
    help="Serve this directory, filled by `make release`, below /release/.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Lines of the log for people, or one JSON object each.",
)
@click.option(
    "--access-log",
    type=click.Choice(["none", "changes", "all"]),
    default="changes",
    show_default=True,
    help="Which calls get a line in the log; `changes` leaves out what only reads.",
)
@click.option(
    "--prefix",
    "path_prefix",
    metavar="PATH",
    default="",
    help="Serve everything below this path too, such as erp5/portal_slap.",
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
    "--documents",
    "documents_directory",
    type=click.Path(file_okay=False, resolve_path=True),
    help="Keep the last documents of computers here, and answer polls with them while "
    "a store that others serve is away.",
)
@click.option(
    "--cfg",
    "config_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A slapos.cfg with [slapproxy]; the options above win over it.",
)
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
        is_debug=session.is_debug,
    )


proxy.add_command(import_)


def parse_listen(text: str) -> tuple[str, int]:
    """Return the host and the port of ``127.0.0.1:5000`` or ``[::1]:5000``."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise CommandFailed(
            f"--listen {text!r}: write HOST:PORT, such as {DEFAULT_LISTEN}."
        )
    return host.removeprefix("[").removesuffix("]"), int(port)
