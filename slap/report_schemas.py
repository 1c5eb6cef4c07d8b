"""Core. The schemas of our own reports, made from the types of their fields."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from attrs import has

from slap.schemas import Flag, Items, Maybe, Number, Record, Schema, Text, Texts, Whole

TEXT = Text(2**31, is_free=True)


def schema_of(kind: Any) -> Schema:
    """Return the schema of a type that a report may have in it."""
    if has(kind):
        hints = get_type_hints(kind)
        return Record({name: schema_of(it) for name, it in hints.items()})
    plain: dict[Any, Schema] = {
        str: TEXT,
        int: Whole(),
        float: Number(),
        bool: Flag(),
    }
    if kind in plain:
        return plain[kind]
    inner = get_args(kind)
    if get_origin(kind) is tuple:
        return Items(schema_of(inner[0]), count_max=None)
    if get_origin(kind) in (dict, Mapping):
        return Texts()
    assert get_origin(kind) is UnionType, f"no schema for {kind}"
    (some,) = (it for it in inner if it is not NoneType)
    return Maybe(schema_of(some))
