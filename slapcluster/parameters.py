"""Core. Instance parameters and filters, as people type them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from slapcluster.outcomes import CommandFailed


def parse_pairs(pairs: Iterable[str], option: str) -> dict[str, str]:
    """Return ``KEY=VALUE`` texts as a mapping; the last one of a key wins."""
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise CommandFailed(f"{option} {pair!r}: write it as KEY=VALUE.")
        found[key] = value
    return found


def parse_document(content: bytes, name: str) -> dict[str, str]:
    """Return the parameters of a JSON object.

    SLAP carries texts: a value that is none is written as JSON.
    """
    try:
        document = json.loads(content)
    except ValueError as error:
        raise CommandFailed(f"{name}: not JSON ({error}).") from error
    if not isinstance(document, dict):
        raise CommandFailed(f"{name}: must hold one JSON object of parameters.")
    return {
        key: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        for key, value in document.items()
    }


def merge(*layers: Mapping[str, str]) -> dict[str, str]:
    """Return all keys; a later layer wins."""
    merged: dict[str, str] = {}
    for layer in layers:
        merged.update(layer)
    return merged
