"""Shell. ``lab``: the laboratory, where it is installed."""

from __future__ import annotations

from importlib.metadata import entry_points

import click

from slapcluster.outcomes import CommandFailed

GROUP = "slapcluster.commands"
"""Of entry points: commands that stand in a package that nothing imports."""


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def lab(arguments: tuple[str, ...]) -> None:
    """Break a simulated cloud and see whether it comes back: `labsim`."""
    found = entry_points(group=GROUP, name="lab")
    if not found:
        raise CommandFailed("The laboratory is not installed here.")
    (command,) = found
    command.load().main(args=list(arguments), prog_name="slapcluster lab")
