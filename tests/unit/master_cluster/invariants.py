"""What is true of a store at all times, checked object by object."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from master_cluster.inventory import Head, Offer, natural_order
from master_cluster.records import InstanceRecord, PartitionRecord
from master_cluster.store.cloud import Cloud
from master_cluster.store.schema import hashed
from master_cluster.store.shelving import heads_of
from slap.model import PartitionKey


def check_cloud(cloud: Cloud) -> None:
    """Fail when an index and the records disagree, or a partition is used twice."""
    instances = {it.instance_guid: it for it in cloud.instances()}
    own = [it for it in instances.values() if not it.is_shared]
    shared = [it for it in instances.values() if it.is_shared]
    check_partitions(cloud, own)
    assert len({it.partition for it in own}) == len(own), "a partition is used twice"
    for instance in own:
        occupant = cloud.occupant(instance.partition)
        assert occupant == instance
        runners = cloud.runners(instance.software_release_url, instance.software_type)
        assert instance in tuple(runners)
    for instance in shared:
        assert instance.host_guid is not None
        host = instances[instance.host_guid]
        assert not host.is_shared
        assert host.partition == instance.partition
        assert instance in cloud.guests(host.instance_guid)
    for instance in instances.values():
        check_tree(cloud, instance)
    listed = [it for root in cloud.roots() for it in cloud.children(root.root_guid)]
    assert len(listed) + len(cloud.roots()) == len(instances), "a tree has strangers"


def check_partitions(cloud: Cloud, own: list[InstanceRecord]) -> None:
    occupied = {it.partition: it.instance_guid for it in own}
    expected: defaultdict[tuple[object, ...], list[Head]] = defaultdict(list)
    for computer_id in cloud.computer_ids():
        computer = cloud.computer(computer_id)
        offers = {it.capabilities: it for it in cloud.shelving.offers_of(computer_id)}
        found: defaultdict[tuple[str, ...], list[PartitionRecord]] = defaultdict(list)
        for partition in cloud.partitions(computer_id):
            key = PartitionKey(computer_id, partition.partition_id)
            assert partition.occupant_guid == occupied.pop(key, None)
            assert partition.is_offered or partition.occupant_guid is not None
            found[partition.capabilities].append(partition)
        assert set(offers) == set(found)
        for capabilities, offer in offers.items():
            check_offer(offer, found[capabilities])
            for capability in (capabilities or ("",)) if offer.free else ():
                label = capability, *computer.attributes.items()
                expected[label].append(offer.head)
    assert occupied == {}, "an instance is in no partition"
    check_shelves(cloud, expected)


def check_offer(offer: Offer, partitions: list[PartitionRecord]) -> None:
    free = [it for it in partitions if it.is_offered and it.occupant_guid is None]
    names = sorted((it.partition_id for it in free), key=natural_order)
    assert offer.free == tuple(names)
    assert offer.unoffered_count == sum(not it.is_offered for it in partitions)
    assert offer.partition_count == len(partitions)


def check_shelves(cloud: Cloud, expected: Mapping[tuple[object, ...], list[Head]]):
    for capability in {"", *(str(label[0]) for label in expected)}:
        for shelf in cloud.shelving.shelves(capability):
            label = capability, *sorted(shelf.attributes.items())
            assert list(heads_of(shelf)) == sorted(expected.pop(label))
    assert expected == {}, "an offer stands on no shelf"


def check_tree(cloud: Cloud, instance: InstanceRecord) -> None:
    if instance.is_root:
        assert cloud.root(instance.title) == instance
    else:
        root = cloud.instance(instance.root_guid)
        assert root.is_root
        assert cloud.child(root.instance_guid, instance.title) == instance
    assert hashed(instance.title)
