"""Core. The answers of the JSON-RPC methods, each written and read by its schema.

An answer of ours that does not fit its schema is a bug of ours, and never sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slap import json_codec
from slap.answers import JSON, Answer
from slap.errors import MalformedDocument, NotReady
from slap.form import BODY_BYTES_MAX, NAME_LENGTH_MAX
from slap.model import (
    Certificate,
    NetworkAddress,
    PartitionKey,
    RequestedState,
    Route,
    SupplyState,
)
from slap.rpc_arguments import STATES, SUPPLY_STATES
from slap.rpc_model import (
    HostedInstance,
    InstanceDescription,
    ListedInstallation,
    ListedInstance,
)
from slap.schemas import Flag, Items, OneOf, Record, Schema, Text, Texts, Whole

NOT_READY_NAME = "SoftwareInstanceNotReady"
NOT_READY_STATUS = 102
"""How the ERP5 master says, with HTTP status 200, that an instance has no place yet."""


class AnswerMismatch(Exception):
    """The master made an answer that its own description does not allow."""


# Of what is stored and came by other ways, only the size of a document is bounded.
_TEXT = Text(BODY_BYTES_MAX, is_free=True)
_KIND = Text(NAME_LENGTH_MAX, choices=("success",))
_LIST_MAX = None


def _answer(
    name: str,
    schema: Schema,
    to_document: Callable[[Any], object],
    from_document: Callable[[Any], object],
) -> Answer:
    def encode(value: object) -> bytes:
        document = to_document(value)
        flaw = schema.flaw(document, "")
        if flaw is not None:
            raise AnswerMismatch(f"{name}: {flaw}")
        return json_codec.write(document)

    def decode(body: bytes) -> object:
        document = json_codec.read(body)
        flaw = schema.flaw(document, "")
        if flaw is not None:
            raise MalformedDocument(flaw)
        return from_document(document)

    return Answer(name, JSON, encode, decode, schema)


def _list(
    name: str,
    item: Record,
    to_item: Callable[[Any], dict[str, object]],
    from_item: Callable[[dict[str, Any]], object],
) -> Answer:
    return _answer(
        f"list of {name}",
        Record({"result_list": Items(item, count_max=_LIST_MAX)}),
        lambda values: {"result_list": [to_item(it) for it in values]},
        lambda fields: tuple(from_item(it) for it in fields["result_list"]),
    )


def _single(name: str, field: str) -> Answer:
    return _answer(
        name,
        Record({field: _TEXT}),
        lambda value: {field: value},
        lambda fields: fields[field],
    )


DONE = _answer(
    "str",
    Record({"type": _KIND, "title": _TEXT}),
    lambda sentence: {"type": "success", "title": sentence},
    lambda fields: fields["title"],
)
STATUS_TEXT = _single("str", "text")
HATEOAS_URL = _single("str", "hateoas_url")
CERTIFICATE = _answer(
    "Certificate",
    Record({"key": _TEXT, "certificate": _TEXT}),
    lambda value: {"key": value.key, "certificate": value.certificate},
    lambda fields: Certificate(fields["certificate"], fields["key"]),
)
COMPUTER_IDS = _list(
    "str",
    Record({"computer_guid": _TEXT}),
    lambda computer_id: {"computer_guid": computer_id},
    lambda fields: fields["computer_guid"],
)
TREE_TITLES = _list(
    "str",
    Record({"title": _TEXT}),
    lambda title: {"title": title},
    lambda fields: fields["title"],
)
INSTALLATIONS = _list(
    "ListedInstallation",
    Record({"software_release_uri": _TEXT, "state": SUPPLY_STATES}),
    lambda it: {
        "software_release_uri": it.software_release_url,
        "state": it.requested_state.value,
    },
    lambda fields: ListedInstallation(
        fields["software_release_uri"], SupplyState(fields["state"])
    ),
)
INSTANCES = _list(
    "ListedInstance",
    Record(
        {
            "title": _TEXT,
            "instance_guid": _TEXT,
            "state": STATES,
            "compute_partition_id": _TEXT,
            "software_release_uri": _TEXT,
        }
    ),
    lambda it: {
        "title": it.title,
        "instance_guid": it.instance_guid,
        "state": it.requested_state.value,
        "compute_partition_id": it.partition_id,
        "software_release_uri": it.software_release_url,
    },
    lambda fields: ListedInstance(
        fields["title"],
        fields["instance_guid"],
        RequestedState(fields["state"]),
        fields["compute_partition_id"],
        fields["software_release_uri"],
    ),
)
HOSTED_INSTANCES = _list(
    "HostedInstance",
    Record(
        {
            "title": _TEXT,
            "instance_guid": _TEXT,
            "software_type": _TEXT,
            "state": STATES,
            "parameters": Texts(),
            "compute_partition_id": _TEXT,
        }
    ),
    lambda it: {
        "title": it.title,
        "instance_guid": it.instance_guid,
        "software_type": it.software_type,
        "state": it.requested_state.value,
        "parameters": dict(it.parameters),
        "compute_partition_id": it.partition_id,
    },
    lambda fields: HostedInstance(
        fields["title"],
        fields["instance_guid"],
        RequestedState(fields["state"]),
        fields["compute_partition_id"],
        fields["software_type"],
        fields["parameters"],
    ),
)

_INSTANCE = Record(
    {
        "title": _TEXT,
        "instance_guid": _TEXT,
        "software_release_uri": _TEXT,
        "software_type": _TEXT,
        "state": STATES,
        "connection_parameters": Texts(),
        "parameters": Texts(),
        "shared": Flag(),
        "root_instance_title": _TEXT,
        "ip_list": Items(Items(_TEXT, 2, 2), count_max=_LIST_MAX),
        "full_ip_list": Items(Items(_TEXT, 5, 5), count_max=_LIST_MAX),
        "sla_parameters": Texts(),
        "computer_guid": _TEXT,
        "compute_partition_id": _TEXT,
        "processing_timestamp": Whole(),
        "access_status_message": _TEXT,
    }
)
_NOT_READY = Record({"message": _TEXT, "name": _TEXT, "status": Whole()})


def _encode_instance(value: InstanceDescription) -> dict[str, object]:
    return {
        "title": value.title,
        "instance_guid": value.instance_guid,
        "software_release_uri": value.software_release_url,
        "software_type": value.software_type,
        "state": value.requested_state.value,
        "connection_parameters": dict(value.connection_parameters),
        "parameters": dict(value.parameters),
        "shared": value.is_shared,
        "root_instance_title": value.root_title,
        "ip_list": [[it.interface, it.address] for it in value.addresses],
        "full_ip_list": [
            [it.interface, it.address, it.gateway, it.netmask, it.network]
            for it in value.routes
        ],
        "sla_parameters": dict(value.allocation_filter),
        "computer_guid": value.partition.computer_id,
        "compute_partition_id": value.partition.partition_id,
        "processing_timestamp": value.changed_at,
        "access_status_message": value.access_status,
    }


def _decode_instance(fields: dict[str, Any]) -> InstanceDescription:
    if "name" in fields:
        raise NotReady(fields["message"])
    return InstanceDescription(
        title=fields["title"],
        instance_guid=fields["instance_guid"],
        root_title=fields["root_instance_title"],
        requested_state=RequestedState(fields["state"]),
        partition=PartitionKey(fields["computer_guid"], fields["compute_partition_id"]),
        software_release_url=fields["software_release_uri"],
        software_type=fields["software_type"],
        is_shared=fields["shared"],
        changed_at=fields["processing_timestamp"],
        access_status=fields["access_status_message"],
        parameters=fields["parameters"],
        allocation_filter=fields["sla_parameters"],
        connection_parameters=fields["connection_parameters"],
        addresses=tuple(NetworkAddress(*it) for it in fields["ip_list"]),
        routes=tuple(Route(*it) for it in fields["full_ip_list"]),
    )


INSTANCE = _answer("InstanceDescription", _INSTANCE, _encode_instance, _decode_instance)
REQUESTED_INSTANCE = _answer(
    "InstanceDescription",
    OneOf((_INSTANCE, _NOT_READY)),
    _encode_instance,
    _decode_instance,
)
