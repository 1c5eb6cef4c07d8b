"""Core. In which line of a file something stands, for those who have to find it there.

What reads TOML and JSON tells no lines of what it has read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from json import JSONDecoder
from typing import Any

Path = tuple[str | int, ...]
"""Keys and places in lists, from the outside to the inside."""

_BLANK = re.compile(r"[ \t\r\n]*")
_HEADER = re.compile(r"\s*\[+\s*([^\]]+?)\s*\]+")
_KEY = re.compile(r"""\s*((?:[\w.\s-]|"[^"]*"|'[^']*')+?)\s*=""")
_TEXTS = ('"""', "'''")


def line_in_json(text: str, path: Path) -> int:
    """The line of a value in a valid JSON text, or of the nearest one around it."""
    start = _skip(text, 0)
    for key in path:
        found = next((at for name, at in _members(text, start) if name == key), None)
        if found is None:
            break
        start = found
    return text.count("\n", 0, start) + 1


def line_in_toml(text: str, path: Path) -> int:
    """The line of a key in a valid TOML text, that of its table, or 1, without it."""
    line, depth = 1, 0
    for number, names in _toml_lines(text):
        common = 0
        while common < min(len(names), len(path)) and names[common] == path[common]:
            common += 1
        if common > depth:
            line, depth = number, common
    return line


def _members(text: str, start: int) -> Iterator[tuple[str | int, int]]:
    """Each key of an object, or number in a list, and where its value begins."""
    opening = text[start]
    if opening not in "{[":
        return
    decode = JSONDecoder().raw_decode
    at, number = _skip(text, start + 1), 0
    while text[at] not in "}]":
        name: Any = number
        if opening == "{":
            name, at = decode(text, at)
            at = _skip(text, _skip(text, at) + 1)
        yield name, at
        _, at = decode(text, at)
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
        number += 1


def _skip(text: str, start: int) -> int:
    blank = _BLANK.match(text, start)
    return start if blank is None else blank.end()


def _toml_lines(text: str) -> Iterator[tuple[int, Path]]:
    """The lines that begin a table or give a key, with its names from the outside."""
    table: Path = ()
    until = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if until:
            until = "" if until in line else until
            continue
        if header := _HEADER.fullmatch(line.partition("#")[0].rstrip()):
            table = _names(header[1])
            yield number, table
        elif key := _KEY.match(line):
            yield number, (*table, *_names(key[1]))
        until = next((it for it in _TEXTS if line.count(it) == 1), "")


def _names(dotted: str) -> Path:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))
