from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from master_cluster.allocation import Allocated
from master_cluster.records import Change, InstanceRecord
from master_cluster.requesting import (
    TREE_INSTANCE_COUNT_MAX,
    Decided,
    Place,
    Refused,
    RequestView,
    check_new,
    decide_existing,
    decide_new,
    decide_rename,
)
from slap.errors import BadRequest, NotFound
from slap.model import InstanceRequest, RequestedState
from tests.builders import (
    a_child_record,
    a_partition_key,
    a_record,
    a_shared_record,
    an_instance_request,
)

STARTED, STOPPED, DESTROYED = RequestedState
NOW = 2.0
TOUCHED = "2000000"


def the_same_request(existing: InstanceRecord, **overrides: Any) -> InstanceRequest:
    """Build the request that would create an instance like this one."""
    fields = {
        "title": existing.title,
        "software_release_url": existing.software_release_url,
        "software_type": existing.software_type,
        "parameters": existing.parameters,
        "allocation_filter": existing.allocation_filter,
        "is_shared": existing.is_shared,
    }
    return InstanceRequest(**{**fields, **overrides})


def a_view(existing: InstanceRecord, root: InstanceRecord, **more: Any) -> RequestView:
    return RequestView(
        **{"requester": root, "root": root, "existing": existing, **more}
    )


def test_the_same_request_again_changes_nothing() -> None:
    existing = a_record()

    decided = decide_existing(
        the_same_request(existing), RequestView(existing=existing), NOW
    )

    assert decided == Decided(existing, Change())


@pytest.mark.parametrize(
    "change",
    [
        {"software_release_url": "https://releases.example/2/software.cfg"},
        {"software_type": "other"},
        {"parameters": {"a": "1"}},
    ],
)
def test_a_real_change_gets_a_timestamp(change: dict[str, Any]) -> None:
    existing = a_record()

    decided = decide_existing(
        the_same_request(existing, **change), RequestView(existing=existing), NOW
    )

    changed = evolve(existing, timestamp=TOUCHED, **change)
    assert decided == Decided(changed, Change((changed,)))


def test_another_filter_is_kept_and_is_no_real_change() -> None:
    existing = a_record()
    wanted = the_same_request(existing, allocation_filter={"computer_guid": "COMP-9"})

    decided = decide_existing(wanted, RequestView(existing=existing), NOW)

    changed = evolve(existing, allocation_filter={"computer_guid": "COMP-9"})
    assert decided == Decided(changed, Change((changed,)))


def test_parameters_left_out_are_emptied() -> None:
    existing = a_record(parameters={"a": "1"})

    decided = decide_existing(
        the_same_request(existing, parameters={}), RequestView(existing=existing), NOW
    )

    assert isinstance(decided, Decided)
    assert decided.instance.parameters == {}


@pytest.mark.parametrize("wished", [STOPPED, DESTROYED])
def test_no_state_leaves_the_state(wished: RequestedState) -> None:
    existing = a_record(wished_state=wished, requested_state=wished)

    decided = decide_existing(
        the_same_request(existing), RequestView(existing=existing), NOW
    )

    assert decided == Decided(existing, Change())


def test_destruction_keeps_the_release_that_runs() -> None:
    existing = a_record(parameters={"a": "1"})
    wanted = the_same_request(
        existing,
        requested_state=DESTROYED,
        software_release_url="https://other.example/",
        parameters={},
    )

    decided = decide_existing(wanted, RequestView(existing=existing), NOW)

    changed = evolve(
        existing, wished_state=DESTROYED, requested_state=DESTROYED, timestamp=TOUCHED
    )
    assert decided == Decided(changed, Change((changed,)))


def test_a_stopped_root_stops_a_child_that_is_requested() -> None:
    root = a_record(requested_state=STOPPED)
    child = a_child_record()

    decided = decide_existing(the_same_request(child), a_view(child, root), NOW)

    stopped = evolve(child, requested_state=STOPPED, timestamp=TOUCHED)
    assert decided == Decided(stopped, Change((stopped,)))


def test_the_wish_of_a_child_returns_with_its_root() -> None:
    root = a_record()
    child = a_child_record(requested_state=STOPPED)

    decided = decide_existing(the_same_request(child), a_view(child, root), NOW)

    assert isinstance(decided, Decided)
    assert decided.instance.requested_state is STARTED


def test_a_child_may_be_stopped_in_a_started_tree() -> None:
    child = a_child_record()
    wanted = the_same_request(child, requested_state=STOPPED)

    decided = decide_existing(wanted, a_view(child, a_record()), NOW)

    assert isinstance(decided, Decided)
    assert decided.instance.requested_state is STOPPED


def test_whoever_asked_last_is_the_requester() -> None:
    root = a_record()
    other = a_child_record(5)
    child = a_child_record(1)

    decided = decide_existing(
        the_same_request(child), a_view(child, root, requester=other), NOW
    )

    moved = evolve(child, requester_guid=other.instance_guid)
    assert decided == Decided(moved, Change((moved,)))


