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
from collections.abc import Callable, Mapping, Sequence
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


def representable(text: str) -> str:
    """Return a text in characters that every document can hold."""
    return unrepresentable.sub("\N{REPLACEMENT CHARACTER}", text)


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
        # Most texts of a document are keys and identifiers that come again and again.
        self._strings: dict[str, str] = {}

    def write(self, value: Value) -> None:
        if isinstance(value, str):
            string = self._strings.get(value)
            if string is None:
                string = f"<string>{escaped(value)}</string>"
                self._strings[value] = string
            self.parts.append(string)
        elif isinstance(value, dict):
            self._write_all("dictionary", self._identified("dictionary"), _pairs(value))
        elif isinstance(value, tuple):
            self._write_all("tuple", "tuple", value)
        elif isinstance(value, list):
            self._write_all("list", self._identified("list"), value)
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

    def _write_all(self, tag: str, opening: str, items: Sequence[Value]) -> None:
        if not items:
            self.parts.append(f"<{opening}/>")
            return
        self.parts.append(f"<{opening}>")
        for item in items:
            self.write(item)
        self.parts.append(f"</{tag}>")


def _pairs(dictionary: dict[str, Value]) -> list[Value]:
    """Return keys and values in turn, in the order of the keys."""
    return [part for key in sorted(dictionary) for part in (key, dictionary[key])]


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
    """A container that is open, and the measures of what is in it so far."""

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
        self._scalar = ""
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
        self._count += 1
        if self._count > ELEMENT_COUNT_MAX:
            self._refuse(f"more than {ELEMENT_COUNT_MAX} elements")
        if self._scalar:
            self._refuse(f"<{tag[:20]}> inside <{self._scalar}>")
        if (len(self._open) == 1) is not (tag == "marshal"):
            self._refuse(f"<{tag[:20]}> out of place")
        if self._texts and self._take_text().strip():
            self._refuse(f"text inside <{self._open[-1].tag}>")
        if tag in _SCALARS:
            self._scalar = tag
            return
        if tag not in _CONTAINERS and tag != "reference":
            self._refuse(f"<{tag[:20]}> is unknown")
        if len(self._open) > DEPTH_MAX:
            self._refuse(f"deeper than {DEPTH_MAX} elements")
        self._open.append(_Element(tag, attributes))

    def _end(self, tag: str) -> None:
        text = self._take_text()
        try:
            if self._scalar:
                self._scalar = ""
                parent = self._open[-1]
                parent.items.append(_SCALARS[tag](text))
                parent.expansion += 1 + len(text)
            else:
                _none(text)
                element = self._open.pop()
                self._close(element, self._open[-1])
        except _Flaw as error:
            self._refuse(f"<{tag[:20]}>: {error}")

    def _take_text(self) -> str:
        text = "".join(self._texts)
        self._texts.clear()
        return text

    def _close(self, element: _Element, parent: _Element) -> None:
        identifier = element.attributes.get("id", "")
        if element.tag == "reference":
            self._repeat(identifier, element, parent)
            return
        value = _CONTAINERS[element.tag](element)
        parent.adopt(value, element.expansion, element.height)
        if identifier in self._complete:
            raise _Flaw(f"the id {identifier[:20]!r} twice")
        if identifier:
            self._complete[identifier] = (value, element.expansion, element.height)

    def _repeat(self, identifier: str, reference: _Element, parent: _Element) -> None:
        if identifier not in self._complete or reference.items:
            raise _Flaw(f"nothing complete has the id {identifier[:20]!r}")
        value, expansion, height = self._complete[identifier]
        self._repeated += expansion
        if self._repeated > EXPANSION_MAX:
            raise _Flaw(f"repeats more than {EXPANSION_MAX} characters")
        if len(self._open) - 1 + height > DEPTH_MAX:
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


def _marshalled(element: _Element) -> Value:
    return _exactly(1, element.items)[0]


_CONTAINERS: Mapping[str, Callable[[_Element], Value]] = MappingProxyType(
    {
        "marshal": _marshalled,
        "list": lambda element: element.items,
        "tuple": lambda element: tuple(element.items),
        "set": lambda element: frozenset(_only_texts(element.items)),
        "dictionary": lambda element: _dictionary(element.items),
        "object": _object,
    }
)
