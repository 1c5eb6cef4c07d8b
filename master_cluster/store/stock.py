"""Shell. The inventory of one snapshot: allocation reads no more than it needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from attrs import frozen

from master_cluster.inventory import Head, Host, Offer
from master_cluster.records import InstanceRecord
from master_cluster.store.cloud import Cloud
from master_cluster.store.schema import StoredShelf
from master_cluster.store.shelving import heads_of
from slap.model import InstanceRequest
from slap.placement import UNIQUE_BY_NETWORK


def view_inventory(
    cloud: Cloud,
    wanted: InstanceRequest,
    root: InstanceRecord | None,
    default_computer_id: str | None,
) -> StoredStock:
    """Return what a request may be given; ``root`` is the one of its tree."""
    networks: frozenset[str] = frozenset()
    if root is not None and wants_own_network(wanted):
        networks = _networks(cloud, root)
    return StoredStock(cloud, default_computer_id, networks)


def wants_own_network(wanted: InstanceRequest) -> bool:
    """Whether a request asks for a network in which no other of its tree is."""
    return wanted.allocation_filter.get("mode") == UNIQUE_BY_NETWORK


@frozen
class StoredStock:
    """An inventory that is read from the store while it is asked."""

    _cloud: Cloud
    default_computer_id: str | None
    tree_networks: frozenset[str]

    def shelves(self, capability: str) -> Iterator[_View]:
        return map(_View, self._cloud.shelving.shelves(capability))

    def offers_of(self, computer_id: str) -> Sequence[Offer]:
        return self._cloud.shelving.offers_of(computer_id)

    def offers(self) -> Iterator[Offer]:
        return self._cloud.shelving.offers()

    def find_host(self, instance_guid: str) -> Host | None:
        found = self._cloud.find_instance(instance_guid)
        return None if found is None or found.is_shared else self._host(found)

    def runners(self, software_release_url: str, software_type: str) -> Iterator[Host]:
        runners = self._cloud.runners(software_release_url, software_type)
        return map(self._host, runners)

    def hosts(self) -> Iterator[Host]:
        return (self._host(it) for it in self._cloud.instances() if not it.is_shared)

    def _host(self, instance: InstanceRecord) -> Host:
        key = instance.partition
        return Host(
            instance.instance_guid,
            key,
            instance.software_release_url,
            instance.software_type,
            instance.requested_state,
            self._cloud.computer(key.computer_id).attributes,
            self._cloud.partition(key).capabilities,
        )


@frozen
class _View:
    """A shelf, read only."""

    _stored: StoredShelf

    @property
    def attributes(self) -> Mapping[str, str]:
        return MappingProxyType(self._stored.attributes)

    def heads(self) -> Iterator[Head]:
        return heads_of(self._stored)


def _networks(cloud: Cloud, root: InstanceRecord) -> frozenset[str]:
    tree = (root, *cloud.children(root.instance_guid))
    computers = {it.partition.computer_id for it in tree}
    found = (cloud.computer(it).attributes.get("network_guid") for it in computers)
    return frozenset(it for it in found if it is not None)
