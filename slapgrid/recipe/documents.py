"""Core. JSON documents in options: one line, ASCII, keys in order."""

from __future__ import annotations

import json
from collections.abc import Iterable

import cattrs
from attrs import asdict

from slap.model import SharedInstance


def encode(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def encode_shared_instances(shared_instances: Iterable[SharedInstance]) -> str:
    """Return them in the order of their references, which never change."""
    ordered = sorted(shared_instances, key=lambda it: it.reference)
    return encode(
        [
            {**asdict(it, recurse=False), "parameters": dict(it.parameters)}
            for it in ordered
        ]
    )


def decode_shared_instances(document: str) -> tuple[SharedInstance, ...]:
    """Return what ``encode_shared_instances`` got, or raise ``ValueError``."""
    listing = json.loads(document)
    sentence = "is no list of shared instances"
    if not isinstance(listing, list):
        raise ValueError(sentence)  # noqa: TRY004 - the document is wrong, not the call
    try:
        return cattrs.structure(listing, tuple[SharedInstance, ...])
    except cattrs.BaseValidationError as error:
        raise ValueError(sentence) from error
