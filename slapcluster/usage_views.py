"""Core. Usage as tables for people."""

from __future__ import annotations

from collections.abc import Iterable

from slap.usage import Journal, UsageSummary
from slapcluster.instants import show_instant
from slapcluster.tables import Table, fold, line

ID_WIDTH = 8
"""What of an id is shown, and is enough to ask for the document."""

DATE_WIDTH_MAX = 19
REFERENCE_WIDTH_MAX = 15
RESOURCE_WIDTH_MAX = 36
TITLE_WIDTH_MAX = 18


def usage_table(documents: Iterable[UsageSummary]) -> Table:
    return Table(
        ("document", "received", "movements", "until", "reference"),
        tuple(
            line(
                _identity(it),
                show_instant(it.received_at),
                it.movement_count,
                fold(it.stop_date, DATE_WIDTH_MAX),
                fold(", ".join(it.references), REFERENCE_WIDTH_MAX),
            )
            for it in documents
        ),
        title="Usage documents; = marks the movements of an earlier one",
    )


def movements_table(journal: Journal) -> Table:
    return Table(
        ("partition", "resource", "title", "quantity", "price"),
        tuple(
            line(
                it.reference,
                fold(it.resource, RESOURCE_WIDTH_MAX),
                fold(it.title, TITLE_WIDTH_MAX),
                it.quantity,
                it.price,
            )
            for entry in journal.entries
            for it in entry.movements
        ),
        title="Movements",
    )


def _identity(summary: UsageSummary) -> str:
    """Return the beginning of the id, and ``=`` when it repeats another."""
    return summary.document_id[:ID_WIDTH] + ("=" if summary.repeats else "")
