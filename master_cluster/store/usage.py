"""Shell. The usage documents of a computer, as the store keeps them.

The text is compressed, and an object of its own: listing reads summaries alone. The
journal is kept beside it, because a later version may understand the text otherwise,
and what was accepted stays what it was.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import islice

from attrs import evolve

from master_cluster.store.schema import Stored, StoredUsage, fields_of, record_of
from master_cluster.usage import UsageRecord, find_lack_of_room, summarise_usage
from slap.errors import NotFound, Unavailable
from slap.usage import UsageSummary

FULL_RETRY_AFTER_SECONDS = 3600
"""Room is made by a person; the node keeps its reports until then."""


ID_LENGTH_MIN = 8
"""Of the beginning of an id: 32 bits tell 50,000 documents apart, mostly."""


class StoredDocument(Stored):
    """A document: its record without the text, and the text compressed."""

    def __init__(self, record: UsageRecord) -> None:
        super().__init__(evolve(record, document=""))
        self.compressed = zlib.compress(record.document.encode())


class KeptUsage:
    """The usage of one computer, within one transaction."""

    def __init__(self, computer_id: str, stored: StoredUsage) -> None:
        self._computer_id = computer_id
        self._stored = stored

    @property
    def document_count(self) -> int:
        return self._stored.document_count

    def keep(self, record: UsageRecord) -> None:
        """Keep a document, unless it is kept already; ``Unavailable`` without room."""
        stored = self._stored
        if record.document_id in stored.documents:
            return
        document_count = stored.document_count + 1
        byte_count = stored.byte_count + record.byte_count
        lack = find_lack_of_room(document_count, byte_count)
        if lack:
            sentence = f"no room for usage of {self._computer_id}: {lack}"
            raise Unavailable(sentence, FULL_RETRY_AFTER_SECONDS)
        repeats = stored.likenesses.get(record.likeness, "")
        if not repeats:
            stored.likenesses[record.likeness] = record.document_id
        key = _arrival(record.received_at) + record.document_id
        stored.summaries[key] = dict(fields_of(summarise_usage(record, repeats)))
        stored.documents[record.document_id] = StoredDocument(record)
        stored.document_count = document_count
        stored.byte_count = byte_count

    def summaries(
        self, since: float, after: str, count_max: int
    ) -> tuple[tuple[UsageSummary, ...], str]:
        """Return the next documents in order of arrival, and where to go on, or ``""``.

        ``after`` is where an earlier answer ended; it goes before ``since``.
        """
        keys = list(islice(self._keys(since, after), count_max + 1))
        fields = (self._stored.summaries[it] for it in keys[:count_max])
        found = tuple(record_of(UsageSummary, it) for it in fields)
        return found, keys[count_max - 1] if len(keys) > count_max else ""

    def last(self) -> UsageSummary | None:
        """Return the document that arrived last."""
        summaries = self._stored.summaries
        if not summaries:
            return None
        return record_of(UsageSummary, summaries[summaries.maxKey()])

    def document(self, document_id: str) -> tuple[UsageRecord, UsageSummary]:
        """Return a document by its id, or by enough of its beginning.

        ``NotFound`` when it is not kept, or when several begin so.
        """
        documents = self._stored.documents
        found = list(islice(documents.keys(document_id, document_id + "~"), 2))
        if len(found) != 1 or len(document_id) < ID_LENGTH_MIN:
            raise NotFound(
                f"{len(found) or 'no'} usage documents {document_id!r} of"
                f" {self._computer_id}"
            )
        stored: StoredDocument = documents[found[0]]
        text = zlib.decompress(stored.compressed).decode()
        record = evolve(stored.read(UsageRecord), document=text)
        key = _arrival(record.received_at) + record.document_id
        return record, record_of(UsageSummary, self._stored.summaries[key])

    def _keys(self, since: float, after: str) -> Iterator[str]:
        first = after or _arrival(since)
        keys: Iterator[str] = self._stored.summaries.keys(first, excludemin=bool(after))
        yield from keys


def _arrival(received_at: float) -> str:
    """Return an instant as a key: in the order of time."""
    return f"{received_at:020.6f} "
