"""Core. Reports as JSON documents: what ``--output json`` writes.

The keys are the names of the fields of ``slap.reports`` and ``slap.model``; they are
added to, never renamed.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import attrs


def document_of(value: object) -> object:
    """Return a frozen value as objects, lists and texts of JSON."""
    kind: type = type(value)
    if attrs.has(kind):
        names = (it.name for it in attrs.fields(kind))
        return {name: document_of(getattr(value, name)) for name in names}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): document_of(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [document_of(item) for item in value]
    return value
