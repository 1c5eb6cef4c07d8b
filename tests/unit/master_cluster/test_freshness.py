"""Nobody is told less than they have seen, and nothing is done for who has gone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred
from ZODB.MappingStorage import MappingStorage
from ZODB.POSException import ConflictError, StorageError

from master_cluster.store.callers import Caller
from master_cluster.store.cloud import Cloud
from runtime.http_client import HttpReply
from slap import calls
from slap.calls import Call, decode_answer, encode_call
from slap.errors import Overtaken, Unavailable
from slap.freshness import (
    CLAIM_HEADER,
    CLAIMED,
    FRESHNESS_HEADER,
    UNSEEN,
    freshness_of,
)
from slap.model import PartitionKey, RequestedState
from tests.builders import (
    COMPUTER_ID,
    a_computer_definition,
    an_installation,
    an_instance_request,
)
from tests.unit.master_cluster.benches import StoreBench, WebBench, as_caller

ROOT = an_instance_request(title="root")
STOPPED = evolve(ROOT, requested_state=RequestedState.STOPPED)
STARTED = evolve(ROOT, requested_state=RequestedState.STARTED)
HOST = PartitionKey(COMPUTER_ID, "slappart0")
POLL = f"getFullComputerInformation?computer_id={COMPUTER_ID}"


@pytest.fixture
def store() -> Iterator[StoreBench]:
    bench = StoreBench()
    bench.format()
    yield bench
    bench.close()


@pytest.fixture
def web() -> Iterator[WebBench]:
    bench = WebBench(default_computer_id=COMPUTER_ID)
    bench.perform(calls.define_computer(a_computer_definition(3)))
    bench.perform(calls.supply(an_installation()))
    bench.perform(calls.request_instance(ROOT))
    yield bench
    bench.close()


def later(tid: bytes, step: int = 1) -> bytes:
    return (int.from_bytes(tid) + step).to_bytes(8)


def seen(tid: bytes) -> dict[str, str]:
    return {FRESHNESS_HEADER: tid.hex()}


def send(bench: WebBench, call: Call, tid: bytes = UNSEEN) -> HttpReply:
    wanted = encode_call(call)
    headers = {**wanted.headers, **(seen(tid) if tid > UNSEEN else {})}
    return bench.send(wanted.verb, wanted.path, headers, wanted.body)


def known_by(reply: HttpReply) -> bytes:
    return freshness_of(reply.headers)


def test_an_answer_says_what_it_knows(store: StoreBench) -> None:
    caller = Caller()
    before = as_caller(caller, lambda: store.ask(Cloud.computer_ids))
    first = caller.known
    as_caller(caller, lambda: store.format(5))

    assert before == (COMPUTER_ID,)
    assert UNSEEN < first < caller.known
    assert caller.has_written


NEVER = b"\xff" * 8
"""No clock makes it."""


def test_who_has_seen_more_is_answered_when_a_commit_proves_the_store(
    store: StoreBench,
) -> None:
    """As after the restoring of a backup: what was lost since is lost for everybody."""
    caller = Caller()
    as_caller(caller, lambda: store.ask(Cloud.computer_ids))
    ahead = Caller(seen=later(caller.known, 2**20))

    assert as_caller(ahead, lambda: store.ask(Cloud.computer_ids)) == (COMPUTER_ID,)
    assert ahead.known > ahead.seen
    again = Caller()
    as_caller(again, lambda: store.ask(Cloud.computer_ids))
    assert again.known == ahead.known


def test_who_has_seen_more_is_told_nothing_by_a_store_that_cannot_commit(
    store: StoreBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller, asked = Caller(), []
    as_caller(caller, lambda: store.ask(Cloud.computer_ids))

    def refuse(*_: object) -> None:
        raise StorageError("away")

    with monkeypatch.context() as patched:
        patched.setattr(MappingStorage, "tpc_begin", refuse)
        for step in (1, 2**20):
            ahead = Caller(seen=later(caller.known, step))
            with pytest.raises(Unavailable, match="behind"):
                as_caller(ahead, lambda: store.ask(asked.append))
            with pytest.raises(Unavailable, match="behind"):
                as_caller(ahead, lambda: store.decide(lambda it, _: asked.append(it)))

    assert asked == []


def test_what_nobody_can_have_seen_has_nothing_written(store: StoreBench) -> None:
    caller = Caller()
    as_caller(caller, lambda: store.ask(Cloud.computer_ids))

    for _ in range(3):
        with pytest.raises(Unavailable, match="behind"):
            as_caller(Caller(seen=NEVER), lambda: store.ask(Cloud.computer_ids))

    after = Caller()
    as_caller(after, lambda: store.ask(Cloud.computer_ids))
    assert after.known == caller.known


def test_nothing_is_begun_for_who_has_gone(store: StoreBench) -> None:
    asked: list[object] = []
    gone = Caller(is_gone=True)

    with pytest.raises(Unavailable, match="nobody"):
        as_caller(gone, lambda: store.decide(lambda it, _: asked.append(it)))
    with pytest.raises(Unavailable, match="nobody"):
        as_caller(gone, lambda: store.ask(asked.append))

    assert asked == []


def test_a_conflict_is_not_repeated_for_who_has_gone(store: StoreBench) -> None:
    caller, attempts = Caller(), []

    def conflict(_: Cloud, attempt: int) -> None:
        attempts.append(attempt)
        caller.is_gone = attempt == 2
        raise ConflictError

    with pytest.raises(Unavailable, match="nobody"):
        as_caller(caller, lambda: store.decide(conflict))

    assert attempts == [0, 1, 2]


def test_what_has_written_is_completed(store: StoreBench) -> None:
    """Who forwards a request notes what became of it, whoever waits."""
    caller = Caller()
    as_caller(caller, lambda: store.format(4))
    caller.is_gone = True
    as_caller(caller, lambda: store.format(5))

    assert len(store.computer().partitions) == 5


def test_a_record_that_changed_since_is_not_changed_unseen(store: StoreBench) -> None:
    """And the refusal says what there is to see."""
    caller = Caller()
    as_caller(caller, lambda: store.send(ROOT))
    stale = Caller(seen=caller.known)
    as_caller(caller, lambda: store.send(STOPPED))

    with pytest.raises(Overtaken):
        as_caller(stale, lambda: store.send(STARTED))

    assert stale.known >= caller.known
    as_caller(Caller(seen=stale.known), lambda: store.send(STARTED))


def test_a_claim_leaves_a_trace_though_nothing_changes(store: StoreBench) -> None:
    """What was asked before, and comes late, would change it otherwise."""
    caller = Caller()
    as_caller(caller, lambda: store.send(STARTED))
    late = Caller(seen=caller.known)
    claiming = Caller(seen=caller.known, is_claiming=True)
    as_caller(claiming, lambda: store.send(STARTED, is_claiming=True))

    with pytest.raises(Overtaken):
        as_caller(late, lambda: store.send(STOPPED))

    assert claiming.known > caller.known


def test_a_claim_is_not_answered_from_memory(web: WebBench) -> None:
    call = calls.request_instance(ROOT)
    first, again = send(web, call), send(web, call)
    wanted = encode_call(call)
    headers = {**wanted.headers, CLAIM_HEADER: CLAIMED}

    claimed = web.send(wanted.verb, wanted.path, headers, wanted.body)

    assert known_by(first) == known_by(again) < known_by(claimed)
    assert claimed.body == first.body


def test_another_record_that_changed_since_is_in_nobodys_way(store: StoreBench) -> None:
    caller = Caller()
    as_caller(caller, lambda: store.send(ROOT))
    store.request("other")

    as_caller(Caller(seen=caller.known), lambda: store.send(STOPPED))
    as_caller(Caller(seen=caller.known), lambda: store.request("third"))


@pytest.mark.parametrize(
    "call",
    [
        calls.get_computer(COMPUTER_ID),
        calls.get_partition(HOST),
        calls.request_instance(ROOT),
        calls.request_instance(STOPPED),
        calls.report_started(HOST),
        calls.get_tree_report("root"),
    ],
    ids=lambda it: it.method,
)
def test_every_answer_says_what_it_knows_over_http(web: WebBench, call: Call) -> None:
    """From memory, too; and who has seen more is sent elsewhere."""
    first, again = send(web, call), send(web, call)
    assert first.status == again.status == 200
    assert UNSEEN < known_by(first) <= known_by(again)

    current = send(web, call, known_by(again))
    assert current.status == 200
    behind = send(web, call, NEVER)

    assert behind.status == 503
    assert "retry-after" in behind.headers


def test_a_poll_from_memory_is_computed_anew_for_who_has_seen_more(
    web: WebBench,
) -> None:
    """The change was another computer's: it is the same document, and knows more."""
    polled = web.send("GET", POLL)
    elsewhere = send(
        web, calls.define_computer(a_computer_definition(1, computer_id="C"))
    )
    assert known_by(web.send("GET", POLL)) == known_by(polled) < known_by(elsewhere)

    condition = {"If-None-Match": polled.headers["etag"]}
    unchanged = web.send("GET", POLL, {**condition, **seen(known_by(elsewhere))})

    assert unchanged.status == 304
    assert known_by(unchanged) >= known_by(elsewhere)
    assert web.send("GET", POLL, seen(known_by(elsewhere))).body == polled.body


