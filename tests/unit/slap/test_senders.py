"""The headers that say who calls and through which masters."""

from __future__ import annotations

import pytest

from slap.calls import decode_call, encode_call, request_instance
from slap.errors import BadRequest
from slap.senders import FORWARDED_HEADER
from tests.builders import a_partition_key, an_instance_request


def forwarded(header: str) -> object:
    """The request that a master decodes when this header comes with it."""
    sent = encode_call(request_instance(an_instance_request()))
    headers = {**sent.headers, FORWARDED_HEADER: header}
    call = decode_call(sent.verb, f"/{sent.path}", "", headers, sent.body)
    return call.arguments["instance_request"]


def test_the_masters_that_forwarded_a_request_travel_in_a_header() -> None:
    wanted = an_instance_request(forwarded_by=("rome", "paris-2"))

    sent = encode_call(request_instance(wanted))

    assert sent.headers[FORWARDED_HEADER] == "rome, paris-2"
    assert forwarded(sent.headers[FORWARDED_HEADER]) == wanted


@pytest.mark.parametrize("header", ["", " \t"])
def test_an_empty_header_names_no_masters(header: str) -> None:
    assert forwarded(header) == an_instance_request()


@pytest.mark.parametrize(
    "header", [",", "rome,,paris", "a b", "ro\u00e9me", "r" * 65, ", ".join("a" * 65)]
)
def test_what_names_no_masters_is_refused(header: str) -> None:
    with pytest.raises(BadRequest) as refused:
        forwarded(header)

    assert refused.value.sentence == f"{FORWARDED_HEADER}: does not name masters"


def test_the_requester_of_the_header_wins_over_the_one_of_the_form() -> None:
    wanted = an_instance_request(requester=a_partition_key())
    sent = encode_call(request_instance(wanted))
    header = "X-SlapPartition computer_id=COMP-9, computer_partition_id=slappart9"
    headers = {**sent.headers, "Authorization": header}

    call = decode_call(sent.verb, f"/{sent.path}", "", headers, sent.body)

    decoded = call.arguments["instance_request"]
    caller = a_partition_key(9, "COMP-9")
    assert (call.requester, decoded) == (
        caller,
        an_instance_request(requester=caller),
    )
