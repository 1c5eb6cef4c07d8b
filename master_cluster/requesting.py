"""Core. What an instance request changes.

An instance is known by its title and its tree: whoever of the tree asks for a title
gets the same instance, and the same title in another tree is another instance. Asking
twice changes nothing and answers the same.

Rules, and where they differ from the reference proxy:

1. A new instance needs a place (``allocation``); an existing one keeps its own.
2. Release, type and parameters are replaced by those of the wanted. A request that
   destroys keeps them: what is removed is what runs.
3. A root that is not started hands its state to the children that are requested. The
   wish of the requester is remembered and returns with the root.
4. Destroying what does not exist is refused as not found, and takes no partition.
   slapproxy allocates one; the ERP5 master answers that it is not ready, for ever.
5. A shared instance is gone as soon as its destruction is requested.
6. The requester of a child is whoever asked last, except its own descendants: a circle
   would process itself without end.
7. The timestamp changes when state, release, type or parameters do. A shared instance
   changes the timestamp of its host, which is where it is processed.
"""

from __future__ import annotations

from attrs import evolve, field, frozen

from master_cluster.allocation import Allocated, Unallocated
from master_cluster.records import Change, InstanceRecord
from master_cluster.timestamps import next_timestamp
from slap.errors import BadRequest, NotFound, SlapError
from slap.model import InstanceRequest, RequestedState
from slap.reports import Condition

TREE_INSTANCE_COUNT_MAX = 5_000
"""A bang and a destruction touch a whole tree in one transaction."""


@frozen
class RequestView:
    """What a request is decided upon.

    ``requester`` is the instance that asks and ``root`` the root of its tree, both
    ``None`` for a person. ``ancestor_guids`` are the requester, who requested it, and
    so on. ``host`` is the host of an existing shared instance.
    """

    requester: InstanceRecord | None = None
    root: InstanceRecord | None = None
    ancestor_guids: frozenset[str] = frozenset()
    existing: InstanceRecord | None = None
    host: InstanceRecord | None = None
    tree_instance_count: int = 0


@frozen
class Place:
    """Where a new instance goes, as the store knows it; ``host`` when it is shared."""

    allocated: Allocated
    last_timestamp: str = ""
    host: InstanceRecord | None = None


@frozen
class Decided:
    """The instance as it is now, and what to write."""

    instance: InstanceRecord
    change: Change = field(factory=Change)


@frozen
class Refused:
    """Why nothing changes; ``reasons`` when no partition fits."""

    error: SlapError
    reasons: tuple[Condition, ...] = ()


def decide_existing(
    wanted: InstanceRequest, view: RequestView, now: float
) -> Decided | Refused:
    """Decide the change of an instance that exists."""
    existing = view.existing
    assert existing is not None
    requester_guid = view.requester.instance_guid if view.requester else None
    if existing.is_shared != wanted.is_shared:
        kind = "shared" if existing.is_shared else "not shared"
        return Refused(BadRequest(f"{wanted.title!r} exists and is {kind}"))
    if existing.instance_guid in view.ancestor_guids:
        return Refused(
            BadRequest(f"{wanted.title!r} would be requested by its own descendant")
        )
    wished = wanted.requested_state or existing.wished_state
    changed = evolve(
        existing,
        requester_guid=requester_guid,
        allocation_filter=wanted.allocation_filter,
        wished_state=wished,
        requested_state=state_under(view.root, wished),
    )
    if changed.requested_state is not RequestedState.DESTROYED:
        changed = evolve(
            changed,
            software_release_url=wanted.software_release_url,
            software_type=wanted.software_type,
            parameters=wanted.parameters,
        )
    elif existing.is_shared:
        return _forget_shared(changed, view.host, now)
    if _content(changed) != _content(existing):
        changed = changed.at(next_timestamp(now, existing.timestamp))
        if view.host is not None:
            return Decided(changed, Change((changed, _touched(view.host, now))))
    written = () if changed == existing else (changed,)
    return Decided(changed, Change(written))


def check_new(wanted: InstanceRequest, view: RequestView) -> Refused | None:
    """Say why a request for what does not exist creates nothing, whatever is free."""
    wished = wanted.requested_state or RequestedState.STARTED
    if state_under(view.root, wished) is RequestedState.DESTROYED:
        return Refused(NotFound(f"no instance {wanted.title!r}: nothing to destroy"))
    if view.tree_instance_count >= TREE_INSTANCE_COUNT_MAX:
        return Refused(
            BadRequest(f"a tree has at most {TREE_INSTANCE_COUNT_MAX} instances")
        )
    return None


def refuse_unallocated(wanted: InstanceRequest, unallocated: Unallocated) -> Refused:
    """Say that a new instance has no place, and why."""
    sentence = f"no partition for {wanted.title!r}: {unallocated.sentence}"
    return Refused(NotFound(sentence), unallocated.reasons)


def decide_new(
    wanted: InstanceRequest,
    view: RequestView,
    place: Place,
    instance_guid: str,
    now: float,
) -> Decided:
    """Decide the creation of an instance at its place."""
    wished = wanted.requested_state or RequestedState.STARTED
    instance = InstanceRecord(
        instance_guid=instance_guid,
        title=wanted.title,
        root_guid=view.root.instance_guid if view.root else instance_guid,
        requester_guid=view.requester.instance_guid if view.requester else None,
        software_release_url=wanted.software_release_url,
        software_type=wanted.software_type,
        partition=place.allocated.key,
        timestamp=next_timestamp(now, place.last_timestamp),
        wished_state=wished,
        requested_state=state_under(view.root, wished),
        is_shared=wanted.is_shared,
        host_guid=place.allocated.host_guid,
        parameters=wanted.parameters,
        allocation_filter=wanted.allocation_filter,
    )
    assert instance.is_shared == (place.host is not None)
    if place.host is None:
        return Decided(instance, Change((instance,)))
    return Decided(instance, Change((instance, _touched(place.host, now))))


def decide_rename(
    instance: InstanceRecord,
    title: str,
    namesake: InstanceRecord | None,
    *,
    is_forwarded: bool = False,
) -> Decided | Refused:
    """Decide another title; ``namesake`` has it already, in the same tree.

    It ``is_forwarded`` when an instance of another master has it in that tree.
    """
    if title == instance.title:
        return Decided(instance)
    if namesake is not None or is_forwarded:
        return Refused(BadRequest(f"the title {title!r} is taken"))
    renamed = evolve(instance, title=title)
    return Decided(renamed, Change((renamed,)))


def state_under(root: InstanceRecord | None, wished: RequestedState) -> RequestedState:
    """Return what is wanted of an instance of a tree, or of a root without one."""
    if root is None or wished is RequestedState.DESTROYED:
        return wished
    if root.requested_state is RequestedState.STARTED:
        return wished
    return root.requested_state


def _content(instance: InstanceRecord) -> tuple[object, ...]:
    """Return what makes a real change."""
    return (
        instance.requested_state,
        instance.software_release_url,
        instance.software_type,
        instance.parameters,
    )


def _touched(host: InstanceRecord, now: float) -> InstanceRecord:
    return host.at(next_timestamp(now, host.timestamp))


def _forget_shared(
    shared: InstanceRecord, host: InstanceRecord | None, now: float
) -> Decided:
    assert host is not None
    return Decided(shared, Change((_touched(host, now),), (shared,)))
