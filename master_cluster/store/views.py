"""Shell. What the cores decide upon, gathered from one snapshot."""

from __future__ import annotations

from master_cluster.allocation import Allocated
from master_cluster.destroying import DestructionView
from master_cluster.records import InstanceRecord
from master_cluster.requesting import Place, RequestView
from master_cluster.store.cloud import Cloud
from slap.errors import BadRequest, NotFound
from slap.model import InstanceRequest, PartitionKey


def view_request(cloud: Cloud, wanted: InstanceRequest) -> RequestView:
    """Gather what a request is decided upon, and rely on it until the commit.

    ``BadRequest`` when the requester is a partition that does not exist, ``NotFound``
    when it has no instance: what is left of a removed instance asks for nothing.
    """
    if wanted.requester is None:
        existing = cloud.root(wanted.title)
        host = cloud.find_instance(existing.host_guid) if existing else None
        return RequestView(existing=existing, host=host)
    requester = _requester(cloud, wanted.requester)
    root = cloud.instance(requester.root_guid)
    cloud.rely_on(requester)
    cloud.rely_on(root)
    existing = cloud.child(root.instance_guid, wanted.title)
    ancestors = _rely_on_ancestors(cloud, requester) if existing else frozenset()
    return RequestView(
        requester=requester,
        root=root,
        ancestor_guids=ancestors,
        existing=existing,
        host=cloud.find_instance(existing.host_guid) if existing else None,
        tree_instance_count=0 if existing else 1 + cloud.child_count(root.root_guid),
    )


def view_place(cloud: Cloud, allocated: Allocated) -> Place:
    """Gather what a new instance inherits from its place."""
    if allocated.host_guid is not None:
        return Place(allocated, host=cloud.instance(allocated.host_guid))
    return Place(allocated, cloud.partition(allocated.key).last_timestamp)


def view_destruction(cloud: Cloud, instance: InstanceRecord) -> DestructionView:
    """Gather what a report of removal is decided upon."""
    guid = instance.instance_guid
    children = cloud.children(guid) if instance.is_root else ()
    guests = cloud.guests(guid)
    shared = [*guests, *(it for it in children if it.is_shared)]
    concerned = {guid for it in shared for guid in (it.host_guid, it.requester_guid)}
    concerned.add(instance.requester_guid)
    found = (cloud.find_instance(it) for it in sorted(filter(None, concerned)))
    others = {it.instance_guid: it for it in found if it is not None}
    return DestructionView(instance, children, guests, others)


def requester_of(cloud: Cloud, instance: InstanceRecord) -> InstanceRecord | None:
    """Return who requested an instance last, unless that one is gone."""
    return cloud.find_instance(instance.requester_guid)


def _requester(cloud: Cloud, key: PartitionKey) -> InstanceRecord:
    try:
        cloud.partition(key)
    except NotFound as error:
        raise BadRequest(f"the requester is not known: {error.sentence}") from error
    return cloud.occupant(key)


def _rely_on_ancestors(cloud: Cloud, requester: InstanceRecord) -> frozenset[str]:
    """Return the guids of a requester, of who requested it, and so on."""
    guids: set[str] = set()
    ancestor: InstanceRecord | None = requester
    while ancestor is not None and ancestor.instance_guid not in guids:
        guids.add(ancestor.instance_guid)
        cloud.rely_on(ancestor)
        ancestor = cloud.find_instance(ancestor.requester_guid)
    return frozenset(guids)
