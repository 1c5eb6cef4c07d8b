"""Core. Reading what an instance asks of its computer: JSON that nobody vouches for."""

from __future__ import annotations

import json

#: A grant is a short list; a longer file is a mistake, or an attack.
ASKED_BYTES_MAX = 64 * 1024
#: Each costs the computer a process or a rule.
ASKED_COUNT_MAX = 256
#: How much of a bad value is shown.
SHOWN_CHARACTERS_MAX = 60


class BadGrant(ValueError):
    """The instance asks for what it cannot get; the sentence says what to change."""


def shown(value: object) -> str:
    """A value that somebody else wrote, short enough for a sentence."""
    text = repr(value)
    if len(text) > SHOWN_CHARACTERS_MAX:
        return f"{text[:SHOWN_CHARACTERS_MAX]}..."
    return text


def decode_list(file_name: str, content: bytes) -> list[object]:
    """The list that a file holds."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadGrant(f"{file_name} is no JSON: {shown(str(error))}") from error
    if not isinstance(found, list):
        raise BadGrant(f"{file_name} must hold a list, not {shown(found)}")
    if len(found) > ASKED_COUNT_MAX:
        raise BadGrant(
            f"{file_name} has {len(found)} entries: {ASKED_COUNT_MAX} may be asked for"
        )
    return found
