"""The JSON-RPC dialect over HTTP: one life, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from slap import calls
from slap.method import RPC
from slap.model import PartitionInstance, RequestedInstance
from slap.openapi import encode_openapi
from slap.reports import CloudReport
from tests.builders import (
    COMPUTER_ID,
    SOFTWARE_RELEASE_URL,
    a_computer_definition,
    a_partition_key,
    an_instance_request,
    some_addresses,
)
from tests.unit.master_cluster.benches import WebBench

JSON = {"Content-Type": "application/json"}


class RpcBench(WebBench):
    """A master, asked in JSON."""

    def ask(self, method: str, /, **fields: Any) -> dict[str, Any]:
        """Call a method that must succeed."""
        status, document = self.try_to(method, **fields)
        assert status == 200, document
        return document

    def try_to(
        self, method: str, /, requester: str = "", **fields: Any
    ) -> tuple[int, dict[str, Any]]:
        headers = dict(JSON)
        if requester:
            headers["Authorization"] = (
                f"X-SlapPartition computer_id={COMPUTER_ID},"
                f" computer_partition_id={requester}"
            )
        body = json.dumps(fields).encode()
        reply = self.send("POST", RPC + method, headers, body)
        assert reply.headers["content-type"] == "application/json"
        return reply.status, json.loads(reply.body)

    def request(self, title: str = "root", **more: Any) -> dict[str, Any]:
        fields = {
            "title": title,
            "software_release_uri": SOFTWARE_RELEASE_URL,
            "software_type": "default",
        }
        return self.ask("post.v0.software_instance", **{**fields, **more})

    def get(self, instance_guid: str) -> dict[str, Any]:
        return self.ask("get.v0.software_instance", instance_guid=instance_guid)


@pytest.fixture
def bench() -> Iterator[RpcBench]:
    bench = RpcBench(default_computer_id=COMPUTER_ID)
    bench.perform(calls.define_computer(a_computer_definition(3)))
    yield bench
    bench.close()


def done(title: str) -> dict[str, str]:
    return {"type": "success", "title": title}


def test_an_instance_is_requested_and_told_whole(bench: RpcBench) -> None:
    told = bench.request(
        parameters={"greeting": "hello"},
        sla_parameters={"computer_guid": COMPUTER_ID},
        state="stopped",
    )

    assert told == {
        "title": "root",
        "instance_guid": told["instance_guid"],
        "software_release_uri": SOFTWARE_RELEASE_URL,
        "software_type": "default",
        "state": "stopped",
        "connection_parameters": {},
        "parameters": {"greeting": "hello"},
        "shared": False,
        "root_instance_title": "root",
        "ip_list": [[it.interface, it.address] for it in some_addresses(0)],
        "full_ip_list": [],
        "sla_parameters": {"computer_guid": COMPUTER_ID},
        "computer_guid": COMPUTER_ID,
        "compute_partition_id": "slappart0",
        "processing_timestamp": told["processing_timestamp"],
        "access_status_message": "",
    }
    for method, wanted in (
        ("get.v0.software_instance", {"instance_guid": told["instance_guid"]}),
        ("get.v0.instance_tree", {"title": "root"}),
        (
            "get.v0.compute_partition",
            {"computer_guid": COMPUTER_ID, "compute_partition_id": "slappart0"},
        ),
    ):
        assert bench.ask(method, **wanted) == told


def test_both_dialects_mean_the_same_instance(bench: RpcBench) -> None:
    """One guid, and no processing again when the other dialect says the same."""
    values = {"flag": True, "count": 3, "list": [1, "a"], "text": "é", "none": None}
    told = bench.request(parameters=values)
    stored = {
        "flag": "True",
        "count": "3",
        "list": "[1, 'a']",
        "text": "é",
        "none": "None",
    }
    legacy = bench.perform(
        calls.request_instance(an_instance_request(title="root", parameters=stored))
    )

    assert told["parameters"] == stored
    assert isinstance(legacy, RequestedInstance)
    assert legacy.instance_guid == told["instance_guid"]
    assert bench.request(parameters=values) == told


def test_a_partition_requests_by_its_header(bench: RpcBench) -> None:
    root = bench.request()
    child = bench.request("child", requester="slappart0")
    shared = bench.request("front", requester="slappart0", shared=True)

    assert [it["root_instance_title"] for it in (root, child, shared)] == ["root"] * 3
    assert shared["shared"]
    assert bench.ask(
        "allDocs.v0.instance_node_instance_list", instance_guid=root["instance_guid"]
    ) == {
        "result_list": [
            {
                "title": "front",
                "instance_guid": shared["instance_guid"],
                "software_type": "default",
                "state": "started",
                "parameters": {},
                "compute_partition_id": "slappart0",
            }
        ]
    }
    assert bench.try_to(
        "post.v0.software_instance",
        requester="none",
        title="x",
        software_release_uri="u",
        software_type="t",
    ) == (
        400,
        {
            "status": 400,
            "type": "Bad Request",
            "title": "the requester is not known:"
            f" no partition 'none' of {COMPUTER_ID}",
        },
    )


def test_a_computer_lives_in_this_dialect_alone(bench: RpcBench) -> None:
    computer = {"computer_guid": "COMP-7"}
    software = {**computer, "software_release_uri": SOFTWARE_RELEASE_URL}
    address = {"ip-address": "fd00::1", "network-interface": "tap0", "netmask": "ff::"}
    partition = {"partition_id": "slappart0", "ip_list": [address]}

    answers = [
        bench.ask(
            "put.v0.compute_node_format",
            **computer,
            compute_partition_list=[partition],
        ),
        bench.ask("post.v0.software_installation", **software),
        bench.ask(
            "put.v0.software_installation_reported_state",
            **software,
            reported_state="building",
        ),
        bench.ask("put.v0.software_installation_error", **software, message="no gcc"),
        bench.ask(
            "put.v0.software_installation_reported_state",
            **software,
            reported_state="available",
        ),
        bench.ask("put.v0.compute_node_bang", **computer, message="late"),
        bench.ask("allDocs.v0.compute_node_software_installation_list", **computer),
        bench.ask("post.v0.software_installation", **software, state="destroyed"),
        bench.ask(
            "put.v0.software_installation_reported_state",
            **software,
            reported_state="destroyed",
        ),
        bench.ask("allDocs.v0.compute_node_software_installation_list", **computer),
        bench.ask("get.v0.compute_node_status", computer_guid=COMPUTER_ID),
        bench.ask("allDocs.WIP.compute_node_list"),
    ]

    assert answers == [
        done("Formatted"),
        done(f"Supplied {SOFTWARE_RELEASE_URL} to be available"),
        done("Reported"),
        done("Reported"),
        done("Reported"),
        done("Bang handled"),
        {
            "result_list": [
                {"software_release_uri": SOFTWARE_RELEASE_URL, "state": "available"}
            ]
        },
        done(f"Supplied {SOFTWARE_RELEASE_URL} to be destroyed"),
        done("Reported"),
        {"result_list": []},
        {"text": f"#access {COMPUTER_ID}"},
        {
            "result_list": [
                {"computer_guid": it} for it in sorted((COMPUTER_ID, "COMP-7"))
            ]
        },
    ]


def test_an_instance_is_reported_renamed_and_removed(bench: RpcBench) -> None:
    guid = bench.request()["instance_guid"]
    other = {"instance_guid": bench.request("other")["instance_guid"]}
    shared = bench.request("front", shared=True)["instance_guid"]
    one = {"instance_guid": guid}

    bench.ask(
        "put.v0.software_instance_reported_state", **one, reported_state="started"
    )
    started = bench.get(guid)["access_status_message"]
    bench.ask("put.v0.software_instance_error", **one, message="no disk")
    failed = bench.get(guid)["access_status_message"]
    bench.ask(
        "put.v0.software_instance_connection_parameter",
        **one,
        connection_parameter_dict={"url": "http://[::1]/", "port": 80},
    )
    bench.ask("put.v0.software_instance_title", **one, title="renamed")
    taken, _ = bench.try_to("put.v0.software_instance_title", **other, title="renamed")
    bang = bench.ask("put.v0.software_instance_bang", **one, message="m")
    listed = bench.ask(
        "allDocs.v0.compute_node_instance_list", computer_guid=COMPUTER_ID
    )
    kept = bench.ask(
        "put.v0.software_instance_reported_state", **one, reported_state="destroyed"
    )
    hosted = bench.ask(
        "put.v0.software_instance_reported_state",
        instance_guid=shared,
        reported_state="destroyed",
    )
    bench.request("renamed", state="destroyed")
    removed = bench.ask(
        "put.v0.software_instance_reported_state", **one, reported_state="destroyed"
    )

    assert (started, failed, taken, bang) == (
        "#access Instance correctly started",
        "#error while instanciating: no disk",
        400,
        done("Bang handled"),
    )
    assert listed["result_list"][0] == {
        "title": "renamed",
        "instance_guid": guid,
        "state": "started",
        "compute_partition_id": "slappart0",
        "software_release_uri": SOFTWARE_RELEASE_URL,
    }
    assert kept["title"].startswith("Not destroying renamed")
    assert hosted == done("Not destroying a shared instance: its host removes it")
    assert removed == done("OK")
    assert bench.ask("allDocs.v0.instance_tree_list") == {
        "result_list": [{"title": "other"}]
    }


def test_the_destruction_of_a_shared_instance_is_told_though_it_is_gone(
    bench: RpcBench,
) -> None:
    bench.request()
    shared = bench.request("front", shared=True)

    gone = bench.request("front", shared=True, state="destroyed")

    assert (gone["instance_guid"], gone["state"]) == (
        shared["instance_guid"],
        "destroyed",
    )
    status, _ = bench.try_to(
        "get.v0.software_instance", instance_guid=shared["instance_guid"]
    )
    assert status == 404


def test_certificates_are_those_of_the_legacy_calls(bench: RpcBench) -> None:
    guid = bench.request()["instance_guid"]
    shared = bench.request("front", shared=True)["instance_guid"]
    computer = {"computer_guid": COMPUTER_ID}

    own = bench.ask("get.v0.software_instance_certificate", instance_guid=guid)
    again = bench.ask("get.v0.software_instance_certificate", instance_guid=guid)
    none, _ = bench.try_to("get.v0.software_instance_certificate", instance_guid=shared)
    issued = bench.ask("post.v0.compute_node_certificate", **computer)
    active, _ = bench.try_to("post.v0.compute_node_certificate", **computer)
    revoked = bench.ask("remove.v0.compute_node_certificate", **computer)

    assert own == again
    assert "BEGIN CERTIFICATE" in own["certificate"]
    assert "PRIVATE KEY" in issued["key"]
    assert (none, active, revoked) == (404, 400, done("Revoked"))


def test_published_parameters_reach_the_legacy_document(bench: RpcBench) -> None:
    guid = bench.request(parameters={"a": {"b": 1}})["instance_guid"]
    bench.ask(
        "put.v0.software_instance_connection_parameter",
        instance_guid=guid,
        connection_parameter_dict={"port": 80},
    )

    partition = bench.perform(calls.get_partition(a_partition_key(0)))

    instance = getattr(partition, "instance", None)
    assert isinstance(instance, PartitionInstance)
    assert (instance.parameters, instance.connection_parameters) == (
        {"a": "{'b': 1}"},
        {"port": "80"},
    )


REQUEST = {"title": "x", "software_release_uri": "u", "software_type": "t"}


@pytest.mark.parametrize(
    ("method", "fields", "title"),
    [
        ("get.v0.software_instance", {}, "instance_guid: missing"),
        ("get.v0.software_instance", {"instance_guid": 1}, "instance_guid: not a text"),
        (
            "get.v0.software_instance",
            {"instance_guid": "a", "x": 1},
            "x: unknown",
        ),
        (
            "get.v0.software_instance",
            {"instance_guid": "a\x00"},
            "instance_guid: holds a control character",
        ),
        (
            "post.v0.software_instance",
            {**REQUEST, "title": "x" * 201},
            "title: longer than 200 characters",
        ),
        (
            "post.v0.software_instance",
            {**REQUEST, "state": "idle"},
            "state: not one of started, stopped, destroyed",
        ),
        (
            "post.v0.software_instance",
            {**REQUEST, "shared": 1},
            "shared: not true or false",
        ),
        (
            "post.v0.software_instance",
            {**REQUEST, "parameters": []},
            "parameters: not an object",
        ),
        (
            "post.v0.software_instance",
            {**REQUEST, "parameters": {"ip_list": "x"}},
            "parameters: the name 'ip_list' is reserved, choose another one",
        ),
        (
            "post.v0.software_instance",
            {**REQUEST, "parameters": {"a": [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}},
            "parameters: deeper than 16 values",
        ),
        (
            "put.v0.compute_node_format",
            {
                "computer_guid": "a",
                "compute_partition_list": [
                    {"partition_id": "b", "ip_list": [{"ip-address": "c"}]}
                ],
            },
            "compute_partition_list[0].ip_list[0].network-interface: missing",
        ),
    ],
)
def test_a_wrong_call_is_refused_by_its_field(
    bench: RpcBench, method: str, fields: dict[str, Any], title: str
) -> None:
    assert bench.try_to(method, **fields) == (
        400,
        {"status": 400, "type": "Bad Request", "title": title},
    )
    cloud = bench.perform(calls.get_cloud_report())
    assert isinstance(cloud, CloudReport)
    assert cloud.trees == ()


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("get.v0.software_instance", {"instance_guid": "nope"}),
        ("get.v0.instance_tree", {"title": "nope"}),
        ("get.v0.nothing", {}),
        ("allDocs.v0.compute_node_instance_list", {"computer_guid": "nope"}),
        (
            "get.v0.compute_partition",
            {"computer_guid": COMPUTER_ID, "compute_partition_id": "slappart0"},
        ),
        (
            "post.v0.software_instance",
            {**REQUEST, "sla_parameters": {"computer_guid": "nope"}},
        ),
    ],
)
def test_what_is_unknown_is_not_found(
    bench: RpcBench, method: str, fields: dict[str, Any]
) -> None:
    status, document = bench.try_to(method, **fields)

    assert (status, document["status"], document["type"]) == (404, 404, "Not Found")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"instance_guid": NaN}',
        b'{"instance_guid": 1e999}',
        b'{"instance_guid": "a", "instance_guid": "b"}',
        b"[" * 100_000,
        b'{"instance_guid": ' + b"9" * 5000 + b"}",
        b'\xff{"instance_guid": "a"}',
    ],
)
def test_what_is_no_object_is_refused(bench: RpcBench, body: bytes) -> None:
    reply = bench.send("POST", RPC + "get.v0.software_instance", JSON, body)

    assert (reply.status, json.loads(reply.body)["status"]) == (400, 400)


def test_another_verb_is_refused_in_json(bench: RpcBench) -> None:
    reply = bench.send("GET", RPC + "get.v0.software_instance")

    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    assert json.loads(reply.body)["type"] == "Method Not Allowed"


def test_the_description_is_served(bench: RpcBench) -> None:
    reply = bench.send("GET", "openapi.json")

    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.body == encode_openapi()
    assert bench.send("HEAD", "openapi.json").status == 200
    assert bench.send("POST", "openapi.json").status == 405
