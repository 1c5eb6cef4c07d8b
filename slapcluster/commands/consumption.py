"""Shell. ``node usage``: what the agent of this computer measured last."""

from __future__ import annotations

from pathlib import Path

import click

from slapcluster.commands.configured import config_option
from slapcluster.session import Session, pass_session

_EPILOG = """Exit codes: 0 shown, 1 nothing was measured yet.

JSON: {computer_id, at, elapsed_seconds, computer: {measure: value},
partitions: {name: {measure: value}}, waiting, refused}. Amounts are those of the last
elapsed_seconds."""


@click.command(epilog=_EPILOG)
@config_option
@pass_session
def usage(session: Session, config_path: Path) -> int:
    """What this computer and its partitions consume, as measured last.

    Neither the agent nor the master is asked.
    """
    from slapcluster.agents import read_settings  # noqa: PLC0415 - loads Twisted
    from slapcluster.consumption_views import (  # noqa: PLC0415 - the same
        consumption_document,
        consumption_table,
    )
    from slapgrid.accounting import read_usage  # noqa: PLC0415 - the same

    config = read_settings(config_path)
    known = session.launch(read_usage(config))
    latest, computer_id = known.latest, config.computer_id
    session.answer(
        {
            **consumption_document(latest, computer_id),
            "waiting": known.waiting_count,
            "refused": known.refused_count,
        },
        consumption_table(latest, computer_id),
    )
    if not latest.at:
        session.add_text("Nothing was measured yet: `slapcluster node collect` does.")
    if known.waiting_count:
        session.add_text(f"{known.waiting_count} usage documents wait for the master.")
    if known.refused_count:
        session.add_text(
            f"{known.refused_count} reports or documents were refused: look at "
            f"{config.instance_root}/var/slapgrid/usage/refused."
        )
    return 0 if latest.at else 1
