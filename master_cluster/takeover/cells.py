"""Core. What stands in one cell of a reference proxy's database.

Each function raises ``Flaw`` with a reason; who reads the row adds the place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import NoReturn, TypeVar
from xml.parsers import expat

from slap.errors import MalformedDocument
from slap.form import NAME_LENGTH_MAX
from slap.marshalling import loads, unrepresentable
from slap.wire_fields import as_dictionary, text_of

E = TypeVar("E", bound=StrEnum)

OWN_KEYS = ("slave_reference", "slave_title", "slap_software_type")
"""What a host's list says of a shared instance, among the parameters of it."""


class Flaw(Exception):
    """Why a cell is not understood."""


def name_in(cell: object) -> str:
    """Return a text that must be there."""
    text = optional_name_in(cell)
    if not text:
        raise Flaw("empty")
    return text


def optional_name_in(cell: object) -> str:
    """Return a text, ``""`` for NULL."""
    if cell is None:
        return ""
    if not isinstance(cell, str):
        raise Flaw(f"{str(cell)[:40]!r} is no text")
    if len(cell) > NAME_LENGTH_MAX:
        raise Flaw(f"longer than {NAME_LENGTH_MAX} characters")
    if unrepresentable.search(cell):
        raise Flaw("holds a control character")
    return cell


def word_in(cell: object, kind: type[E]) -> E:
    """Return one of the words of a kind."""
    if cell not in tuple(kind):
        listed = ", ".join(kind)
        raise Flaw(f"{str(cell)[:40]!r} is none of {listed}")
    return kind(str(cell))


def timestamp_in(cell: object) -> str:
    """Return a timestamp in the words that the proxy told its nodes, ``""`` for NULL.

    Nodes compare texts: the same text, and nothing is processed again.
    """
    if cell is None:
        return ""
    if not isinstance(cell, float | int) or not math.isfinite(cell) or cell < 0:
        raise Flaw(f"{str(cell)[:40]!r} is no time")
    return str(float(cell))


def parameters_in(cell: object) -> Mapping[str, str]:
    """Return the texts of an ``<instance>`` document, none for NULL.

    The proxy tells of an empty text as of nothing; it stays a text here.
    """
    if cell is None or cell == "":
        return {}
    if not isinstance(cell, str):
        raise Flaw("no document")
    return _Reader().read(cell)


def shared_instances_in(cell: object) -> list[dict[str, str]]:
    """Return what a host is told of its shared instances."""
    if cell is None or cell == "":
        return []
    if not isinstance(cell, str):
        raise Flaw("no document")
    try:
        found = loads(cell.encode())
        if not isinstance(found, list):
            raise Flaw("no list")
        told = [as_dictionary(it, "a shared instance") for it in found]
        return [
            {key: "" if it is None else text_of(it) for key, it in one.items()}
            for one in told
        ]
    except MalformedDocument as error:
        raise Flaw(str(error)) from error


class _Reader:
    """Reads ``<instance><parameter id="name">value</parameter>...</instance>``."""

    def __init__(self) -> None:
        self._depth = 0
        self._name = ""
        self._texts: list[str] = []
        self._found: dict[str, str] = {}
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._texts.append
        parser.StartDoctypeDeclHandler = lambda *_: self._refuse("a DOCTYPE")
        self._parser = parser

    def read(self, document: str) -> Mapping[str, str]:
        try:
            self._parser.Parse(document.encode(), True)  # noqa: FBT003 - as in expat
        except expat.ExpatError as error:
            raise Flaw(expat.errors.messages[error.code]) from error
        except UnicodeEncodeError as error:
            raise Flaw("not UTF-8") from error
        return self._found

    def _refuse(self, reason: str) -> NoReturn:
        raise Flaw(reason)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        wanted = ("instance", "parameter")[self._depth : self._depth + 1]
        if (tag,) != wanted:
            self._refuse(f"<{tag[:40]}> out of place")
        if tag == "parameter" and set(attributes) != {"id"}:
            self._refuse("a parameter without an id")
        self._name = attributes.get("id", "")
        self._texts.clear()
        self._depth += 1

    def _end(self, tag: str) -> None:
        self._depth -= 1
        if tag == "parameter":
            value = "".join(self._texts)
            known = self._found.get(self._name)
            # Repeated names are joined, as the proxy reads them.
            self._found[self._name] = value if known is None else f"{known} {value}"
