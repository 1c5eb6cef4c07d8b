"""Shell. ``console``: Python, with the master at hand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from attrs import evolve

from slapcluster.commands.configured import DEFAULT_CONFIG_PATH, given_config_path
from slapcluster.outcomes import CommandFailed
from slapcluster.session import Session, pass_session

if TYPE_CHECKING:
    # It loads ssl, and the shell loads this module at every TAB.
    from slapcluster.console.connecting import Addressee

SCRIPT_BYTES_MAX = 1024 * 1024
"""A script that drives a master is a page; more is another file by mistake."""

_EPILOG = """\b
request(software_release, partition_reference, partition_parameter_kw=None,
        software_type=None, filter_kw=None, state=None, shared=False)
    an instance: .connection_parameters .parameters .state .partition
    .refresh() .bang(message) .rename(title)
supply(software_release, computer_guid=None, state='available')
computer(computer_guid)      its partitions and releases
service(title)               a service with everything that it requested
product.NAME                 the best release of a product
slap.registerComputer(...)   and others of the stock library: registerOpenOrder,
    registerSupply, registerComputerPartition
SlapError, NotReady, NotFound   what the master says no with

With --cfg, computer_guid is that computer where it is left out; `slapgrid console`
reads the slapos.cfg of this computer.

Without a terminal, a script is read from standard input. The values of its
expressions are shown, and its first error ends it. An instance that is not there yet
(code 408) is asked for again by whatever needs it.

\b
    slapcluster console -c "request('URL', 'greeter').connection_parameters"

Exit codes of a script: 0 done, 1 failed, 2 accepted and not there yet, 3 the master
is away, or what it says by exit().

JSON: a document for each value that is shown; an instance is {key: {computer_id,
partition_id}, requested_state, title, root_title, instance_guid, software_release_url,
software_type, timestamp, parameters, connection_parameters, addresses}, or {title,
not_ready}."""

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(epilog=_EPILOG)
@click.option(
    "--cfg",
    "config_path",
    type=_FILE,
    help="A slapos.cfg, of a computer or of a person, that names the master; "
    "--master, where it is typed, wins.",
)
@click.option("-c", "--code", help="Run this and end.", metavar="CODE")
@click.argument("script", required=False, type=click.Path(exists=True, path_type=Path))
@click.pass_context
@pass_session
def console(
    session: Session,
    ctx: click.Context,
    config_path: Path | None,
    code: str | None,
    script: Path | None,
) -> int:
    """Python with the master at hand, as `slapos console`.

    At a terminal each line is answered at once. SCRIPT, CODE or standard input is
    run as a whole.
    """
    from slapcluster.console.naming import names_of  # noqa: PLC0415 - slow for a TAB
    from slapcluster.console.running import converse, run_script  # noqa: PLC0415

    addressee = _addressee(session, ctx, config_path or given_config_path(ctx))
    names = names_of(session.connect(addressee), addressee.computer_id)
    if code is None and script is None and sys.stdin.isatty():
        where = " ".join(addressee.master_urls)
        converse(names, f"master: {where}\nnames: {', '.join(names)}; help(request)")
        return 0
    return run_script(names, _text(code, script), is_json=session.is_json)


def _addressee(
    session: Session, ctx: click.Context, config_path: Path | None
) -> Addressee:
    from slapcluster.console.connecting import (  # noqa: PLC0415 - loads ssl
        Addressee,
        identified,
        read_addressee,
    )

    if config_path is None and session.master_urls:
        return identified(Addressee(session.master_urls), session.identity_directory)
    path = config_path or Path(DEFAULT_CONFIG_PATH)
    try:
        found = read_addressee(path.read_text("utf-8"), str(path))
    except FileNotFoundError as error:
        raise CommandFailed(
            f"There is no file {path}; name the slapos.cfg by --cfg."
        ) from error
    root = ctx.find_root()
    source = root.get_parameter_source("master_urls")
    if source is click.core.ParameterSource.COMMANDLINE:
        found = evolve(found, master_urls=session.master_urls)
    return identified(found, session.identity_directory)


def _text(code: str | None, script: Path | None) -> str:
    if code is not None:
        return code
    if script is not None:
        with script.open(encoding="utf-8") as opened:
            text = opened.read(SCRIPT_BYTES_MAX + 1)
    else:
        text = sys.stdin.read(SCRIPT_BYTES_MAX + 1)
    if len(text) > SCRIPT_BYTES_MAX:
        raise CommandFailed(f"The script has more than {SCRIPT_BYTES_MAX} characters.")
    return text
