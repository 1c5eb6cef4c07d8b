"""What a master understands of fields that are missing, odd or wrong."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from slap import calls
from slap.calls import Call, decode_call, encode_call
from slap.errors import BadRequest, MethodNotAllowed, NotFound, TooLarge
from slap.form import BODY_BYTES_MAX, LOG_LENGTH_MAX
from slap.marshalling import Value, WireObject, dumps
from slap.model import InstanceRequest, PartitionKey
from tests.builders import a_computer_definition, a_partition_key

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def marshal(value: Value) -> str:
    return dumps(value).decode()


def post(method: str, headers: dict[str, str] | None = None, **fields: str) -> Call:
    """What a master decodes of fields that somebody posts."""
    body = urlencode(fields).encode()
    return decode_call("POST", f"/{method}", "", headers or FORM, body)


def post_request(headers: dict[str, str] | None = None, **fields: str) -> Call:
    needed = {"software_release": "https://x/", "partition_reference": "db"}
    return post("requestComputerPartition", headers, **{**needed, **fields})


def wanted(**fields: str) -> object:
    return post_request(**fields).arguments["instance_request"]


def test_an_instance_request_needs_a_release_and_a_title() -> None:
    assert wanted() == InstanceRequest("db", "https://x/")


@pytest.mark.parametrize("absent", ["", "None", "none", "NONE"])
def test_a_field_may_say_in_words_that_it_is_absent(absent: str) -> None:
    fields = {
        "software_type": absent,
        "computer_id": absent,
        "computer_partition_id": "slappart0",
    }

    assert wanted(**fields) == InstanceRequest("db", "https://x/")


def test_marshalled_fields_may_say_none() -> None:
    none = marshal(None)
    fields = dict.fromkeys(("state", "shared_xml", "filter_xml"), none)

    assert wanted(**fields, partition_parameter_xml=none) == InstanceRequest(
        "db", "https://x/"
    )


def test_unknown_fields_are_ignored() -> None:
    assert wanted(project_reference="PROJ-1") == InstanceRequest("db", "https://x/")


def test_a_number_is_a_boolean() -> None:
    assert wanted(shared_xml=marshal(1)) == InstanceRequest(
        "db", "https://x/", is_shared=True
    )


def test_parameters_are_texts() -> None:
    fields = {"partition_parameter_xml": marshal({"n": 3, "b": True, "e": None})}

    assert wanted(**fields) == InstanceRequest(
        "db", "https://x/", parameters={"n": "3", "b": "True", "e": "None"}
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"state": "started"}, r"^state: syntax error \(byte 0\)$"),
        ({"state": marshal("purged")}, "^state: not one of started, stopped"),
        ({"state": marshal(["started"])}, "^state: not one of started, stopped"),
        ({"shared_xml": marshal("yes")}, "^shared_xml: not a boolean$"),
        ({"filter_xml": marshal([])}, "^filter_xml: not a dictionary$"),
        ({"partition_parameter_xml": ""}, "^partition_parameter_xml: no element"),
        (
            {"partition_parameter_xml": marshal({"a": WireObject("Computer", (), {})})},
            "^partition_parameter_xml: an object is not a parameter$",
        ),
        ({"partition_reference": "a\0b"}, "^partition_reference: holds a control"),
        ({"software_type": "\x1b"}, "^software_type: holds a control character$"),
        ({"software_release": "x" * 5000}, "^software_release: longer than 4096"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, str], reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        wanted(**fields)


@pytest.mark.parametrize("name", ["software_release", "partition_reference"])
def test_a_missing_field_is_named(name: str) -> None:
    fields = {"software_release": "https://x/", "partition_reference": "db"}
    del fields[name]

    with pytest.raises(BadRequest, match=f"^{name}: missing$"):
        post("requestComputerPartition", **fields)


def test_a_release_is_supplied_in_one_of_two_states() -> None:
    with pytest.raises(BadRequest, match=r"^state: 'purged' is neither"):
        post("supplySupply", url="https://x/", computer_id="COMP-1", state="purged")


def test_titles_come_as_a_list() -> None:
    fields = {"computer_id": "COMP-1", "computer_partition_id": "slappart0"}
    method = "updateComputerPartitionRelatedInstanceList"

    with pytest.raises(BadRequest, match=r"^instance_reference_xml: not a list$"):
        post(method, **fields, instance_reference_xml=marshal({"a": "b"}))
    with pytest.raises(BadRequest, match=r"^instance_reference_xml: an object is"):
        post(
            method,
            **fields,
            instance_reference_xml=marshal([WireObject("Computer", (), {})]),
        )


def test_an_undecodable_definition_is_named() -> None:
    with pytest.raises(BadRequest, match=r"^xml: reference: missing or not a text$"):
        post("loadComputerConfigurationFromXML", xml=marshal({}))


def test_the_definition_of_five_hundred_partitions_fits_easily() -> None:
    call = calls.define_computer(a_computer_definition(partitions=500))

    assert len(encode_call(call).body) < BODY_BYTES_MAX / 8


def test_the_end_of_a_log_is_kept_whatever_it_holds() -> None:
    log = "x" * LOG_LENGTH_MAX + "\x1b[31mboom\0"
    tail = "x" * (LOG_LENGTH_MAX - 10) + "\ufffd[31mboom\ufffd"

    call = post("softwareReleaseError", url="u", computer_id="c", error_log=log)

    assert call == Call(
        "softwareReleaseError",
        {"software_release_url": "u", "computer_id": "c", "error_log": tail},
    )


def test_a_caller_sends_the_end_of_a_log_whatever_it_holds() -> None:
    broken = "a" * LOG_LENGTH_MAX + "\udc80"

    sent = encode_call(calls.report_software_error("u", "c", broken))

    assert decode_call("POST", "/softwareReleaseError", "", {}, sent.body) == Call(
        "softwareReleaseError",
        {
            "software_release_url": "u",
            "computer_id": "c",
            "error_log": "a" * (LOG_LENGTH_MAX - 1) + "\ufffd",
        },
    )


REQUESTER = PartitionKey("COMP-1", "slappart7")


@pytest.mark.parametrize(
    ("name", "header"),
    [
        (
            "Authorization",
            "X-SlapPartition computer_id=COMP-1, computer_partition_id=slappart7",
        ),
        (
            "authorization",
            "x-slappartition COMPUTER_ID=COMP-1,computer_partition_id=slappart7 ",
        ),
    ],
)
def test_the_requester_of_the_header_wins_over_the_form(name: str, header: str) -> None:
    fields = {"computer_id": "COMP-1", "computer_partition_id": "slappart0"}

    call = post_request({name: header}, **fields)

    assert call == Call(
        "requestComputerPartition",
        {"instance_request": InstanceRequest("db", "https://x/", requester=REQUESTER)},
        REQUESTER,
    )


def test_the_form_names_the_requester_without_a_header() -> None:
    fields = {"computer_id": "COMP-1", "computer_partition_id": "slappart7"}

    assert wanted(**fields) == InstanceRequest("db", "https://x/", requester=REQUESTER)


def test_another_scheme_of_authorization_names_no_requester() -> None:
    assert post_request({"Authorization": "Basic eDp5"}).requester is None


@pytest.mark.parametrize(
    "header",
    [
        "X-SlapPartition",
        "X-SlapPartition computer_id=COMP-1",
        "X-SlapPartition computer_id=, computer_partition_id=slappart7",
        "X-SlapPartition computer_id=a, computer_partition_id=b, root=1",
        "X-SlapPartition" + " " * 50_000,
        "X-SlapPartition computer_id=" + " " * 50_000 + ",",
    ],
)
def test_a_requester_named_wrongly_is_refused(header: str) -> None:
    with pytest.raises(BadRequest, match=r"^Authorization: does not name a partition$"):
        post_request({"Authorization": header})


@pytest.mark.parametrize("computer_id", ["a,b", "é", " a", "a\nb", ""])
def test_a_requester_that_no_header_can_name_is_refused(computer_id: str) -> None:
    call = calls.report_started(PartitionKey(computer_id, "slappart0"))

    with pytest.raises(BadRequest, match="a header cannot name"):
        encode_call(call)


def test_a_text_that_no_form_can_carry_is_refused() -> None:
    with pytest.raises(BadRequest, match="a character that UTF-8 has not"):
        encode_call(calls.get_computer("\ud800"))


def test_the_method_is_the_last_part_of_the_path() -> None:
    call = decode_call("GET", "/erp5/getComputerInformation", "computer_id=a", {}, b"")

    assert call == Call("getComputerInformation", {"computer_id": "a"})


@pytest.mark.parametrize("path", ["/", "", "/getNothing", "/supplySupply/"])
def test_an_unknown_method_is_not_found(path: str) -> None:
    with pytest.raises(NotFound, match="no method"):
        decode_call("GET", path, "", {}, b"")


@pytest.mark.parametrize(
    ("verb", "method", "allowed"),
    [
        ("GET", "requestComputerPartition", "POST"),
        ("POST", "getFullComputerInformation", "GET"),
        ("DELETE", "slapcluster.v0.status", "POST"),
    ],
)
def test_another_verb_is_refused_with_the_one_to_use(
    verb: str, method: str, allowed: str
) -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        decode_call(verb, f"/{method}", "", {}, b"")

    assert caught.value.allowed == allowed


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "^computer_id: missing$"),
        ("computer_id=%ff", "^the form is not understood"),
        ("computer_id=\udc80", "^the form is not understood"),
        ("computer_id=%00", "^computer_id: holds a control character$"),
        ("computer_id=a&computer_id=b", "^the form gives a field twice$"),
        ("&".join(f"a{n}=" for n in range(65)), "^the form is not understood"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(query: str, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        decode_call("GET", "/getFullComputerInformation", query, {}, b"")


def test_a_query_over_the_limit_is_too_large() -> None:
    query = "x" * (BODY_BYTES_MAX + 1)

    with pytest.raises(TooLarge):
        decode_call("GET", "/getFullComputerInformation", query, {}, b"")


def post_json(name: str, body: bytes) -> Call:
    return decode_call("POST", f"/slapcluster.v0.{name}", "", {}, body)


def test_the_root_itself_is_meant_without_a_root_title() -> None:
    assert post_json("why", b'{"title": "db"}') == calls.explain_allocation("db")


@pytest.mark.parametrize(
    ("name", "body", "reason"),
    [
        ("status", b"", "^the arguments are not understood: Expecting value"),
        ("status", b"[]", "^the arguments are not understood"),
        ("status", b'{"a": "b"}', "^a: unknown$"),
        ("computer", b"{}", "^computer_id: missing$"),
        ("computer", b'{"computer_id": 1}', "^the arguments are not understood"),
        ("computer", b'{"computer_id": "\\ud800"}', "^computer_id: holds a control"),
        ("computer", b"[" * 100_000, "^the arguments are not understood"),
        ("computer", b"\xff", "^the arguments are not understood: not UTF-8"),
    ],
)
def test_json_that_makes_no_sense_is_refused(
    name: str, body: bytes, reason: str
) -> None:
    with pytest.raises(BadRequest, match=reason):
        post_json(name, body)


def test_an_extension_may_be_called_by_a_partition() -> None:
    call = Call("slapcluster.v0.status", {}, a_partition_key())
    sent = encode_call(call)

    assert decode_call("POST", sent.path, "", sent.headers, sent.body) == call