def test_a_document_is_computed_for_all_who_wait_not_for_the_first(
    web: WebBench,
) -> None:
    """Who asked first goes away while it is computed; the other one has it."""
    threads = web.host.runtime.threads
    threads.pause()
    line = web.connect()
    line.write(f"GET /{POLL} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    web.world.run_for(0.1)
    asking = Deferred.fromCoroutine(
        web._client.send(  # noqa: SLF001 - of the bench
            "GET", f"http://127.0.0.1:{web.address.port}/{POLL}", {}, timeout_seconds=60
        )
    )
    web.world.run_for(0.1)
    assert line.transport is not None
    line.transport.loseConnection()
    web.world.run_for(0.1)
    threads.resume()

    assert web.world.result(asking).status == 200


def test_a_call_whose_caller_has_gone_is_not_made(web: WebBench) -> None:
    threads = web.host.runtime.threads
    threads.pause()
    blocking = [web.connect() for _ in range(12)]
    wanted = encode_call(calls.request_instance(STOPPED))
    told = {
        "Host": "127.0.0.1",
        "Content-Length": str(len(wanted.body)),
        **wanted.headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    for line in blocking:
        line.write(f"POST /{wanted.path} HTTP/1.1\r\n{head}\r\n".encode() + wanted.body)
    web.world.run_for(0.1)
    for line in blocking:
        assert line.transport is not None
        line.transport.loseConnection()
    web.world.run_for(0.1)
    threads.resume()
    web.world.run_for(5)

    # Of those that had begun one was made; the others met it, and were not repeated.
    metrics = web.send("GET", "metrics").body.decode()
    assert 'store_attempts_total{outcome="left"} 11' in metrics


def test_what_is_refused_as_overtaken_reappears_as_such(web: WebBench) -> None:
    first = send(web, calls.get_tree_report("root"))
    send(web, calls.request_instance(STOPPED))

    call = calls.request_instance(evolve(ROOT, parameters={"a": "b"}))
    refused = send(web, call, known_by(first))

    assert refused.status == 412
    with pytest.raises(Overtaken):
        decode_answer(call, calls.HttpAnswer(412, refused.headers, refused.body))
    assert send(web, call, known_by(refused)).status == 200
