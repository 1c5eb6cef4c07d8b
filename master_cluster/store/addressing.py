"""Shell. Which addresses belong to a tree of instances."""

from __future__ import annotations

from master_cluster.store.cloud import Cloud
from slap.model import NetworkAddress, PartitionKey, RequestedState
from slap.routes import as_addresses


def addresses_of_tree(cloud: Cloud, key: PartitionKey) -> tuple[NetworkAddress, ...]:
    """Return the addresses of the tree of a partition, its root's first, with routes.

    Firewalls let a tree talk within itself, so a shared instance, whose host is another
    tree's, adds none; and there are none for an instance that is to go.
    """
    asking = cloud.occupant(key)
    if asking.requested_state is RequestedState.DESTROYED:
        return ()
    root = cloud.instance(asking.root_guid)
    partitions = (
        cloud.partition(it.partition)
        for it in (root, *cloud.children(root.instance_guid))
        if not it.is_shared and it.requested_state is not RequestedState.DESTROYED
    )
    addresses = (
        address
        for it in partitions
        for address in (*it.addresses, *as_addresses(it.routes))
    )
    return tuple(dict.fromkeys(addresses))
