"""Shell. ``completion``: teaches the shell our commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(
    epilog='For bash: eval "$(slapcluster completion bash)"; for fish: '
    "slapcluster completion fish | source."
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands in a shell."""
    completion_class = get_completion_class(shell)
    assert completion_class is not None, "the choice lists what click has"
    root = ctx.find_root()
    name = "slapcluster"
    variable = f"_{name.upper()}_COMPLETE"
    click.echo(completion_class(root.command, {}, name, variable).source())
