"""Shell. ``status`` of a computer, from its own files."""

from __future__ import annotations

from pathlib import Path

import click

from slapcluster.commands.configured import config_option
from slapcluster.documents import document_of
from slapcluster.session import Session, pass_session
from slapcluster.standing_views import standing_sentences, standing_tables

_JSON = """JSON: {computer_id, master_urls, agent, stock_agent, supervision, watchdog,
partitions, releases, retries, last_passes, identity_directory, certificates,
observed_at}; times are seconds since 1970. Exit codes: 0 supervisord answers, 1 it does
not."""


@click.command(epilog=_JSON)
@config_option
@pass_session
def status(session: Session, config_path: Path) -> int:
    """Show partitions, programs, promises, releases and what is tried again.

    Needs neither a master nor a running agent.
    """
    from slapcluster.agents import look  # noqa: PLC0415 - loads Twisted

    found = look(session.launch, config_path)
    session.answer(document_of(found), *standing_tables(found))
    session.add_text(standing_sentences(found))
    return 1 if found.supervision else 0
