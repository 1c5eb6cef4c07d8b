"""Commits whose end nobody heard: each is done once, or it is said that nobody knows.

Every call is made at a store that loses its commit in each way, and afterwards all that
is kept is what a store keeps that never lost any.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest
from BTrees.OOBTree import OOBTree, OOTreeSet
from persistent import Persistent
from twisted.internet.defer import Deferred

from master_cluster.doubts import key_of_call
from master_cluster.provisioning import Purpose
from master_cluster.store import decisions
from master_cluster.store.announcing import EVERYTHING
from master_cluster.store.cloud import Cloud
from master_cluster.store.marks import MARK_COUNT_MAX, Marks
from master_cluster.store.outages import StillInDoubt
from master_cluster.store.schema import StoredCloud
from master_cluster.store.store import (
    BUSY_RETRY_AFTER_SECONDS,
    DOUBT_SECONDS_MAX,
    DOUBTS_MAX,
    Store,
)
from runtime.http_client import HttpReply
from slap import calls
from slap.calls import Call
from slap.errors import BadRequest, NotFound, SlapError, Unavailable
from slap.methods import EXTENSION
from slap.model import RequestedInstance, RequestedState, SupplyState
from tests.builders import (
    COMPUTER_ID,
    a_computer_definition,
    an_installation,
    an_instance_request,
)
from tests.unit.master_cluster.benches import StoreBench, WebBench
from tests.unit.master_cluster.faults import Fault, FaultyStorage, opening
from tests.unit.master_cluster.test_every_call import KEY, REMOVED, right_calls
from tests.unit.master_cluster.test_transferring import begin_request, freeze

T = TypeVar("T")

#: Instants, guids, keys and what follows from them.
DRAWN = re.compile(
    r"\b0*1[67]\d{8,14}(\.\d+)?\b|\b[\da-f]{20,}\b|SOFTINST-[\da-f]{24}"
    r"|-----BEGIN.*?-----END|Not After: .*? UTC|token=.*"
)
SHARED = an_instance_request(title="front", requester=KEY, is_shared=True)


def a_store() -> tuple[StoreBench, FaultyStorage]:
    opened: list[FaultyStorage] = []
    bench = StoreBench(opening=opening(opened))
    bench.format()
    return bench, opened[0]


def all_calls(guid: str) -> Iterator[Call]:
    """Each call that writes, also those that cannot be told from what they leave."""
    yield calls.request_instance(an_instance_request(title="child", requester=KEY))
    yield calls.request_instance(SHARED)
    yield calls.request_instance(
        an_instance_request(
            title="front",
            requester=KEY,
            is_shared=True,
            requested_state=RequestedState.DESTROYED,
        )
    )
    yield Call(
        EXTENSION + "set_computer_attributes",
        {"computer_id": COMPUTER_ID, "attributes": {"region": "eu"}},
    )
    for purpose in Purpose:
        yield Call(EXTENSION + "token", {"purpose": str(purpose)})
    yield from right_calls(guid)
    yield calls.give_up_computer(COMPUTER_ID)


def a_cloud() -> tuple[WebBench, FaultyStorage, list[Call]]:
    """A master with a root, and all calls to make of it."""
    opened: list[FaultyStorage] = []
    bench = WebBench(opening=opening(opened), default_computer_id=COMPUTER_ID)
    bench.perform(calls.define_computer(a_computer_definition(4)))
    bench.perform(calls.supply(an_installation()))
    for state in SupplyState:
        bench.perform(
            calls.supply(
                an_installation(software_release_url=REMOVED, requested_state=state)
            )
        )
    root = bench.perform(calls.request_instance(an_instance_request(title="root")))
    assert isinstance(root, RequestedInstance)
    assert root.instance_guid is not None
    return bench, opened[0], list(all_calls(root.instance_guid))


def play(fault: Fault | None) -> tuple[list[object], object]:
    """Make all calls, each commit with a fault; gives all answers and what is left."""
    bench, storage, all_of_them = a_cloud()
    answers = []
    for call in all_of_them:
        storage.fault = fault
        ask = again if fault is Fault.AWAY else WebBench.perform
        answers.append(plain(ask(bench, call)))
    storage.fault = None
    left = kept(bench, plain)
    bench.close()
    return answers, left


def again(bench: WebBench, call: Call) -> object:
    """Ask once more when the answer is that the store is away."""
    told = error_of(bench, call)
    if told is not None:
        assert isinstance(told, Unavailable)
        assert told.retry_after_seconds == BUSY_RETRY_AFTER_SECONDS
    return bench.perform(call)


def error_of(bench: WebBench, call: Call) -> SlapError | None:
    try:
        bench.perform(call)
    except SlapError as error:
        return error
    return None


def kept(bench: WebBench, look: Callable[[StoredCloud], T]) -> T:
    store = bench.service._running.store  # type: ignore[union-attr] # noqa: SLF001
    return bench.world.result(store.ask(lambda cloud: look(cloud._stored)))  # noqa: SLF001


def plain(value: Any) -> object:
    """Everything below an object, but when, by which guid, and with which mark."""
    match value:
        case OOBTree():
            return sorted(repr((plain(key), plain(it))) for key, it in value.items())
        case OOTreeSet():
            return sorted(repr(plain(it)) for it in value)
        case Persistent():
            value._p_activate()  # noqa: SLF001 - the interface of persistent objects
            return {it: plain(vars(value)[it]) for it in vars(value) if it != "marks"}
        case dict():
            return {plain(key): plain(it) for key, it in value.items()}
        case list() | tuple():
            return [plain(it) for it in value]
    return DRAWN.sub("", repr(value))


@pytest.mark.parametrize("fault", Fault)
def test_each_call_is_done_once_whatever_becomes_of_its_commit(fault: Fault) -> None:
    expected, expected_left = play(None)

    answers, left = play(fault)

    assert answers == expected
    assert left == expected_left


REFUSED_AGAIN = {
    # The key of a certificate is told once: it has to be revoked.
    "generateComputerCertificate": BadRequest,
    "slapos.post.v0.compute_node_certificate": BadRequest,
    # What was to go is gone; of instances, those that are shared go at once.
    "requestComputerPartition 'front' of slappart0 of COMP-1": NotFound,
    "revokeComputerCertificate": NotFound,
    "slapos.remove.v0.compute_node_certificate": NotFound,
    "destroyedSoftwareRelease": NotFound,
    EXTENSION + "product_remove": NotFound,
}


def test_a_call_that_stays_in_doubt_is_asked_again_by_its_key() -> None:
    """What was made is found, or the refusal says that it is done."""
    bench, storage, all_of_them = a_cloud()
    refused, doubtful = {}, 0
    for call in all_of_them:
        storage.fault, storage.away_count = Fault.UNHEARD, 10_000
        told = error_of(bench, call)
        storage.fault, storage.away_count = None, 0
        # Until it is found again, polls are answered as of before.
        bench.world.run_for(2)
        if told is None:
            continue  # it writes nothing
        assert isinstance(told, Unavailable)
        assert told.retry_after_seconds == BUSY_RETRY_AFTER_SECONDS
        key = key_of_call(call.method, call.arguments)
        assert key in told.sentence
        doubtful += 1
        refusal = error_of(bench, call)
        if refusal is not None:
            name = key if call.method == "requestComputerPartition" else call.method
            refused[name] = type(refusal)

    assert refused == REFUSED_AGAIN
    assert doubtful > 30
    usage = kept(bench, lambda it: it.computers[COMPUTER_ID].usage.document_count)
    assert (usage, kept(bench, lambda it: len(it.instances))) == (1, 3)
    bench.close()


def register(
    bench: WebBench, path: str, token: object, title: bytes = b"attic"
) -> HttpReply:
    headers = {
        "X-Access-Token": str(token),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    return bench.send("POST", path, headers, b"title=" + title)


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.UNHEARD, Fault.LATE])
@pytest.mark.parametrize(
    ("path", "purpose"),
    [("Person_requestComputer", "computer"), ("Person_getCertificate", "person")],
)
def test_a_token_that_is_used_gives_its_certificate(
    fault: Fault, path: str, purpose: str
) -> None:
    """Its key is nowhere else; and where nobody knows, another token is asked for."""
    bench, storage, _ = a_cloud()
    tokens = [bench.perform(calls.get_token(purpose)) for _ in range(2)]

    storage.fault, storage.away_count = fault, 5
    given = register(bench, path, tokens[0])
    again = register(bench, path, tokens[0])
    storage.fault, storage.away_count = fault, 10_000
    in_doubt = register(bench, path, tokens[1], b"cellar")
    storage.away_count = 0

    assert (given.status, again.status, in_doubt.status) == (200, 403, 503)
    assert b"PRIVATE KEY" in given.body
    assert b"with another token" in in_doubt.body
    assert str(tokens[1]).encode() not in in_doubt.body
    assert in_doubt.headers["retry-after"] == str(BUSY_RETRY_AFTER_SECONDS)
    bench.close()


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.UNHEARD, Fault.LATE])
def test_a_commit_is_looked_for_until_the_store_is_back(fault: Fault) -> None:
    bench, storage = a_store()
    clock = bench.runtime.clock
    storage.fault, storage.away_count = fault, 20

    began = clock.seconds()
    root = bench.request()

    assert clock.seconds() - began < DOUBT_SECONDS_MAX
    assert storage.away_count == 0
    assert bench.request() == root
    bench.close()


def test_a_store_that_does_not_come_back_is_told_within_the_bound() -> None:
    bench, storage = a_store()
    clock = bench.runtime.clock
    storage.fault, storage.away_count = Fault.UNHEARD, 10_000

    began = clock.seconds()
    with pytest.raises(StillInDoubt) as raised:
        bench.request()

    assert DOUBT_SECONDS_MAX / 2 < clock.seconds() - began < DOUBT_SECONDS_MAX + 1
    assert raised.value.retry_after_seconds
    storage.away_count = 0
    bench.request()
    assert len(bench.ask(Cloud.roots)) == 1
    bench.close()


def test_a_store_that_loses_every_commit_is_left_alone() -> None:
    bench, storage = a_store()
    begun = []

    def decide(cloud: Cloud, attempt: int) -> None:
        begun.append(attempt)
        storage.fault = Fault.LOST
        decisions.define_computer(cloud, a_computer_definition(5), 1.0)

    with pytest.raises(Unavailable, match="nothing is written"):
        bench.decide(decide)

    assert begun == [0] * DOUBTS_MAX
    assert len(bench.computer().partitions) == 3
    bench.close()


def test_others_are_answered_while_a_commit_is_looked_for() -> None:
    """Also in a store that takes one decision after the other."""
    bench, storage = a_store()
    store = Store(bench.store._database, bench.runtime, decisions_max=1)  # noqa: SLF001
    clock = bench.runtime.clock
    storage.fault, storage.away_count = Fault.UNHEARD, 10_000

    def define(count: int) -> Deferred[None]:
        definition = a_computer_definition(count)
        return Deferred.fromCoroutine(
            store.decide(lambda it, _: decisions.define_computer(it, definition, 1.0))
        )

    began = clock.seconds()
    in_doubt = define(4)
    with pytest.raises(Unavailable, match="is away"):
        bench.world.result(define(5))
    assert clock.seconds() - began < 1
    storage.away_count = 0
    bench.world.result(in_doubt)

    assert len(bench.computer().partitions) == 4
    bench.close()


def test_whoever_listens_is_told_of_a_commit_that_was_found() -> None:
    bench, storage = a_store()
    told: list[object] = []
    bench.store.listen(told.append)
    storage.fault = Fault.UNHEARD

    bench.format(4)

    assert EVERYTHING in told
    bench.close()


def test_what_changes_nothing_leaves_no_mark() -> None:
    bench, storage = a_store()
    last_tid = storage.lastTransaction()

    bench.format()
    bench.ask(Cloud.computer_ids)

    assert storage.lastTransaction() == last_tid
    bench.close()


def test_marks_are_bounded_and_the_oldest_go() -> None:
    bench, _ = a_store()
    stored = StoredCloud()
    for _ in range(MARK_COUNT_MAX + 5):
        bench.world.run_for(1)
        mark = Marks(bench.runtime).take()
        mark.write(stored)

    assert len(stored.marks) == MARK_COUNT_MAX
    assert stored.marks.maxKey() == mark.slot
    bench.close()


def test_no_key_of_a_call_tells_a_secret() -> None:
    key = key_of_call("register", {"token": "s3cret", "title": "laptop"})

    assert key == "register 'laptop'"


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.UNHEARD, Fault.LATE])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_freeze_settles_what_is_in_doubt(fault: Fault, is_first: bool) -> None:
    """It is in the frozen state or never made; its caller is told which of the two.

    Also of the first commit of a process, whose mark nobody knew.
    """
    bench, storage = a_store()
    if is_first:
        bench.store = Store(bench.store._database, bench.runtime)  # noqa: SLF001
    storage.fault, storage.away_count = fault, 1
    _, asked = begin_request(bench, "in doubt")
    bench.world.run_until(lambda: storage.away_count == 0, 10)

    bench.decide(freeze)
    frozen = storage.lastTransaction()
    if fault is Fault.LOST:
        with pytest.raises(Unavailable, match="being moved"):
            bench.world.result(asked)
    else:
        bench.world.result(asked)

    titles = [it.title for it in bench.ask(Cloud.roots)]
    assert titles == ([] if fault is Fault.LOST else ["in doubt"])
    assert storage.lastTransaction() == frozen
    bench.close()
