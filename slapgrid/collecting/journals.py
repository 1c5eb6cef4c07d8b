"""Core. The usage document of a day: TioXML as stock nodes write it, and more of it.

The same day gives the same bytes whoever asks, for ever: a master that has them knows
that it has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from slap.tioxml import encode_journal
from slap.usage import Arrow, Journal, JournalEntry, Movement
from slapgrid.collecting.days import Day
from slapgrid.collecting.measures import CPU_LOAD, RESOURCES, Measure, Resource
from slapgrid.collecting.readings import COMPUTER

#: With 13 movements each, a document of so many stays below what masters read.
SUBJECTS_PER_DOCUMENT_MAX = 1000
_DIGITS = Decimal("0.001")
_LEAST = 0.001


def render_day(day: Day, computer_id: str) -> tuple[str, ...]:
    """The documents of a day: one, or more when the computer has 1000 partitions.

    None when nothing was measured.
    """
    subjects = sorted({*day.amounts, *day.levels})
    documents: list[str] = []
    for start in range(0, len(subjects), SUBJECTS_PER_DOCUMENT_MAX):
        part = subjects[start : start + SUBJECTS_PER_DOCUMENT_MAX]
        movements = tuple(
            movement
            for subject in part
            for movement in _movements(day, subject, computer_id)
        )
        if movements:
            suffix = f"-{len(documents) + 1}" if documents else ""
            entry = _entry(day, computer_id, f"{day.date}-global{suffix}", movements)
            documents.append(encode_journal(Journal((entry,))))
    return tuple(documents)


def _entry(
    day: Day, computer_id: str, reference: str, movements: tuple[Movement, ...]
) -> JournalEntry:
    return JournalEntry(
        kind="Sale Packing List",
        title=f"Eco Information for {computer_id}",
        start_date=f"{day.date} 00:00:00",
        stop_date=f"{day.date} 23:59:59",
        reference=reference,
        currency="",
        payment_mode="",
        categories=("",),
        arrows=(Arrow("Destination"),),
        movements=movements,
    )


def _movements(day: Day, subject: str, computer_id: str) -> Iterator[Movement]:
    reference = subject if subject != COMPUTER else computer_id
    load = _cpu_load_percent(day, subject)
    if load is not None:
        yield _movement(CPU_LOAD, load, reference)
    for measure, resource in RESOURCES.items():
        value = day.average(subject, measure) or 0.0
        unit = resource.unit_of_computer if subject == COMPUTER else resource.unit
        # Nothing is the rule for most, and needs no words.
        if value / unit >= _LEAST:
            yield _movement(resource, value / unit, reference)


def _cpu_load_percent(day: Day, subject: str) -> float | None:
    seconds = day.average(subject, Measure.CPU_SECONDS)
    if not seconds or day.elapsed_seconds <= 0:
        return None
    processors = 1.0
    if subject == COMPUTER:
        processors = day.average(COMPUTER, Measure.PROCESSORS) or 1.0
    return 100 * seconds / (day.elapsed_seconds * processors)


def _movement(resource: Resource, quantity: float, reference: str) -> Movement:
    return Movement(
        resource=f"service_module/{resource.name}",
        title=f"{resource.title}: {reference}",
        reference=reference,
        quantity=str(Decimal(quantity).quantize(_DIGITS)),
        price="0.0",
        vat="",
        categories=("",),
    )
