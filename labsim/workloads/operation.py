"""Core. Operations: what one client asks for at one instant, as data."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from labsim.refusals import check_range
from labsim.schedule import SECONDS_MAX, Reader

OPERATIONS_MAX = 200_000
"""Twice what the dense fleet requests at first."""


@frozen
class Operation:
    """A client wants ``subject`` to become ``wanted``; ``""`` is a question.

    ``place`` is the region or computer that it is about, if any. The client asks no
    earlier than ``at``, and one thing after the other.
    """

    at: float
    client: str
    verb: str
    subject: str
    wanted: str = ""
    place: str = ""

    def __attrs_post_init__(self) -> None:
        check_range("at", self.at, 0, SECONDS_MAX)


def encode_operation(operation: Operation) -> dict[str, Any]:
    """As JSON; what says nothing is left out."""
    document = {
        "at": operation.at,
        "client": operation.client,
        "verb": operation.verb,
        "subject": operation.subject,
        "wanted": operation.wanted,
        "place": operation.place,
    }
    return {key: value for key, value in document.items() if value != ""}


def decode_operation(document: object) -> Operation:
    read = Reader(document, "an operation")
    operation = Operation(
        at=read.number("at"),
        client=read.text("client"),
        verb=read.text("verb"),
        subject=read.text("subject"),
        wanted=read.text("wanted", ""),
        place=read.text("place", ""),
    )
    read.check_all_read()
    return operation
