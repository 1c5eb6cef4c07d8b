"""Shell. ``join``: this computer comes into a cloud."""

from __future__ import annotations

import socket
from pathlib import Path

import click

from slapcluster.commands.configured import DEFAULT_CONFIG_PATH, given_config_path
from slapcluster.first_settings import NewSettings
from slapcluster.outcomes import CommandFailed
from slapcluster.session import Session, pass_session
from slapcluster.tables import Table, line

HOME_NAME = "identity"
"""The identity directory, beside the settings."""

DEFAULT_SETTINGS = NewSettings("/opt/slapgrid", "/srv/slapgrid", 10, "")

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(epilog="JSON: {computer_id, master_urls, settings, home, expires_at}.")
@click.argument("url")
@click.argument("token", metavar="TOKEN")
@click.option(
    "--title",
    help="What people are to call this computer; the same title is the same computer. "
    "[default: the name of the host]",
)
@click.option(
    "--cfg",
    "config_path",
    type=_FILE,
    help="The settings to write or to change; may stand before the verb too.",
)
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"Where key and certificates go. [default: {HOME_NAME}, beside the settings]",
)
@click.option(
    "--software-root",
    default=DEFAULT_SETTINGS.software_root,
    show_default=True,
    help="Where releases are built; of new settings.",
)
@click.option(
    "--instance-root",
    default=DEFAULT_SETTINGS.instance_root,
    show_default=True,
    help="Where partitions are; of new settings.",
)
@click.option(
    "--partitions",
    "partition_count",
    default=DEFAULT_SETTINGS.partition_count,
    show_default=True,
    type=click.IntRange(0, 1000),
    help="How many there are; of new settings.",
)
@click.option(
    "--interface",
    "interface_name",
    default=DEFAULT_SETTINGS.interface_name,
    metavar="NAME",
    help="The network interface whose addresses partitions get; of new settings.",
)
@click.option("--force", is_flag=True, help="Settings of another computer become ours.")
@pass_session
@click.pass_context
def join(
    ctx: click.Context,
    session: Session,
    *,
    url: str,
    token: str,
    title: str | None,
    config_path: Path | None,
    home: Path | None,
    software_root: str,
    instance_root: str,
    partition_count: int,
    interface_name: str,
    force: bool,
) -> None:
    """Make this computer one of the cloud whose master is at URL.

    `slapcluster computer token` gives the TOKEN, which is good for one key, for 24
    hours. The key is made here and stays here; the master is known by the root that the
    token names. Who is interrupted types the same again. Then: `slapcluster node run`.
    """
    from slapcluster.joining import (  # noqa: PLC0415 - loads Twisted
        Destination,
        join_cloud,
    )
    from slapgrid.joining import Invitation, NotJoined  # noqa: PLC0415 - as above

    path = config_path or given_config_path(ctx) or Path(DEFAULT_CONFIG_PATH)
    place = home or path.parent / HOME_NAME
    try:
        invitation = Invitation(url, token, title or socket.gethostname())
    except NotJoined as error:
        raise CommandFailed(f"{error}.") from error
    joined = join_cloud(
        session,
        invitation,
        Destination(path, place),
        NewSettings(software_root, instance_root, partition_count, interface_name),
        is_forced=force,
    )
    session.answer(
        {
            "computer_id": joined.computer_id,
            "master_urls": list(joined.master_urls),
            "settings": str(path),
            "home": str(place),
            "expires_at": joined.certificate.expires_at,
        },
        Table(
            ("computer", "settings", "identity"),
            (line(joined.computer_id, path, place),),
        ),
    )
