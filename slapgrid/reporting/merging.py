"""Core. What instances report becomes one document for the master."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime

from attrs import evolve, frozen

from slap.errors import MalformedDocument
from slap.tioxml import decode_consumption, decode_journal, encode_journal
from slap.usage import Arrow, Journal, JournalEntry, Movement

#: A report of an instance has some movements.
REPORT_BYTES_MAX = 1024 * 1024
REPORT_MOVEMENTS_MAX = 5_000
#: Half of what masters read: with the last report it stays below that.
MERGED_BYTES_MAX = 2 * 1024 * 1024
MERGED_MOVEMENTS_MAX = 10_000

#: Between the partition and the identity in the name of a claim.
_SEPARATOR = "--"
_IDENTITY_LENGTH = 40


@frozen
class Consumed:
    """What one report of a partition says."""

    partition_id: str
    movements: tuple[Movement, ...]


@frozen
class Weight:
    """How much of a document reports will take."""

    byte_count: int = 0
    movement_count: int = 0

    @property
    def is_enough(self) -> bool:
        """Whether nothing more should go into the same document."""
        return (
            self.byte_count > MERGED_BYTES_MAX
            or self.movement_count > MERGED_MOVEMENTS_MAX
        )

    def __add__(self, other: Weight) -> Weight:
        return Weight(
            self.byte_count + other.byte_count,
            self.movement_count + other.movement_count,
        )


def read_consumption(content: bytes) -> tuple[Movement, ...]:
    """A partition's report; ``MalformedDocument`` when it is none."""
    movements = decode_consumption(_text(content))
    weight = weigh(movements)
    if weight.movement_count > REPORT_MOVEMENTS_MAX:
        raise MalformedDocument(f"more than {REPORT_MOVEMENTS_MAX} movements")
    if weight.byte_count > REPORT_BYTES_MAX:
        # Escaped, a text of brackets is four times as long.
        raise MalformedDocument(f"longer than {REPORT_BYTES_MAX} bytes when merged")
    return movements


def weigh(movements: tuple[Movement, ...]) -> Weight:
    """What a report will take of a document."""
    merged = merge([Consumed("", movements)], "", 0.0, "")
    return Weight(len(merged.encode()), len(movements))


def check_journal(content: bytes) -> None:
    """Raise ``MalformedDocument`` unless it is a document for the master as it is."""
    decode_journal(_text(content))


def name_claim(partition_id: str, path: str, modified: float, content: bytes) -> str:
    """The name of a claim: another file, date or content has another one."""
    told = f"{path}\n{modified!r}\n".encode() + content
    return f"{partition_id}{_SEPARATOR}{_identity(told)}.xml"


def claimed_partition(name: str) -> str:
    """Whose report a claim is."""
    return name.rpartition(_SEPARATOR)[0]


def name_journal(content: bytes) -> str:
    """The name of a document that is sent as it is: its text is its identity."""
    return f"journal-{_identity(content)}.xml"


def merge(
    consumed: Iterable[Consumed], computer_id: str, now: float, batch: str
) -> str:
    """The document of a batch, each movement with its partition as reference.

    Two batches never have the same text, though the same was consumed: a master that
    has one of them must not take the other for it.
    """
    movements = tuple(
        evolve(movement, reference=each.partition_id)
        for each in consumed
        for movement in each.movements
    )
    entry = JournalEntry(
        kind="Sale Packing List",
        title="Resource consumptions",
        start_date="",
        stop_date=f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d at %H:%M:%S}",
        reference=computer_id,
        currency="",
        payment_mode="",
        categories=("",),
        arrows=(Arrow("Administration"),),
        movements=movements,
    )
    return f"{encode_journal(Journal((entry,)))}<!-- {batch} -->\n"


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise MalformedDocument("not UTF-8", error.start) from error


def _identity(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_IDENTITY_LENGTH]
