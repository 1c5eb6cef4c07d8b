"""Values for tests: one function per noun, sensible by default.

Keyword arguments override what a test is about.
"""

from __future__ import annotations

from typing import Any

from master_cluster.inventory import Host, Offer, Stock
from master_cluster.records import InstanceRecord
from slap.model import (
    Certificate,
    Computer,
    ComputerDefinition,
    InstanceRequest,
    NetworkAddress,
    Partition,
    PartitionDefinition,
    PartitionInstance,
    PartitionKey,
    RequestedInstance,
    RequestedState,
    Route,
    SharedInstance,
    SoftwareInstallation,
)

COMPUTER_ID = "COMP-1"
SOFTWARE_RELEASE_URL = "https://releases.example/hello/software.cfg"
TIMESTAMP = "1795217576.05"


def a_partition_key(number: int = 0, computer_id: str = COMPUTER_ID) -> PartitionKey:
    return PartitionKey(computer_id, f"slappart{number}")


def some_addresses(number: int = 0) -> tuple[NetworkAddress, ...]:
    return (
        NetworkAddress(f"slaptap{number}", f"10.0.0.{number + 1}"),
        NetworkAddress(f"slaptap{number}", f"2001:db8::{number + 2:x}"),
    )


def a_route(**overrides: Any) -> Route:
    fields = {
        "interface": "route_slaptap0",
        "address": "10.1.0.1",
        "gateway": "10.1.0.254",
        "netmask": "255.255.0.0",
        "network": "10.1.0.0",
    }
    return Route(**{**fields, **overrides})


def an_installation(**overrides: Any) -> SoftwareInstallation:
    fields = {
        "software_release_url": SOFTWARE_RELEASE_URL,
        "computer_id": COMPUTER_ID,
    }
    return SoftwareInstallation(**{**fields, **overrides})


def a_shared_instance(**overrides: Any) -> SharedInstance:
    fields = {
        "reference": "_front",
        "title": "_front",
        "software_type": "default",
        "parameters": {"url": "http://[2001:db8::2]/"},
    }
    return SharedInstance(**{**fields, **overrides})


def an_instance(number: int = 0, **overrides: Any) -> PartitionInstance:
    """Build what occupies a partition: an instance with parameters, published."""
    fields = {
        "instance_guid": f"SOFTINST-{number}",
        "title": f"instance {number}",
        "root_title": "instance 0",
        "software_release_url": SOFTWARE_RELEASE_URL,
        "software_type": "default",
        "timestamp": TIMESTAMP,
        "parameters": {"greeting": "hello", "_": '{"a": [1, "é<&>"]}'},
        "connection_parameters": {"url": "http://[2001:db8::2]:20000/"},
    }
    return PartitionInstance(**{**fields, **overrides})


def a_free_partition(number: int = 0, **overrides: Any) -> Partition:
    fields = {
        "key": a_partition_key(number),
        "requested_state": RequestedState.DESTROYED,
    }
    return Partition(**{**fields, **overrides})


def a_partition(number: int = 0, **overrides: Any) -> Partition:
    """Build a busy partition."""
    fields = {
        "key": a_partition_key(number),
        "requested_state": RequestedState.STARTED,
        "addresses": some_addresses(number),
        "instance": an_instance(number),
    }
    return Partition(**{**fields, **overrides})


def a_computer(partitions: int = 3, free: int = 1, **overrides: Any) -> Computer:
    """Build a computer with busy partitions, then free ones."""
    busy = tuple(a_partition(number) for number in range(partitions))
    slots = tuple(a_free_partition(partitions + number) for number in range(free))
    fields = {
        "computer_id": COMPUTER_ID,
        "partitions": busy + slots,
        "installations": (an_installation(),),
    }
    return Computer(**{**fields, **overrides})


def an_instance_request(**overrides: Any) -> InstanceRequest:
    fields = {"title": "instance 0", "software_release_url": SOFTWARE_RELEASE_URL}
    return InstanceRequest(**{**fields, **overrides})


