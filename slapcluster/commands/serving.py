"""Shell. Options of everything that serves as a master."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from slapcluster.outcomes import CommandFailed

F = TypeVar("F", bound=Callable[..., object])

_OPTIONS = (
    click.option(
        "--store",
        "store_uri",
        metavar="URI",
        help="Where the state is kept: file:PATH; zeo:HOST:PORT of `slapcluster "
        "storage serve` or neo:NAME@HOST:PORT,... for several masters; or memory: to "
        "forget it.",
    ),
    click.option(
        "--documents",
        "documents_directory",
        type=click.Path(file_okay=False, resolve_path=True),
        help="Keep the last documents of computers here, and answer polls with them "
        "while a store that others serve is away.",
    ),
    click.option(
        "--announce",
        "announced",
        metavar="URL REGION",
        type=(str, str),
        default=None,
        help="Tell callers that this replica is reached there, and its region: they "
        "prefer those of their own.",
    ),
    click.option(
        "--release",
        "release_directory",
        type=click.Path(exists=True, file_okay=False, resolve_path=True),
        help="Serve this directory, filled by `make release`, below /release/.",
    ),
    click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Lines of the log for people, or one JSON object each.",
    ),
    click.option(
        "--access-log",
        type=click.Choice(["none", "changes", "all"]),
        default="changes",
        show_default=True,
        help="Which calls get a line in the log; `changes` leaves out what only reads.",
    ),
    click.option(
        "--prefix",
        "path_prefix",
        metavar="PATH",
        default="",
        help="Serve everything below this path too, such as erp5/portal_slap.",
    ),
)


def serving_options(command: F) -> F:
    """Add the options of a master: what it keeps, what it serves, what it logs."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def parse_listen(text: str, example: str = "127.0.0.1:5000") -> tuple[str, int]:
    """Return the host and the port of ``127.0.0.1:5000`` or ``[::1]:5000``."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise CommandFailed(f"--listen {text!r}: write HOST:PORT, such as {example}.")
    return host.removeprefix("[").removesuffix("]"), int(port)
