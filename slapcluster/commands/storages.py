"""Shell. ``storage``: the file in which a master keeps its state."""

from __future__ import annotations

from pathlib import Path

import click

from slapcluster.session import Session, pass_session


@click.group()
def storage() -> None:
    """Storage: the file in which a master keeps its state."""


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
