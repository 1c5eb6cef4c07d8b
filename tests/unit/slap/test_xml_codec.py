"""Our values as documents of the stock client: nothing lost, two masters understood."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given

from slap import xml_codec
from slap.errors import MalformedDocument
from slap.marshalling import Value, WireObject, dumps, loads
from slap.model import (
    Certificate,
    Computer,
    ComputerDefinition,
    NetworkAddress,
    Partition,
    PartitionDefinition,
    PartitionKey,
    RequestedInstance,
    RequestedState,
    Route,
    SharedInstance,
    SoftwareInstallation,
    SupplyState,
)
from slap.wire_fields import decode_texts
from tests import strategies
from tests.builders import (
    a_certificate,
    a_computer,
    a_computer_definition,
    a_free_partition,
    a_partition,
    a_requested_instance,
    a_shared_instance,
    an_instance,
)


@given(strategies.a_computer())
def test_a_computer_survives(computer: Computer) -> None:
    assert xml_codec.decode_computer(xml_codec.encode_computer(computer)) == computer


@given(strategies.a_partition())
def test_a_partition_survives(partition: Partition) -> None:
    document = xml_codec.encode_partition(partition)

    assert xml_codec.decode_partition(document) == partition


@given(strategies.a_requested_instance())
def test_a_requested_instance_survives(instance: RequestedInstance) -> None:
    document = xml_codec.encode_requested_instance(instance)

    assert xml_codec.decode_requested_instance(document) == instance


@given(strategies.a_computer_definition())
def test_a_definition_survives(definition: ComputerDefinition) -> None:
    document = xml_codec.encode_definition(definition)

    assert xml_codec.decode_definition(document) == definition


@given(strategies.a_certificate())
def test_a_certificate_survives(certificate: Certificate) -> None:
    document = xml_codec.encode_certificate(certificate)

    assert xml_codec.decode_certificate(document) == certificate


def test_what_is_equal_is_written_in_the_same_bytes() -> None:
    forth = an_instance(parameters={"a": "1", "b": "2"})
    back = an_instance(parameters={"b": "2", "a": "1"})

    assert xml_codec.encode_partition(
        a_partition(instance=forth)
    ) == xml_codec.encode_partition(a_partition(instance=back))


def test_a_free_partition_travels_without_addresses_and_as_wanted_destroyed() -> None:
    free = a_free_partition(
        requested_state=RequestedState.STARTED,
        addresses=(NetworkAddress("slaptap0", "10.0.0.1"),),
    )

    document = xml_codec.encode_partition(free)

    assert xml_codec.decode_partition(document) == a_free_partition()


def test_a_parameter_of_a_reserved_name_is_not_seen() -> None:
    instance = an_instance(parameters={"ip_list": "mine", "a": "1"})
    partition = a_partition(instance=instance)

    document = xml_codec.encode_partition(partition)

    assert xml_codec.decode_partition(document) == evolve(
        partition, instance=evolve(instance, parameters={"a": "1"})
    )


ERP5_ROUTE = Route("route_tap0", "10.0.0.1", "10.0.0.254", "255.0.0.0", "10/8")


def erp5_partition(**parameters: Value) -> WireObject:
    """A partition as an ERP5 sends it, with all that it adds."""
    release = WireObject(
        "SoftwareRelease",
        ("https://x/", "COMP-1"),
        {
            "_computer_guid": "COMP-1",
            "_software_instance_list": [],
            "_software_release": "https://x/",
        },
    )
    own: dict[str, Value] = {
        "full_ip_list": [("route_tap0", "10.0.0.1", "10.0.0.254", "255.0.0.0", "10/8")],
        "instance_title": "db",
        "ip_list": [("tap0", "10.0.0.1")],
        "root_instance_short_title": "r",
        "root_instance_title": "root",
        "size": "10",
        "slap_computer_id": "COMP-1",
        "slap_computer_partition_id": "slappart0",
        "slap_software_release_url": "https://x/",
        "slap_software_type": "default",
        "slave_instance_list": [
            {
                "slave_reference": "SOFTINST-9",
                "slave_title": "front",
                "slap_software_type": "default",
                "timestamp": 1795217576000000,
                "url": "http://[::1]/",
            }
        ],
        "timestamp": 1795217576000000,
    }
    return WireObject(
        "ComputerPartition",
        ("COMP-1", "slappart0", None),
        {
            "_access_status": "#error no data found for SOFTINST-1",
            "_computer_id": "COMP-1",
            "_connection_dict": {"url": "x"},
            "_filter_dict": {"computer_guid": "COMP-1"},
            "_instance_guid": "SOFTINST-1",
            "_need_modification": 1,
            "_parameter_dict": {**own, **parameters},
            "_partition_id": "slappart0",
            "_request_dict": None,
            "_requested_state": "started",
            "_software_release_document": release,
            "_synced": True,
        },
    )


ERP5_PARTITION = Partition(
    PartitionKey("COMP-1", "slappart0"),
    RequestedState.STARTED,
    (NetworkAddress("tap0", "10.0.0.1"),),
    an_instance(
        instance_guid="SOFTINST-1",
        title="db",
        root_title="root",
        software_release_url="https://x/",
        timestamp="1795217576000000",
        parameters={"size": "10"},
        connection_parameters={"url": "x"},
        allocation_filter={"computer_guid": "COMP-1"},
        shared_instances=(
            SharedInstance(
                "SOFTINST-9",
                "front",
                "default",
                {"url": "http://[::1]/"},
                1795217576000000,
            ),
        ),
        access_status="#error no data found for SOFTINST-1",
    ),
    (ERP5_ROUTE,),
)


def test_a_partition_of_an_erp5_is_understood() -> None:
    document = dumps(erp5_partition())

    assert xml_codec.decode_partition(document) == ERP5_PARTITION


def test_a_free_partition_of_an_erp5_is_understood() -> None:
    attributes: dict[str, Value] = {
        "_computer_id": "COMP-1",
        "_need_modification": 0,
        "_partition_id": "slappart0",
        "_requested_state": "destroyed",
        "_software_release_document": None,
    }
    document = dumps(WireObject("ComputerPartition", (), attributes))

    assert xml_codec.decode_partition(document) == a_free_partition()


def test_a_timestamp_of_seconds_is_a_text() -> None:
    document = dumps(erp5_partition(timestamp=1795217576.05))

    assert xml_codec.decode_partition(document) == evolve(
        ERP5_PARTITION,
        instance=evolve(ERP5_PARTITION.instance, timestamp="1795217576.05"),
    )


def test_a_partition_with_little_to_say_is_understood() -> None:
    release = WireObject("SoftwareRelease", (), {"_software_release": "https://x/"})
    attributes: dict[str, Value] = {
        "_computer_id": "COMP-1",
        "_partition_id": "slappart0",
        "_requested_state": "stopped",
        "_software_release_document": release,
    }
    document = dumps(WireObject("ComputerPartition", (), attributes))

    assert xml_codec.decode_partition(document) == Partition(
        PartitionKey("COMP-1", "slappart0"),
        RequestedState.STOPPED,
        (),
        an_instance(
            instance_guid="",
            title="",
            root_title="",
            software_release_url="https://x/",
            software_type="",
            timestamp="",
            parameters={},
            connection_parameters={},
        ),
    )


def test_a_shared_instance_without_a_title_has_its_reference_as_title() -> None:
    document = dumps(erp5_partition(slave_instance_list=[{"slave_reference": "_a"}]))

    partition = xml_codec.decode_partition(document)

    assert partition.instance is not None
    assert partition.instance.shared_instances == (SharedInstance("_a", "_a", ""),)


def test_a_user_may_name_a_parameter_of_a_shared_instance_timestamp() -> None:
    shared = a_shared_instance(parameters={"timestamp": "noon"})
    partition = a_partition(instance=an_instance(shared_instances=(shared,)))

    document = xml_codec.encode_partition(partition)

    assert xml_codec.decode_partition(document) == partition


def test_an_instance_requested_from_an_erp5_is_understood() -> None:
    attributes: dict[str, Value] = {
        "_connection_dict": {"url": "x"},
        "_filter_dict": {},
        "_instance_guid": "SOFTINST-1",
        "_parameter_dict": {"size": "10"},
        "_requested_state": "started",
        "full_ip_list": [["route_tap0", "10.0.0.1", "10.0.0.254", "255.0.0.0", "10/8"]],
        "instance_title": "db",
        "ip_list": [["tap0", "10.0.0.1"]],
        "root_instance_short_title": "r",
        "root_instance_title": "root",
        "slap_computer_id": "COMP-1",
        "slap_computer_partition_id": "slappart0",
        "slap_software_release_url": "https://x/",
        "slap_software_type": "default",
        "slave_instance_list": [],
        "timestamp": 1795217576000000,
    }
    document = dumps(WireObject("SoftwareInstance", (), attributes))

    assert xml_codec.decode_requested_instance(document) == a_requested_instance(
        software_release_url="https://x/",
        instance_guid="SOFTINST-1",
        timestamp="1795217576000000",
        parameters={"size": "10"},
        connection_parameters={"url": "x"},
        addresses=(NetworkAddress("tap0", "10.0.0.1"),),
        routes=(ERP5_ROUTE,),
    )


def test_an_installation_without_a_state_is_wanted_available() -> None:
    release = {"_computer_guid": "COMP-1", "_software_release": "https://x/"}
    attributes: dict[str, Value] = {
        "_computer_id": "COMP-1",
        "_computer_partition_list": [],
        "_software_release_list": [WireObject("SoftwareRelease", (), {**release})],
    }
    document = dumps(WireObject("Computer", ("COMP-1",), attributes))

    assert xml_codec.decode_computer(document) == Computer(
        "COMP-1",
        (),
        (SoftwareInstallation("https://x/", "COMP-1", SupplyState.AVAILABLE),),
    )


@pytest.mark.parametrize(
    ("tap", "interface"),
    [
        ({"name": "slaptap0"}, "slaptap0"),
        ({"name": ""}, "slappart0"),
        ({}, "slappart0"),
        (None, "slappart0"),
    ],
)
def test_the_interface_of_a_definition_is_its_tap_or_the_partition(
    tap: Value, interface: str
) -> None:
    partition: Value = {
        "address_list": [{"addr": "10.0.0.1", "netmask": "255.255.255.255"}],
        "capability_list": ["big"],
        "ipv6_range": {"prefixlen": 80},
        "reference": "slappart0",
        "tap": tap,
    }
    document = dumps({"reference": "COMP-1", "partition_list": [partition]})

    assert xml_codec.decode_definition(document) == ComputerDefinition(
        "COMP-1",
        partitions=(
            PartitionDefinition(
                "slappart0", (NetworkAddress(interface, "10.0.0.1"),), ("big",)
            ),
        ),
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (3, "3"),
        (10**30, "1" + "0" * 30),
        (1.5, "1.5"),
        (True, "True"),
        (None, "None"),
        ([1, "a"], "[1, 'a']"),
        ((), "()"),
        ((1,), "(1,)"),
        ((1, None), "(1, None)"),
        ({"a": {"b": []}}, "{'a': {'b': []}}"),
        (frozenset(), "set()"),
        ([frozenset("ba")], "[{'a', 'b'}]"),
    ],
)
def test_a_parameter_is_the_text_that_its_sender_would_print(
    value: Value, text: str
) -> None:
    assert decode_texts({"a": value}) == {"a": text}


def busy(**attributes: Value) -> WireObject:
    partition = erp5_partition()
    return evolve(partition, attributes={**partition.attributes, **attributes})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "not a ComputerPartition"),
        (WireObject("Computer", (), {}), "not a ComputerPartition"),
        (WireObject("ComputerPartition", (), {}), "_computer_id: missing"),
        (busy(_partition_id=1), "_partition_id: missing or not a text"),
        (busy(_requested_state="purged"), "_requested_state: not started"),
        (busy(_requested_state=[]), "_requested_state: not started"),
        (busy(_software_release_document="x"), "not a SoftwareRelease"),
        (busy(_parameter_dict=[]), "_parameter_dict: not a dictionary"),
        (busy(_connection_dict=1), "_connection_dict: not a dictionary"),
        (busy(_filter_dict=WireObject("Computer", (), {})), "_filter_dict: not a"),
        (busy(_access_status=WireObject("Computer", (), {})), "an object is not"),
        (erp5_partition(ip_list={}), "ip_list: not a list"),
        (erp5_partition(ip_list=["ab"]), "ip_list: not a list of interfaces"),
        (erp5_partition(ip_list=[("a", 1)]), "ip_list: not a list of interfaces"),
        (erp5_partition(slave_instance_list=[1]), "a shared instance: not a dict"),
        (erp5_partition(slave_instance_list=[{}]), "slave_reference: missing"),
        (erp5_partition(a=WireObject("Computer", (), {})), "an object is not"),
    ],
)
def test_a_partition_that_makes_no_sense_is_refused(value: Value, reason: str) -> None:
    with pytest.raises(MalformedDocument, match=reason):
        xml_codec.decode_partition(dumps(value))


def test_an_installation_of_unknown_state_is_refused() -> None:
    release = WireObject("SoftwareRelease", (), {"_requested_state": "purged"})
    attributes: dict[str, Value] = {
        "_computer_id": "COMP-1",
        "_software_release_list": [release],
    }

    with pytest.raises(MalformedDocument, match="neither available nor destroyed"):
        xml_codec.decode_computer(dumps(WireObject("Computer", (), attributes)))


@pytest.mark.parametrize(
    "decode", [xml_codec.decode_certificate, xml_codec.decode_definition]
)
def test_a_dictionary_is_not_a_list(decode: Any) -> None:
    with pytest.raises(MalformedDocument, match="not a dictionary"):
        decode(dumps([]))


def test_a_definition_has_one_interface_for_each_partition() -> None:
    addresses = (NetworkAddress("a", "10.0.0.1"), NetworkAddress("b", "10.0.0.2"))
    definition = ComputerDefinition(
        "COMP-1", partitions=(PartitionDefinition("slappart0", addresses),)
    )

    with pytest.raises(AssertionError, match="several interfaces"):
        xml_codec.encode_definition(definition)


def test_the_stored_connection_document_escapes_once_more() -> None:
    instance = a_requested_instance(
        connection_parameters={'<"\t\n\r>': "a<&>\r\n\té", "b": ""}
    )

    value = loads(xml_codec.encode_requested_instance(instance))

    assert isinstance(value, WireObject)
    assert value.attributes["connection_xml"] == (
        "<?xml version='1.0' encoding='utf-8'?>\n"
        "<instance>\n"
        '  <parameter id="&lt;&quot;&#9;&#10;&#13;&gt;">a&lt;&amp;&gt;&#13;\n\té'
        "</parameter>\n"
        '  <parameter id="b"></parameter>\n'
        "</instance>\n"
    )


def test_the_builders_build_what_documents_carry() -> None:
    computer, definition = a_computer(), a_computer_definition()
    certificate = a_certificate()

    assert xml_codec.decode_computer(xml_codec.encode_computer(computer)) == computer
    assert (
        xml_codec.decode_definition(xml_codec.encode_definition(definition))
        == definition
    )
    assert (
        xml_codec.decode_certificate(xml_codec.encode_certificate(certificate))
        == certificate
    )


def test_an_answer_that_slapproxy_relays_is_understood() -> None:
    document = xml_codec.encode_requested_instance(a_requested_instance())
    relayed = document.replace(b'"SoftwareInstance"', b'"ComputerPartition"')

    assert relayed != document
    assert xml_codec.decode_requested_instance(relayed) == a_requested_instance()
