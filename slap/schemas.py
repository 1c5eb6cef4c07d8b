"""Core. What a JSON document may hold: checked, and written as JSON Schema.

One description serves both. ``flaw`` says the first thing that is wrong with a value,
after where it stands, or ``None``; ``render`` gives the schema in the words of OpenAPI
3.1. Objects are closed: an unknown field is a flaw. What JSON Schema cannot say (the
depth of a free value, the size of a document) is bounded here all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

from attrs import field, frozen

from slap.marshalling import unrepresentable

DEPTH_MAX = 16
"""Of a free value: parameters are flat, or trees that a person wrote."""

ITEM_COUNT_MAX = 10_000
"""The partitions of the largest computer that may be defined."""

PROPERTY_COUNT_MAX = 10_000
"""Parameters of one instance; forms bound them by their size alone."""

REPRESENTABLE = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]*$"
"""The texts that XML can carry too, because the same texts travel in both.

Half characters are refused besides: not every language of patterns can name them.
"""


class Schema(Protocol):
    """What a value may be."""

    def flaw(self, value: object, where: str) -> str | None: ...

    def render(self) -> dict[str, Any]: ...


@frozen
class Text:
    """A text; ``choices`` are all that it may be.

    A free one may hold any character, because its reader cleans it.
    """

    length_max: int
    choices: tuple[str, ...] = ()
    is_free: bool = False

    def flaw(self, value: object, where: str) -> str | None:
        if not isinstance(value, str):
            return f"{where}: not a text"
        if self.choices and value not in self.choices:
            return f"{where}: not one of {', '.join(self.choices)}"
        if len(value) > self.length_max:
            return f"{where}: longer than {self.length_max} characters"
        if not self.is_free and unrepresentable.search(value):
            return f"{where}: holds a control character"
        return None

    def render(self) -> dict[str, Any]:
        if self.choices:
            return {"type": "string", "enum": list(self.choices)}
        if self.is_free:
            return {"type": "string"}
        return {
            "type": "string",
            "maxLength": self.length_max,
            "pattern": REPRESENTABLE,
        }


@frozen
class Whole:
    """A whole number that is not negative."""

    def flaw(self, value: object, where: str) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            return f"{where}: not a whole number"
        return None

    def render(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": 0}


@frozen
class Number:
    """Any number."""

    def flaw(self, value: object, where: str) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"{where}: not a number"
        return None

    def render(self) -> dict[str, Any]:
        return {"type": "number"}


@frozen
class Flag:
    """True or false."""

    def flaw(self, value: object, where: str) -> str | None:
        return None if isinstance(value, bool) else f"{where}: not true or false"

    def render(self) -> dict[str, Any]:
        return {"type": "boolean"}


@frozen
class Maybe:
    """Something, or null."""

    inner: Schema

    def flaw(self, value: object, where: str) -> str | None:
        return None if value is None else self.inner.flaw(value, where)

    def render(self) -> dict[str, Any]:
        return {"anyOf": [self.inner.render(), {"type": "null"}]}


@frozen
class Items:
    """An array of equal things."""

    inner: Schema
    count_min: int = 0
    count_max: int | None = ITEM_COUNT_MAX

    def flaw(self, value: object, where: str) -> str | None:
        if not isinstance(value, list):
            return f"{where}: not an array"
        if len(value) < self.count_min:
            return f"{where}: fewer than {self.count_min} items"
        if self.count_max is not None and len(value) > self.count_max:
            return f"{where}: more than {self.count_max} items"
        flaws = (self.inner.flaw(it, f"{where}[{at}]") for at, it in enumerate(value))
        return next(filter(None, flaws), None)

    def render(self) -> dict[str, Any]:
        rendered: dict[str, Any] = {"type": "array", "items": self.inner.render()}
        if self.count_min:
            rendered["minItems"] = self.count_min
        if self.count_max == ITEM_COUNT_MAX:
            # Tools that draw calls from a description would draw as many.
            rendered["description"] = f"At most {ITEM_COUNT_MAX} items."
        elif self.count_max is not None:
            rendered["maxItems"] = self.count_max
        return rendered


def _frozen(fields: Mapping[str, Schema]) -> Mapping[str, Schema]:
    return MappingProxyType(dict(fields))


@frozen
class Record:
    """An object of known fields; those that are not ``optional`` must be there."""

    fields: Mapping[str, Schema] = field(converter=_frozen)
    optional: frozenset[str] = frozenset()

    def flaw(self, value: object, where: str) -> str | None:
        if not isinstance(value, dict):
            return f"{where or 'the document'}: not an object"
        prefix = f"{where}." if where else ""
        for name, schema in self.fields.items():
            if name in value:
                flaw = schema.flaw(value[name], f"{prefix}{name}")
            else:
                flaw = None if name in self.optional else f"{prefix}{name}: missing"
            if flaw is not None:
                return flaw
        unknown = sorted(value.keys() - self.fields.keys())
        return f"{prefix}{unknown[0]}: unknown" if unknown else None

    def render(self) -> dict[str, Any]:
        required = [name for name in self.fields if name not in self.optional]
        rendered: dict[str, Any] = {
            "type": "object",
            "properties": {name: it.render() for name, it in self.fields.items()},
            "additionalProperties": False,
        }
        return {**rendered, "required": required} if required else rendered


@frozen
class Texts:
    """An object of texts by name."""

    def flaw(self, value: object, where: str) -> str | None:
        if not isinstance(value, dict):
            return f"{where}: not an object"
        text = Text(2**31)
        for name, item in value.items():
            flaw = text.flaw(name, f"{where}: a name") or text.flaw(
                item, f"{where}.{name}"
            )
            if flaw is not None:
                return flaw
        return None

    def render(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": {"type": "string"}}


@frozen
class Parameters:
    """An object of free values by name: parameters, as a person writes them."""

    def flaw(self, value: object, where: str) -> str | None:
        if not isinstance(value, dict):
            return f"{where}: not an object"
        if len(value) > PROPERTY_COUNT_MAX:
            return f"{where}: more than {PROPERTY_COUNT_MAX} names"
        return _free_flaw(value, where, DEPTH_MAX)

    def render(self) -> dict[str, Any]:
        return {
            "type": "object",
            "propertyNames": {"pattern": REPRESENTABLE},
            "description": f"At most {PROPERTY_COUNT_MAX} names."
            " A value that is not a text becomes one, as Python's str()"
            " writes it; texts hold no control characters, and objects and arrays"
            f" are at most {DEPTH_MAX} deep.",
        }


@frozen
class OneOf:
    """One of several objects."""

    schemas: tuple[Schema, ...]

    def flaw(self, value: object, where: str) -> str | None:
        flaws = [it.flaw(value, where) for it in self.schemas]
        return None if None in flaws else flaws[0]

    def render(self) -> dict[str, Any]:
        return {"oneOf": [it.render() for it in self.schemas]}


def _free_flaw(value: object, where: str, depth: int) -> str | None:
    if depth < 0:
        return f"{where}: deeper than {DEPTH_MAX} values"
    inner: Sequence[object] = ()
    if isinstance(value, str) and unrepresentable.search(value):
        return f"{where}: holds a control character"
    if isinstance(value, dict):
        inner = (*value, *value.values())
    elif isinstance(value, list):
        inner = value
    flaws = (_free_flaw(it, where, depth - 1) for it in inner)
    return next(filter(None, flaws), None)
