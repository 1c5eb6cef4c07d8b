"""Shell. The command line: ``slapcluster`` and ``slapgrid``."""

from __future__ import annotations

import click
from attrs import evolve

from slapcluster.boundary import RootGroup
from slapcluster.commands.authorities import authority
from slapcluster.commands.bootstrap import bootstrap
from slapcluster.commands.completion import completion
from slapcluster.commands.computers import computer
from slapcluster.commands.configured import group_config_option
from slapcluster.commands.console import console
from slapcluster.commands.doctor import doctor
from slapcluster.commands.hosted import hosted
from slapcluster.commands.hosted_regions import region
from slapcluster.commands.laboratory import lab
from slapcluster.commands.links import link
from slapcluster.commands.masters import master
from slapcluster.commands.nodes import node
from slapcluster.commands.play import play
from slapcluster.commands.products import product
from slapcluster.commands.proxies import proxy
from slapcluster.commands.pushing import release
from slapcluster.commands.recover import recover
from slapcluster.commands.replicas import replica
from slapcluster.commands.requesting import request
from slapcluster.commands.services import service
from slapcluster.commands.status import status, why
from slapcluster.commands.storages import storage
from slapcluster.commands.supplying import remove, supply
from slapcluster.commands.uninstalling import uninstall
from slapcluster.commands.upgrading import upgrade
from slapcluster.session import Session

DEFAULT_MASTER_URL = "http://127.0.0.1:5000/"
"""Where ``slapcluster proxy`` listens by default."""

_EPILOG = """Exit codes: 0 done, 1 failed, 2 accepted and not there yet, 3 the master is
away, 130 interrupted.

The first commands: `slapcluster proxy`, `slapcluster node run --cfg slapos.cfg`, then
`slapcluster supply` and `slapcluster request`; or `slapcluster play start` for all."""

_output_option = click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Tables for people or JSON for programs.",
)

_HELP_NAMES = {"help_option_names": ["-h", "--help"]}


@click.group(cls=RootGroup, epilog=_EPILOG, context_settings=_HELP_NAMES)
@click.option(
    "--master",
    "master_urls",
    multiple=True,
    envvar="SLAPCLUSTER_MASTER",
    default=(DEFAULT_MASTER_URL,),
    show_default=True,
    metavar="URL",
    help="Address of a master; repeat it for several replicas. [SLAPCLUSTER_MASTER]",
)
@click.option(
    "--identity",
    "identity_directory",
    envvar="SLAPCLUSTER_IDENTITY",
    type=click.Path(exists=True, file_okay=False, resolve_path=True),
    default=None,
    metavar="DIRECTORY",
    help="Who you are for https masters, and which masters you believe: a directory"
    " with root.crt, own.crt and own.key. [SLAPCLUSTER_IDENTITY]",
)
@_output_option
@click.option("--debug", is_flag=True, help="Show tracebacks and the log.")
@click.version_option(package_name="slapcluster", prog_name="slapcluster")
@click.pass_context
def cli(
    ctx: click.Context,
    master_urls: tuple[str, ...],
    identity_directory: str | None,
    output: str,
    debug: bool,
) -> None:
    """Run services on computers: a SlapOS master, its agents and their commands."""
    given = ctx.obj if isinstance(ctx.obj, Session) else Session()
    ctx.obj = evolve(
        given,
        master_urls=master_urls,
        identity_directory=identity_directory or "",
        is_json=output == "json",
        is_debug=debug,
    )


for _command in (
    doctor,
    bootstrap,
    recover,
    upgrade,
    proxy,
    master,
    storage,
    node,
    request,
    supply,
    remove,
    service,
    computer,
    authority,
    link,
    hosted,
    product,
    replica,
    region,
    release,
    status,
    why,
    play,
    console,
    lab,
    uninstall,
    completion,
):
    cli.add_command(_command)


@click.group(
    "slapgrid", cls=RootGroup, commands=node.commands, context_settings=_HELP_NAMES
)
@group_config_option
@_output_option
@click.option("--debug", is_flag=True, help="Show tracebacks and the log.")
@click.pass_context
def slapgrid(ctx: click.Context, output: str, debug: bool) -> None:
    """Run the agent of this computer: `slapcluster node`, alone."""
    given = ctx.obj if isinstance(ctx.obj, Session) else Session()
    ctx.obj = evolve(given, is_json=output == "json", is_debug=debug)


def main() -> None:
    cli.main(prog_name="slapcluster")


def node_main() -> None:
    slapgrid.main(prog_name="slapgrid")
