"""Core. How instances go away.

An instance whose destruction is requested keeps its partition until its computer
reports that nothing is left of it. A root waits for its children: the first report
requests the destruction of all of them, and a later one frees the root, when no child
is left. Shared instances have no place of their own: they go with their root at its
first report, and with their host when it goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import evolve, field, frozen

from master_cluster.records import Change, InstanceRecord
from master_cluster.timestamps import next_timestamp
from slap.model import RequestedState

TITLES_MAX = 50
"""Children named in a refusal; a tree may have thousands."""


@frozen
class DestructionView:
    """What a report of removal is decided upon.

    ``children`` are all others of the tree when the instance is its root, else none.
    ``guests`` are the shared instances that it hosts. ``others`` are its requester, the
    hosts of the shared children and the requesters of the guests, by guid, as far as
    they exist.
    """

    instance: InstanceRecord
    children: Sequence[InstanceRecord] = ()
    guests: Sequence[InstanceRecord] = ()
    others: Mapping[str, InstanceRecord] = field(factory=dict)


@frozen
class Destruction:
    """What changes, and the sentence that answers the report."""

    sentence: str
    change: Change = field(factory=Change)


def decide_destroyed(view: DestructionView, now: float) -> Destruction:
    """Decide what a report of removal frees."""
    instance = view.instance
    if instance.requested_state is not RequestedState.DESTROYED:
        return Destruction(
            f"Not destroying {instance.title}: its destruction is not requested"
        )
    shared = [it for it in view.children if it.is_shared]
    waiting = [it for it in view.children if not it.is_shared]
    if waiting:
        written = [_destroyed(it, now) for it in waiting if not _is_destroyed(it)]
        titles = sorted(it.title for it in waiting)
        more = ", ..." if len(titles) > TITLES_MAX else ""
        return Destruction(
            "Not destroying yet because this partition has child partitions: "
            + ", ".join(titles[:TITLES_MAX])
            + more,
            _change(view, written, shared, now),
        )
    freed = {it.instance_guid: it for it in (*shared, *view.guests)}
    return Destruction("OK", _change(view, [], [*freed.values(), instance], now))


def _change(
    view: DestructionView,
    written: Sequence[InstanceRecord],
    freed: Sequence[InstanceRecord],
    now: float,
) -> Change:
    """Add those who learn of it: hosts of shared instances, and requesters.

    Who requested what has a place of its own, and goes itself, learns nothing by it.
    """
    gone = {it.instance_guid for it in freed}
    changed = {it.instance_guid: it for it in written}
    for it in freed:
        for guid in (it.host_guid, it.requester_guid):
            other = changed.get(guid or "") or view.others.get(guid or "")
            if other is None or (other.is_leaving and not it.is_shared):
                continue
            if other.instance_guid not in gone:
                changed[other.instance_guid] = other.at(
                    next_timestamp(now, other.timestamp)
                )
    return Change(tuple(changed.values()), tuple(freed))


def _is_destroyed(instance: InstanceRecord) -> bool:
    return instance.requested_state is RequestedState.DESTROYED


def _destroyed(instance: InstanceRecord, now: float) -> InstanceRecord:
    return evolve(
        instance,
        wished_state=RequestedState.DESTROYED,
        requested_state=RequestedState.DESTROYED,
        timestamp=next_timestamp(now, instance.timestamp),
    )
