"""Shell. Instances as they are described to a person, and found by their guid."""

from __future__ import annotations

from master_cluster.describing import describe_instance
from master_cluster.records import InstanceRecord
from master_cluster.store.cloud import Cloud
from slap.errors import NotFound
from slap.model import PartitionKey
from slap.rpc_model import (
    HostedInstance,
    InstanceDescription,
    ListedInstallation,
    ListedInstance,
)


def instance_of_guid(cloud: Cloud, instance_guid: str) -> InstanceRecord:
    """Return an instance; ``NotFound`` when there is none."""
    found = cloud.find_instance(instance_guid)
    if found is None:
        raise NotFound(f"no instance {instance_guid!r}")
    return found


def place_of(cloud: Cloud, instance_guid: str) -> tuple[PartitionKey, str | None]:
    """Return where an instance is, and what its host calls it when it is shared."""
    found = instance_of_guid(cloud, instance_guid)
    return found.partition, found.instance_guid if found.is_shared else None


def describe_guid(cloud: Cloud, instance_guid: str) -> InstanceDescription:
    return _describe(cloud, instance_of_guid(cloud, instance_guid))


def describe_partition(cloud: Cloud, partition: PartitionKey) -> InstanceDescription:
    """Describe the instance in a partition; ``NotFound`` when it is free."""
    return _describe(cloud, cloud.occupant(partition))


def describe_tree(cloud: Cloud, title: str) -> InstanceDescription:
    """Describe the root of a tree."""
    root = cloud.root(title)
    if root is None:
        raise NotFound(f"no instance tree {title!r}")
    return _describe(cloud, root)


def titles_of_trees(cloud: Cloud) -> tuple[str, ...]:
    return tuple(it.title for it in cloud.roots())


def instances_of_computer(cloud: Cloud, computer_id: str) -> tuple[ListedInstance, ...]:
    """List the instances of a computer, in the order of its partitions."""
    found = (
        cloud.instance(it.occupant_guid)
        for it in cloud.partitions(computer_id)
        if it.occupant_guid is not None
    )
    return tuple(
        ListedInstance(
            it.title,
            it.instance_guid,
            it.requested_state,
            it.partition.partition_id,
            it.software_release_url,
        )
        for it in found
    )


def installations_of_computer(
    cloud: Cloud, computer_id: str
) -> tuple[ListedInstallation, ...]:
    """List the releases of a computer, in the order of supply."""
    return tuple(
        ListedInstallation(it.software_release_url, it.requested_state)
        for it in cloud.installations(computer_id)
    )


def guests_of_host(cloud: Cloud, instance_guid: str) -> tuple[HostedInstance, ...]:
    """List the shared instances of a host, by title."""
    host = instance_of_guid(cloud, instance_guid)
    guests = sorted(
        cloud.guests(host.instance_guid), key=lambda it: (it.title, it.instance_guid)
    )
    return tuple(
        HostedInstance(
            it.title,
            it.instance_guid,
            it.requested_state,
            it.partition.partition_id,
            it.software_type,
            it.parameters,
        )
        for it in guests
    )


def _describe(cloud: Cloud, instance: InstanceRecord) -> InstanceDescription:
    root = cloud.instance(instance.root_guid)
    partition = cloud.partition(instance.partition)
    return describe_instance(instance, root.title, partition)
