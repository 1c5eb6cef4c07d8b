"""The bytes that the stock client and the reference master exchanged, read and written.

Each request recorded from the stock client is understood, and what we send for the same
intention carries the same fields. Each document recorded from the reference master is
understood, and what we write for the same content has the same bytes.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from slap.answers import XML
from slap.calls import (
    Call,
    HttpAnswer,
    decode_answer,
    decode_call,
    encode_answer,
    encode_call,
)
from slap.errors import (
    BadRequest,
    MethodNotAllowed,
    NotFound,
    SlapError,
)
from slap.model import (
    NetworkAddress,
    PartitionKey,
    RequestedState,
    SoftwareInstallation,
    SupplyState,
)

RECORDED = Path(__file__).parents[2] / "golden" / "slap"
SUFFIX = ".request"
MISUNDERSTOOD = {
    "40-error-supplySupply-bad-state": BadRequest,
    "59-error-request-missing-field": BadRequest,
    "60-error-GET-on-POST-endpoint": MethodNotAllowed,
    "61-error-request-invalid-marshal": BadRequest,
}
"""What the stock client was made to send wrongly."""

OLD_SPELLING = {
    "02-loadComputerConfigurationFromXML": "slapformat sends much that no master reads",
}
"""Requests whose fields we do not repeat, and why."""

SAME_BYTES = (
    "04-requestComputerPartition-root-new",
    "05-requestComputerPartition-root-again-same",
    "06-requestComputerPartition-child",
    "11-registerComputerPartition",
    "12-getFullComputerInformation",
    "13-requestComputerPartition-child-with-connection",
    "20-getComputerPartitionCertificate",
    "30-requestComputerPartition-root-stopped",
    "32-requestComputerPartition-root-destroyed",
)


def names() -> list[str]:
    return sorted(it.name.removesuffix(SUFFIX) for it in RECORDED.glob(f"*{SUFFIX}"))


def recorded(name: str) -> tuple[str, dict[str, str], bytes]:
    """The first line, the headers and the body."""
    head, _, body = (RECORDED / name).read_bytes().partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return first, headers, body


def recorded_call(name: str) -> Call:
    first, headers, body = recorded(name + SUFFIX)
    verb, target, _ = first.split(" ")
    path, _, query = target.partition("?")
    return decode_call(verb, path, query, headers, body)


def fields_of(encoded: str) -> dict[str, str]:
    """The fields; numbers as texts, which is what every master makes of them."""
    fields = parse_qsl(encoded, keep_blank_values=True, strict_parsing=True)
    return {key: re.sub("(</?)int>", r"\1string>", text) for key, text in fields}


@pytest.mark.parametrize("name", sorted(set(names()) - set(MISUNDERSTOOD)))
def test_a_recorded_request_is_understood_and_sent_alike(name: str) -> None:
    """Every field that we send has the recorded text, marshalled documents included."""
    first, _, body = recorded(name + SUFFIX)
    theirs = fields_of(body.decode() or first.split(" ")[1].partition("?")[2])

    call = recorded_call(name)
    sent = encode_call(call)
    ours = fields_of(sent.body.decode() or sent.path.partition("?")[2])

    assert (
        decode_call(
            sent.verb,
            "/" + sent.path.partition("?")[0],
            sent.path.partition("?")[2],
            sent.headers,
            sent.body,
        )
        == call
    )
    if name not in OLD_SPELLING:
        spelled = {key: theirs.get(key, text) for key, text in ours.items()}
        assert ours == spelled


@pytest.mark.parametrize("name", sorted(MISUNDERSTOOD))
def test_a_recorded_mistake_is_refused(name: str) -> None:
    with pytest.raises(MISUNDERSTOOD[name]):
        recorded_call(name)


@pytest.mark.parametrize("name", SAME_BYTES)
def test_a_recorded_answer_is_written_with_the_same_bytes(name: str) -> None:
    call = recorded_call(name)
    first, _, body = recorded(name + ".response")
    status = int(first.split(" ")[1])

    value = decode_answer(call, HttpAnswer(status, {}, body))
    written = encode_answer(call.method, value)

    assert written == HttpAnswer(200, {"Content-Type": XML}, body)


@pytest.mark.parametrize(
    "name", [it for it in names() if (RECORDED / f"{it}.response").exists()]
)
def test_every_recorded_answer_is_a_value_or_an_error(name: str) -> None:
    """Whatever the reference answers, nothing but our errors comes out."""
    try:
        call = recorded_call(name)
    except SlapError:
        return
    first, headers, body = recorded(name + ".response")
    answer = HttpAnswer(int(first.split(" ")[1]), headers, body)

    if answer.status == 200:
        decode_answer(call, answer)
    else:
        with pytest.raises(SlapError):
            decode_answer(call, answer)


def test_the_recorded_computer_is_what_it_says() -> None:
    """A reader of this test sees what one document means."""
    call = recorded_call("12-getFullComputerInformation")
    _, _, body = recorded("12-getFullComputerInformation.response")

    computer = decode_answer(call, HttpAnswer(200, {}, body))

    assert computer.computer_id == "local_computer"
    assert computer.installations[0] == SoftwareInstallation(
        computer.installations[0].software_release_url,
        "local_computer",
        SupplyState.AVAILABLE,
    )
    first = computer.partitions[0]
    assert first.key == PartitionKey("local_computer", "slappart0")
    assert first.requested_state is RequestedState.STARTED
    assert NetworkAddress("slaptap0", "10.0.0.1") in first.addresses


def test_a_full_computer_is_not_found() -> None:
    call = recorded_call("37-error-requestComputerPartition-no-free-partition")
    first, _, body = recorded(
        "37-error-requestComputerPartition-no-free-partition.response"
    )

    with pytest.raises(NotFound):
        decode_answer(call, HttpAnswer(int(first.split(" ")[1]), {}, body))
