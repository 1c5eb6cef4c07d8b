"""Shell. What is true of a store at all times, checked object by object.

``slapcluster storage verify`` says what is not; tests of the store expect nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from master_cluster.inventory import Head, natural_order
from master_cluster.records import InstanceRecord, PartitionRecord
from master_cluster.store.cloud import Cloud
from master_cluster.store.shelving import heads_of
from slap.model import PartitionKey


def find_flaws(cloud: Cloud) -> Iterator[str]:
    """Say where records and what finds them disagree, or a partition is used twice.

    What is broken worse, so that it cannot be read at all, raises.
    """
    instances = {it.instance_guid: it for it in cloud.instances()}
    own = [it for it in instances.values() if not it.is_shared]
    yield from _find_in_partitions(cloud, own)
    yield from _find_in_runners(cloud, own)
    for instance in instances.values():
        if instance.is_shared:
            yield from _find_in_host(cloud, instance, instances)
        yield from _find_in_tree(cloud, instance)
    listed = [it for root in cloud.roots() for it in cloud.children(root.root_guid)]
    if len(listed) + len(cloud.roots()) != len(instances):
        yield "the trees do not have as many instances as there are"


def _find_in_partitions(cloud: Cloud, own: list[InstanceRecord]) -> Iterator[str]:
    occupants: dict[PartitionKey, str] = {}
    for instance in own:
        if instance.partition in occupants:
            yield f"{instance.partition} is used twice"
        occupants[instance.partition] = instance.instance_guid
    for computer_id in cloud.computer_ids():
        for partition in cloud.partitions(computer_id):
            key = PartitionKey(computer_id, partition.partition_id)
            if partition.occupant_guid != occupants.pop(key, None):
                yield f"{key} and its instance do not agree"
            if not partition.is_offered and partition.occupant_guid is None:
                yield f"{key} is free and no longer defined"
        yield from _find_in_offers(cloud, computer_id)
    for key, guid in occupants.items():
        yield f"{guid} is in {key}, which does not exist"
    yield from _find_in_shelves(cloud)


def _find_in_offers(cloud: Cloud, computer_id: str) -> Iterator[str]:
    """Say where the offers of a computer are wrong about its partitions."""
    found: defaultdict[tuple[str, ...], list[PartitionRecord]] = defaultdict(list)
    for partition in cloud.partitions(computer_id):
        found[partition.capabilities].append(partition)
    offers = {it.capabilities: it for it in cloud.shelving.offers_of(computer_id)}
    if set(offers) != set(found):
        yield f"the offers of {computer_id} are not those of its capabilities"
    for capabilities, offer in offers.items():
        partitions = found[capabilities]
        free = [it for it in partitions if it.is_offered and it.occupant_guid is None]
        names = sorted((it.partition_id for it in free), key=natural_order)
        if offer.free != tuple(names):
            yield f"the free partitions of {computer_id} are not the listed ones"
        unoffered_count = sum(not it.is_offered for it in partitions)
        if offer.unoffered_count != unoffered_count:
            yield f"the undefined partitions of {computer_id} are not the listed ones"
        if offer.partition_count != len(partitions):
            yield f"the partitions of {computer_id} are not as many as counted"


def _find_in_shelves(cloud: Cloud) -> Iterator[str]:
    """Say where the shelves are wrong about the offers."""
    expected: defaultdict[_Label, list[Head]] = defaultdict(list)
    for offer in cloud.shelving.offers():
        if offer.free:
            for capability in offer.capabilities or ("",):
                expected[_label(capability, offer.attributes)].append(offer.head)
    for capability in {"", *(label[0] for label in expected)}:
        for shelf in cloud.shelving.shelves(capability):
            label = _label(capability, shelf.attributes)
            if list(heads_of(shelf)) != sorted(expected.pop(label, [])):
                yield f"a shelf of {label} has not the offers that belong there"
    for label in expected:
        yield f"the offers of {label} stand on no shelf"


_Label = tuple[str, tuple[tuple[str, str], ...]]
"""What a shelf is for: a capability, or none, and the attributes of computers."""


def _label(capability: str, attributes: Mapping[str, str]) -> _Label:
    return capability, tuple(sorted(attributes.items()))


def _find_in_runners(cloud: Cloud, own: list[InstanceRecord]) -> Iterator[str]:
    """Say which lists of the instances of a release are wrong."""
    expected: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for instance in own:
        release = instance.software_release_url, instance.software_type
        expected[release].add(instance.instance_guid)
    for release, guids in expected.items():
        if set(cloud.shelving.runners(*release)) != guids:
            yield f"the instances of {release} are not the listed ones"


def _find_in_host(
    cloud: Cloud, shared: InstanceRecord, instances: dict[str, InstanceRecord]
) -> Iterator[str]:
    host = instances.get(shared.host_guid or "")
    if host is None or host.is_shared:
        yield f"{_named(shared)} is in no host"
    elif host.partition != shared.partition:
        yield f"{_named(shared)} is not in the partition of its host"
    elif shared not in cloud.guests(host.instance_guid):
        yield f"{_named(shared)} is not among the guests of its host"


def _find_in_tree(cloud: Cloud, instance: InstanceRecord) -> Iterator[str]:
    root = cloud.find_instance(instance.root_guid)
    if root is None or not root.is_root:
        yield f"{_named(instance)} has no root"
    elif instance.is_root:
        if cloud.root(instance.title) != instance:
            yield f"{_named(instance)} is not the root of its title"
    elif cloud.child(root.instance_guid, instance.title) != instance:
        yield f"{_named(instance)} is not in its tree by its title"


def _named(instance: InstanceRecord) -> str:
    return f"{instance.instance_guid} ({instance.title!r})"
