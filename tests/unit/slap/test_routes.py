from __future__ import annotations

import pytest

from slap import xml_codec
from slap.errors import MalformedDocument
from slap.marshalling import Value, WireObject, dumps, loads
from slap.model import ComputerDefinition, NetworkAddress, PartitionDefinition
from slap.routes import as_addresses, join_addresses, routes_of_tap, split_addresses
from tests.builders import (
    a_partition,
    a_requested_instance,
    a_route,
)

TAP: dict[str, Value] = {
    "name": "slaptap0",
    "ipv4_addr": "10.1.0.1",
    "ipv4_gateway": "10.1.0.254",
    "ipv4_netmask": "255.255.0.0",
    "ipv4_network": "10.1.0.0",
    "ipv6_addr": "",
}
FIVE = ("route_slaptap0", "10.1.0.1", "10.1.0.254", "255.255.0.0", "10.1.0.0")


def attributes_of(document: bytes) -> dict[str, Value]:
    value = loads(document)
    assert isinstance(value, WireObject)
    return value.attributes


def test_a_tap_that_routes_a_network_gives_a_route() -> None:
    assert routes_of_tap("slaptap0", TAP) == (a_route(),)


@pytest.mark.parametrize("name", ["ipv4_addr", "ipv4_gateway", "ipv4_netmask"])
@pytest.mark.parametrize("value", ["", None, False])
def test_a_tap_without_all_of_it_gives_none(name: str, value: Value) -> None:
    assert routes_of_tap("slaptap0", {**TAP, name: value}) == ()


def test_the_route_of_a_partition_without_a_tap_has_its_name() -> None:
    tap = {**TAP, "name": ""}
    document = dumps(
        {
            "reference": "COMP-1",
            "partition_list": [{"reference": "slappart0", "tap": tap}],
        }
    )

    definition = xml_codec.decode_definition(document)

    route = a_route(interface="route_slappart0")
    assert definition == ComputerDefinition(
        "COMP-1", partitions=(PartitionDefinition("slappart0", routes=(route,)),)
    )
    assert loads(xml_codec.encode_definition(definition)) == {
        "address": None,
        "netmask": None,
        "partition_list": [
            {
                "address_list": [],
                "reference": "slappart0",
                "tap": {key: it for key, it in tap.items() if key != "ipv6_addr"},
            }
        ],
        "reference": "COMP-1",
    }


def test_a_tap_has_one_route() -> None:
    routes = (a_route(), a_route(address="10.1.0.2"))
    partition = PartitionDefinition("slappart0", routes=routes)

    with pytest.raises(AssertionError, match="several routes"):
        xml_codec.encode_definition(
            ComputerDefinition("COMP-1", None, None, (partition,))
        )


def test_an_instance_is_told_its_routes_as_five_texts() -> None:
    partition = a_partition(routes=(a_route(),))

    attributes = attributes_of(xml_codec.encode_partition(partition))

    parameters = attributes["_parameter_dict"]
    assert isinstance(parameters, dict)
    assert parameters["full_ip_list"] == [FIVE]
    assert "route_slaptap0" not in str(parameters["ip_list"])


def test_a_requester_is_told_them_beside_the_addresses() -> None:
    requested = a_requested_instance(routes=(a_route(),))

    attributes = attributes_of(xml_codec.encode_requested_instance(requested))

    assert attributes["full_ip_list"] == [FIVE]


def test_without_a_route_there_is_no_key() -> None:
    """The reference proxy has none, and what it would say has its bytes."""
    documents = (
        xml_codec.encode_partition(a_partition()),
        xml_codec.encode_requested_instance(a_requested_instance()),
    )

    assert not any(b"full_ip_list" in it for it in documents)


@pytest.mark.parametrize("value", ["ab", ["a"], [("a", "b", "c", "d")], [(1,) * 5]])
def test_a_list_of_something_else_is_refused(value: Value) -> None:
    document = loads(xml_codec.encode_requested_instance(a_requested_instance()))
    assert isinstance(document, WireObject)
    document.attributes["full_ip_list"] = value

    with pytest.raises(MalformedDocument, match="full_ip_list: not a list"):
        xml_codec.decode_requested_instance(dumps(document))


def test_a_json_definition_tells_a_route_by_its_gateway_and_netmask() -> None:
    plain = {"ip-address": "10.0.0.1", "network-interface": "slaptap0"}
    masked = {**plain, "netmask": "255.255.255.255", "gateway-ip-address": ""}
    routed = {
        "ip-address": "10.1.0.1",
        "network-interface": "route_slaptap0",
        "gateway-ip-address": "10.1.0.254",
        "netmask": "255.255.0.0",
    }

    told = split_addresses([plain, routed, masked])

    address = NetworkAddress("slaptap0", "10.0.0.1")
    assert told == ((address, address), (a_route(network=""),))
    assert join_addresses(*told) == [plain, plain, {**routed, "network-address": ""}]


def test_firewalls_let_through_the_address_of_a_route() -> None:
    assert as_addresses([a_route()]) == (NetworkAddress("route_slaptap0", "10.1.0.1"),)
