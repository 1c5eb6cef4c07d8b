"""Errors and statuses: one table, read in both directions."""

from __future__ import annotations

import json

import pytest

from slap import calls
from slap.calls import HttpAnswer, decode_answer, encode_error
from slap.errors import (
    RETRY_AFTER_SECONDS,
    RETRY_AFTER_SECONDS_MAX,
    STATUS,
    BadRequest,
    Forbidden,
    MalformedDocument,
    MasterAway,
    MethodNotAllowed,
    NotFound,
    NotReady,
    OtherMasterAway,
    Refusal,
    ServerError,
    SlapError,
    Unavailable,
    error_class,
)


def decoded(
    status: int, headers: dict[str, str] | None = None, body: bytes = b""
) -> SlapError:
    """What a caller raises for an answer."""
    with pytest.raises(SlapError) as caught:
        decode_answer(calls.get_cloud_report(), HttpAnswer(status, headers or {}, body))
    return caught.value


@pytest.mark.parametrize("kind", sorted(set(STATUS.values()), key=lambda it: it.status))
def test_what_a_master_sends_is_what_a_caller_gets(kind: type[SlapError]) -> None:
    assert error_class(kind.status) is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (204, ServerError),
        (302, ServerError),
        (401, Forbidden),
        (418, BadRequest),
        (429, Unavailable),
        (501, ServerError),
        (523, OtherMasterAway),
        (524, ServerError),
    ],
)
def test_statuses_that_we_never_send_have_a_meaning(
    status: int, kind: type[SlapError]
) -> None:
    assert type(decoded(status)) is kind


def test_classes_say_what_to_do() -> None:
    groups = {
        kind: next(
            it for it in (Refusal, MasterAway, SlapError) if issubclass(kind, it)
        )
        for kind in (BadRequest, NotFound, ServerError, Unavailable, NotReady)
    }

    assert groups == {
        BadRequest: Refusal,
        NotFound: Refusal,
        ServerError: MasterAway,
        Unavailable: MasterAway,
        NotReady: SlapError,
    }


def test_a_malformed_document_is_sent_as_a_bad_request() -> None:
    error = MalformedDocument("an odd reason", 7)

    assert encode_error(error) == HttpAnswer(
        400, {"Content-Type": "text/plain; charset=utf-8"}, b"an odd reason (byte 7)"
    )


def test_a_sentence_without_a_position_is_the_reason() -> None:
    assert MalformedDocument("an odd reason").sentence == "an odd reason"


def test_unavailable_says_when_to_come_back() -> None:
    assert encode_error(Unavailable("busy", 9)).headers["Retry-After"] == "9"


def test_a_refused_verb_says_which_one_to_use() -> None:
    answer = encode_error(MethodNotAllowed("no", "POST"))

    error = decoded(answer.status, dict(answer.headers), answer.body)

    assert answer.headers["Allow"] == "POST"
    assert isinstance(error, MethodNotAllowed)
    assert error.allowed == "POST"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("17", 17),
        ("9999999", RETRY_AFTER_SECONDS_MAX),
        ("9" * 5000, RETRY_AFTER_SECONDS),
        ("-1", RETRY_AFTER_SECONDS),
        ("\u0663", RETRY_AFTER_SECONDS),
        ("Fri, 20 Nov 2026 23:32:56 GMT", RETRY_AFTER_SECONDS),
    ],
)
def test_a_caller_believes_a_sensible_delay_only(header: str, seconds: int) -> None:
    error = decoded(503, {"retry-after": header}, b"busy")

    assert isinstance(error, Unavailable)
    assert (error.sentence, error.retry_after_seconds) == ("busy", seconds)


def test_the_page_of_another_server_becomes_a_sentence() -> None:
    page = (
        b"<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n"
        b"<h1>Not Found</h1>\n<p>No host for: [&#39;https://x/&#39;]</p>\n"
    )

    error = decoded(404, {"Content-Type": "text/html; charset=utf-8"}, page)

    assert error.sentence == "Not Found No host for: ['https://x/']"


def test_an_error_without_words_is_its_status() -> None:
    assert decoded(404).sentence == "HTTP status 404"


def test_a_long_error_is_cut() -> None:
    assert decoded(500, body=b"\xff" * 10**6).sentence == "\ufffd" * 2000


def test_the_markup_of_a_hostile_page_takes_no_time() -> None:
    page = b"<" * 10**6

    assert len(decoded(500, {"Content-Type": "text/html"}, page).sentence) == 2000


@pytest.mark.parametrize(
    ("call", "body", "sentence"),
    [
        (
            calls.get_computer("COMP-1"),
            b"Ignored",
            (
                "the answer of getFullComputerInformation is not understood: "
                "syntax error (byte 0)"
            ),
        ),
        (
            calls.report_destroyed(calls.PartitionKey("COMP-1", "slappart0")),
            b"\xff",
            (
                "the answer of destroyedComputerPartition is not understood: "
                "not UTF-8 (byte 0)"
            ),
        ),
    ],
)
def test_an_answer_that_is_not_understood_is_the_fault_of_the_master(
    call: calls.Call, body: bytes, sentence: str
) -> None:
    with pytest.raises(ServerError) as caught:
        decode_answer(call, HttpAnswer(200, {}, body))

    assert caught.value.sentence == sentence


@pytest.mark.parametrize("path", ["getRunId", "slapos.get.v0.instance_tree"])
@pytest.mark.parametrize("kind", sorted(set(STATUS.values()), key=lambda it: it.status))
def test_every_error_is_told_in_either_dialect(
    kind: type[SlapError], path: str
) -> None:
    answer = encode_error(kind("what \x00 happened"), path)

    if kind is NotReady and path != "getRunId":
        assert answer.status == 200  # as the reference has it
    else:
        assert answer.status == kind.status
    told = answer.body.decode()
    if path != "getRunId":
        told = str(json.loads(told))
    assert "what \N{REPLACEMENT CHARACTER} happened" in told
