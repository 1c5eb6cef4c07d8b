"""Shell. ``node examine``: this computer, as the doctor looks at it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slapcluster.commands.configured import DEFAULT_CONFIG_PATH, given_config_path
from slapcluster.commands.doctor import answer_findings
from slapcluster.documents import document_of
from slapcluster.outcomes import CommandFailed
from slapcluster.printing import print_note
from slapcluster.session import Session, pass_session
from slapcluster.tables import Table, line

if TYPE_CHECKING:
    # Loads Twisted, and the shell loads this module at every TAB.
    from runtime.ports import Runtime
    from slapcluster.doctor.encounters import Outcome
    from slapcluster.doctor.examination import Examination
    from slapcluster.doctor.meeting import Received

RECEIVE_SECONDS_DEFAULT = 60.0

_NONCE = click.option(
    "--nonce",
    required=True,
    metavar="TEXT",
    help="What both sides know, and nobody else.",
)

_EPILOG = """Works before `node join` too: then for the settings that it writes.

Exit codes: 0 no failure, 1 a failure.

JSON: {examination: {now, version, settings, settings_trouble, computer_id, agent,
partition_count, stunnel, addresses, network_trouble, software: {path, free_bytes,
file_count_free}, instances: {the same, median_seconds, worst_seconds, trouble},
listeners: [{host, port, program, is_own}]}, findings: [{subject, check, verdict,
sentence}]}; now is in seconds since 1970."""


@click.group(invoke_without_command=True, epilog=_EPILOG)
@click.option(
    "--cfg",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The slapos.cfg of this computer; may stand before the verb too.",
)
@click.pass_context
def examine(ctx: click.Context, config_path: Path | None) -> int:
    """Examine this computer: clock, disks, stunnel, addresses, ports.

    `slapcluster doctor` does it on all computers of a cloud, and compares.
    """
    if ctx.invoked_subcommand is not None:
        return 0
    from slapcluster.commands.joining import DEFAULT_SETTINGS  # noqa: PLC0415 - as above
    from slapcluster.doctor.examining import examine as look  # noqa: PLC0415
    from slapcluster.doctor.judging import judge_examination  # noqa: PLC0415

    session = ctx.find_object(Session)
    assert session is not None
    path = config_path or given_config_path(ctx) or Path(DEFAULT_CONFIG_PATH)

    async def main(runtime: Runtime) -> Examination:
        return await look(runtime, path, DEFAULT_SETTINGS)

    examination = session.launch(main)
    found = tuple(judge_examination("this computer", examination))
    document = {"examination": document_of(examination)}
    return answer_findings(session, document, found)


@examine.command(epilog="JSON: {visit_count, failures: {PORT: reason}}.")
@click.argument("host", metavar="ADDRESS")
@click.option(
    "--ports", required=True, metavar="PORT,PORT", help="Where to listen, all at once."
)
@_NONCE
@click.option(
    "--count",
    type=click.IntRange(0),
    required=True,
    help="After how many visits it is over.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, 3600),
    default=RECEIVE_SECONDS_DEFAULT,
    show_default=True,
    help="After how long it is over.",
)
@pass_session
def receive(
    session: Session, *, host: str, ports: str, nonce: str, count: int, seconds: float
) -> None:
    """Listen at ADDRESS until visitors have come, for a bounded time."""
    from slapcluster.doctor import encounters, meeting  # noqa: PLC0415 - loads Twisted

    try:
        places = [encounters.read_visit(f"here,{host},{it}") for it in ports.split(",")]
    except encounters.BadVisit as error:
        raise CommandFailed(f"{error}.") from error

    visited = encounters.Visited(
        "here", places[0].host, tuple(it.port for it in places)
    )

    async def main(runtime: Runtime) -> Received:
        return await meeting.receive_visits(
            runtime, visited, nonce, print_note, count=count, seconds=seconds
        )

    heard = session.launch(main)
    session.answer(
        document_of(heard),
        Table(("visits",), (line(heard.visit_count),)),
        Table(("port", "failure"), tuple(line(*it) for it in heard.failures.items())),
    )


@examine.command(
    epilog="JSON: {visits: [{title, host, port, seconds, failure, is_stranger}]}."
)
@click.argument("words", nargs=-1, required=True, metavar="TITLE,ADDRESS,PORT...")
@_NONCE
@pass_session
def visit(session: Session, *, words: tuple[str, ...], nonce: str) -> None:
    """Connect to others that listen by `receive`, and say whether they are reached."""
    from slapcluster.doctor import encounters, meeting  # noqa: PLC0415 - loads Twisted

    try:
        visits = [encounters.read_visit(it) for it in words]
    except encounters.BadVisit as error:
        raise CommandFailed(f"{error}.") from error

    async def main(runtime: Runtime) -> tuple[Outcome, ...]:
        return await meeting.make_visits(runtime, visits, nonce)

    outcomes = session.launch(main)
    session.answer(
        {"visits": document_of(outcomes)},
        Table(
            ("computer", "address", "port", "seconds", "failure"),
            tuple(
                line(
                    it.title,
                    it.host,
                    it.port,
                    it.seconds,
                    it.failure or ("another program answers" if it.is_stranger else ""),
                )
                for it in outcomes
            ),
        ),
    )
