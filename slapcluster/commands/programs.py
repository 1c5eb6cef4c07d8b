"""Shell. ``start``, ``stop``, ``restart`` and ``tail``: single programs, by name."""

from __future__ import annotations

import re
from pathlib import Path

import click

from slapcluster.commands.configured import config_option
from slapcluster.documents import document_of
from slapcluster.printing import print_note
from slapcluster.session import Session, pass_session
from slapcluster.tables import Table, line
from slapgrid.supervision.verbs import Verb

LINES_DEFAULT = 20
LINES_MAX = 1000
"""Some screens; who wants more opens the file."""

_NAMES = """Each NAME is PARTITION for all its programs, PARTITION:PROGRAM, or all.
`slapgrid status` lists them."""

_AGENT = """The agent keeps what the master wants: a program that should run and was
stopped is started at the agent's next comparison, some seconds later where
`slapgrid run` works, else in the next pass of `slapgrid instance`. What should last is
asked of the master: `slapcluster service stop TITLE`."""

_EPILOG = f"""{_NAMES}

{_AGENT}

Exit codes: 0 done, 1 a program is not as it was told, there is none of a name, or
supervisord does not run.

JSON: {{agent, programs: [{{partition_id, program, program_state, failure}}]}}; agent is
the process of an agent that runs, or null."""

#: A terminal obeys them, and a program chooses what it writes.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _verb_command(verb: Verb, help_text: str) -> click.Command:
    @click.command(verb.value, help=help_text, epilog=_EPILOG)
    @click.argument("names", nargs=-1, required=True, metavar="NAME...")
    @config_option
    @pass_session
    def tell(session: Session, config_path: Path, names: tuple[str, ...]) -> int:
        from slapcluster.programs import tell as tell_all  # noqa: PLC0415 - Twisted

        telling = tell_all(session.launch, config_path, verb, names)
        session.answer(
            {"agent": telling.agent, "programs": document_of(telling.programs)},
            Table(
                ("program", "state", "failure"),
                tuple(
                    line(
                        f"{it.partition_id}:{it.program}", it.program_state, it.failure
                    )
                    for it in telling.programs
                ),
            ),
        )
        if verb is Verb.STOP and not session.is_json:
            print_note(_warning(telling.agent, telling.recheck_seconds))
        return 1 if any(it.failure is not None for it in telling.programs) else 0

    return tell


def _warning(agent: int | None, recheck_seconds: float) -> str:
    when = (
        "The next pass of the agent starts"
        if agent is None
        else f"Within {recheck_seconds:g} s or so the agent (process {agent}) starts"
    )
    return (
        f"{when} again what the master wants started; to stop it for good: "
        "`slapcluster service stop TITLE`."
    )


start = _verb_command(Verb.START, "Start programs; one that runs is left alone.")
stop = _verb_command(
    Verb.STOP, "Stop programs until the agent compares again, and wait."
)
restart = _verb_command(
    Verb.RESTART, "Stop programs, wait until they ended, start them."
)


@click.command(
    epilog="""Works without supervisord and the agent. Lines of the file before are
shown too where supervisord began a new one. Exit codes: 0 done, 1 a log cannot be read.

JSON: {programs: [{partition_id, program, path, text, failure}]}."""
)
@click.argument("names", nargs=-1, required=True, metavar="PARTITION[:PROGRAM]...")
@click.option(
    "-n",
    "--lines",
    "line_count",
    type=click.IntRange(1, LINES_MAX),
    default=LINES_DEFAULT,
    show_default=True,
    help="How many of each program.",
)
@config_option
@pass_session
def tail(
    session: Session, config_path: Path, names: tuple[str, ...], line_count: int
) -> int:
    """Show the last lines that programs wrote; of a partition, of each program."""
    from slapcluster.programs import read_ends  # noqa: PLC0415 - loads Twisted

    ends = read_ends(session.launch, config_path, names, line_count)
    session.answer({"programs": document_of(ends)})
    if not session.is_json:
        for end in ends:
            name = f"{end.partition_id}:{end.program}".rstrip(":")
            if end.failure is not None:
                print_note(f"{name}: {end.failure}")
                continue
            if len(ends) > 1:
                click.echo(f"==> {name} <==")
            if end.text:
                click.echo(_CONTROLS.sub("?", end.text))
    return 1 if any(it.failure is not None for it in ends) else 0
