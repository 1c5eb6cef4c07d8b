"""Shell. Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from slapcluster.waiting import WAIT_SECONDS_MAX

EARLIER = (
    "earlier: what was reported before, the latest first: [{reported_state, message, "
    "reported_at}]; times are seconds since 1970."
)
"""What the documentation of JSON says of it, wherever it stands."""

RELEASE_DIRECTORY = "dist/release"
"""Where `make release` puts it."""

F = TypeVar("F", bound=Callable[..., Any])


def wait_option(help_text: str) -> Callable[[F], F]:
    return click.option("--wait", "is_waiting", is_flag=True, help=help_text)


def timeout_option(function: F) -> F:
    return click.option(
        "--timeout",
        "timeout_seconds",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        default=WAIT_SECONDS_MAX,
        show_default=True,
        help="How long --wait waits at most; then the exit code is 2.",
    )(function)


def limit_option(subjects: str) -> Callable[[F], F]:
    """Take how long each of ``subjects`` is waited for."""
    return click.option(
        "--timeout",
        "limit_seconds",
        type=click.FloatRange(min=1),
        default=WAIT_SECONDS_MAX,
        show_default=True,
        metavar="SECONDS",
        help=f"For each thing that is waited for: {subjects}.",
    )


def release_directory_option(function: F) -> F:
    return click.option(
        "--release",
        type=click.Path(file_okay=False, path_type=Path),
        default=RELEASE_DIRECTORY,
        show_default=True,
        help="What computers build from, as `make release` fills it.",
    )(function)


def detach_option(function: F) -> F:
    return click.option(
        "--detach",
        is_flag=True,
        help="Leave the cloud when it hosts itself; else it is watched until Ctrl-C, "
        "which ends nothing but that.",
    )(function)


def cloud_file_argument(function: F) -> F:
    """Take the file of a cloud, which is there."""
    return click.argument(
        "cloud_file",
        metavar="CLUSTER.toml",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
    )(function)


def bootstrap_home_option(help_text: str) -> Callable[[F], F]:
    return click.option(
        "--home",
        envvar="SLAPCLUSTER_HOME",
        type=click.Path(file_okay=False, path_type=Path),
        default=".slapcluster",
        show_default=True,
        help=f"{help_text} [SLAPCLUSTER_HOME]",
    )
