"""Core. Access statuses: what was last heard of something, and how long ago.

The value, and the marshalled dictionary that stock clients read. They read one thing
in its text: whether it starts with ``#error``.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate, parsedate_to_datetime
from enum import StrEnum
from types import MappingProxyType

from attrs import frozen

from slap.errors import MalformedDocument
from slap.marshalling import Value, dumps, loads
from slap.wire_fields import lenient_text, optional_text, text

ERROR = "#error"
"""How each text of an error begins."""


def reported_text(state: str) -> str:
    """Return the text of an instance that was reported started, or stopped."""
    return f"#access Instance correctly {state}"


class Subject(StrEnum):
    """What a status is about."""

    COMPUTER = "computer"
    INSTANCE = "instance"
    SHARED_INSTANCE = "shared_instance"
    INSTALLATION = "installation"


@frozen
class AccessStatus:
    """What was last heard of something.

    ``reference`` names it and ``reporter`` is the computer that speaks for it. The
    instants are whole seconds since 1970: ``heard_at`` of the last word, ``since`` of
    the first one that said the same. ``is_known`` is false when nothing was ever heard;
    then the instants are those of the question.
    """

    subject: Subject
    reference: str
    reporter: str
    text: str
    reported_state: str
    heard_at: int
    since: int
    is_known: bool = True
    is_silent_5_minutes: bool = False
    is_silent_15_minutes: bool = False


_PORTAL_TYPES: Mapping[Subject, str] = MappingProxyType(
    {
        Subject.COMPUTER: "Compute Node",
        Subject.INSTANCE: "Software Instance",
        Subject.SHARED_INSTANCE: "Slave Instance",
        Subject.INSTALLATION: "Software Installation",
    }
)


def encode_status(status: AccessStatus) -> bytes:
    fields: dict[str, Value] = {
        "created_at": formatdate(status.heard_at, usegmt=True),
        "portal_type": _PORTAL_TYPES[status.subject],
        "reference": status.reference,
        "since": formatdate(status.since, usegmt=True),
        "state": status.reported_state,
        "text": status.text,
        "user": status.reporter,
    }
    if status.is_known:
        fields["no_data_since_15_minutes"] = int(status.is_silent_15_minutes)
        fields["no_data_since_5_minutes"] = int(status.is_silent_5_minutes)
    else:
        fields["no_data"] = 1
    return dumps(fields)


def decode_status(document: bytes) -> AccessStatus:
    fields = loads(document)
    if not isinstance(fields, dict):
        raise MalformedDocument("not a dictionary")
    return AccessStatus(
        subject=_subject(fields),
        reference=lenient_text(fields, "reference"),
        reporter=lenient_text(fields, "user"),
        text=text(fields, "text"),
        reported_state=lenient_text(fields, "state"),
        heard_at=_seconds(fields, "created_at"),
        since=_seconds(fields, "since"),
        is_known=not _flag(fields, "no_data"),
        is_silent_5_minutes=_flag(fields, "no_data_since_5_minutes"),
        is_silent_15_minutes=_flag(fields, "no_data_since_15_minutes"),
    )


def _subject(fields: dict[str, Value]) -> Subject:
    portal_type = optional_text(fields, "portal_type")
    for subject, name in _PORTAL_TYPES.items():
        if name == portal_type:
            return subject
    raise MalformedDocument("portal_type: unknown")


def _seconds(fields: dict[str, Value], name: str) -> int:
    try:
        return int(parsedate_to_datetime(text(fields, name)).timestamp())
    except (ValueError, OverflowError) as error:
        raise MalformedDocument(f"{name}: not a date") from error


def _flag(fields: dict[str, Value], name: str) -> bool:
    return fields.get(name) in (1, "1")
