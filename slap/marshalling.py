"""Core. Marshalled documents: generic values as ``xml_marshaller`` writes them.

Theory of operation. ``loads`` builds values of a closed set of types out of a document
that anybody may have sent, in time and memory linear in its length:

1. What may follow is decided element by element, while reading; nothing is kept of a
   document that is refused. There is no tree besides the values themselves.
2. There is no DOCTYPE, so there are no entities besides those of XML.
3. A reference names a value that is complete, so values are never cyclic.
4. A referenced value is shared, not copied, yet counts again in full for the limits on
   depth and length: so whoever walks over values, or writes them, is bounded too.

``dumps`` writes ids in document order and dictionaries in the order of their keys.
Texts are escaped twice, as every peer expects. The output is ASCII.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from operator import itemgetter
from types import MappingProxyType
from typing import NoReturn, TypeAlias
from xml.parsers import expat

from attrs import frozen

from slap.errors import BadRequest, MalformedDocument

DOCUMENT_BYTES_MAX = 8 * 1024 * 1024
"""A computer of 100 busy partitions has 220 kB; some have a few thousand."""

EXPANSION_MAX = DOCUMENT_BYTES_MAX
"""What all references together may repeat, in characters and elements."""

ELEMENT_COUNT_MAX = 250_000
"""Bounds the memory of a document of tiny elements; 100 busy partitions have 7,000."""

DEPTH_MAX = 32
"""A shared instance of a partition of a computer is 11 elements deep."""

NUMBER_LENGTH_MAX = 100
"""Python reads a number of n digits in quadratic time."""

ID_FIRST = 2
LONG_MIN = 10**24
"""From here on the reference writes ``long``."""

OBJECT_MODULE = "slapos.slap.slap"
OBJECT_CLASSES = frozenset(
    {"Computer", "ComputerPartition", "SoftwareRelease", "SoftwareInstance"}
)


@frozen
class WireObject:
    """An instance of a class of the stock client: what built it and its attributes."""

    class_name: str
    arguments: tuple[Value, ...]
    attributes: dict[str, Value]


Value: TypeAlias = (
    "bool | int | float | str | list[Value] | tuple[Value, ...]"
    " | frozenset[str] | dict[str, Value] | WireObject | None"
)

unrepresentable = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""The characters that no XML document can hold."""

_special = re.compile(r"[^\t\n\x20-%'-;=?-~]")
_ESCAPES = str.maketrans(
    {"&": "&amp;amp;", "<": "&amp;lt;", ">": "&amp;gt;", "\r": "&#13;"}
)


def escaped(text: str) -> str:
    """Return a text as it stands in a document; ``BadRequest`` if it cannot."""
    if _special.search(text) is None:
        return text
    if unrepresentable.search(text):
        raise BadRequest("a text holds a character that XML cannot carry")
    return text.translate(_ESCAPES)


def unescaped(text: str) -> str:
    """Return the text that an XML parser found, without its second escaping."""
    if "&" not in text:
        return text
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def dumps(value: Value) -> bytes:
    """Write a value; ``BadRequest`` when it holds a text that XML cannot carry."""
    writer = _Writer()
    writer.write(value)
    document = f"<marshal>{''.join(writer.parts)}</marshal>"
    return document.encode("ascii", "xmlcharrefreplace")


