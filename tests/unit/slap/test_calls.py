"""Calls and answers through the codec of the caller and that of the master, joined."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slap import calls, errors
from slap.calls import (
    Call,
    HttpAnswer,
    decode_answer,
    decode_call,
    encode_answer,
    encode_call,
    encode_error,
)
from slap.errors import SlapError
from slap.form import BODY_BYTES_MAX
from slap.method import RPC
from slap.methods import EXTENSION, METHODS, render_reference
from slap.products import ReleaseQuestion
from slap.pushing import ReleaseOffer, ReleasePiece
from slap.release_sums import fingerprint_of
from slap.replicas import ListedReplica
from slap.transfer import Piece
from tests import strategies
from tests.builders import (
    a_computer,
    a_computer_definition,
    a_partition_key,
    an_installation,
    an_instance_request,
)


def as_seen_by_a_master(call: Call) -> Call:
    """What the master decodes of what the caller encodes."""
    sent = encode_call(call)
    path, _, query = sent.path.partition("?")
    return decode_call(sent.verb, f"/{path}", query, sent.headers, sent.body)


def as_seen_by_a_caller(call: Call, value: object) -> object:
    """What the caller decodes of what the master encodes."""
    return decode_answer(call, encode_answer(call.method, value))


KEY = strategies.a_partition_key()
NAME = strategies.identifiers()
TEXT = strategies.texts()
SHARED_REFERENCE = st.none() | TEXT.filter(lambda it: it.lower() not in ("", "none"))
REPLICAS = (
    ListedReplica("https://[2001:db8::1]:5443", "eu"),
    ListedReplica("https://[2001:db8::2]:5443", "us"),
)
SUMS = f"{'0' * 64}  versions.cfg\n"
OFFER = ReleaseOffer(fingerprint_of(SUMS), SUMS, 7)
COMPUTER_ONLY = st.fixed_dictionaries({"computer_id": NAME})
CALLS: tuple[st.SearchStrategy[Call], ...] = (
    st.builds(calls.get_computer, NAME),
    st.builds(calls.get_partition, KEY),
    st.builds(calls.get_certificate, KEY),
    st.builds(calls.issue_computer_certificate, NAME),
    st.builds(calls.get_token, NAME),
    st.builds(calls.revoke_computer_certificate, NAME),
    st.builds(calls.get_computer_status, NAME),
    st.builds(calls.get_instance_status, KEY),
    st.builds(calls.get_installation_status, NAME, NAME),
    st.builds(calls.get_tree_addresses, KEY),
    st.builds(calls.get_releases, strategies.a_release_question()),
    st.just(calls.get_run_id()),
    st.builds(calls.request_computer, TEXT),
    st.builds(calls.request_instance, strategies.an_instance_request()),
    st.builds(calls.publish_connection, KEY, strategies.parameters(), SHARED_REFERENCE),
    st.builds(calls.report_software_error, NAME, NAME, TEXT),
    st.builds(calls.report_instance_error, KEY, TEXT, SHARED_REFERENCE),
    st.builds(calls.rename_instance, KEY, TEXT, SHARED_REFERENCE),
    st.builds(calls.send_usage, NAME, strategies.any_texts()),
    st.builds(Call, st.just("getComputerInformation"), COMPUTER_ONLY),
    st.builds(calls.supply, strategies.an_installation()),
    st.builds(calls.report_building, NAME, NAME),
    st.builds(calls.report_available, NAME, NAME),
    st.builds(calls.report_removed, NAME, NAME),
    st.builds(calls.report_started, KEY),
    st.builds(calls.report_stopped, KEY),
    st.builds(calls.report_destroyed, KEY),
    st.builds(calls.bang_instance, KEY, TEXT),
    st.builds(calls.bang_computer, NAME, TEXT),
    st.builds(calls.define_computer, strategies.a_computer_definition()),
    st.builds(calls.report_requested_titles, KEY, st.lists(TEXT).map(tuple)),
    st.just(calls.get_products()),
    st.builds(calls.add_product_release, TEXT, TEXT),
    st.builds(calls.remove_product_release, TEXT, TEXT),
    st.just(calls.get_replicas()),
    st.builds(calls.forget_replica, TEXT),
    st.just(calls.get_releases_held()),
    st.builds(calls.offer_release, st.just(OFFER)),
    st.builds(
        lambda path, content: calls.receive_release(
            ReleasePiece("0" * 64, path, 9 + len(content), 9, content)
        ),
        st.from_regex("[a-z+]{1,9}/[a-z]{1,9}", fullmatch=True),
        st.binary(min_size=1, max_size=50),
    ),
    st.builds(calls.forget_release, NAME),
    st.just(calls.get_transfer()),
    st.just(calls.freeze()),
    st.just(calls.thaw()),
    st.builds(calls.move, st.just(REPLICAS)),
    st.builds(
        lambda content: calls.receive(Piece("0" * 64, 9 + len(content), 9, content)),
        st.binary(min_size=1, max_size=50),
    ),
    st.builds(calls.open_received, NAME),
    st.just(calls.get_roots()),
    st.builds(calls.join, NAME, TEXT, TEXT),
    st.builds(calls.renew_certificate, TEXT, TEXT),
    st.just(calls.get_cloud_report()),
    st.builds(calls.get_computer_report, NAME),
    st.builds(
        calls.set_computer_attributes, NAME, st.dictionaries(TEXT, TEXT, max_size=2)
    ),
    st.builds(calls.give_up_computer, NAME),
    st.builds(calls.get_tree_report, NAME),
    st.builds(calls.get_requested, KEY),
    st.builds(calls.explain_allocation, NAME, NAME),
    st.builds(calls.list_usage, NAME, st.floats(0, 1e11), NAME),
    st.builds(calls.get_usage_document, NAME, NAME),
)

SOME_CALL = st.one_of(CALLS)
SOME_RPC_CALL = strategies.an_rpc_call()


def test_some_call_is_drawn_of_every_method() -> None:
    """The property below speaks of all methods, also of those that will be added."""
    drawn: set[str] = set()

    @settings(max_examples=1, database=None, deadline=None, derandomize=True)
    @given(st.tuples(*CALLS))
    def draw(each: tuple[Call, ...]) -> None:
        drawn.update(it.method for it in each)

    draw()
    drawn |= {
        RPC + name
        for name in strategies.RPC_ARGUMENTS
        if not strategies.an_rpc_call_of(name).is_empty
    }

    assert drawn == set(METHODS)


@given(SOME_CALL | SOME_RPC_CALL)
def test_a_master_understands_what_a_caller_means(call: Call) -> None:
    assert as_seen_by_a_master(call) == call


@pytest.mark.parametrize(
    ("call", "value"),
    [
        (calls.get_computer("COMP-1"), strategies.a_computer()),
        (calls.get_partition(a_partition_key()), strategies.a_partition()),
        (calls.get_partition(a_partition_key()), strategies.a_free_partition()),
        (
            calls.request_instance(an_instance_request()),
            strategies.a_requested_instance(),
        ),
        (calls.get_certificate(a_partition_key()), strategies.a_certificate()),
        (calls.report_destroyed(a_partition_key()), strategies.texts()),
        (calls.supply(an_installation()), strategies.texts()),
        (calls.get_computer_status("COMP-1"), strategies.an_access_status()),
        (calls.get_tree_addresses(a_partition_key()), strategies.some_addresses()),
        (calls.get_releases(ReleaseQuestion("erp5")), strategies.some_texts()),
        (calls.get_products(), strategies.a_product_report()),
        (calls.join("token", "title", "request"), strategies.an_admission()),
        (calls.report_started(a_partition_key()), st.none()),
        (calls.bang_computer("COMP-1", "late"), st.none()),
    ],
)
@given(chance=st.data())
def test_a_caller_gets_the_value_that_the_master_gave(
    call: Call, value: st.SearchStrategy[Any], chance: st.DataObject
) -> None:
    given_value = chance.draw(value)

    assert as_seen_by_a_caller(call, given_value) == given_value


@given(strategies.a_report())
def test_reports_travel_whole(report: object) -> None:
    kinds = {
        "CloudReport": "status",
        "ComputerReport": "computer",
        "TreeReport": "instance_tree",
        "AllocationReport": "why",
    }
    call = Call(EXTENSION + kinds[type(report).__name__])

    assert as_seen_by_a_caller(call, report) == report


@pytest.mark.parametrize(
    "error",
    [
        errors.BadRequest("no"),
        errors.Forbidden("no"),
        errors.NotFound("no"),
        errors.NotReady("wait"),
        errors.TooLarge("no"),
        errors.ServerError("incident 7"),
        errors.Unavailable("busy", retry_after_seconds=17),
        errors.MethodNotAllowed("no", "POST"),
    ],
)
def test_an_error_reappears_as_the_same_class(error: SlapError) -> None:
    """With its sentence, and with when to come back."""
    with pytest.raises(type(error)) as caught:
        decode_answer(calls.get_cloud_report(), encode_error(error))

    assert type(caught.value) is type(error)
    assert caught.value.sentence == error.sentence
    assert getattr(caught.value, "retry_after_seconds", None) == getattr(
        error, "retry_after_seconds", None
    )


def test_an_unknown_method_is_not_found() -> None:
    with pytest.raises(errors.NotFound):
        decode_call("GET", "/getNothing", "", {}, b"")


def test_a_body_over_the_limit_is_too_large() -> None:
    with pytest.raises(errors.TooLarge):
        decode_call("POST", "/supplySupply", "", {}, b"x" * (BODY_BYTES_MAX + 1))


@given(st.sampled_from(sorted(METHODS)), st.binary(max_size=300))
def test_random_bodies_are_refused_or_understood(name: str, body: bytes) -> None:
    method = METHODS[name]
    query = body.decode("latin-1") if method.verb == "GET" else ""
    try:
        call = decode_call(method.verb, f"/{name}", query, {}, body)
    except errors.Refusal:
        return
    assert call.method == name


@given(st.binary(max_size=300), st.sampled_from([200, 302, 404, 408, 418, 500, 503]))
def test_random_answers_are_errors_or_understood(body: bytes, status: int) -> None:
    call = calls.get_computer("COMP-1")
    try:
        decode_answer(call, HttpAnswer(status, {"Retry-After": "soon"}, body))
    except SlapError:
        return
    assert status == 200


@given(st.data())
def test_a_damaged_document_is_malformed_or_understood(chance: st.DataObject) -> None:
    """One byte of a real document replaced: nothing but our error comes out."""
    call = calls.get_computer("COMP-1")
    body = bytearray(encode_answer(call.method, a_computer()).body)
    position = chance.draw(st.integers(0, len(body) - 1))
    body[position] = chance.draw(st.integers(0, 255))
    try:
        answer = decode_answer(call, HttpAnswer(200, {}, bytes(body)))
    except SlapError:
        return
    assert isinstance(answer, type(a_computer()))


def test_a_requester_travels_in_the_header_of_stock_clients() -> None:
    requester = a_partition_key()
    wanted = an_instance_request(requester=requester)

    sent = encode_call(calls.request_instance(wanted))

    assert sent.headers["Authorization"] == (
        f"X-SlapPartition computer_id={requester.computer_id},"
        f" computer_partition_id={requester.partition_id}"
    )


def test_releases_are_asked_for_by_product_or_by_release() -> None:
    by_product = calls.get_releases(ReleaseQuestion("erp5"))
    by_release = calls.get_releases(ReleaseQuestion(software_release_url="https://x/"))

    assert as_seen_by_a_master(by_product) == by_product
    assert as_seen_by_a_master(by_release) == by_release


@pytest.mark.parametrize(
    "query", ["", "software_product_reference=a&software_release_url=b"]
)
def test_releases_are_asked_for_by_one_of_them(query: str) -> None:
    with pytest.raises(errors.BadRequest) as refused:
        decode_call("GET", "/getSoftwareReleaseListFromSoftwareProduct", query, {}, b"")

    assert refused.value.sentence == (
        "software_product_reference, software_release_url: give one of them"
    )


def test_attributes_of_a_computer_arrive_as_texts_by_name() -> None:
    call = calls.set_computer_attributes("COMP-1", {"region": "lille", "group": ""})

    assert as_seen_by_a_master(call) == call


def test_the_reference_names_every_method() -> None:
    reference = render_reference()

    assert [name for name in METHODS if f"`{name}`" not in reference] == []


@pytest.mark.parametrize(
    "document",
    [
        b'<!DOCTYPE m [<!ENTITY a "aaaa">]><marshal><string>&a;</string></marshal>',
        b"<marshal>" + b"<list>" * 100_000 + b"</list>" * 100_000 + b"</marshal>",
        (
            b'<marshal><object id="i2" module="os" class="System"><tuple/><dictionary/>'
            b"</object></marshal>"
        ),
        b"<marshal><int>" + b"9" * 1_000_000 + b"</int></marshal>",
        b"<marshal><string>\xff\xfe</string></marshal>",
        b"<marshal><string>\x00</string></marshal>",
        b"<marshal><string>cut",
        b'<marshal><reference id="i9"/></marshal>',
        b"",
    ],
    ids=["bomb", "depth", "class", "integer", "utf-8", "nul", "cut", "loop", "empty"],
)
def test_a_hostile_definition_is_refused(document: bytes) -> None:
    """The error names the field; time and memory do not grow with the malice."""
    form = encode_call(calls.define_computer(a_computer_definition())).body
    name = form.split(b"=")[0]
    quoted = b"".join(b"%%%02X" % byte for byte in document)

    with pytest.raises(errors.BadRequest, match=r"xml: |the form"):
        decode_call(
            "POST",
            "/loadComputerConfigurationFromXML",
            "",
            {},
            name + b"=" + quoted,
        )
