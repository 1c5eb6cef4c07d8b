"""What is true of a store at all times, checked object by object."""

from __future__ import annotations

from master_cluster.records import InstanceRecord
from master_cluster.store.cloud import Cloud
from master_cluster.store.schema import hashed
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
        assert instance in cloud.runners(instance.software_release_url)
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
    offering = set()
    for computer_id in cloud.computer_ids():
        free, unoffered = set(), set()
        for partition in cloud.partitions(computer_id):
            key = PartitionKey(computer_id, partition.partition_id)
            assert partition.occupant_guid == occupied.pop(key, None)
            if not partition.is_offered:
                assert partition.occupant_guid is not None
                unoffered.add(partition.partition_id)
            elif partition.occupant_guid is None:
                free.add(partition.partition_id)
        assert set(cloud.free_ids(computer_id)) == free
        assert set(cloud.unoffered_ids(computer_id)) == unoffered
        if free:
            offering.add(computer_id)
    assert set(cloud.offering_ids()) == offering
    assert occupied == {}, "an instance is in no partition"


def check_tree(cloud: Cloud, instance: InstanceRecord) -> None:
    if instance.is_root:
        assert cloud.root(instance.title) == instance
    else:
        root = cloud.instance(instance.root_guid)
        assert root.is_root
        assert cloud.child(root.instance_guid, instance.title) == instance
    assert hashed(instance.title)
