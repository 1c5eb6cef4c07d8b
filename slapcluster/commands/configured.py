"""Shell. The option that names the computer's configuration, before or after a verb."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_CONFIG_PATH = "/etc/opt/slapos/slapos.cfg"
"""Where stock nodes keep it."""

_GIVEN = "slapcluster.config_path"
"""What was said before the verb."""

_FILE = click.Path(dir_okay=False, path_type=Path)


def _remember(ctx: click.Context, _parameter: click.Parameter, value: Path) -> None:
    if value is not None:
        ctx.meta[_GIVEN] = value


def _resolve(
    ctx: click.Context, parameter: click.Parameter, value: Path | None
) -> Path:
    path = value or Path(ctx.meta.get(_GIVEN, DEFAULT_CONFIG_PATH))
    if not path.is_file():
        raise click.BadParameter(f"there is no file {path}", ctx, parameter)
    return path


def given_config_path(ctx: click.Context) -> Path | None:
    """The file that was named before the verb."""
    found = ctx.meta.get(_GIVEN)
    return None if found is None else Path(found)


def group_config_option(function: F) -> F:
    """``--cfg`` before the verb."""
    return click.option(
        "--cfg",
        type=_FILE,
        envvar="SLAPOS_CONFIGURATION",
        callback=_remember,
        expose_value=False,
        is_eager=True,
        help=f"The slapos.cfg of this computer, {DEFAULT_CONFIG_PATH} by default. "
        "[SLAPOS_CONFIGURATION]",
    )(function)


def config_option(function: F) -> F:
    """``--cfg`` after the verb, which wins; gives ``config_path``."""
    return click.option(
        "--cfg",
        "config_path",
        type=_FILE,
        callback=_resolve,
        help="The slapos.cfg of this computer; may stand before the verb too.",
    )(function)
