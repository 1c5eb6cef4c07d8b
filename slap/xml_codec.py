"""Core. Our values as the four classes of the stock client, marshalled, and back.

What is written is what the reference master writes, byte for byte where it says the
same. What is read may come from the reference master or from an ERP5: attributes that
we have no use for are ignored, and those that only one of them has may be absent.

A free partition travels without addresses or routes, and always as wanted destroyed.
A user parameter that has the name of a reserved key is not seen by the instance, so
requests that have one are refused (``reserved``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from xml.sax.saxutils import escape

from slap.errors import MalformedDocument
from slap.marshalling import Value, WireObject, dumps, loads
from slap.model import (
    Certificate,
    Computer,
    ComputerDefinition,
    NetworkAddress,
    Partition,
    PartitionDefinition,
    PartitionInstance,
    PartitionKey,
    RequestedInstance,
    RequestedState,
    SharedInstance,
    SoftwareInstallation,
    SupplyState,
)
from slap.reserved import RESERVED_PARAMETERS, SHARED_KEYS
from slap.routes import (
    PREFIX,
    read_routes,
    routes_of_tap,
    tap_fields,
    with_routes,
)
from slap.wire_fields import (
    as_dictionary,
    attributes_of,
    dictionary,
    items,
    lenient_text,
    optional_text,
    text,
    text_of,
    texts_except,
)


def encode_computer(computer: Computer) -> bytes:
    partitions: list[Value] = [_partition_object(it) for it in computer.partitions]
    installations: list[Value] = [
        _release_object(
            it.software_release_url, it.computer_id, it.requested_state.value
        )
        for it in computer.installations
    ]
    attributes: dict[str, Value] = {
        "_computer_id": computer.computer_id,
        "_computer_partition_list": partitions,
        "_software_release_list": installations,
    }
    return dumps(WireObject("Computer", (computer.computer_id,), attributes))


def decode_computer(document: bytes) -> Computer:
    attributes = attributes_of(loads(document), "Computer")
    return Computer(
        text(attributes, "_computer_id"),
        tuple(
            _partition_value(attributes_of(it, "ComputerPartition"))
            for it in items(attributes, "_computer_partition_list")
        ),
        tuple(
            _installation_value(attributes_of(it, "SoftwareRelease"))
            for it in items(attributes, "_software_release_list")
        ),
    )


def encode_partition(partition: Partition) -> bytes:
    return dumps(_partition_object(partition))


def decode_partition(document: bytes) -> Partition:
    return _partition_value(attributes_of(loads(document), "ComputerPartition"))


def encode_requested_instance(instance: RequestedInstance) -> bytes:
    parameters: dict[str, Value] = dict(instance.parameters)
    if instance.timestamp is not None:
        parameters["timestamp"] = instance.timestamp
    attributes: dict[str, Value] = {
        "_connection_dict": dict(instance.connection_parameters),
        "_parameter_dict": parameters,
        "ip_list": _address_list(instance.addresses),
        "slap_computer_id": instance.key.computer_id,
        "slap_computer_partition_id": instance.key.partition_id,
        "slap_server_url": "slap_server_url",
        "slap_software_release_url": instance.software_release_url,
        "slap_software_type": instance.software_type,
    }
    if instance.requested_state is not None:
        attributes["_requested_state"] = instance.requested_state.value
    if instance.instance_guid is not None:
        attributes["_instance_guid"] = instance.instance_guid
        attributes["connection_xml"] = _connection_xml(instance.connection_parameters)
    with_routes(attributes, instance.routes)
    return dumps(WireObject("SoftwareInstance", (), attributes))


def decode_requested_instance(document: bytes) -> RequestedInstance:
    # slapproxy relays what another master answered as the object of its own client.
    value = loads(document)
    attributes = attributes_of(value, "SoftwareInstance", "ComputerPartition")
    parameters = dictionary(attributes, "_parameter_dict")
    timestamp = parameters.get("timestamp", attributes.get("timestamp"))
    state = attributes.get("_requested_state")
    guid = attributes.get("_instance_guid")
    return RequestedInstance(
        key=PartitionKey(
            text(attributes, "slap_computer_id"),
            text(attributes, "slap_computer_partition_id"),
        ),
        software_release_url=text(attributes, "slap_software_release_url"),
        software_type=text(attributes, "slap_software_type"),
        instance_guid=None if guid is None else text_of(guid),
        requested_state=None if state is None else _state(attributes),
        timestamp=None if timestamp is None else text_of(timestamp),
        parameters=texts_except(parameters, {"timestamp"}),
        connection_parameters=texts_except(dictionary(attributes, "_connection_dict")),
        addresses=_addresses(items(attributes, "ip_list")),
        routes=read_routes(items(attributes, "full_ip_list")),
    )


def encode_certificate(certificate: Certificate) -> bytes:
    return dumps({"certificate": certificate.certificate, "key": certificate.key})


def decode_certificate(document: bytes) -> Certificate:
    fields = loads(document)
    if not isinstance(fields, dict):
        raise MalformedDocument("not a dictionary")
    return Certificate(text(fields, "certificate"), text(fields, "key"))


def encode_definition(definition: ComputerDefinition) -> bytes:
    """Write the document of a definition, else what a master needs of it.

    All addresses of a partition have one interface, since the document has one tap.
    """
    if definition.document is not None:
        return dumps(definition.document)
    partitions: list[Value] = [_definition_dict(it) for it in definition.partitions]
    return dumps(
        {
            "address": definition.address,
            "netmask": definition.netmask,
            "partition_list": partitions,
            "reference": definition.computer_id,
        }
    )


def decode_definition(document: bytes) -> ComputerDefinition:
    fields = loads(document)
    if not isinstance(fields, dict):
        raise MalformedDocument("not a dictionary")
    return ComputerDefinition(
        text(fields, "reference"),
        optional_text(fields, "address"),
        optional_text(fields, "netmask"),
        tuple(_definition_value(it) for it in items(fields, "partition_list")),
    )


def _definition_dict(partition: PartitionDefinition) -> dict[str, Value]:
    interfaces = {it.interface for it in partition.addresses}
    interfaces |= {it.interface.removeprefix(PREFIX) for it in partition.routes}
    assert len(interfaces) <= 1, f"several interfaces: {sorted(interfaces)}"
    tap_names = interfaces - {partition.partition_id}
    addresses: list[Value] = [
        {"addr": it.address, "netmask": _host_netmask(it.address)}
        for it in partition.addresses
    ]
    fields: dict[str, Value] = {
        "address_list": addresses,
        "reference": partition.partition_id,
        # Without a tap slapproxy wants its name all the same.
        "tap": {
            "name": tap_names.pop() if tap_names else "",
            **tap_fields(partition.routes),
        },
    }
    if partition.capabilities:
        fields["capability_list"] = list(partition.capabilities)
    return fields


def _host_netmask(address: str) -> str:
    """Return the netmask of a network of one address."""
    return ":".join(["ffff"] * 8) if ":" in address else "255.255.255.255"


def _definition_value(value: Value) -> PartitionDefinition:
    fields = as_dictionary(value, "a partition")
    partition_id = text(fields, "reference")
    tap = dictionary(fields, "tap")
    interface = lenient_text(tap, "name") or partition_id
    return PartitionDefinition(
        partition_id,
        tuple(
            NetworkAddress(interface, text(as_dictionary(it, "an address"), "addr"))
            for it in items(fields, "address_list")
        ),
        tuple(text_of(it) for it in items(fields, "capability_list")),
        routes_of_tap(interface, tap),
    )


def _partition_object(partition: Partition) -> WireObject:
    key, instance = partition.key, partition.instance
    attributes: dict[str, Value] = {
        "_computer_id": key.computer_id,
        "_partition_id": key.partition_id,
        "_request_dict": None,
    }
    if instance is None:
        attributes |= {
            "_instance_guid": f"{key.computer_id}-{key.partition_id}",
            "_need_modification": 0,
            "_requested_state": RequestedState.DESTROYED.value,
            "_software_release_document": None,
        }
    else:
        attributes |= {
            "_connection_dict": dict(instance.connection_parameters),
            "_instance_guid": instance.instance_guid,
            "_need_modification": 1,
            "_parameter_dict": _parameter_dict(partition, instance),
            "_requested_state": partition.requested_state.value,
            "_software_release_document": _release_object(
                instance.software_release_url, key.computer_id
            ),
        }
        # The reference has neither: what it would not say is left out.
        if instance.allocation_filter:
            attributes["_filter_dict"] = dict(instance.allocation_filter)
        if instance.access_status is not None:
            attributes["_access_status"] = instance.access_status
    arguments = (key.computer_id, key.partition_id, None)
    return WireObject("ComputerPartition", arguments, attributes)


def _parameter_dict(
    partition: Partition, instance: PartitionInstance
) -> dict[str, Value]:
    shared_instances: list[Value] = [
        _shared_instance_dict(it) for it in instance.shared_instances
    ]
    fields: dict[str, Value] = {
        **instance.parameters,
        "full_address_list": [],
        "instance_title": instance.title,
        "ip_list": _address_list(partition.addresses),
        "root_instance_title": instance.root_title,
        "slap_computer_id": partition.key.computer_id,
        "slap_computer_partition_id": partition.key.partition_id,
        "slap_software_release_url": instance.software_release_url,
        "slap_software_type": instance.software_type,
        "slave_instance_list": shared_instances,
        "timestamp": instance.timestamp,
    }
    with_routes(fields, partition.routes)
    return fields


def _partition_value(attributes: dict[str, Value]) -> Partition:
    key = PartitionKey(
        text(attributes, "_computer_id"), text(attributes, "_partition_id")
    )
    state = _state(attributes)
    release = attributes.get("_software_release_document")
    if release is None:
        return Partition(key, state)
    parameters = dictionary(attributes, "_parameter_dict")
    instance = PartitionInstance(
        instance_guid=lenient_text(attributes, "_instance_guid"),
        title=lenient_text(parameters, "instance_title"),
        root_title=lenient_text(parameters, "root_instance_title"),
        software_release_url=text(
            attributes_of(release, "SoftwareRelease"), "_software_release"
        ),
        software_type=lenient_text(parameters, "slap_software_type"),
        timestamp=lenient_text(parameters, "timestamp"),
        parameters=texts_except(parameters, RESERVED_PARAMETERS),
        connection_parameters=texts_except(dictionary(attributes, "_connection_dict")),
        allocation_filter=texts_except(dictionary(attributes, "_filter_dict")),
        shared_instances=tuple(
            _shared_instance_value(it)
            for it in items(parameters, "slave_instance_list")
        ),
        access_status=optional_text(attributes, "_access_status"),
    )
    return Partition(
        key,
        state,
        _addresses(items(parameters, "ip_list")),
        instance,
        read_routes(items(parameters, "full_ip_list")),
    )


def _shared_instance_dict(shared: SharedInstance) -> dict[str, Value]:
    fields: dict[str, Value] = {
        **shared.parameters,
        "slap_software_type": shared.software_type,
        "slave_reference": shared.reference,
        "slave_title": shared.title,
    }
    if shared.timestamp is not None:
        fields["timestamp"] = shared.timestamp
    return fields


def _shared_instance_value(value: Value) -> SharedInstance:
    fields = as_dictionary(value, "a shared instance")
    reference = text(fields, "slave_reference")
    # Of a timestamp, only ERP5's own is a number; one of a user is a text.
    timestamp = fields.get("timestamp")
    foreign = set() if isinstance(timestamp, str) else {"timestamp"}
    title = optional_text(fields, "slave_title")
    return SharedInstance(
        reference,
        reference if title is None else title,
        lenient_text(fields, "slap_software_type"),
        texts_except(fields, SHARED_KEYS | foreign),
        timestamp if isinstance(timestamp, int) else None,
    )


def _release_object(
    software_release_url: str, computer_id: str, requested_state: str | None = None
) -> WireObject:
    attributes: dict[str, Value] = {
        "_computer_guid": computer_id,
        "_software_instance_list": [],
        "_software_release": software_release_url,
    }
    if requested_state is not None:
        attributes["_requested_state"] = requested_state
    return WireObject(
        "SoftwareRelease", (software_release_url, computer_id), attributes
    )


def _installation_value(attributes: dict[str, Value]) -> SoftwareInstallation:
    state = attributes.get("_requested_state", SupplyState.AVAILABLE.value)
    if state not in tuple(SupplyState):
        raise MalformedDocument("_requested_state: neither available nor destroyed")
    return SoftwareInstallation(
        text(attributes, "_software_release"),
        text(attributes, "_computer_guid"),
        SupplyState(state),
    )


def _address_list(addresses: tuple[NetworkAddress, ...]) -> list[Value]:
    return [(it.interface, it.address) for it in addresses]


def _addresses(values: Iterable[Value]) -> tuple[NetworkAddress, ...]:
    return tuple(_address(value) for value in values)


def _address(value: Value) -> NetworkAddress:
    match value:
        case (str() as interface, str() as address):
            return NetworkAddress(interface, address)
    raise MalformedDocument("ip_list: not a list of interfaces and addresses")


def _connection_xml(parameters: Mapping[str, str]) -> str | None:
    """Return connection parameters as the document that the reference stores."""
    if not parameters:
        return None
    lines = (
        f'  <parameter id="{escape(name, _IN_QUOTES)}">'
        f"{escape(text, _IN_CONTENT)}</parameter>\n"
        for name, text in sorted(parameters.items())
    )
    declaration = "<?xml version='1.0' encoding='utf-8'?>\n"
    return f"{declaration}<instance>\n{''.join(lines)}</instance>\n"


_IN_CONTENT = {"\r": "&#13;"}
_IN_QUOTES = {**_IN_CONTENT, "\n": "&#10;", "\t": "&#9;", '"': "&quot;"}


def _state(attributes: dict[str, Value]) -> RequestedState:
    state = attributes.get("_requested_state")
    if state not in tuple(RequestedState):
        raise MalformedDocument("_requested_state: not started, stopped or destroyed")
    return RequestedState(state)