class _Writer:
    """Appends the texts of one document to ``parts``."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._id = ID_FIRST - 1

    def write(self, value: Value) -> None:
        if isinstance(value, str):
            self.parts.append(f"<string>{escaped(value)}</string>")
        elif isinstance(value, tuple):
            self._write_all("tuple", "tuple", value)
        elif isinstance(value, list):
            self._write_all("list", self._identified("list"), value)
        elif isinstance(value, dict):
            opening = self._identified("dictionary")
            pairs = sorted(value.items(), key=itemgetter(0))
            self._write_all("dictionary", opening, chain.from_iterable(pairs))
        elif isinstance(value, WireObject):
            opening = f'{self._identified("object")} module="{OBJECT_MODULE}"'
            opening += f' class="{value.class_name}"'
            self._write_all("object", opening, (value.arguments, value.attributes))
        elif isinstance(value, frozenset):
            # The reference writes an order of its own, which means nothing.
            self._write_all("set", self._identified("set"), sorted(value))
        else:
            self.parts.append(_scalar(value))

    def _identified(self, tag: str) -> str:
        self._id += 1
        return f'{tag} id="i{self._id}"'

    def _write_all(self, tag: str, opening: str, items: Iterable[Value]) -> None:
        position = len(self.parts)
        self.parts.append(f"<{opening}>")
        for item in items:
            self.write(item)
        if len(self.parts) == position + 1:
            self.parts[position] = f"<{opening}/>"
        else:
            self.parts.append(f"</{tag}>")


def _scalar(value: float | None) -> str:
    if value is None:
        return "<none/>"
    if isinstance(value, bool):
        return f"<bool>{value:d}</bool>"
    if isinstance(value, float):
        return f"<float>{value}</float>"
    return f"<long>{value}</long>" if abs(value) >= LONG_MIN else f"<int>{value}</int>"


class _Flaw(Exception):
    """What is wrong with the element that ends."""


def loads(document: bytes) -> Value:
    """Read a document; ``MalformedDocument`` is the only error."""
    if len(document) > DOCUMENT_BYTES_MAX:
        raise MalformedDocument(f"longer than {DOCUMENT_BYTES_MAX} bytes")
    return _Reader().read(document)


class _Element:
    """An element that is open: what is in it so far, references followed."""

    __slots__ = ("attributes", "expansion", "height", "items", "tag")

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.items: list[Value] = []
        self.expansion = 1
        self.height = 1

    def adopt(self, value: Value, expansion: int, height: int) -> None:
        self.items.append(value)
        self.expansion += expansion
        self.height = max(self.height, height + 1)


class _Reader:
    """Builds the value of one document while ``expat`` reads it."""

    def __init__(self) -> None:
        self._root = _Element("", {})
        self._open = [self._root]
        self._texts: list[str] = []
        self._complete: dict[str, tuple[Value, int, int]] = {}
        self._count = 0
        self._repeated = 0
        # The encoding is given, so that a declaration cannot choose a codec of Python.
        self._parser = parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._texts.append
        parser.StartDoctypeDeclHandler = lambda *_: self._refuse("a DOCTYPE")
        parser.ProcessingInstructionHandler = lambda *_: self._refuse("an instruction")
        parser.CommentHandler = lambda *_: self._refuse("a comment")

    def read(self, document: bytes) -> Value:
        try:
            self._parser.Parse(document, True)  # noqa: FBT003 - positional in expat
        except expat.ExpatError as error:
            reason = expat.errors.messages[error.code]
            raise MalformedDocument(reason, self._parser.ErrorByteIndex) from error
        return self._root.items[0]

    def _refuse(self, reason: str) -> NoReturn:
        raise MalformedDocument(reason, self._parser.CurrentByteIndex)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        parent = self._open[-1]
        if (parent is self._root) is not (tag == "marshal"):
            self._refuse(f"<{tag[:20]}> out of place")
        if parent.tag not in _CONTAINERS and parent is not self._root:
            self._refuse(f"<{tag[:20]}> inside <{parent.tag}>")
        self._count += 1
        if self._count > ELEMENT_COUNT_MAX:
            self._refuse(f"more than {ELEMENT_COUNT_MAX} elements")
        if len(self._open) > DEPTH_MAX:
            self._refuse(f"deeper than {DEPTH_MAX} elements")
        if self._texts and self._take_text().strip():
            self._refuse(f"text inside <{parent.tag}>")
        self._open.append(_Element(tag, attributes))

    def _end(self, tag: str) -> None:
        element = self._open.pop()
        parent = self._open[-1]
        text = self._take_text()
        try:
            if tag in _SCALARS:
                parent.adopt(_SCALARS[tag](text), 1 + len(text), 1)
                return
            _none(text)
            if tag == "reference":
                self._repeat(element, parent)
                return
            value = _build(element)
        except _Flaw as error:
            self._refuse(f"<{tag[:20]}>: {error}")
        parent.adopt(value, element.expansion, element.height)
        self._name(element, value)

    def _take_text(self) -> str:
        text = "".join(self._texts)
        self._texts.clear()
        return text

    def _name(self, element: _Element, value: Value) -> None:
        identifier = element.attributes.get("id")
        if identifier is None:
            return
        if identifier in self._complete:
            self._refuse(f"id {identifier[:20]!r} twice")
        self._complete[identifier] = (value, element.expansion, element.height)

    def _repeat(self, reference: _Element, parent: _Element) -> None:
        identifier = reference.attributes.get("id", "")
        if identifier not in self._complete:
            raise _Flaw(f"nothing complete has the id {identifier[:20]!r}")
        value, expansion, height = self._complete[identifier]
        self._repeated += expansion
        if self._repeated > EXPANSION_MAX:
            raise _Flaw(f"repeats more than {EXPANSION_MAX} characters")
        if len(self._open) + height > DEPTH_MAX + 1:
            raise _Flaw(f"deeper than {DEPTH_MAX} elements")
        parent.adopt(value, expansion, height)


def _none(text: str) -> None:
    if text.strip():
        raise _Flaw("text")


_INTEGER = re.compile(rf"\s*[+-]?[0-9]{{1,{NUMBER_LENGTH_MAX}}}\s*", re.ASCII)
_FLOAT = re.compile(r"\s*[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?\s*", re.ASCII)


def _integer(text: str) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise _Flaw(f"not an integer of at most {NUMBER_LENGTH_MAX} digits")
    return int(text)


def _float(text: str) -> float:
    if len(text) > NUMBER_LENGTH_MAX or _FLOAT.fullmatch(text) is None:
        raise _Flaw(f"not a number of at most {NUMBER_LENGTH_MAX} characters")
    value = float(text)
    if not math.isfinite(value):
        raise _Flaw("not a finite number")
    return value


def _bool(text: str) -> bool:
    if text not in ("0", "1"):
        raise _Flaw("neither 0 nor 1")
    return text == "1"


_SCALARS: Mapping[str, Callable[[str], Value]] = MappingProxyType(
    {
        "string": unescaped,
        "unicode": unescaped,
        "int": _integer,
        "long": _integer,
        "float": _float,
        "bool": _bool,
        "none": _none,
    }
)


def _build(element: _Element) -> Value:
    """Return the value of a container; ``_Flaw`` when it cannot hold its items."""
    items = element.items
    match element.tag:
        case "list":
            return items
        case "tuple":
            return tuple(items)
        case "set":
            return frozenset(_only_texts(items))
        case "dictionary":
            return _dictionary(items)
        case "object":
            return _object(element)
        case "marshal":
            (value,) = _exactly(1, items)
            return value
    raise _Flaw("unknown")


def _only_texts(items: list[Value]) -> list[str]:
    """Refuse what is hashed without being a text: numbers collide at will."""
    texts = [item for item in items if isinstance(item, str)]
    if len(texts) < len(items):
        raise _Flaw("not a text")
    return texts


def _exactly(count: int, items: list[Value]) -> list[Value]:
    if len(items) != count:
        raise _Flaw(f"{len(items)} values instead of {count}")
    return items


def _dictionary(items: list[Value]) -> dict[str, Value]:
    if len(items) % 2:
        raise _Flaw("a key without a value")
    dictionary = dict(zip(_only_texts(items[::2]), items[1::2], strict=True))
    if 2 * len(dictionary) < len(items):
        raise _Flaw("a key twice")
    return dictionary


def _object(element: _Element) -> WireObject:
    class_name = element.attributes.get("class", "")
    module = element.attributes.get("module", "")
    if module != OBJECT_MODULE or class_name not in OBJECT_CLASSES:
        raise _Flaw(f"of unknown class {module[:40]}.{class_name[:40]}")
    arguments, attributes = _exactly(2, element.items)
    if not isinstance(arguments, tuple) or not isinstance(attributes, dict):
        raise _Flaw("not a tuple and a dictionary")
    return WireObject(class_name, arguments, attributes)


_CONTAINERS = frozenset({"marshal", "list", "tuple", "set", "dictionary", "object"})
