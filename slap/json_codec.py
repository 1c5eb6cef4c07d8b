"""Core. JSON documents of our own extension, to frozen values and back.

Nothing is guessed: a missing key or a value of another type is refused. A key that is
unknown is left: replicas of a later version tell more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args, get_origin

from attrs import AttrsInstance, has
from cattrs import BaseValidationError, Converter, transform_error
from cattrs.gen import make_dict_structure_fn

from slap.errors import MalformedDocument
from slap.marshalling import NUMBER_LENGTH_MAX

T = TypeVar("T")

DOCUMENT_BYTES_MAX = 8 * 1024 * 1024
"""A report on a computer of 1,000 partitions has some 300 kB."""


def write(document: object) -> bytes:
    """Write what JSON can hold."""
    return json.dumps(document, allow_nan=False).encode("ascii")


def read(document: bytes) -> object:
    """Read what JSON can hold; ``MalformedDocument`` is the only error."""
    if len(document) > DOCUMENT_BYTES_MAX:
        raise MalformedDocument(f"longer than {DOCUMENT_BYTES_MAX} bytes")
    try:
        return json.loads(
            document.decode(),
            object_pairs_hook=_without_repetition,
            parse_int=_integer,
            parse_float=_finite,
            parse_constant=_finite,
        )
    except UnicodeDecodeError as error:
        raise MalformedDocument("not UTF-8", error.start) from error
    except json.JSONDecodeError as error:
        raise MalformedDocument(error.msg, error.pos) from error
    except ValueError as error:
        raise MalformedDocument(str(error)) from error
    except RecursionError as error:
        raise MalformedDocument("deeper than any value needs") from error


def encode(value: object) -> bytes:
    """Write a report, or a dictionary of texts."""
    return write(_CONVERTER.unstructure(value))


def decode(document: bytes, kind: type[T]) -> T:
    """Read a report of a kind; ``MalformedDocument`` is the only error."""
    parsed = read(document)
    try:
        return _CONVERTER.structure(parsed, kind)
    except BaseValidationError as error:
        raise MalformedDocument("; ".join(transform_error(error)[:3])) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise MalformedDocument(f"not a {kind.__name__}: {error}") from error


def decode_texts(document: bytes) -> dict[str, str]:
    """Read a dictionary of texts; ``MalformedDocument`` is the only error."""
    return decode(document, dict[str, str])


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return an object; two readers of one that repeats a key may differ."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object gives a key twice")
    return found


def _integer(digits: str) -> int:
    if len(digits) > NUMBER_LENGTH_MAX:
        raise ValueError(f"a number of more than {NUMBER_LENGTH_MAX} characters")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits) if len(digits) <= NUMBER_LENGTH_MAX else math.inf
    if not math.isfinite(number):
        raise ValueError(f"a number that is not finite, or too long: {digits[:20]}")
    return number


def _exact(value: object, kind: type[T]) -> T:
    if isinstance(value, kind) and type(value) is kind:
        return value
    raise ValueError(f"not of type {kind.__name__}")


def _number(value: object, _: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("not a number")  # noqa: TRY004 - what cattrs reports
    return float(value)


def _is_array(kind: object) -> bool:
    return get_origin(kind) is tuple


def _is_dictionary(kind: object) -> bool:
    return get_origin(kind) in (dict, Mapping)


def _build_converter() -> Converter:
    converter = Converter()

    def from_object(kind: type[AttrsInstance]) -> Callable[[object, object], object]:
        read = make_dict_structure_fn(kind, converter)
        return lambda value, _: read(_exact(value, dict), kind)

    def from_array(value: object, kind: Any) -> tuple[object, ...]:
        item_kind, _ = get_args(kind)
        return tuple(converter.structure(it, item_kind) for it in _exact(value, list))

    def to_texts(value: object, _: object) -> dict[str, str]:
        return {name: _exact(it, str) for name, it in _exact(value, dict).items()}

    for kind in (str, bool, int):
        converter.register_structure_hook(kind, _exact)
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook_factory(has, from_object)
    converter.register_structure_hook_func(_is_array, from_array)
    converter.register_structure_hook_func(_is_dictionary, to_texts)
    return converter


_CONVERTER = _build_converter()
