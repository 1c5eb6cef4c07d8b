from __future__ import annotations

from typing import Any

from attrs import evolve

from master_cluster.destroying import (
    TITLES_MAX,
    Destruction,
    DestructionView,
    decide_destroyed,
)
from master_cluster.records import Change, InstanceRecord
from slap.model import RequestedState
from tests.builders import a_child_record, a_record, a_shared_record

DESTROYED = RequestedState.DESTROYED
NOW = 2.0
TOUCHED = "2000000"


def doomed(instance: InstanceRecord, **overrides: Any) -> InstanceRecord:
    return evolve(
        instance, wished_state=DESTROYED, requested_state=DESTROYED, **overrides
    )


def test_a_child_is_freed_at_once() -> None:
    child = doomed(a_child_record())

    destruction = decide_destroyed(DestructionView(child), NOW)

    assert destruction == Destruction("OK", Change((), (child,)))


def test_what_is_not_to_be_destroyed_stays() -> None:
    destruction = decide_destroyed(DestructionView(a_record()), NOW)

    assert destruction == Destruction(
        "Not destroying instance 0: its destruction is not requested"
    )


def test_a_root_waits_for_its_children_and_destroys_them() -> None:
    root = doomed(a_record())
    children = (a_child_record(2), doomed(a_child_record(1)))

    destruction = decide_destroyed(DestructionView(root, children), NOW)

    assert destruction == Destruction(
        "Not destroying yet because this partition has child partitions:"
        " instance 1, instance 2",
        Change((doomed(a_child_record(2), timestamp=TOUCHED),)),
    )


def test_a_refusal_names_a_bounded_number_of_children() -> None:
    children = [a_child_record(it, title="x") for it in range(1, TITLES_MAX + 9)]

    destruction = decide_destroyed(DestructionView(doomed(a_record()), children), NOW)

    assert destruction.sentence.endswith("x, x, ...")
    assert destruction.sentence.count("x") == TITLES_MAX


def test_a_root_without_children_is_freed_with_its_shared_instances() -> None:
    root = doomed(a_record())
    shared = a_shared_record(2, host=1)
    host = a_record(1)

    destruction = decide_destroyed(
        DestructionView(
            root, (shared,), others={"SOFTINST-1": host, "SOFTINST-0": root}
        ),
        NOW,
    )

    assert destruction == Destruction(
        "OK", Change((evolve(host, timestamp=TOUCHED),), (shared, root))
    )


def test_the_requesters_of_shared_instances_learn_that_their_host_is_gone() -> None:
    host = doomed(a_record(1))
    requester = a_record(0)
    guest = a_shared_record(2, root=0, host=1)

    destruction = decide_destroyed(
        DestructionView(
            host, guests=(guest,), others={"SOFTINST-0": requester, "SOFTINST-1": host}
        ),
        NOW,
    )

    assert destruction == Destruction(
        "OK", Change((evolve(requester, timestamp=TOUCHED),), (guest, host))
    )


def test_a_root_that_hosts_its_own_shared_instance_is_freed_once() -> None:
    root = doomed(a_record(0))
    shared = a_shared_record(2, root=0, host=0)

    destruction = decide_destroyed(
        DestructionView(root, (shared,), (shared,), {"SOFTINST-0": root}), NOW
    )

    assert destruction == Destruction("OK", Change((), (shared, root)))


def test_shared_children_of_a_waiting_root_go_first() -> None:
    root = doomed(a_record(0))
    child = a_child_record(1)
    shared = a_shared_record(2, root=0, host=1)

    destruction = decide_destroyed(
        DestructionView(
            root, (child, shared), others={"SOFTINST-0": root, "SOFTINST-1": child}
        ),
        NOW,
    )

    assert destruction.change == Change(
        (
            doomed(child, timestamp="2000001"),
            evolve(root, timestamp=TOUCHED),
        ),
        (shared,),
    )


def test_the_requester_of_a_child_learns_that_it_is_gone() -> None:
    """It may have waited for that; whoever goes too has nothing to wait for."""
    root, child = a_record(), doomed(a_child_record())
    view = DestructionView(child, others={root.instance_guid: root})

    assert decide_destroyed(view, NOW) == Destruction(
        "OK", Change((evolve(root, timestamp=TOUCHED),), (child,))
    )
    leaving = evolve(view, others={root.instance_guid: doomed(root)})
    assert decide_destroyed(leaving, NOW).change == Change((), (child,))
