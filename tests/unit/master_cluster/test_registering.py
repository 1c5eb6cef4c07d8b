"""Computers that are registered, the addresses of a tree, and the process itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from master_cluster.config import Config
from master_cluster.errors import Misconfigured
from slap import calls
from slap.errors import BadRequest, NotFound
from slap.model import Computer, RequestedInstance, RequestedState
from tests.builders import (
    COMPUTER_ID,
    a_computer_definition,
    a_partition_key,
    an_instance_request,
    some_addresses,
)
from tests.unit.master_cluster.benches import WebBench


@pytest.fixture
def bench() -> Iterator[WebBench]:
    bench = WebBench(default_computer_id=COMPUTER_ID)
    yield bench
    bench.close()


def requested(bench: WebBench, title: str = "root", **more) -> RequestedInstance:
    wanted = an_instance_request(title=title, **more)
    answer = bench.perform(calls.request_instance(wanted))
    assert isinstance(answer, RequestedInstance)
    return answer


def test_a_computer_is_registered_once_for_each_title(bench: WebBench) -> None:
    first = bench.perform(calls.request_computer("laptop"))
    again = bench.perform(calls.request_computer("laptop"))
    other = bench.perform(calls.request_computer("server"))

    assert isinstance(first, Computer)
    assert isinstance(other, Computer)
    assert first == again == Computer(first.computer_id)
    assert first.computer_id.startswith("COMP-")
    assert other.computer_id != first.computer_id


def test_a_registered_computer_is_defined_later(bench: WebBench) -> None:
    registered = bench.perform(calls.request_computer("laptop"))
    assert isinstance(registered, Computer)
    definition = a_computer_definition(2, computer_id=registered.computer_id)

    bench.perform(calls.define_computer(definition))
    answer = bench.perform(calls.request_computer("laptop"))

    assert isinstance(answer, Computer)
    assert len(answer.partitions) == 2


def test_a_computer_needs_a_title(bench: WebBench) -> None:
    with pytest.raises(BadRequest, match="title: "):
        bench.perform(calls.request_computer(""))


def test_a_tree_has_the_addresses_of_all_its_partitions(bench: WebBench) -> None:
    bench.perform(calls.define_computer(a_computer_definition(4)))
    root = requested(bench)
    child = requested(bench, "child", requester=root.key)
    requested(bench, "front", requester=root.key, is_shared=True)
    requested(bench, "other tree")

    for key in (root.key, child.key):
        assert bench.perform(calls.get_tree_addresses(key)) == (
            *some_addresses(0),
            *some_addresses(1),
        )


def test_what_is_to_go_has_no_addresses(bench: WebBench) -> None:
    bench.perform(calls.define_computer(a_computer_definition(4)))
    root = requested(bench)
    child = requested(bench, "child", requester=root.key)
    requested(
        bench,
        "child",
        requester=root.key,
        requested_state=RequestedState.DESTROYED,
    )

    addresses = [
        bench.perform(calls.get_tree_addresses(it.key)) for it in (root, child)
    ]

    assert addresses == [some_addresses(0), ()]


def test_a_free_partition_has_no_tree(bench: WebBench) -> None:
    bench.perform(calls.define_computer(a_computer_definition(1)))

    with pytest.raises(NotFound):
        bench.perform(calls.get_tree_addresses(a_partition_key(0)))


def test_a_process_has_one_run_id() -> None:
    first, second = WebBench(seed=1), WebBench(seed=2)

    run_ids = [it.perform(calls.get_run_id()) for it in (first, first, second)]

    assert run_ids[0] == run_ids[1] != run_ids[2]
    assert [len(str(it)) for it in run_ids] == [32, 32, 32]
    first.close()
    second.close()


@pytest.mark.parametrize("prefix", ["erp5/portal_slap", "/slap/"])
def test_everything_is_served_below_a_prefix_too(prefix: str) -> None:
    bench = WebBench(path_prefix=prefix)
    paths = ("getRunId", f"{prefix.strip('/')}/getRunId")

    answers = [bench.send("GET", path).body for path in paths]

    assert answers[0] == answers[1]
    assert bench.send("GET", f"{prefix.strip('/')}/getNothing").status == 404
    bench.close()


@pytest.mark.parametrize("prefix", ["a//b", "a b", "é", "a?b"])
def test_a_prefix_is_a_path(prefix: str) -> None:
    with pytest.raises(Misconfigured, match="not a prefix"):
        Config("memory:", path_prefix=prefix)
