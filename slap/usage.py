"""Core. Usage: what a computer says was consumed, and what a person is told of it.

Quantities and prices are texts, exactly as they were delivered: whoever adds them up
makes decimals of them, and no float comes between.
"""

from __future__ import annotations

from attrs import frozen

from slap.arguments import Argument
from slap.errors import BadRequest
from slap.form import Form


@frozen
class Movement:
    """So much of a resource; ``reference`` names the partition that consumed it."""

    resource: str
    quantity: str
    price: str
    vat: str
    title: str = ""
    reference: str = ""
    categories: tuple[str, ...] = ()


@frozen
class Arrow:
    """Who provided and who received, in the role that ``kind`` names."""

    kind: str
    source: str = ""
    destination: str = ""


@frozen
class JournalEntry:
    """Movements of one span of time; what TioXML calls a transaction.

    Dates are the words of the computer: TioXML gives them no form, and a merged report
    of a stock node has no start.
    """

    kind: str
    start_date: str
    stop_date: str
    reference: str
    currency: str
    payment_mode: str
    arrows: tuple[Arrow, ...]
    movements: tuple[Movement, ...]
    title: str = ""
    categories: tuple[str, ...] = ()


@frozen
class Journal:
    """What one usage document says."""

    entries: tuple[JournalEntry, ...]

    @property
    def movement_count(self) -> int:
        return sum(len(it.movements) for it in self.entries)


@frozen
class UsageSummary:
    """A kept document in one line.

    ``document_id`` is the hash of its text. ``start_date`` is of its first entry and
    ``stop_date`` of its last. ``repeats`` names an earlier document that has the same
    movements under another date of delivery; empty when there is none.
    """

    document_id: str
    received_at: float
    start_date: str
    stop_date: str
    references: tuple[str, ...]
    movement_count: int
    byte_count: int
    repeats: str = ""


@frozen
class UsageList:
    """Kept documents in the order of arrival; ask again after ``next_after``."""

    computer_id: str
    documents: tuple[UsageSummary, ...] = ()
    next_after: str = ""


@frozen
class UsageReport:
    """A kept document, as it was delivered and as it was understood."""

    computer_id: str
    summary: UsageSummary
    journal: Journal
    document: str


def _decode_since(form: Form) -> float:
    text = form.text("since", "0")
    try:
        since = float(text)
    except ValueError as error:
        raise BadRequest(f"since: {text[:40]!r} is no number of seconds") from error
    if not 0 <= since < 1e12:  # noqa: PLR2004 - year 33658; no NaN passes either
        raise BadRequest("since: not a time since 1970")
    return since


SINCE = Argument(
    "since",
    ("since",),
    lambda value: {"since": repr(float(value))},
    _decode_since,
    optional=frozenset({"since"}),
)
"""An instant, in seconds since 1970; everything when it is absent."""
