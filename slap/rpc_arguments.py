"""Core. The arguments of the JSON-RPC methods: our values, fields of a JSON object.

The object was checked against the schemas of these arguments before it is decoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slap.arguments import DEFAULT_SOFTWARE_TYPE, Argument
from slap.form import BODY_BYTES_MAX, NAME_LENGTH_MAX, log_tail
from slap.model import (
    ComputerDefinition,
    InstanceRequest,
    PartitionDefinition,
    PartitionKey,
    RequestedState,
    SoftwareInstallation,
    SupplyState,
)
from slap.reserved import check_parameters
from slap.routes import join_addresses, split_addresses
from slap.schemas import Flag, Items, Parameters, Record, Schema, Text
from slap.wire_fields import texts_except

TITLE_LENGTH_MAX = 200
"""What the reference lets a person choose."""

NAME = Text(NAME_LENGTH_MAX)
LOG = Text(BODY_BYTES_MAX, is_free=True)
STATES = Text(NAME_LENGTH_MAX, choices=tuple(RequestedState))
SUPPLY_STATES = Text(NAME_LENGTH_MAX, choices=tuple(SupplyState))


def _one(name: str, wire: str, schema: Schema = NAME) -> Argument:
    return Argument(
        name,
        (wire,),
        lambda value: {wire: value},
        lambda fields: fields[wire],
        schemas={wire: schema},
    )


COMPUTER_ID = _one("computer_id", "computer_guid")
INSTANCE_GUID = _one("instance_guid", "instance_guid")
SOFTWARE_RELEASE_URL = _one("software_release_url", "software_release_uri")
TREE_TITLE = _one("title", "title")
NEW_TITLE = _one("title", "title", Text(TITLE_LENGTH_MAX))
USAGE_DOCUMENT = _one("usage_document", "tioxml", LOG)
MESSAGE = Argument(
    "message",
    ("message",),
    lambda value: {"message": log_tail(value)},
    lambda fields: log_tail(fields["message"]),
    schemas={"message": LOG},
)
REPORTED_STATE = Argument(
    "reported_state",
    ("reported_state",),
    lambda value: {"reported_state": value.value},
    lambda fields: RequestedState(fields["reported_state"]),
    schemas={"reported_state": STATES},
)
INSTALLATION_REPORTED_STATE = _one(
    "reported_state",
    "reported_state",
    Text(NAME_LENGTH_MAX, choices=("available", "building", "destroyed")),
)
PARTITION = Argument(
    "partition",
    ("computer_guid", "compute_partition_id"),
    lambda key: {
        "computer_guid": key.computer_id,
        "compute_partition_id": key.partition_id,
    },
    lambda fields: PartitionKey(
        fields["computer_guid"], fields["compute_partition_id"]
    ),
    schemas={"computer_guid": NAME, "compute_partition_id": NAME},
)
CONNECTION_PARAMETERS = Argument(
    "connection_parameters",
    ("connection_parameter_dict",),
    lambda value: {"connection_parameter_dict": dict(value)},
    lambda fields: texts_except(fields["connection_parameter_dict"]),
    schemas={"connection_parameter_dict": Parameters()},
)
INSTALLATION = Argument(
    "installation",
    ("software_release_uri", "computer_guid", "state"),
    lambda value: {
        "software_release_uri": value.software_release_url,
        "computer_guid": value.computer_id,
        "state": value.requested_state.value,
    },
    lambda fields: SoftwareInstallation(
        fields["software_release_uri"],
        fields["computer_guid"],
        SupplyState(fields.get("state", SupplyState.AVAILABLE.value)),
    ),
    schemas={
        "software_release_uri": NAME,
        "computer_guid": NAME,
        "state": SUPPLY_STATES,
    },
    optional=frozenset({"state"}),
)


def _encode_instance_request(wanted: InstanceRequest) -> dict[str, object]:
    fields: dict[str, object] = {
        "title": wanted.title,
        "software_release_uri": wanted.software_release_url,
        "software_type": wanted.software_type,
        "parameters": dict(wanted.parameters),
        "shared": wanted.is_shared,
        "sla_parameters": dict(wanted.allocation_filter),
    }
    if wanted.requested_state is not None:
        fields["state"] = wanted.requested_state.value
    return fields


def _decode_instance_request(fields: Mapping[str, Any]) -> InstanceRequest:
    state = fields.get("state")
    is_shared = fields.get("shared", False)
    parameters = texts_except(fields.get("parameters", {}))
    check_parameters("parameters", parameters, is_shared=is_shared)
    return InstanceRequest(
        title=fields["title"],
        software_release_url=fields["software_release_uri"],
        software_type=fields["software_type"] or DEFAULT_SOFTWARE_TYPE,
        parameters=parameters,
        allocation_filter=texts_except(fields.get("sla_parameters", {})),
        requested_state=None if state is None else RequestedState(state),
        is_shared=is_shared,
    )


INSTANCE_REQUEST = Argument(
    "instance_request",
    (
        "title",
        "software_release_uri",
        "software_type",
        "parameters",
        "state",
        "shared",
        "sla_parameters",
    ),
    _encode_instance_request,
    _decode_instance_request,
    schemas={
        "title": Text(TITLE_LENGTH_MAX),
        "software_release_uri": NAME,
        "software_type": NAME,
        "parameters": Parameters(),
        "state": STATES,
        "shared": Flag(),
        "sla_parameters": Parameters(),
    },
    optional=frozenset({"parameters", "state", "shared", "sla_parameters"}),
)

_ADDRESS = Record(
    {
        "ip-address": NAME,
        "netmask": NAME,
        "network-interface": NAME,
        "gateway-ip-address": NAME,
        "network-address": NAME,
    },
    frozenset({"netmask", "gateway-ip-address", "network-address"}),
)
_PARTITION = Record({"partition_id": NAME, "ip_list": Items(_ADDRESS)})


def _encode_definition(definition: ComputerDefinition) -> dict[str, object]:
    partitions = [
        {
            "partition_id": it.partition_id,
            "ip_list": join_addresses(it.addresses, it.routes),
        }
        for it in definition.partitions
    ]
    return {
        "computer_guid": definition.computer_id,
        "compute_partition_list": partitions,
    }


def _decode_definition(fields: Mapping[str, Any]) -> ComputerDefinition:
    return ComputerDefinition(
        fields["computer_guid"],
        partitions=tuple(
            _decode_partition(it) for it in fields["compute_partition_list"]
        ),
    )


def _decode_partition(fields: Mapping[str, Any]) -> PartitionDefinition:
    addresses, routes = split_addresses(fields["ip_list"])
    return PartitionDefinition(fields["partition_id"], addresses, routes=routes)


DEFINITION = Argument(
    "definition",
    ("computer_guid", "compute_partition_list"),
    _encode_definition,
    _decode_definition,
    schemas={"computer_guid": NAME, "compute_partition_list": Items(_PARTITION)},
)
