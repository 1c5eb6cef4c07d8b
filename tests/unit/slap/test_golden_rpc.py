"""JSON-RPC as a client and the reference master exchanged it: understood, and kept.

Each recorded request is understood, and what we send for the same intention is the
same object. Each recorded answer is understood, and what we write for the same content
has the same fields and values; what differs is named.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from slap.calls import (
    Call,
    HttpAnswer,
    decode_answer,
    encode_answer,
    encode_call,
    encode_error,
)
from slap.errors import BadRequest, Forbidden, NotFound, SlapError
from slap.method import RPC
from slap.model import InstanceRequest, PartitionKey, RequestedState
from tests.unit.slap.test_golden import RECORDED, SUFFIX, recorded, recorded_call

NAMES = sorted(
    it.name.removesuffix(SUFFIX) for it in RECORDED.glob(f"[789][0-9]-json-*{SUFFIX}")
)
WRONG = "90-json-error-schema"
UNDERSTOOD = [it for it in NAMES if it != WRONG]
ANSWERED = [it for it in UNDERSTOOD if "-error-" not in it]


def document_of(name: str) -> dict[str, Any]:
    _, _, body = recorded(name)
    document = json.loads(body)
    assert isinstance(document, dict)
    return document


def test_every_recorded_exchange_is_here() -> None:
    assert len(NAMES) == 25


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_what_we_send_is_what_the_client_sent(name: str) -> None:
    """The same path, requester and object; what may be left out may be spelled."""
    first, headers, body = recorded(name + SUFFIX)

    sent = encode_call(recorded_call(name))

    assert (f"POST /{sent.path} HTTP/1.1", sent.headers.get("Authorization")) == (
        first,
        headers.get("Authorization"),
    )
    spelled = {
        "state": "available",
        "shared": False,
        "parameters": {},
        "sla_parameters": {},
    }
    ours, theirs = json.loads(sent.body), json.loads(body)
    for name_left_out, value in spelled.items():
        if name_left_out not in theirs and ours.get(name_left_out) == value:
            del ours[name_left_out]
    for partition in theirs.get("compute_partition_list", ()):
        for address in partition["ip_list"]:
            # Nobody reads the netmask of an address of its own.
            del address["netmask"]
    assert ours == theirs


def test_the_recorded_request_is_what_it_says() -> None:
    """A reader of this test sees what one object means."""
    assert recorded_call("75-json-software_instance-post-from-partition") == Call(
        RPC + "post.v0.software_instance",
        {
            "instance_request": InstanceRequest(
                "jchild",
                "https://example.com/sr/software.cfg",
                "db",
                allocation_filter={"computer_guid": "COMP-7"},
                requester=PartitionKey("COMP-7", "slappart0"),
            )
        },
        PartitionKey("COMP-7", "slappart0"),
    )


@pytest.mark.parametrize("name", ANSWERED)
def test_a_recorded_answer_is_written_the_same(name: str) -> None:
    call = recorded_call(name)
    _, headers, body = recorded(name + ".response")

    value = decode_answer(call, HttpAnswer(200, headers, body))
    written = encode_answer(call.method, value)

    assert json.loads(written.body) == json.loads(body)
    assert written.headers == {"Content-Type": "application/json"}


def test_the_recorded_mistake_is_refused_by_its_field() -> None:
    with pytest.raises(BadRequest, match=r"^software_release_uri: missing$"):
        recorded_call(WRONG)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (WRONG, BadRequest),
        ("91-json-error-not-found", Forbidden),
        ("92-json-error-alloc", Forbidden),
        ("93-json-error-unknown-auth", BadRequest),
    ],
)
def test_a_recorded_error_is_understood(name: str, kind: type[SlapError]) -> None:
    """Its sentence too, and ours has the same shape."""
    first, headers, body = recorded(name + ".response")
    answer = HttpAnswer(int(first.split(" ")[1]), headers, body)
    call = Call(RPC + "get.v0.software_instance")

    with pytest.raises(kind) as caught:
        decode_answer(call, answer)

    written = encode_error(caught.value, call.method)
    assert (written.status, json.loads(written.body)) == (
        answer.status,
        json.loads(body),
    )


def test_what_does_not_exist_is_not_found_here() -> None:
    """Where the reference says that it is forbidden."""
    assert encode_error(NotFound("no instance"), RPC + "x") == HttpAnswer(
        404,
        {"Content-Type": "application/json"},
        b'{"status": 404, "type": "Not Found", "title": "no instance"}',
    )


def test_a_recorded_instance_is_what_it_says() -> None:
    call = recorded_call("80-json-instance_node_instance_list")
    _, headers, body = recorded("80-json-instance_node_instance_list.response")

    (found,) = decode_answer(call, HttpAnswer(200, headers, body))  # type: ignore[misc]

    assert (found.title, found.requested_state, found.parameters) == (
        "jshared",
        RequestedState.STARTED,
        {"domain": "x"},
    )
