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

from slap import calls
from slap.answers import TEXT, XML
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
    Computer,
    ComputerDefinition,
    NetworkAddress,
    Partition,
    PartitionDefinition,
    PartitionInstance,
    PartitionKey,
    RequestedState,
    SharedInstance,
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

MUCH_LONGER = "02-loadComputerConfigurationFromXML"
"""slapformat defines much that no master reads; we say only what one needs."""

SAME_BYTES = (
    "04-requestComputerPartition-root-new",
    "05-requestComputerPartition-root-again-same",
    "06-requestComputerPartition-child",
    "07-requestComputerPartition-shared-from-partition",
    "08-requestComputerPartition-shared-root",
    "11-registerComputerPartition",
    "12-getFullComputerInformation",
    "13-requestComputerPartition-child-with-connection",
    "20-getComputerPartitionCertificate",
    "21-computerBang",
    "28-getSoftwareReleaseListFromSoftwareProduct",
    "29-getSoftwareReleaseListFromSoftwareProduct-unknown",
    "30-requestComputerPartition-root-stopped",
    "31-requestComputerPartition-child-while-root-stopped",
    "32-requestComputerPartition-root-destroyed",
    "36-requestComputerPartition-destroyed-never-existed",
)

SAME_WORDS = (
    "02-loadComputerConfigurationFromXML",
    "03-supplySupply-available",
    "09-setComputerPartitionConnectionXml",
    "10-setComputerPartitionConnectionXml-slave",
    "18-softwareInstanceBang",
    "19-softwareInstanceRename",
    "25-supplySupply-destroyed",
    "26-destroyedSoftwareRelease",
    "33-destroyedComputerPartition-with-children",
    "34-destroyedComputerPartition-child",
    "35-destroyedComputerPartition-root",
    "58-getRunId",
)
"""Answers that are a few words; of the others, the reference says that it ignores."""


RELEASE = "https://example.com/sr/software.cfg"


def key_of(number: int) -> PartitionKey:
    return PartitionKey("local_computer", f"slappart{number}")


def addresses_of(number: int) -> tuple[NetworkAddress, ...]:
    tap = f"slaptap{number}"
    return (
        NetworkAddress(tap, f"10.0.0.{number + 1}"),
        NetworkAddress(tap, f"2001:db8:1::{number + 2}"),
    )


def names() -> list[str]:
    """Recorded exchanges of the legacy dialect; test_golden_rpc has the others."""
    return sorted(
        it.name.removesuffix(SUFFIX)
        for it in RECORDED.glob(f"*{SUFFIX}")
        if not it.name.startswith(("7", "8", "9"))
    )


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


@pytest.mark.parametrize(
    "name", sorted(set(names()) - set(MISUNDERSTOOD) - {MUCH_LONGER})
)
def test_what_we_send_is_what_the_stock_client_sends(name: str) -> None:
    """The same verb, path, requester and fields, marshalled documents included."""
    first, headers, body = recorded(name + SUFFIX)
    verb, target, _ = first.split(" ")
    path, _, query = target.removeprefix("/").partition("?")

    sent = encode_call(recorded_call(name))
    our_path, _, our_query = sent.path.partition("?")

    assert (sent.verb, our_path, sent.headers.get("Authorization")) == (
        verb,
        path,
        headers.get("Authorization"),
    )
    assert fields_of(our_query) == fields_of(query)
    assert fields_of(sent.body.decode()) == fields_of(body.decode())


def test_the_recorded_definition_is_what_it_says() -> None:
    assert recorded_call(MUCH_LONGER) == calls.define_computer(
        ComputerDefinition(
            "local_computer",
            "2001:db8:1::1",
            "ffff:ffff:ffff:ffff::",
            tuple(
                PartitionDefinition(f"slappart{number}", addresses_of(number))
                for number in range(4)
            ),
        )
    )


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


@pytest.mark.parametrize("name", SAME_WORDS)
def test_a_recorded_answer_is_written_with_the_same_words(name: str) -> None:
    call = recorded_call(name)
    _, _, body = recorded(name + ".response")

    value = decode_answer(call, HttpAnswer(200, {}, body))

    assert encode_answer(call.method, value) == HttpAnswer(
        200, {"Content-Type": TEXT}, body
    )


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
    root = PartitionInstance(
        instance_guid="local_computer-slappart0",
        title="my root",
        root_title="my root",
        software_release_url=RELEASE,
        software_type="default",
        timestamp="1795217576.0535364",
        parameters={"_": r'{"a": 1, "b": "<\u00e9&>"}', "n": "3"},
        shared_instances=(
            SharedInstance(
                "my root_front", "my root_front", "default", {"url": "http://[::1]/"}
            ),
            SharedInstance("_rootslave", "_rootslave", "default"),
        ),
    )
    child = PartitionInstance(
        instance_guid="local_computer-slappart1",
        title="child",
        root_title="my root",
        software_release_url=RELEASE,
        software_type="db",
        timestamp="1795217576.0086048",
        parameters={"size": "10"},
        connection_parameters={"port": "3306", "url": "mysql://u:p@10.0.0.2/"},
    )

    assert decode_answer(call, HttpAnswer(200, {}, body)) == Computer(
        "local_computer",
        (
            Partition(key_of(0), RequestedState.STARTED, addresses_of(0), root),
            Partition(key_of(1), RequestedState.STARTED, addresses_of(1), child),
            Partition(key_of(2), RequestedState.DESTROYED),
            Partition(key_of(3), RequestedState.DESTROYED),
        ),
        (SoftwareInstallation(RELEASE, "local_computer", SupplyState.AVAILABLE),),
    )


def test_a_full_computer_is_not_found() -> None:
    call = recorded_call("37-error-requestComputerPartition-no-free-partition")
    first, _, body = recorded(
        "37-error-requestComputerPartition-no-free-partition.response"
    )

    with pytest.raises(NotFound):
        decode_answer(call, HttpAnswer(int(first.split(" ")[1]), {}, body))
