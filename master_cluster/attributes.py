"""Core. What an operator says of a computer: its region, its network, its hardware.

Conditions of allocation are tested on these attributes; nobody else reads them. They
change no timestamp, and instances that are placed already stay where they are.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from master_cluster.records import ComputerRecord
from slap.errors import BadRequest
from slap.placement import ATTRIBUTE_KEYS

ATTRIBUTE_LENGTH_MAX = 200
"""They are words, as ``eu`` or ``8``; indices hold them."""


def decide_attributes(
    computer: ComputerRecord, said: Mapping[str, str]
) -> ComputerRecord:
    """Return the computer with attributes set, or removed where ``said`` is empty.

    Raises ``BadRequest`` for a key that no condition tests.
    """
    for key, value in said.items():
        if key not in ATTRIBUTE_KEYS:
            known = ", ".join(ATTRIBUTE_KEYS)
            raise BadRequest(f"{key[:50]!r} is no attribute of a computer: {known} are")
        if len(value) > ATTRIBUTE_LENGTH_MAX:
            raise BadRequest(f"{key}: longer than {ATTRIBUTE_LENGTH_MAX} characters")
        if not value.isprintable():
            raise BadRequest(f"{key}: holds a control character")
    attributes = {**computer.attributes, **said}
    return evolve(
        computer, attributes={key: it for key, it in attributes.items() if it}
    )
