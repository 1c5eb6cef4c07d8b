"""Shell. ``node``: the agent of this computer; its verbs stand in modules beside."""

from __future__ import annotations

from pathlib import Path

import click

from slapcluster.commands.configured import config_option, group_config_option
from slapcluster.commands.console import console
from slapcluster.commands.consumption import usage
from slapcluster.commands.examining import examine
from slapcluster.commands.installing import install_service
from slapcluster.commands.joining import join
from slapcluster.commands.passes import PASSES
from slapcluster.commands.programs import restart, start, stop, tail
from slapcluster.commands.releases import cachelookup, prune, unsupplied
from slapcluster.commands.standing import status
from slapcluster.commands.uninstalling import node_uninstall
from slapcluster.session import Session, pass_session


@click.group()
@group_config_option
def node() -> None:
    """The agent of this computer: builds releases and runs instances."""


@node.command()
@config_option
@click.option(
    "--release-listen",
    metavar="HOST:PORT",
    help="Relay the releases of the replicas at this address of loopback, such as"
    " 127.0.0.1:5000; wins over release_listen of the file.",
)
@pass_session
def run(session: Session, config_path: Path, release_listen: str | None) -> None:
    """Format, then keep this computer as the master wants it, until told to stop.

    Programs of instances run on when the agent stops.
    """
    from slapcluster.agents import run_agent  # noqa: PLC0415 - loads Twisted

    overrides = {} if release_listen is None else {"release_listen": release_listen}
    run_agent(config_path, overrides, is_debug=session.is_debug)


for _command in (
    examine,
    join,
    *PASSES,
    prune,
    cachelookup,
    unsupplied,
    usage,
    status,
    start,
    stop,
    restart,
    tail,
    install_service,
    console,
):
    node.add_command(_command)

node.add_command(node_uninstall, "uninstall")
