"""Routes of taps, from a computer's definition to whom it may concern."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from attrs import evolve

from slap import calls
from slap.model import (
    Computer,
    ComputerDefinition,
    NetworkAddress,
    Partition,
    PartitionDefinition,
    RequestedInstance,
)
from tests.builders import (
    COMPUTER_ID,
    a_partition_key,
    a_route,
    an_instance_request,
    some_addresses,
)
from tests.unit.master_cluster.test_rpc import RpcBench

FIVE = ["route_slaptap0", "10.1.0.1", "10.1.0.254", "255.255.0.0", "10.1.0.0"]
KEY = a_partition_key()


@pytest.fixture
def bench() -> Iterator[RpcBench]:
    bench = RpcBench(default_computer_id=COMPUTER_ID)
    yield bench
    bench.close()


def define(bench: RpcBench, **more: Any) -> None:
    """Define a computer of one partition."""
    partition = PartitionDefinition("slappart0", some_addresses(), **more)
    definition = ComputerDefinition(COMPUTER_ID, None, None, (partition,))
    bench.perform(calls.define_computer(definition))


def test_everybody_learns_the_route_of_a_busy_partition(bench: RpcBench) -> None:
    define(bench, routes=(a_route(),))
    requested = bench.perform(calls.request_instance(an_instance_request()))
    computer = bench.perform(calls.get_computer(COMPUTER_ID))
    partition = bench.perform(calls.get_partition(KEY))

    assert isinstance(requested, RequestedInstance)
    assert isinstance(computer, Computer)
    assert isinstance(partition, Partition)
    told = [(it.addresses, it.routes) for it in (requested, partition)]
    assert told == [(some_addresses(), (a_route(),))] * 2
    assert computer.partitions == (partition,)


def test_firewalls_let_routes_through(bench: RpcBench) -> None:
    define(bench, routes=(a_route(),))
    bench.perform(calls.request_instance(an_instance_request()))

    assert bench.perform(calls.get_tree_addresses(KEY)) == (
        *some_addresses(),
        NetworkAddress("route_slaptap0", "10.1.0.1"),
    )


def test_a_free_partition_travels_without_its_route(bench: RpcBench) -> None:
    define(bench, routes=(a_route(),))

    partition = bench.perform(calls.get_partition(KEY))

    assert isinstance(partition, Partition)
    assert (partition.instance, partition.routes) == (None, ())


def test_a_route_that_goes_is_told_to_its_instance(bench: RpcBench) -> None:
    define(bench, routes=(a_route(),))
    before = bench.perform(calls.request_instance(an_instance_request()))
    define(bench)
    after = bench.perform(calls.request_instance(an_instance_request()))

    assert isinstance(before, RequestedInstance)
    assert isinstance(after, RequestedInstance)
    assert after == evolve(before, routes=(), timestamp=after.timestamp)
    assert after.timestamp != before.timestamp


def test_a_definition_in_json_has_routes_too(bench: RpcBench) -> None:
    entries = [
        {"ip-address": it.address, "network-interface": it.interface}
        for it in some_addresses()
    ]
    interface, address, gateway, netmask, network = FIVE
    entries.append(
        {
            "ip-address": address,
            "netmask": netmask,
            "network-interface": interface,
            "gateway-ip-address": gateway,
            "network-address": network,
        }
    )
    bench.ask(
        "put.v0.compute_node_format",
        computer_guid=COMPUTER_ID,
        compute_partition_list=[{"partition_id": "slappart0", "ip_list": entries}],
    )
    requested = bench.request()
    told = bench.get(requested["instance_guid"])

    for it in (requested, told):
        assert it["full_ip_list"] == [FIVE]
        assert it["ip_list"] == [[it.interface, it.address] for it in some_addresses()]
