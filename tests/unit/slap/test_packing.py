"""Answers that were compressed on the way."""

from __future__ import annotations

import gzip

import pytest

from slap.calls import HttpAnswer
from slap.errors import MasterAway
from slap.packing import unpack

TEXT = b"<computer/>" * 100
BYTES_MAX = len(TEXT)


def an_answer(body: bytes, coding: str = "gzip") -> HttpAnswer:
    return HttpAnswer(200, {"Content-Encoding": coding}, body)


@pytest.mark.parametrize(
    "answer",
    [
        HttpAnswer(200, {}, TEXT),
        an_answer(TEXT, "identity"),
        an_answer(gzip.compress(TEXT)),
        an_answer(gzip.compress(TEXT), "x-gzip"),
    ],
)
def test_an_answer_is_read_as_it_was_before(answer: HttpAnswer) -> None:
    assert unpack(answer, BYTES_MAX).body == TEXT


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (an_answer(gzip.compress(TEXT + b"x")), "unpacks to more than 1100 bytes"),
        (an_answer(gzip.compress(bytes(2**22))), "unpacks to more than 1100 bytes"),
        (an_answer(gzip.compress(TEXT)[:-9]), "is broken"),
        (an_answer(gzip.compress(TEXT) + b"x"), "is broken"),
        (an_answer(TEXT), "is broken"),
        (an_answer(TEXT, "br"), "packed as 'br'"),
    ],
)
def test_what_cannot_be_read_within_the_bound_is_an_error_of_the_replica(
    answer: HttpAnswer, reason: str
) -> None:
    """So that another one is asked; a bomb is not unpacked beyond the bound."""
    with pytest.raises(MasterAway, match=reason):
        unpack(answer, BYTES_MAX)
