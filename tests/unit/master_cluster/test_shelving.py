"""The indices of the store say the same as a look at everything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from master_cluster.allocation import choose_partition
from master_cluster.inventory import Stock
from master_cluster.requesting import Refused
from master_cluster.store import decisions, documents
from master_cluster.store.cloud import Cloud
from master_cluster.store.stock import view_inventory
from slap.errors import NotFound
from slap.model import (
    ComputerDefinition,
    InstanceRequest,
    PartitionDefinition,
    PartitionKey,
    RequestedState,
)
from tests import strategies
from tests.builders import a_partition_key, an_instance_request
from tests.unit.master_cluster.benches import StoreBench

ATTRIBUTES = list(strategies.COMPUTER_ATTRIBUTES.values())


def define(
    bench: StoreBench, computer_id: str, capabilities: list[tuple[str, ...]]
) -> None:
    definition = ComputerDefinition(
        computer_id,
        partitions=tuple(
            PartitionDefinition(f"slappart{number}", (), it)
            for number, it in enumerate(capabilities)
        ),
    )
    bench.decide(lambda it, _: decisions.define_computer(it, definition, bench.now()))


def say(bench: StoreBench, computer_id: str, **attributes: str) -> None:
    said = {**dict.fromkeys(("region", "network_guid", "cpu_core"), ""), **attributes}
    bench.decide(lambda it, _: decisions.set_attributes(it, computer_id, said))


def check_choice(cloud: Cloud, wanted: InstanceRequest) -> None:
    """Fail when the store chooses another partition than the whole inventory does."""
    stored = view_inventory(cloud, wanted, None, None)
    whole = Stock(tuple(stored.offers()), tuple(stored.hosts()))
    for salt in ("", "one", "two"):
        assert choose_partition(wanted, stored, salt) == choose_partition(
            wanted, whole, salt
        )


OPERATION = st.one_of(
    st.tuples(
        st.just("define"),
        st.sampled_from(["COMP-1", "COMP-2", "COMP-10"]),
        st.lists(strategies.some_capabilities(), max_size=4),
    ),
    st.tuples(
        st.just("say"),
        st.sampled_from(["COMP-1", "COMP-2", "COMP-10"]),
        st.sampled_from(ATTRIBUTES),
    ),
    st.tuples(
        st.just("request"),
        st.sampled_from(["a", "b", "c", "d", "e"]),
        strategies.a_filter(),
    ),
    st.tuples(
        st.just("destroy"), st.sampled_from(["a", "b", "c", "d", "e"]), st.none()
    ),
)


def perform(bench: StoreBench, name: str, subject: str, argument: Any) -> None:
    if name == "define":
        define(bench, subject, argument)
    elif name == "say":
        say(bench, subject, **argument)
    elif name == "request":
        wanted = an_instance_request(title=subject, allocation_filter=argument)
        bench.ask(lambda it: check_choice(it, wanted))
        bench.send(wanted)
    else:
        doomed = bench.request(subject, requested_state=RequestedState.DESTROYED)
        bench.report_destroyed(doomed.key)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(OPERATION, min_size=5, max_size=25),
    st.lists(strategies.a_placement_request(), max_size=3),
)
def test_the_store_chooses_as_a_look_at_everything_does(
    operations: list[tuple[str, str, Any]], asked: list[InstanceRequest]
) -> None:
    bench = StoreBench()
    define(bench, "COMP-2", [(), (), ("gpu",)])
    for operation in operations:
        try:
            perform(bench, *operation)
        except NotFound:
            continue
    for wanted in asked:
        bench.ask(lambda it, wanted=wanted: check_choice(it, wanted))  # type: ignore[misc]
    bench.close()


def test_names_that_differ_in_zeros_are_two_partitions() -> None:
    bench = StoreBench()
    definition = ComputerDefinition(
        "COMP-1",
        partitions=(
            PartitionDefinition("slappart1"),
            PartitionDefinition("slappart01"),
        ),
    )
    bench.decide(lambda it, _: decisions.define_computer(it, definition, 1.0))

    keys = {bench.request(title).key.partition_id for title in ("a", "b")}

    assert keys == {"slappart1", "slappart01"}
    bench.close()


def test_a_decision_reads_as_many_objects_among_many_computers_as_among_few() -> None:
    def loads(computer_count: int) -> int:
        bench = StoreBench()
        for number in range(computer_count):
            define(bench, f"COMP-{number}", [()] * 3)
            say(bench, f"COMP-{number}", region=f"region {number % 4}")
        database = bench.store._database  # noqa: SLF001 - what is measured
        database.cacheMinimize()
        database.getActivityMonitor()
        connection = database.open()
        connection.getTransferCounts(clear=True)
        wanted = an_instance_request(allocation_filter={"region": "region 1"})
        cloud = Cloud(connection.root()["slapcluster"])
        choose_partition(wanted, view_inventory(cloud, wanted, None, None))
        count, _ = connection.getTransferCounts()
        connection.close()
        bench.close()
        return int(count)

    few, many = loads(20), loads(200)

    assert many - few <= 20, (few, many)


def test_children_of_a_tree_find_networks_of_their_own() -> None:
    bench = StoreBench()
    for number in range(4):
        define(bench, f"COMP-{number}", [()] * 3)
        say(bench, f"COMP-{number}", network_guid=f"net-{number // 2}")
    root = bench.request("root", allocation_filter={"computer_guid": "COMP-0"})
    own = {
        "requester": root.key,
        "allocation_filter": {"mode": "unique_by_network"},
    }

    child = bench.request("child", **own)

    assert child.key == PartitionKey("COMP-2", "slappart0")
    with pytest.raises(NotFound, match="no other instance of the tree: 12 partitions"):
        bench.request("too many", **own)
    outcome = bench.ask(
        lambda it: documents.report_of_allocation(it, "too many", "root", None)
    )
    assert not isinstance(outcome, Refused)
    assert outcome.verdict == "refused: none of 12 partitions fits"
    bench.close()


def test_a_shared_instance_goes_to_a_host_in_its_region() -> None:
    bench = StoreBench()
    for number, region in enumerate(("us", "eu")):
        define(bench, f"COMP-{number}", [()] * 2)
        say(bench, f"COMP-{number}", region=region)
        bench.request(f"host {number}", allocation_filter={"region": region})

    guest = bench.request("guest", is_shared=True, allocation_filter={"region": "eu"})

    assert guest.key == a_partition_key(0, "COMP-1")
    bench.close()


def test_a_host_that_changes_its_type_hosts_others() -> None:
    bench = StoreBench()
    bench.format(3)
    bench.request("host", software_type="old")
    bench.request("host", software_type="new")

    guest = bench.request("guest", is_shared=True, software_type="new")

    assert guest.key == a_partition_key(0)
    with pytest.raises(NotFound):
        bench.request("other", is_shared=True, software_type="old")
    bench.close()
