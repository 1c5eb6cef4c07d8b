"""Shell. ``doctor``: whether the computers of a file will do, and still do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slapcluster.commands.options import cloud_file_argument
from slapcluster.documents import document_of
from slapcluster.outcomes import ExitCode
from slapcluster.session import Session, pass_session
from slapcluster.tables import Table, line

if TYPE_CHECKING:
    # Loads Twisted, and the shell loads this module at every TAB.
    from collections.abc import Sequence

    from runtime.ports import Runtime
    from slapcluster.doctor.judging import Finding

_EPILOG = """Before a bootstrap and at any time. Each computer is asked by its command;
one without is named, with what to type there. Nothing is left on them.

Exit codes: 0 no failure, 1 a failure. A warning is none: it works, and less well.

JSON: {findings: [{subject, check, verdict: ok|warning|failure, sentence}]}."""


@click.command(epilog=_EPILOG)
@cloud_file_argument
@pass_session
def doctor(session: Session, *, cloud_file: Path) -> int:
    """Examine the computers of CLUSTER.toml, and the ways between them.

    Clocks, disks, stunnel, addresses, ports, partitions; and whether each computer that
    has an address is reached from the other regions.
    """
    from slapcluster.bootstrap.cloud_files import read_file  # noqa: PLC0415 - as above
    from slapcluster.doctor.consulting import consult  # noqa: PLC0415

    wanted = read_file(cloud_file)
    progress = session.progress(wanted.name)

    async def main(runtime: Runtime) -> list[Finding]:
        return await consult(runtime, wanted, progress.show)

    try:
        found = session.launch(main)
    finally:
        progress.close()
    return answer_findings(session, {}, found)


def answer_findings(
    session: Session, document: dict[str, object], found: Sequence[Finding]
) -> int:
    """Show what was found; return the exit code that follows."""
    from slapcluster.doctor.judging import Verdict  # noqa: PLC0415 - as above

    session.answer(
        {**document, "findings": [document_of(it) for it in found]},
        Table(
            ("computer", "check", "verdict", "what"),
            tuple(
                line(it.subject, it.check, it.verdict.value, it.sentence)
                for it in found
            ),
        ),
    )
    counts = [
        f"{sum(it.verdict is verdict for it in found)} {verdict.value}"
        for verdict in Verdict
    ]
    session.add_text(", ".join(counts))
    has_failed = any(it.verdict is Verdict.FAILURE for it in found)
    return ExitCode.FAILED if has_failed else ExitCode.DONE