def a_requested_instance(number: int = 0, **overrides: Any) -> RequestedInstance:
    fields = {
        "key": a_partition_key(number),
        "software_release_url": SOFTWARE_RELEASE_URL,
        "software_type": "default",
        "instance_guid": f"SOFTINST-{number}",
        "requested_state": RequestedState.STARTED,
        "timestamp": TIMESTAMP,
        "addresses": some_addresses(number),
    }
    return RequestedInstance(**{**fields, **overrides})


def a_computer_definition(partitions: int = 3, **overrides: Any) -> ComputerDefinition:
    fields = {
        "computer_id": COMPUTER_ID,
        "address": "2001:db8::1",
        "netmask": "ffff:ffff:ffff:ffff::",
        "partitions": tuple(
            PartitionDefinition(f"slappart{number}", some_addresses(number))
            for number in range(partitions)
        ),
    }
    return ComputerDefinition(**{**fields, **overrides})


def a_certificate(**overrides: Any) -> Certificate:
    fields = {"certificate": "-----BEGIN CERTIFICATE-----\n", "key": ""}
    return Certificate(**{**fields, **overrides})


def a_record(number: int = 0, **overrides: Any) -> InstanceRecord:
    """Build an instance as the master remembers it: the root of its own tree."""
    guid = f"SOFTINST-{number}"
    fields = {
        "instance_guid": guid,
        "title": f"instance {number}",
        "root_guid": guid,
        "requester_guid": None,
        "software_release_url": SOFTWARE_RELEASE_URL,
        "software_type": "default",
        "partition": a_partition_key(number),
        "timestamp": "1000",
    }
    return InstanceRecord(**{**fields, **overrides})


def a_child_record(number: int = 1, root: int = 0, **overrides: Any) -> InstanceRecord:
    """Build an instance that the root of a tree requested."""
    guid = f"SOFTINST-{root}"
    return a_record(number, **{"root_guid": guid, "requester_guid": guid, **overrides})


def a_shared_record(
    number: int = 2, root: int = 0, host: int = 1, **overrides: Any
) -> InstanceRecord:
    """Build a shared instance of a tree, in a host."""
    fields = {
        "is_shared": True,
        "host_guid": f"SOFTINST-{host}",
        "partition": a_partition_key(host),
    }
    return a_child_record(number, root, **{**fields, **overrides})


def an_offer(computer_id: str = COMPUTER_ID, free: int = 2, busy: int = 1) -> Offer:
    names = tuple(f"slappart{number}" for number in range(busy, busy + free))
    return Offer(computer_id, names, busy)


def a_host(number: int = 0, **overrides: Any) -> Host:
    fields = {
        "instance_guid": f"SOFTINST-{number}",
        "key": a_partition_key(number),
        "software_release_url": SOFTWARE_RELEASE_URL,
        "software_type": "default",
    }
    return Host(**{**fields, **overrides})


def an_inventory(*offers: Offer, **overrides: Any) -> Stock:
    return Stock(**{"all_offers": offers or (an_offer(),), **overrides})


def a_usage_document(
    quantity: str = "1",
    stop_date: str = "2026-11-20 at 23:00:00",
    *,
    start_date: str = "",
    title: str = "Resource consumptions",
    reference: str = "COMP-1",
) -> str:
    """A journal of one movement, as a stock node merges it."""
    return (
        '<?xml version="1.0"?>\n<journal><transaction type="Sale Packing List">'
        f"<title>{title}</title><start_date>{start_date}</start_date>"
        f"<stop_date>{stop_date}</stop_date><reference>{reference}</reference>"
        "<currency></currency><payment_mode></payment_mode><category></category>"
        '<arrow type="Administration"><source></source><destination></destination>'
        "</arrow><movement><resource>service_module/cpu_load</resource>"
        "<title>CPU Consumption</title><reference>slappart0</reference>"
        f"<quantity>{quantity}</quantity><price>0.0</price><VAT>None</VAT>"
        "<category>type/cpu</category></movement></transaction></journal>"
    )
