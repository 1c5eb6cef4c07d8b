"""Core. What stands in marshalled values, read with the name of what is at fault.

``MalformedDocument`` is the only error. Where a master may leave something out, or send
a number where another one sends a text, the reader forgives it.
"""

from __future__ import annotations

from collections.abc import Iterable

from slap.errors import MalformedDocument
from slap.marshalling import Value, WireObject


def attributes_of(value: Value, *class_names: str) -> dict[str, Value]:
    """Return the attributes of an object of a class, or one of several."""
    if not isinstance(value, WireObject) or value.class_name not in class_names:
        raise MalformedDocument(f"not a {class_names[0]}")
    return value.attributes


def dictionary(fields: dict[str, Value], name: str) -> dict[str, Value]:
    """Return a dictionary, an empty one when it is absent."""
    value = fields.get(name)
    return {} if value is None else as_dictionary(value, name)


def as_dictionary(value: Value, what: str) -> dict[str, Value]:
    if not isinstance(value, dict):
        raise MalformedDocument(f"{what}: not a dictionary")
    return value


def items(fields: dict[str, Value], name: str) -> list[Value] | tuple[Value, ...]:
    """Return a list, an empty one when it is absent."""
    value = fields.get(name)
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        raise MalformedDocument(f"{name}: not a list")
    return value


def text(fields: dict[str, Value], name: str) -> str:
    """Return a text that every master sends."""
    value = fields.get(name)
    if not isinstance(value, str):
        raise MalformedDocument(f"{name}: missing or not a text")
    return value


def optional_text(fields: dict[str, Value], name: str) -> str | None:
    """Return as a text what may be absent, or be a number."""
    value = fields.get(name)
    return None if value is None else text_of(value)


def lenient_text(fields: dict[str, Value], name: str) -> str:
    """Return the same, empty when it is absent."""
    return optional_text(fields, name) or ""


def texts_except(
    values: dict[str, Value], names: frozenset[str] | set[str] = frozenset()
) -> dict[str, str]:
    """Return all items but those of some names, as texts."""
    return {name: text_of(it) for name, it in values.items() if name not in names}


def decode_texts(value: Value) -> dict[str, str]:
    """Return parameters as texts, as the reference does; none when ``None``."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MalformedDocument("not a dictionary")
    return texts_except(value)


def text_of(value: Value) -> str:
    """Return a parameter as a text, as ``str`` of the sender's value would."""
    return value if isinstance(value, str) else _literal(value)


def _literal(value: Value) -> str:
    match value:
        case list():
            return f"[{_literals(value)}]"
        case tuple():
            return f"({_literals(value)}{',' if len(value) == 1 else ''})"
        case frozenset():
            return f"{{{_literals(sorted(value))}}}" if value else "set()"
        case dict():
            pairs = (f"{key!r}: {_literal(item)}" for key, item in value.items())
            return f"{{{', '.join(pairs)}}}"
        case WireObject():
            raise MalformedDocument("an object is not a parameter")
    return repr(value)


def _literals(values: Iterable[Value]) -> str:
    return ", ".join(_literal(value) for value in values)
