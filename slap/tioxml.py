"""Core. TioXML: the language of usage documents.

Theory of operation. The schema is the table ``_MODELS``: for each element that holds
elements, what may stand in it, in this order, how often. A document is checked while it
is read, so nothing is kept of what is refused, and the first flaw ends the reading:

1. There is no DOCTYPE, so there are no entities besides those of XML and nothing is
   ever fetched.
2. An element that the table does not allow at its place is refused at its first byte:
   so the depth is that of the table, whatever is sent.
3. What holds text holds nothing else, of bounded length.

It is as strict as the schema of the reference, and stricter in three places: a quantity
must be finite and a price too (no ledger adds ``INF``), no attribute but ``type`` is
known, and no name has a prefix.

What is written is what is read: ``decode_journal(encode_journal(it)) == it``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NoReturn
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from attrs import define, field, frozen

from slap.errors import MalformedDocument
from slap.usage import Arrow, Journal, JournalEntry, Movement

DOCUMENT_BYTES_MAX = 4 * 1024 * 1024
"""An hour of 100 partitions has 150 kB; a node that was cut off delivers a day."""

MOVEMENT_COUNT_MAX = 20_000
"""What 4 MiB hold when nothing is wasted."""

TEXT_LENGTH_MAX = 4096
"""Of one text: names, titles, dates."""

NUMBER_LENGTH_MAX = 50
EXPONENT_MAX = 38
"""The largest ``xs:float``; a decimal of a larger one takes its memory in digits."""


@frozen
class _Part:
    """An element that may stand in another, from ``minimum`` to ``maximum`` times."""

    tag: str
    minimum: int = 1
    maximum: float = 1


_MANY = float("inf")

_MODELS: Mapping[str, tuple[_Part, ...]] = MappingProxyType(
    {
        "": (_Part("journal"),),
        "a partition's report": (_Part("consumption"),),
        "consumption": (_Part("movement", maximum=_MANY),),
        "journal": (_Part("transaction", maximum=_MANY),),
        "transaction": (
            _Part("title", 0),
            _Part("start_date"),
            _Part("stop_date"),
            _Part("reference"),
            _Part("currency"),
            _Part("payment_mode"),
            _Part("category", 0, _MANY),
            _Part("arrow", maximum=_MANY),
            _Part("movement", maximum=_MANY),
        ),
        "arrow": (_Part("source", 0), _Part("destination", 0)),
        "movement": (
            _Part("resource"),
            _Part("title", 0),
            _Part("reference", 0),
            _Part("quantity"),
            _Part("price"),
            _Part("VAT"),
            _Part("category", 0, _MANY),
        ),
    }
)
_TYPED = frozenset({"transaction", "arrow"})
"""Elements with the attribute ``type``, which they must have."""

_ESCAPES: Mapping[str, str] = MappingProxyType({"\r": "&#13;"})
"""A reader takes a bare return for the end of a line."""

_NUMBER = re.compile(
    r"[+-]?(?P<digits>[0-9]+(\.[0-9]*)?|\.[0-9]+)([eE](?P<exponent>[+-]?[0-9]+))?",
    re.ASCII,
)


def decode_journal(document: str) -> Journal:
    """Read a usage document; ``MalformedDocument``, with the line, is the only error.

    The encoding that it declares is ignored: it travelled inside a form or JSON, which
    were decoded already.
    """
    journal = _Reader("").read(_encoded(document))
    assert isinstance(journal, Journal)
    return journal


def decode_consumption(document: str) -> tuple[Movement, ...]:
    """Read what an instance says that it consumed: movements without a journal.

    Errors as of ``decode_journal``.
    """
    movements = _Reader("a partition's report").read(_encoded(document))
    assert isinstance(movements, tuple)
    return movements


def encode_journal(journal: Journal) -> str:
    """Write a usage document: the same journal gives the same text, for ever.

    Text must be of characters that XML knows, as whatever was decoded is.
    """
    parts = ["<?xml version='1.0' encoding='utf-8'?>\n<journal>\n"]
    for entry in journal.entries:
        parts += _entry_parts(entry)
    parts.append("</journal>\n")
    return "".join(parts)


def _entry_parts(entry: JournalEntry) -> Iterator[str]:
    yield f"<transaction type={quoteattr(entry.kind, _ESCAPES)}>\n"
    yield _leaf("title", entry.title)
    yield _leaf("start_date", entry.start_date)
    yield _leaf("stop_date", entry.stop_date)
    yield _leaf("reference", entry.reference)
    yield _leaf("currency", entry.currency)
    yield _leaf("payment_mode", entry.payment_mode)
    for category in entry.categories:
        yield _leaf("category", category)
    for arrow in entry.arrows:
        yield f"<arrow type={quoteattr(arrow.kind, _ESCAPES)}>\n"
        yield _leaf("source", arrow.source)
        yield _leaf("destination", arrow.destination)
        yield "</arrow>\n"
    for movement in entry.movements:
        yield "<movement>\n"
        yield _leaf("resource", movement.resource)
        yield _leaf("title", movement.title)
        yield _leaf("reference", movement.reference)
        yield _leaf("quantity", movement.quantity)
        yield _leaf("price", movement.price)
        yield _leaf("VAT", movement.vat)
        for category in movement.categories:
            yield _leaf("category", category)
        yield "</movement>\n"
    yield "</transaction>\n"


def _leaf(tag: str, text: str) -> str:
    return f"<{tag}>{escape(text, _ESCAPES)}</{tag}>\n"


def _encoded(document: str) -> bytes:
    try:
        encoded = document.encode()
    except UnicodeEncodeError as error:
        raise MalformedDocument("not UTF-8", error.start) from error
    if len(encoded) > DOCUMENT_BYTES_MAX:
        raise MalformedDocument(f"longer than {DOCUMENT_BYTES_MAX} bytes")
    return encoded


@define
class _Element:
    """An element that is open; ``texts`` and ``children`` by the names of its parts."""

    tag: str
    kind: str = ""
    part: int = 0
    count: int = 0
    texts: dict[str, list[str]] = field(factory=dict)
    children: dict[str, list[Any]] = field(factory=dict)

    def text(self, tag: str) -> str:
        return self.texts.get(tag, [""])[0]

    def all(self, tag: str) -> tuple[Any, ...]:
        return tuple(self.children.get(tag, ()))

    def categories(self) -> tuple[str, ...]:
        return tuple(self.texts.get("category", ()))


class _Reader:
    """Reads one document."""

    def __init__(self, root: str) -> None:
        self._open = [_Element(root)]
        self._leaf = ""
        self._texts: list[str] = []
        self._text_length = 0
        self._movement_count = 0
        parser = expat.ParserCreate("utf-8")
        self._parser = parser
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._hear
        parser.StartDoctypeDeclHandler = lambda *_: self._refuse("a DOCTYPE")

    def read(self, document: bytes) -> object:
        try:
            self._parser.Parse(document, True)  # noqa: FBT003 - positional in expat
        except expat.ExpatError as error:
            reason = expat.errors.messages[error.code]
            raise MalformedDocument(f"line {error.lineno}: {reason}") from error
        root = self._open[0]
        (value,) = root.all(_MODELS[root.tag][0].tag)
        return value

    def _refuse(self, reason: str) -> NoReturn:
        raise MalformedDocument(f"line {self._parser.CurrentLineNumber}: {reason}")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        parent = self._open[-1]
        if self._leaf:
            self._refuse(f"<{tag[:40]}> inside <{self._leaf}>")
        self._advance(parent, tag)
        kind = attributes.pop("type", None) if tag in _TYPED else ""
        if kind is None or len(kind) > TEXT_LENGTH_MAX:
            self._refuse(f"<{tag}> without a type of at most {TEXT_LENGTH_MAX}")
        if attributes:
            self._refuse(f"<{tag}> has an attribute {min(attributes)[:40]!r}")
        if tag in _MODELS:
            self._open.append(_Element(tag, kind))
        else:
            self._leaf = tag
            self._texts.clear()
            self._text_length = 0

    def _advance(self, parent: _Element, tag: str) -> None:
        """Find the part of the parent that an element is."""
        parts = _MODELS[parent.tag]
        index, count = parent.part, parent.count
        while index < len(parts) and parts[index].tag != tag:
            if count < parts[index].minimum:
                self._refuse(f"<{tag[:40]}> where <{parts[index].tag}> is due")
            index, count = index + 1, 0
        if index == len(parts):
            self._refuse(f"<{tag[:40]}> out of place in <{parent.tag}>")
        if count >= parts[index].maximum:
            self._refuse(f"<{tag}> twice in <{parent.tag}>")
        parent.part, parent.count = index, count + 1

    def _hear(self, text: str) -> None:
        if self._leaf:
            self._text_length += len(text)
            if self._text_length > TEXT_LENGTH_MAX:
                limit = f"longer than {TEXT_LENGTH_MAX} characters"
                self._refuse(f"<{self._leaf}> is {limit}")
            self._texts.append(text)
        elif text.strip(" \t\r\n"):
            self._refuse(f"text inside <{self._open[-1].tag}>")

    def _end(self, tag: str) -> None:
        if self._leaf:
            text = "".join(self._texts)
            if tag in ("quantity", "price"):
                text = self._number(tag, text)
            self._open[-1].texts.setdefault(tag, []).append(text)
            self._leaf = ""
            return
        element = self._open.pop()
        count = element.count
        for part in _MODELS[tag][element.part :]:
            if count < part.minimum:
                self._refuse(f"<{tag}> without <{part.tag}>")
            count = 0
        value = self._built(element)
        self._open[-1].children.setdefault(tag, []).append(value)

    def _number(self, tag: str, text: str) -> str:
        number = text.strip(" \t\r\n")
        if len(number) > NUMBER_LENGTH_MAX:
            self._refuse(f"<{tag}> has more than {NUMBER_LENGTH_MAX} digits")
        found = _NUMBER.fullmatch(number)
        if found is None:
            self._refuse(f"<{tag}> {number!r} is no finite number")
        if abs(int(found["exponent"] or "0")) > EXPONENT_MAX:
            self._refuse(f"<{tag}> {number!r} is beyond 1e{EXPONENT_MAX}")
        return number

    def _built(self, element: _Element) -> object:
        if element.tag == "journal":
            return Journal(element.all("transaction"))
        if element.tag == "consumption":
            return element.all("movement")
        if element.tag == "arrow":
            return Arrow(
                element.kind, element.text("source"), element.text("destination")
            )
        if element.tag == "movement":
            self._movement_count += 1
            if self._movement_count > MOVEMENT_COUNT_MAX:
                self._refuse(f"more than {MOVEMENT_COUNT_MAX} movements")
            return Movement(
                resource=element.text("resource"),
                quantity=element.text("quantity"),
                price=element.text("price"),
                vat=element.text("VAT"),
                title=element.text("title"),
                reference=element.text("reference"),
                categories=element.categories(),
            )
        return JournalEntry(
            kind=element.kind,
            start_date=element.text("start_date"),
            stop_date=element.text("stop_date"),
            reference=element.text("reference"),
            currency=element.text("currency"),
            payment_mode=element.text("payment_mode"),
            arrows=element.all("arrow"),
            movements=element.all("movement"),
            title=element.text("title"),
            categories=element.categories(),
        )
