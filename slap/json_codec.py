"""Core. JSON documents of our own extension, to frozen values and back.

Nothing is guessed: an unknown key, a missing one or a value of another type is refused.
"""

from __future__ import annotations

import json
import math
from typing import TypeVar

from cattrs import BaseValidationError, Converter, transform_error

from slap.errors import MalformedDocument

T = TypeVar("T")

DOCUMENT_BYTES_MAX = 8 * 1024 * 1024
"""A report on a computer of 1,000 partitions has some 300 kB."""


def encode(value: object) -> bytes:
    """Write a report, or a dictionary of texts."""
    return json.dumps(_CONVERTER.unstructure(value), allow_nan=False).encode("ascii")


def decode(document: bytes, kind: type[T]) -> T:
    """Read a report of a kind; ``MalformedDocument`` is the only error."""
    if len(document) > DOCUMENT_BYTES_MAX:
        raise MalformedDocument(f"longer than {DOCUMENT_BYTES_MAX} bytes")
    try:
        return _CONVERTER.structure(json.loads(document.decode()), kind)
    except BaseValidationError as error:
        raise MalformedDocument("; ".join(transform_error(error)[:3])) from error
    except UnicodeDecodeError as error:
        raise MalformedDocument("not UTF-8", error.start) from error
    except json.JSONDecodeError as error:
        raise MalformedDocument(error.msg, error.pos) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise MalformedDocument(f"not a {kind.__name__}: {error}") from error


def decode_texts(document: bytes) -> dict[str, str]:
    """Read a dictionary of texts; ``MalformedDocument`` is the only error."""
    return decode(document, dict[str, str])


def _exact(value: object, kind: type) -> object:
    if type(value) is not kind:
        raise ValueError(f"not of type {kind.__name__}")
    return value


def _number(value: object, _: object) -> float:
    if isinstance(value, (int, float)) and math.isfinite(value):
        return float(value)
    raise ValueError("not a number")


def _build_converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    for kind in (str, bool, int):
        converter.register_structure_hook(kind, _exact)
    converter.register_structure_hook(float, _number)
    return converter


_CONVERTER = _build_converter()
