"""Shell. What forwarding changes: the intention before a call, the outcome after it.

Each function is one decision, within one transaction of the store; nothing of another
master is waited for in here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from attrs import frozen

from master_cluster.forwarding import (
    ForwardedInstance,
    ForwardView,
    Masters,
    OtherMaster,
    Settled,
    choose_master,
    decide_forward,
    refuse_loop,
    settle_answer,
    settle_error,
    settle_overtaken,
)
from master_cluster.requesting import RequestView
from master_cluster.store.cloud import Cloud
from slap.errors import BadRequest, Overtaken, SlapError
from slap.freshness import UNSEEN
from slap.model import InstanceRequest, RequestedInstance


@frozen
class Sending:
    """What to ask of whom; ``hops`` are the masters that it came through, and us."""

    record: ForwardedInstance
    master: OtherMaster
    hops: tuple[str, ...]


@frozen
class Outlook:
    """What a process knows of other masters as a call begins, besides the store.

    ``drawn_id`` is for what gets a name or a number, empty when there is nobody to
    forward to. ``asking`` are the titles and
    releases for which other masters are asked just now: a request for one of them has
    come back through a master that names no hops. ``seen`` has the last transactions
    seen of other masters, by their names. A call that ``is_claiming`` has its intention
    written even if nothing of it changes.
    """

    masters: Masters
    drawn_id: str
    asking: frozenset[tuple[str, str]] = frozenset()
    seen: Mapping[str, bytes] = MappingProxyType({})
    is_claiming: bool = False


def begin_forward(
    cloud: Cloud, wanted: InstanceRequest, view: RequestView, outlook: Outlook
) -> Sending | None:
    """Write the intention to forward a request for what does not exist here.

    ``None`` when it is to be answered here, where nobody forwards it until the commit.
    """
    root_guid = view.root.instance_guid if view.root else ""
    known = cloud.forwarding.find(root_guid, wanted.title)
    master = choose_master(wanted, outlook.masters, known)
    if master is None:
        # In a tree whoever forwards writes the root, which is relied on anyway.
        if view.root is None and (
            outlook.masters.others or not cloud.forwarding.is_empty()
        ):
            cloud.forwarding.rely_on_absence(root_guid, wanted.title)
        return None
    if isinstance(master, SlapError):
        raise master
    master_id = cloud.forwarding.name(outlook.drawn_id)
    looping = refuse_loop(wanted, master_id)
    if looping is not None:
        raise looping
    if (wanted.title, wanted.software_release_url) in outlook.asking:
        raise BadRequest(f"{wanted.title!r} is forwarded in a circle of masters")
    tree_count = cloud.forwarding.count(root_guid) if root_guid else 0
    forward_view = ForwardView(view.requester, view.root, known, tree_count)
    seen = outlook.seen.get(master.url, UNSEEN)
    first_revision = int(outlook.drawn_id, 16)
    record = decide_forward(wanted, forward_view, master, first_revision, seen)
    if isinstance(record, SlapError):
        raise record
    if known is None:
        cloud.rely_on_absence(view.root, wanted.title)
        if view.root is not None:
            cloud.claim(view.root.instance_guid)
    cloud.forwarding.write(record)
    if outlook.is_claiming:
        cloud.forwarding.claim(record)
    return Sending(record, master, (*wanted.forwarded_by, master_id))


def finish_forward(
    cloud: Cloud,
    sent: ForwardedInstance,
    outcome: RequestedInstance | SlapError,
    seen: bytes = UNSEEN,
) -> Settled:
    """Write what became of a forwarded request.

    ``seen`` is the last transaction seen of the other master before this one began.
    """
    present = cloud.forwarding.find(sent.root_guid, sent.title)
    if isinstance(outcome, Overtaken):
        settled = settle_overtaken(present, seen)
    elif isinstance(outcome, SlapError):
        settled = settle_error(present, sent, outcome)
    else:
        settled = settle_answer(present, sent, outcome)
    if settled.record is not None:
        cloud.forwarding.write(settled.record)
    elif present is not None:
        cloud.forwarding.forget(present)
    return settled
