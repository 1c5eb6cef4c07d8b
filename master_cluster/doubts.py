"""Core. What a call is known by when nobody can say whether it was done.

Whoever asks the same again, by the same key, finds what was done, or does it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from slap.model import (
    ComputerDefinition,
    InstanceRequest,
    PartitionKey,
    SoftwareInstallation,
)

KEYS = (
    "title",
    "computer_id",
    "instance_guid",
    "shared_reference",
    "software_release_url",
    "purpose",
)
"""Arguments that name what a call is about. A token is a secret, and none of them."""


def key_of_call(method: str, arguments: Mapping[str, object]) -> str:
    """Return a method with the names of what it is about."""
    parts: list[str] = []
    for name, value in arguments.items():
        match value:
            case PartitionKey():
                parts.append(_place(value))
            case InstanceRequest():
                asker = value.requester
                parts.append(
                    f"{value.title!r} of {_place(asker) if asker else 'a person'}"
                )
            case SoftwareInstallation():
                parts.append(f"{value.software_release_url} on {value.computer_id}")
            case ComputerDefinition():
                parts.append(value.computer_id)
            case str() if name == "usage_document":
                digest = hashlib.sha256(value.encode(errors="surrogatepass"))
                parts.append(f"document {digest.hexdigest()}")
            case str() if name in KEYS:
                parts.append(repr(value))
    return " ".join([method, *sorted(parts)])


def _place(key: PartitionKey) -> str:
    return f"{key.partition_id} of {key.computer_id}"