def test_a_circle_of_requesters_is_refused() -> None:
    root = a_record()
    middle = a_child_record(1)
    leaf = a_child_record(2, requester_guid=middle.instance_guid)
    view = a_view(
        middle,
        root,
        requester=leaf,
        ancestor_guids=frozenset({"SOFTINST-0", "SOFTINST-1", "SOFTINST-2"}),
    )

    refused = decide_existing(the_same_request(middle), view, NOW)

    assert isinstance(refused, Refused)
    assert isinstance(refused.error, BadRequest)


@pytest.mark.parametrize("is_shared", [True, False])
def test_what_is_shared_stays_so(*, is_shared: bool) -> None:
    existing = a_record() if is_shared else a_shared_record()
    wanted = the_same_request(existing, is_shared=is_shared)

    refused = decide_existing(wanted, RequestView(existing=existing), NOW)

    assert isinstance(refused, Refused)
    assert isinstance(refused.error, BadRequest)


def test_a_changed_shared_instance_touches_its_host() -> None:
    root, host, shared = a_record(0), a_record(1), a_shared_record()
    wanted = the_same_request(shared, parameters={"url": "http://[::1]/"})

    decided = decide_existing(wanted, a_view(shared, root, host=host), NOW)

    changed = evolve(shared, parameters={"url": "http://[::1]/"}, timestamp=TOUCHED)
    touched = evolve(host, timestamp=TOUCHED)
    assert decided == Decided(changed, Change((changed, touched)))


def test_a_shared_instance_is_gone_when_its_destruction_is_requested() -> None:
    root, host, shared = a_record(0), a_record(1), a_shared_record()
    wanted = the_same_request(shared, requested_state=DESTROYED)

    decided = decide_existing(wanted, a_view(shared, root, host=host), NOW)

    gone = evolve(shared, wished_state=DESTROYED, requested_state=DESTROYED)
    touched = evolve(host, timestamp=TOUCHED)
    assert decided == Decided(gone, Change((touched,), (gone,)))


def test_a_new_instance_is_the_root_of_a_tree_of_its_own() -> None:
    wanted = an_instance_request(parameters={"a": "1"})
    place = Place(Allocated(a_partition_key(3)), last_timestamp="5000000")

    decided = decide_new(wanted, RequestView(), place, "SOFTINST-9", NOW)

    instance = InstanceRecord(
        instance_guid="SOFTINST-9",
        title=wanted.title,
        root_guid="SOFTINST-9",
        requester_guid=None,
        software_release_url=wanted.software_release_url,
        software_type=wanted.software_type,
        partition=a_partition_key(3),
        timestamp="5000001",
        parameters={"a": "1"},
        allocation_filter=wanted.allocation_filter,
    )
    assert decided == Decided(instance, Change((instance,)))


def test_a_new_child_of_a_stopped_root_is_stopped() -> None:
    root = a_record(requested_state=STOPPED)
    view = RequestView(requester=root, root=root)
    place = Place(Allocated(a_partition_key(3)))

    decided = decide_new(an_instance_request(), view, place, "SOFTINST-9", NOW)

    assert decided.instance.wished_state is STARTED
    assert decided.instance.requested_state is STOPPED
    assert decided.instance.root_guid == root.instance_guid


def test_a_new_shared_instance_touches_its_host() -> None:
    host = a_record(1)
    place = Place(Allocated(host.partition, host.instance_guid), host=host)
    wanted = an_instance_request(is_shared=True)

    decided = decide_new(wanted, RequestView(), place, "SOFTINST-9", NOW)

    touched = evolve(host, timestamp=TOUCHED)
    assert decided.change == Change((decided.instance, touched))
    assert decided.instance.partition == host.partition


@pytest.mark.parametrize(
    "view",
    [RequestView(), RequestView(root=a_record(requested_state=DESTROYED))],
    ids=["asked for", "by the root"],
)
def test_what_never_existed_is_not_found_and_not_created(view: RequestView) -> None:
    wished = None if view.root else DESTROYED

    refused = check_new(an_instance_request(requested_state=wished), view)

    assert isinstance(refused, Refused)
    assert isinstance(refused.error, NotFound)


def test_a_tree_has_a_largest_size() -> None:
    root = a_record()
    view = RequestView(
        requester=root, root=root, tree_instance_count=TREE_INSTANCE_COUNT_MAX
    )

    refused = check_new(an_instance_request(), view)

    assert isinstance(refused, Refused)
    assert isinstance(refused.error, BadRequest)


def test_a_new_title_is_no_real_change() -> None:
    instance = a_record()

    decided = decide_rename(instance, "other", None)

    renamed = evolve(instance, title="other")
    assert decided == Decided(renamed, Change((renamed,)))


def test_a_title_that_is_taken_is_refused() -> None:
    refused = decide_rename(a_record(0), "instance 1", a_record(1))

    assert isinstance(refused, Refused)
    assert isinstance(refused.error, BadRequest)


def test_the_title_that_it_has_already_is_no_change() -> None:
    instance = a_record(0)

    assert decide_rename(instance, instance.title, instance) == Decided(instance)
