"""Shell. The verbs that make one pass and end, with the options of stock commands."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from slapcluster.agent_options import PassOptions, split_names
from slapcluster.commands.configured import config_option
from slapcluster.documents import document_of
from slapcluster.printing import print_note
from slapcluster.session import Session, pass_session
from slapgrid.selection import Selection

_EPILOG = """Exit codes: 0 all is as wanted, 1 something failed, 2 a promise is not
kept or the master was not told, 3 the master is away, 10 another agent runs.

JSON: {exit_status, reason, outcomes: [{effort, name, failure}]}."""

_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_COMMON: tuple[_Decorator, ...] = (
    click.option(
        "--once", is_flag=True, help="Make one pass, as without it; `run` stays."
    ),
    click.option(
        "--now", is_flag=True, help="Do not wait before another try of what failed."
    ),
    click.option(
        "-v", "--verbose", "is_verbose", is_flag=True, help="Write the log too."
    ),
    click.option(
        "--logfile",
        "--log-file",
        "log_path",
        type=click.Path(dir_okay=False),
        help="Append the log to this file.",
    ),
    click.option(
        "--pidfile", metavar="FILE", help="Where the stock command says it runs."
    ),
    click.option(
        "--maximal-delay",
        "--maximal_delay",
        metavar="SECONDS",
        hidden=True,
        help="Accepted; a pass begins at once.",
    ),
)
_FORCE = click.option(
    "--all",
    "--force",
    "is_forced",
    is_flag=True,
    help="Do again what is done already.",
)
_ONLY_RELEASES = click.option(
    "--only-sr",
    "--only_sr",
    "releases",
    metavar="LIST",
    help="These releases alone: URLs or their md5, with commas between.",
)
_ONLY_PARTITIONS = click.option(
    "--only-cp",
    "--only_cp",
    "partition_ids",
    metavar="LIST",
    help="These partitions alone, with commas between.",
)
_PROMISE_TIMEOUT = click.option(
    "--promise-timeout",
    "--promise_timeout",
    "promise_timeout",
    metavar="SECONDS",
    help="How long a promise may take; wins over the file.",
)


_SETTINGS = (
    "promise_timeout",
    "input_definition_file",
    "output_definition_file",
    "alter_user",
    "alter_network",
)
"""Options that win over the key of their name in the file."""

_FILE = click.Path(dir_okay=False, resolve_path=True)
_FLAG = click.Choice(("true", "false"), case_sensitive=False)
_FORMAT: tuple[_Decorator, ...] = (
    click.option(
        "-n",
        "--dry-run",
        "--dry_run",
        "is_dry_run",
        is_flag=True,
        help="Say what would be done; change nothing and tell nobody.",
    ),
    click.option(
        "-i",
        "--input-definition-file",
        "--input_definition_file",
        "input_definition_file",
        type=_FILE,
        help="What says what partitions have, instead of an interface.",
    ),
    click.option(
        "-o",
        "--output-definition-file",
        "--output_definition_file",
        "output_definition_file",
        type=_FILE,
        help="Where to write such a file.",
    ),
    click.option(
        "--alter-user",
        "--alter_user",
        "alter_user",
        type=_FLAG,
        help="Whether to make missing users; wins over the file.",
    ),
    click.option(
        "--alter-network",
        "--alter_network",
        "alter_network",
        type=_FLAG,
        help="Whether to make missing addresses and devices; wins over the file.",
    ),
)


def _options(
    pidfile_key: str, given: dict[str, Any]
) -> tuple[PassOptions, dict[str, Any]]:
    """What the options ask of any pass, and what is left for this one."""
    settings = {
        key: str(value)
        for key, value in (
            (pidfile_key, given.pop("pidfile")),
            *((key, given.pop(key, None)) for key in _SETTINGS),
        )
        if value is not None and key
    }
    del given["once"], given["maximal_delay"]
    selection = Selection(
        split_names(given.pop("partition_ids", None)),
        split_names(given.pop("releases", None)),
        is_forced=given.pop("is_forced", False),
        is_impatient=given.pop("now"),
    )
    log_path, is_verbose = given.pop("log_path"), given.pop("is_verbose")
    options = PassOptions(
        selection,
        MappingProxyType(settings),
        log_path,
        is_verbose,
        given.get("is_dry_run", False),
    )
    return options, given


def pass_command(
    name: str,
    help_text: str,
    method: str,
    *,
    decorators: tuple[_Decorator, ...] = (),
    pidfile_key: str = "",
) -> click.Command:
    """A verb that runs a method of ``slapgrid.passes.Agent``, or ``boot``.

    One that has options of ``Selection`` is called with it; what other ``decorators``
    give is handed to the method by name.
    """

    def perform(session: Session, config_path: Path, **given: Any) -> int:
        from slapcluster.agents import (  # noqa: PLC0415 - loads Twisted
            perform_method,
            run_pass,
        )

        is_selective = bool({"partition_ids", "releases", "is_forced"} & set(given))
        options, rest = _options(pidfile_key, given)
        arguments = (options.selection,) if is_selective else ()
        progress = session.progress(name)
        try:
            result = run_pass(
                session.launch,
                config_path,
                partial(perform_method, method, *arguments, **rest),
                progress.show,
                options,
            )
        finally:
            progress.close()
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
            for outcome in result.outcomes:
                if outcome.failure is not None:
                    print_note(f"{outcome.name}: {outcome.failure}")
            click.echo(result.reason)
        return int(result.exit_status)

    function: Callable[..., Any] = pass_session(perform)
    every: tuple[_Decorator, ...] = (config_option, *decorators, *_COMMON)
    for decorate in reversed(every):
        function = decorate(function)
    return click.command(name, help=help_text, epilog=_EPILOG)(function)


PASSES = (
    pass_command(
        "format",
        "Prepare the partitions of this computer and tell the master.",
        "format",
        decorators=_FORMAT,
    ),
    pass_command(
        "software",
        "Build and remove releases as wanted.",
        "software_pass",
        decorators=(_FORCE, _ONLY_RELEASES),
        pidfile_key="pidfile_software",
    ),
    pass_command(
        "instance",
        "Bring each partition to what is wanted.",
        "instance_pass",
        decorators=(_FORCE, _ONLY_PARTITIONS, _PROMISE_TIMEOUT),
        pidfile_key="pidfile_instance",
    ),
    pass_command(
        "promise",
        "Test the promises of started instances now; the master is told nothing.",
        "promise_pass",
        decorators=(_ONLY_PARTITIONS, _PROMISE_TIMEOUT),
        pidfile_key="pidfile_instance",
    ),
    pass_command(
        "report",
        "Deliver usage documents, then remove the instances that are destroyed.",
        "report_pass",
        decorators=(_ONLY_PARTITIONS,),
        pidfile_key="pidfile_report",
    ),
    pass_command(
        "collect",
        "Measure what this computer and its partitions consume; a day that is over "
        "becomes a usage document. `run` does it each minute.",
        "collect_pass",
    ),
    pass_command(
        "boot",
        "What a start of the computer needs: format, tell the master, process all "
        "again; tried until it is done. `run` does it by itself.",
        "boot",
    ),
    pass_command(
        "bang",
        "Ask the master to have everything on this computer processed again.",
        "bang",
        decorators=(
            click.option(
                "-m",
                "--message",
                default="",
                help="Why; the master shows it.",
            ),
        ),
    ),
)
