"""Whole decisions, over both storages: what a tree of instances goes through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from master_cluster.records import ReportedState
from master_cluster.store import decisions, documents
from master_cluster.store.cloud import REFUSAL_COUNT_MAX
from slap.errors import BadRequest, NotFound
from slap.model import PartitionKey, RequestedState, SharedInstance
from tests.builders import (
    COMPUTER_ID,
    SOFTWARE_RELEASE_URL,
    a_partition_key,
    an_installation,
)
from tests.unit.master_cluster.benches import StoreBench
from tests.unit.master_cluster.invariants import check_cloud

STARTED, STOPPED, DESTROYED = RequestedState


@pytest.fixture(params=["memory", "file"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreBench]:
    uri = "memory:" if request.param == "memory" else f"file:{tmp_path}/state.fs"
    bench = StoreBench(uri)
    bench.format(4)
    yield bench
    bench.close()


def test_an_instance_is_requested_twice_and_is_one(bench: StoreBench) -> None:
    first = bench.request(parameters={"a": "1"})
    bench.world.run_for(10)

    assert bench.request(parameters={"a": "1"}) == first
    assert first.key == a_partition_key(0)


def test_one_title_in_two_trees_is_two_instances(bench: StoreBench) -> None:
    one, two = bench.request("one"), bench.request("two")

    first = bench.request("child", requester=one.key)
    second = bench.request("child", requester=two.key)

    assert first.key != second.key
    assert bench.request("child", requester=one.key) == first


def test_anybody_of_a_tree_asks_for_the_same_child(bench: StoreBench) -> None:
    root = bench.request()
    middle = bench.request("middle", requester=root.key)
    leaf = bench.request("leaf", requester=root.key)

    assert bench.request("leaf", requester=middle.key) == leaf

    bench.publish(leaf.key, {"url": "http://[::1]/"})
    assert bench.timestamp(middle.key) != middle.timestamp
    assert bench.timestamp(root.key) == root.timestamp


def test_a_circle_is_refused(bench: StoreBench) -> None:
    root = bench.request()
    middle = bench.request("middle", requester=root.key)
    leaf = bench.request("leaf", requester=middle.key)

    with pytest.raises(BadRequest, match="its own descendant"):
        bench.request("middle", requester=leaf.key)


def test_connection_parameters_reach_the_requester(bench: StoreBench) -> None:
    root = bench.request()
    child = bench.request("child", requester=root.key)
    bench.publish(child.key, {"url": "http://[::1]/"})
    touched = bench.timestamp(root.key)
    bench.publish(child.key, {"url": "http://[::1]/"})

    answer = bench.request("child", requester=root.key)

    assert answer.connection_parameters == {"url": "http://[::1]/"}
    assert answer.timestamp == child.timestamp
    assert bench.timestamp(root.key) == touched != root.timestamp


def test_a_shared_instance_lives_in_its_host(bench: StoreBench) -> None:
    root = bench.request()
    shared = bench.request(
        "front", requester=root.key, is_shared=True, parameters={"url": "a"}
    )

    instance = bench.partition(root.key).instance
    assert instance is not None
    assert shared.key == root.key
    assert shared.instance_guid is not None
    assert instance.shared_instances == (
        SharedInstance(
            shared.instance_guid,
            "front",
            "default",
            {"url": "a"},
            int(shared.timestamp or 0),
        ),
    )
    assert instance.timestamp != root.timestamp

    bench.publish(root.key, {"site": "b"}, shared.instance_guid)
    again = bench.request(
        "front", requester=root.key, is_shared=True, parameters={"url": "a"}
    )
    assert again.connection_parameters == {"site": "b"}


def test_a_host_is_not_told_what_it_publishes_for_a_guest(bench: StoreBench) -> None:
    """It could not tell that from what the user of the guest said."""
    host = bench.request("host")
    guest = bench.request("front", is_shared=True, parameters={"url": "a"})
    before = bench.partition(host.key)

    bench.publish(host.key, {"url": "b", "_": "{}"}, guest.instance_guid)

    assert bench.partition(host.key) == before


def test_references_of_shared_instances_do_not_depend_on_titles(
    bench: StoreBench,
) -> None:
    """The reference proxy confuses root a_b with child c, and root a with child b_c."""
    one, two = bench.request("a_b"), bench.request("a")

    first = bench.request("c", requester=one.key, is_shared=True)
    second = bench.request("b_c", requester=two.key, is_shared=True)

    assert first.instance_guid != second.instance_guid
    bench.publish(first.key, {"of": "first"}, first.instance_guid)
    assert (
        bench.request("b_c", requester=two.key, is_shared=True).connection_parameters
        == {}
    )


def test_a_stopped_shared_instance_is_hidden_from_its_host(bench: StoreBench) -> None:
    root = bench.request()
    bench.request("front", requester=root.key, is_shared=True, requested_state=STOPPED)

    instance = bench.partition(root.key).instance
    assert instance is not None
    assert instance.shared_instances == ()


def test_a_shared_instance_goes_with_its_host(bench: StoreBench) -> None:
    host, root = bench.request("host"), bench.request("root")
    wanted = {
        "is_shared": True,
        "requester": root.key,
        "allocation_filter": {"instance_guid": host.instance_guid},
    }
    bench.request("front", **wanted)
    bench.request("host", requested_state=DESTROYED)

    assert bench.report_destroyed(host.key) == "OK"

    assert bench.timestamp(root.key) != root.timestamp
    with pytest.raises(NotFound):
        bench.request("front", **wanted)


def test_a_tree_is_destroyed_from_its_root(bench: StoreBench) -> None:
    root = bench.request()
    child = bench.request("child", requester=root.key)
    bench.request("front", requester=root.key, is_shared=True)
    bench.request(requested_state=DESTROYED)

    first = bench.report_destroyed(root.key)
    states = [it.requested_state for it in bench.computer().partitions]
    second = bench.report_destroyed(child.key)
    third = bench.report_destroyed(root.key)
    fourth = bench.report_destroyed(root.key)

    assert first == (
        "Not destroying yet because this partition has child partitions: child"
    )
    assert states == [DESTROYED] * 4
    assert (second, third, fourth) == ("OK", "OK", "OK")
    assert all(it.instance is None for it in bench.computer().partitions)


def test_a_destroyed_child_cannot_come_back_before_its_root_is_gone(
    bench: StoreBench,
) -> None:
    root = bench.request()
    bench.request("child", requester=root.key)
    bench.request(requested_state=DESTROYED)

    answer = bench.request("child", requester=root.key)

    assert answer.requested_state is DESTROYED
    with pytest.raises(NotFound):
        bench.request("sibling", requester=root.key)


def test_destruction_is_taken_back_while_the_partition_is_not_free(
    bench: StoreBench,
) -> None:
    root = bench.request()
    bench.request(requested_state=DESTROYED)

    again = bench.request(requested_state=STARTED)

    assert (again.instance_guid, again.key) == (root.instance_guid, root.key)
    assert again.timestamp != root.timestamp
    assert "not requested" in bench.report_destroyed(root.key)


def test_what_a_child_requested_stays_when_the_child_goes(bench: StoreBench) -> None:
    root = bench.request()
    middle = bench.request("middle", requester=root.key)
    leaf = bench.request("leaf", requester=middle.key)
    bench.request("middle", requester=root.key, requested_state=DESTROYED)

    assert bench.report_destroyed(middle.key) == "OK"

    assert bench.request("leaf", requester=root.key) == leaf


def test_a_shared_instance_stays_in_a_host_that_fits_it_no_more(
    bench: StoreBench,
) -> None:
    root = bench.request()
    front = bench.request("front", is_shared=True)
    bench.request(software_release_url="https://other.example/")

    again = bench.request("front", is_shared=True)

    assert (again.key, again.instance_guid) == (root.key, front.instance_guid)


def test_destroying_what_never_existed_takes_no_partition(bench: StoreBench) -> None:
    with pytest.raises(NotFound):
        bench.request("never", requested_state=DESTROYED)

    assert all(it.instance is None for it in bench.computer().partitions)


def test_a_partition_used_again_gets_another_timestamp(bench: StoreBench) -> None:
    first = bench.request()
    bench.request(requested_state=DESTROYED)
    doomed = bench.timestamp(first.key)
    bench.report_destroyed(first.key)
    bench.host.calendar.step(-3600)

    second = bench.request()

    assert second.key == first.key
    assert second.timestamp is not None
    assert int(second.timestamp) > int(doomed)


def test_a_report_of_removal_of_what_is_wanted_frees_nothing(
    bench: StoreBench,
) -> None:
    root = bench.request()

    answer = bench.report_destroyed(root.key)

    assert answer == "Not destroying root: its destruction is not requested"
    assert bench.request() == root


def test_a_bang_touches_the_whole_tree_and_no_other(bench: StoreBench) -> None:
    root, other = bench.request(), bench.request("other")
    child = bench.request("child", requester=root.key)

    bench.decide(lambda it, _: decisions.bang_tree(it, child.key, "x", bench.now()))

    touched = bench.timestamp(root.key)
    assert touched == bench.timestamp(child.key)
    assert touched != root.timestamp
    assert bench.timestamp(other.key) == other.timestamp


def test_a_bang_of_a_computer_touches_what_is_on_it(bench: StoreBench) -> None:
    root, other = bench.request(), bench.request("other")

    bench.decide(
        lambda it, _: decisions.bang_computer(it, COMPUTER_ID, "x", bench.now())
    )

    assert bench.timestamp(root.key) == bench.timestamp(other.key) != root.timestamp


def test_a_root_keeps_its_tree_under_another_title(bench: StoreBench) -> None:
    root = bench.request("before")
    child = bench.request("child", requester=root.key)

    bench.decide(lambda it, _: decisions.rename_instance(it, root.key, "after", None))

    assert bench.request("after") == root
    assert bench.request("child", requester=root.key) == child
    instance = bench.partition(child.key).instance
    assert instance is not None
    assert instance.root_title == "after"
    assert instance.timestamp == child.timestamp


def test_fewer_partitions_keep_busy_ones_until_they_are_free(
    bench: StoreBench,
) -> None:
    roots = [bench.request(f"root {number}") for number in range(3)]
    bench.format(1)

    assert [it.key.partition_id for it in bench.computer().partitions] == [
        "slappart0",
        "slappart1",
        "slappart2",
    ]
    with pytest.raises(NotFound):
        bench.request("one more")
    bench.request("root 2", requested_state=DESTROYED)
    assert bench.report_destroyed(roots[2].key) == "OK"
    assert bench.request("root 1") == roots[1]
    assert len(bench.computer().partitions) == 2


def test_a_busy_partition_that_comes_back_is_given_again(bench: StoreBench) -> None:
    root = bench.request()
    bench.format(0)
    bench.format(1)
    bench.request(requested_state=DESTROYED)
    bench.report_destroyed(root.key)

    assert bench.request("other").key == root.key


def test_releases_stand_in_the_order_of_supply(bench: StoreBench) -> None:
    for letter in "cab":
        wanted = an_installation(software_release_url=f"https://{letter}.example/")
        bench.decide(lambda it, _, wanted=wanted: decisions.supply(it, wanted))

    assert [it.software_release_url for it in bench.computer().installations] == [
        "https://c.example/",
        "https://a.example/",
        "https://b.example/",
    ]


def test_an_error_of_a_release_is_reported_with_the_end_of_its_log(
    bench: StoreBench,
) -> None:
    bench.decide(lambda it, _: decisions.supply(it, an_installation()))
    bench.decide(
        lambda it, _: decisions.report_release(
            it,
            SOFTWARE_RELEASE_URL,
            COMPUTER_ID,
            ReportedState.ERROR,
            message="gcc: not found",
            now=bench.now(),
        )
    )

    report = bench.ask(lambda it: documents.report_of_computer(it, COMPUTER_ID))

    (installation,) = report.installations
    assert (installation.reported_state, installation.message) == (
        "error",
        "gcc: not found",
    )
    cloud = bench.ask(documents.report_of_cloud)
    assert [it.failing_count for it in cloud.computers] == [1]


def test_a_refusal_explains_itself_until_it_is_granted(bench: StoreBench) -> None:
    for number in range(4):
        bench.request(f"root {number}")
    with pytest.raises(NotFound, match="is free: 4 partitions are excluded"):
        bench.request("late")

    refused = bench.ask(lambda it: documents.report_of_allocation(it, "late", "", None))
    bench.format(5)
    placeable = bench.ask(
        lambda it: documents.report_of_allocation(it, "late", "", None)
    )
    bench.request("late")
    granted = bench.ask(lambda it: documents.report_of_allocation(it, "late", "", None))

    assert refused.verdict == "refused: none of 4 partitions fits"
    assert {it.name: it.excluded_count for it in refused.conditions} == {
        "reserved": 0,
        "offered": 0,
        "free": 4,
    }
    assert placeable.verdict == (
        "refused before; a partition fits now, the next request gets it"
    )
    assert granted.partition == a_partition_key(4)
    with pytest.raises(NotFound):
        bench.ask(lambda it: documents.report_of_allocation(it, "other", "", None))


def test_refusals_are_kept_in_a_bounded_number(bench: StoreBench) -> None:
    for number in range(REFUSAL_COUNT_MAX + 2):
        bench.world.run_for(1)
        with pytest.raises(NotFound):
            bench.request(f"{number}", allocation_filter={"odd": "1"})

    with pytest.raises(NotFound):
        bench.ask(lambda it: documents.report_of_allocation(it, "1", "", None))
    kept = bench.ask(lambda it: documents.report_of_allocation(it, "2", "", None))
    assert kept.verdict == "refused: none of 4 partitions fits"


def test_the_requester_must_exist_and_be_busy(bench: StoreBench) -> None:
    with pytest.raises(BadRequest):
        bench.request(requester=PartitionKey(COMPUTER_ID, "slappart99"))
    with pytest.raises(NotFound):
        bench.request(requester=a_partition_key(3))


def test_a_tree_is_reported_with_its_root_first(bench: StoreBench) -> None:
    root = bench.request()
    bench.request("a child", requester=root.key)
    bench.report(root.key, ReportedState.STARTED)

    report = bench.ask(lambda it: documents.report_of_tree(it, "root"))

    assert [
        (it.title, it.requester_title, it.reported_state) for it in report.instances
    ] == [("root", None, "started"), ("a child", "root", "")]


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("format"), st.integers(0, 5)),
        st.tuples(
            st.just("request"),
            st.sampled_from("abc"),
            st.none() | st.integers(0, 4),
            st.booleans(),
            st.none() | st.sampled_from(RequestedState),
            st.sampled_from("xy"),
        ),
        st.tuples(st.just("destroyed"), st.integers(0, 4)),
        st.tuples(st.just("rename"), st.integers(0, 4), st.sampled_from("abc")),
        st.tuples(st.just("publish"), st.integers(0, 4), st.sampled_from("xy")),
        st.tuples(st.just("bang"), st.integers(0, 4)),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=150)
@given(OPERATIONS)
def test_no_order_of_calls_breaks_the_store(operations: list[tuple]) -> None:  # type: ignore[type-arg]
    bench = StoreBench()
    for name, *arguments in operations:
        with suppress(NotFound, BadRequest):
            perform(bench, name, *arguments)
        bench.ask(check_cloud)
        if bench.ask(lambda it: it.has_computer(COMPUTER_ID)):
            bench.computer()
    bench.close()


def perform(bench: StoreBench, name: str, *arguments) -> None:
    match name:
        case "format":
            bench.format(*arguments)
        case "request":
            title, requester, is_shared, wished, url = arguments
            bench.request(
                title,
                requester=None if requester is None else a_partition_key(requester),
                is_shared=is_shared,
                requested_state=wished,
                software_release_url=f"https://{url}.example/",
            )
        case "destroyed":
            bench.report_destroyed(a_partition_key(*arguments))
        case "rename":
            number, title = arguments
            key = a_partition_key(number)
            bench.decide(lambda it, _: decisions.rename_instance(it, key, title, None))
        case "publish":
            number, value = arguments
            bench.publish(a_partition_key(number), {"v": value})
        case "bang":
            key = a_partition_key(*arguments)
            bench.decide(lambda it, _: decisions.bang_tree(it, key, "", bench.now()))
