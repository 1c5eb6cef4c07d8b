"""Repeated requests over HTTP: from memory, and never behind what was acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from slap import calls
from slap.calls import Call
from slap.errors import SlapError
from slap.model import InstanceRequest, PartitionKey, RequestedState
from tests.builders import COMPUTER_ID, a_computer_definition, an_instance_request
from tests.unit.master_cluster.benches import WebBench

ROOT = an_instance_request(title="root")
HOST = PartitionKey(COMPUTER_ID, "slappart0")
CHILD = an_instance_request(title="child", requester=HOST)
CHILD_KEY = PartitionKey(COMPUTER_ID, "slappart1")
SHARED = an_instance_request(title="front", requester=CHILD_KEY, is_shared=True)
REPEATED = (ROOT, CHILD, SHARED)


@pytest.fixture
def bench() -> Iterator[WebBench]:
    bench = WebBench(default_computer_id=COMPUTER_ID)
    bench.perform(calls.define_computer(a_computer_definition(4)))
    for wanted in (*REPEATED, *REPEATED):
        bench.perform(calls.request_instance(wanted))
    yield bench
    bench.close()


def ask(bench: WebBench, wanted: InstanceRequest) -> object:
    """The answer to a request, or the class of its refusal."""
    try:
        return bench.perform(calls.request_instance(wanted))
    except SlapError as error:
        return type(error)


def afresh(bench: WebBench, wanted: InstanceRequest) -> object:
    """The answer to the same request in other bytes, which no memory knows."""
    call = calls.request_instance(wanted)
    http_call = calls.encode_call(call)
    reply = bench.send(
        http_call.verb, http_call.path, http_call.headers, http_call.body + b"&new=1"
    )
    answer = calls.HttpAnswer(reply.status, reply.headers, reply.body)
    try:
        return calls.decode_answer(call, answer)
    except SlapError as error:
        return type(error)


@pytest.mark.parametrize("wanted", REPEATED, ids=lambda it: it.title)
def test_an_identical_request_asks_no_store(
    bench: WebBench, wanted: InstanceRequest
) -> None:
    answer = ask(bench, wanted)
    bench.world.result(bench.host.runtime.threads.stop())

    assert ask(bench, wanted) == answer


def changed(**overrides: object) -> Call:
    return calls.request_instance(an_instance_request(**overrides))


CHANGES: dict[str, Callable[[], Call]] = {
    "publish": lambda: calls.publish_connection(CHILD_KEY, {"url": "http://[::1]/"}),
    "bang": lambda: calls.bang_instance(CHILD_KEY, "again"),
    "rename": lambda: calls.rename_instance(CHILD_KEY, "kid"),
    "rename the root": lambda: calls.rename_instance(HOST, "trunk"),
    "stop the root": lambda: changed(
        title="root", requested_state=RequestedState.STOPPED
    ),
    "destroy the root": lambda: changed(
        title="root", requested_state=RequestedState.DESTROYED
    ),
    "parameters of the child": lambda: changed(
        title="child", requester=HOST, parameters={"a": "b"}
    ),
    "another requester": lambda: changed(title="child", requester=CHILD_KEY),
    "other addresses": lambda: calls.define_computer(
        a_computer_definition(4, netmask="ffff::")
    ),
    "fewer partitions": lambda: calls.define_computer(a_computer_definition(1)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_in_the_next_answer(bench: WebBench, change: str) -> None:
    try:
        bench.perform(CHANGES[change]())
    except SlapError:
        assert change == "another requester"

    for wanted in REPEATED:
        ask(bench, wanted)  # may change something itself, under a root that changed
        assert ask(bench, wanted) == afresh(bench, wanted)


def test_a_destroyed_instance_is_requested_anew(bench: WebBench) -> None:
    bench.perform(changed(title="child", requester=HOST, requested_state=None))
    gone = an_instance_request(
        title="child", requester=HOST, requested_state=RequestedState.DESTROYED
    )
    bench.perform(calls.request_instance(gone))
    bench.perform(calls.report_destroyed(CHILD_KEY))

    answers = [ask(bench, CHILD), ask(bench, gone)]

    assert answers[0] != answers[1]
    assert ask(bench, CHILD) == afresh(bench, CHILD)
