"""Shell. ``node``: the agent of this computer, as a program or one pass at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from slapcluster.documents import document_of
from slapcluster.printing import print_note
from slapcluster.session import Session, pass_session

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_CONFIG_PATH = "/etc/opt/slapos/slapos.cfg"
"""Where stock nodes keep it."""

_EPILOG = """Exit codes: 0 all is as wanted, 1 something failed, 2 a promise is not
kept or the master was not told, 3 the master is away.

JSON: {exit_status, reason, outcomes: [{effort, name, failure}]}."""


def _config_option(function: F) -> F:
    return click.option(
        "--cfg",
        "config_path",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        envvar="SLAPOS_CONFIGURATION",
        default=DEFAULT_CONFIG_PATH,
        show_default=True,
        help="The slapos.cfg of this computer. [SLAPOS_CONFIGURATION]",
    )(function)


@click.group()
def node() -> None:
    """The agent of this computer: builds releases and runs instances."""


@node.command()
@_config_option
@pass_session
def run(session: Session, config_path: Path) -> None:
    """Format, then keep this computer as the master wants it, until told to stop.

    Programs of instances run on when the agent stops.
    """
    from slapcluster.agents import run_agent  # noqa: PLC0415 - loads Twisted

    run_agent(config_path, is_debug=session.is_debug)


def _pass_command(name: str, method: str, help_text: str) -> None:
    @node.command(name, help=help_text, epilog=_EPILOG)
    @_config_option
    @pass_session
    def perform(session: Session, config_path: Path) -> int:
        from slapcluster.agents import run_pass  # noqa: PLC0415 - loads Twisted

        progress = session.progress(name)
        try:
            result = run_pass(session.launch, config_path, method, progress.show)
        finally:
            progress.close()
        failures = [it for it in result.outcomes if it.failure is not None]
        session.answer(
            {
                "exit_status": int(result.exit_status),
                "reason": result.reason,
                "outcomes": [
                    {
                        "effort": document_of(it.effort),
                        "name": it.name,
                        "failure": it.failure,
                    }
                    for it in result.outcomes
                ],
            }
        )
        if not session.is_json:
            for outcome in failures:
                print_note(f"{outcome.name}: {outcome.failure}")
            click.echo(result.reason)
        return int(result.exit_status)


_pass_command(
    "format", "format", "Prepare the partitions of this computer and tell the master."
)
_pass_command("software", "software_pass", "Build and remove releases as wanted.")
_pass_command("instance", "instance_pass", "Bring each partition to what is wanted.")
_pass_command("report", "report_pass", "Remove the instances that are destroyed.")
