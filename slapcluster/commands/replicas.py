"""Shell. ``replica``: which replicas of the master callers are told of."""

from __future__ import annotations

from collections.abc import Iterable

import click

from slap.replicas import ListedReplica
from slapcluster.documents import document_of
from slapcluster.session import Session, pass_session
from slapcluster.tables import Table, line

_EPILOG = "JSON: [{url, region}]."


@click.group()
def replica() -> None:
    """Replicas of the master: any of them will do, and callers know all."""


@replica.command("list", epilog=_EPILOG)
@pass_session
def list_replicas(session: Session) -> None:
    """List the replicas that agents are told of."""
    report = session.ask(lambda master: master.replicas())
    session.answer(document_of(report.replicas), _table(report.replicas))


@replica.command(epilog=_EPILOG)
@click.argument("url")
@pass_session
def forget(session: Session, url: str) -> None:
    """Tell nobody of a replica that is gone; one that starts again is told of."""
    report = session.ask(lambda master: master.forget_replica(url))
    session.answer(document_of(report.replicas), _table(report.replicas))


def _table(replicas: Iterable[ListedReplica]) -> Table:
    return Table(
        ("replica", "region"), tuple(line(it.url, it.region) for it in replicas)
    )
