"""Shell. ``computer usage``: what computers reported of usage."""

from __future__ import annotations

import click

from slap.usage import UsageSummary
from slapcluster.documents import document_of
from slapcluster.instants import parse_instant
from slapcluster.master import Master
from slapcluster.session import Session, pass_session
from slapcluster.usage_views import movements_table, usage_table

_SUMMARY = (
    "{document_id, received_at, start_date, stop_date, references, movement_count, "
    "byte_count, repeats}"
)


@click.command(
    epilog=f"JSON: {{computer_id, documents: [{_SUMMARY}]}}; with --document: "
    f"{{computer_id, summary: {_SUMMARY}, journal: {{entries: [{{kind, start_date, "
    "stop_date, reference, currency, payment_mode, title, categories, arrows: [{kind, "
    "source, destination}], movements: [{resource, quantity, price, vat, title, "
    "reference, categories}]}]}, document}. received_at is in seconds since 1970; "
    "repeats is the id of an earlier document with the same movements, or empty."
)
@click.argument("computer_id")
@click.option(
    "--since",
    metavar="DATE",
    default="1970-01-01",
    help="Only what arrived from this date or time on, in UTC.",
)
@click.option(
    "--document",
    "document_id",
    metavar="ID",
    help="One document: its movements; the first 8 characters of its id are enough.",
)
@pass_session
def usage(
    session: Session, computer_id: str, since: str, document_id: str | None
) -> None:
    """List the usage documents of a computer, in the order of their arrival."""
    if document_id is not None:
        report = session.ask(
            lambda master: master.usage_document(computer_id, document_id)
        )
        session.answer(document_of(report), movements_table(report.journal))
        return
    first = parse_instant(since, "--since")
    documents = session.ask(lambda master: _all_usage(master, computer_id, first))
    session.answer(
        {"computer_id": computer_id, "documents": document_of(documents)},
        usage_table(documents),
    )


async def _all_usage(
    master: Master, computer_id: str, since: float
) -> tuple[UsageSummary, ...]:
    answer = await master.usage(computer_id, since, "")
    documents = list(answer.documents)
    while answer.next_after:
        answer = await master.usage(computer_id, since, answer.next_after)
        documents += answer.documents
    return tuple(documents)
