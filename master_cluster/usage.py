"""Core. What is kept of a usage document, and when it says nothing new.

Usage is money: it is kept exactly once, and never dropped.

1. A document is its text. The same text twice, from one computer, is one delivery that
   was repeated; the order of deliveries means nothing, the dates are in the documents.
2. Another text is another document, whatever it calls itself: a stock node gives all
   its reports the computer's own name as reference, so a reference identifies nothing.
3. A stock node that missed the answer sends the same movements again under a later date
   of delivery. No text can tell that from the same consumption twice, so both are kept
   and the later one names the earlier (``repeats``): a ledger, or a person, decides.
"""

from __future__ import annotations

import hashlib

from attrs import evolve, frozen

from slap import json_codec
from slap.usage import Journal, UsageSummary

DOCUMENT_COUNT_MAX = 50_000
"""Of one computer: five years of one document an hour."""

BYTES_MAX = 1024 * 1024 * 1024
"""Of one computer, as delivered: 7,000 documents of 100 partitions."""

REFERENCE_COUNT_MAX = 20
"""References that a summary names; the journal has them all."""


@frozen
class UsageRecord:
    """A usage document, as it was delivered and as it was understood.

    ``likeness`` is equal for documents that differ in their date of delivery alone.
    """

    document_id: str
    likeness: str
    received_at: float
    document: str
    journal: Journal

    @property
    def byte_count(self) -> int:
        return len(self.document.encode())


def record_usage(document: str, journal: Journal, now: float) -> UsageRecord:
    """Return what is kept of a document that was understood."""
    return UsageRecord(
        hashlib.sha256(document.encode()).hexdigest(),
        _likeness(journal),
        now,
        document,
        journal,
    )


def summarise_usage(record: UsageRecord, repeats: str) -> UsageSummary:
    """Sum up a document in one line; ``repeats`` names an earlier one that is alike."""
    entries = record.journal.entries
    references = dict.fromkeys(it.reference for it in entries)
    return UsageSummary(
        document_id=record.document_id,
        received_at=record.received_at,
        start_date=entries[0].start_date,
        stop_date=entries[-1].stop_date,
        references=tuple(references)[:REFERENCE_COUNT_MAX],
        movement_count=record.journal.movement_count,
        byte_count=record.byte_count,
        repeats=repeats,
    )


def find_lack_of_room(document_count: int, byte_count: int) -> str:
    """Say why no other document of a computer can be kept, or ``""``."""
    if document_count > DOCUMENT_COUNT_MAX:
        return f"{DOCUMENT_COUNT_MAX} usage documents of it are kept already"
    if byte_count > BYTES_MAX:
        return f"{BYTES_MAX} bytes of its usage are kept already"
    return ""


def _likeness(journal: Journal) -> str:
    """Hash a journal without its dates of delivery.

    An entry without a start was dated when it was sent; the dates of others are their
    span, and tell two equal consumptions apart.
    """
    undated = Journal(
        tuple(
            it if it.start_date else evolve(it, stop_date="") for it in journal.entries
        )
    )
    return hashlib.sha256(json_codec.encode(undated)).hexdigest()
