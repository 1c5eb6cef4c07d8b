"""JSON-RPC: errors that are objects, and answers that fit their schemas."""

from __future__ import annotations

import pytest

from slap import json_codec
from slap.answers import JSON
from slap.errors import MalformedDocument, NotReady
from slap.rpc import decode_sentence, encode_error
from slap.rpc_answers import (
    HATEOAS_URL,
    NOT_READY_NAME,
    REQUESTED_INSTANCE,
    AnswerMismatch,
)
from slap.schemas import DEPTH_MAX, Parameters


@pytest.mark.parametrize(
    ("content_type", "body", "sentence"),
    [
        (JSON, b'{"status": 404, "type": "Not Found", "title": "no tree"}', "no tree"),
        ("text/plain", b'{"status": 404, "type": "", "title": "no tree"}', None),
        (JSON, b"{", None),
        (JSON, b"[]", None),
        (JSON, b'{"title": "no tree"}', None),
        (JSON, b'{"status": "404", "type": "", "title": "no tree"}', None),
    ],
)
def test_only_the_object_of_an_error_has_a_sentence(
    content_type: str, body: bytes, sentence: str | None
) -> None:
    assert decode_sentence(content_type, body) == sentence


def test_an_answer_that_its_schema_does_not_allow_is_never_sent() -> None:
    with pytest.raises(AnswerMismatch, match=r"^str: hateoas_url: "):
        HATEOAS_URL.encode(None)


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"hateoas_url": 1}', b'{"hateoas_url": "", "more": 1}']
)
def test_an_answer_that_its_schema_does_not_allow_is_not_understood(
    body: bytes,
) -> None:
    with pytest.raises(MalformedDocument):
        HATEOAS_URL.decode(body)


def test_an_instance_without_a_place_is_told_with_success() -> None:
    status, body = encode_error(NotReady("no free partition"))

    assert (status, json_codec.read(body)) == (
        200,
        {"message": "no free partition", "name": NOT_READY_NAME, "status": 102},
    )
    with pytest.raises(NotReady, match=r"^no free partition$"):
        REQUESTED_INSTANCE.decode(body)


@pytest.mark.parametrize(
    ("depth", "flaw"),
    [(DEPTH_MAX - 1, None), (DEPTH_MAX, f"p: deeper than {DEPTH_MAX} values")],
)
def test_the_depth_of_a_parameter_is_bounded(depth: int, flaw: str | None) -> None:
    value: object = "leaf"
    for _ in range(depth):
        value = [value]

    assert Parameters().flaw({"name": value}, "p") == flaw
