"""Core. The documents that polls are answered with, and those that are at hand."""

from __future__ import annotations

import hashlib
import zlib
from collections import OrderedDict

from attrs import field, frozen

from slap.freshness import UNSEEN

COMPRESSION_LEVEL = 6
"""For 210 kB: 1 ms and 11.2 kB; level 1 takes 0.3 ms for 14.3 kB, 9 takes 3 ms for
10.4 kB. It is done once for a change, and kept."""

_GZIP = 16 + zlib.MAX_WBITS


@frozen
class Document:
    """What a poll is answered; ``packed`` is the body, compressed by gzip.

    ``etag`` follows from the content alone: it is the same at all replicas.
    ``tid`` is the last transaction that it knows. ``current_at`` is when it was known
    to be current, ``None`` when it is now.
    """

    etag: str
    packed: bytes = field(repr=False)
    length: int
    tid: bytes = UNSEEN
    current_at: float | None = None

    @property
    def content(self) -> bytes:
        """The body as it is without compression."""
        return zlib.decompress(self.packed, _GZIP, self.length)


def build_document(content: bytes) -> Document:
    """Name and compress a body."""
    packing = zlib.compressobj(COMPRESSION_LEVEL, wbits=_GZIP)
    packed = packing.compress(content) + packing.flush()
    return Document(hashlib.sha256(content).hexdigest()[:32], packed, len(content))


class Bodies:
    """Documents within a bound of bytes: the ones that were used last."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._documents: OrderedDict[str, Document] = OrderedDict()
        self.byte_count = 0

    def get(self, computer_id: str) -> Document | None:
        document = self._documents.get(computer_id)
        if document is not None:
            self._documents.move_to_end(computer_id)
        return document

    def put(self, computer_id: str, document: Document) -> None:
        """Keep a document, and drop those that were used longest ago."""
        old = self._documents.pop(computer_id, None)
        if old is not None:
            self.byte_count -= len(old.packed)
        self._documents[computer_id] = document
        self.byte_count += len(document.packed)
        while self.byte_count > self._bytes_max:
            _, dropped = self._documents.popitem(last=False)
            self.byte_count -= len(dropped.packed)
