"""Shell. ``install-service``: the agent runs now and with the computer."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

import click

from slapcluster.commands.configured import config_option
from slapcluster.service_unit import (
    UNIT_DIRECTORY,
    UNIT_NAME,
    AgentProgram,
    render_program,
    render_unit,
)
from slapcluster.session import Session, pass_session


@click.command("install-service")
@click.option("--dry-run", is_flag=True, help="Show what would be written.")
@click.option("--uninstall", is_flag=True, help="Stop the agent and remove it.")
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Install into the system below this directory, which does not run.",
)
@config_option
@pass_session
def install_service(
    session: Session,
    config_path: Path,
    root: Path | None,
    *,
    dry_run: bool,
    uninstall: bool,
) -> None:
    """Have systemd keep the agent running; done again it changes nothing.

    Services of instances survive the agent. Without systemd, --dry-run shows the
    program for another supervisord.
    """
    from slapcluster.agents import read_settings  # noqa: PLC0415 - loads Twisted
    from slapcluster.installing import Installation  # noqa: PLC0415

    read_settings(config_path)
    program = AgentProgram(
        str(Path(sys.argv[0]).absolute().with_name("slapgrid")),
        str(config_path.absolute()),
    )
    unit, elsewhere = render_unit(program), render_program(program, getpass.getuser())
    if dry_run:
        path = f"{root or ''}{UNIT_DIRECTORY}/{UNIT_NAME}"
        session.answer({"path": path, "unit": unit, "supervisord_program": elsewhere})
        session.add_text(f"# {path}\n{unit}")
        session.add_text(f"# without systemd, in a supervisord of yours\n{elsewhere}")
        return
    below = "" if root is None else str(root.absolute())
    done = session.launch(
        lambda runtime: (
            Installation(runtime, below).uninstall()
            if uninstall
            else Installation(runtime, below).install(unit)
        )
    )
    session.answer({"reason": done})
    session.add_text(f"{done}.")
