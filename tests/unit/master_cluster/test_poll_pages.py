"""Polls over HTTP: what is sent once, what is not sent again, what is waited for."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from types import MappingProxyType

import pytest
from twisted.internet.defer import Deferred

from runtime.http_client import HttpReply
from slap import calls
from slap.calls import encode_answer
from slap.model import Computer, RequestedInstance
from slap.polling import WAIT_SECONDS_MAX
from tests.builders import COMPUTER_ID, a_computer_definition, an_instance_request
from tests.unit.master_cluster.benches import WebBench

POLL = f"getFullComputerInformation?computer_id={COMPUTER_ID}"
WAIT_SECONDS = 20
AT_ONCE_SECONDS = 0.3
"""A transaction and a computation in the simulated world."""


def change(bench: WebBench, title: str = "root") -> None:
    """Change the document, by the request of somebody else."""
    answer = bench.perform(calls.request_instance(an_instance_request(title=title)))
    assert isinstance(answer, RequestedInstance)


def poll(bench: WebBench, **headers: str) -> HttpReply:
    return bench.send(
        "GET", POLL, {name.replace("_", "-"): it for name, it in headers.items()}
    )


def start_poll(
    bench: WebBench, headers: Mapping[str, str] = MappingProxyType({})
) -> Deferred[HttpReply]:
    """Begin a poll, and let it reach the master."""
    url = f"http://127.0.0.1:{bench.address.port}/{POLL}"
    client = bench._client  # noqa: SLF001 - of the bench
    answer = Deferred.fromCoroutine(
        client.send("GET", url, headers, timeout_seconds=WAIT_SECONDS_MAX + 60)
    )
    bench.world.run_for(1)
    return answer


def start_waiting(
    bench: WebBench, etag: str, seconds: int = WAIT_SECONDS
) -> Deferred[HttpReply]:
    return start_poll(bench, {"If-None-Match": etag, "Prefer": f"wait={seconds}"})


def waiting_count(bench: WebBench) -> int:
    running = bench.service._running  # noqa: SLF001 - no other way to see
    assert running is not None
    return running.polls.polling.waiting_count


def test_a_document_is_sent_with_its_name(bench: WebBench) -> None:
    reply = poll(bench)

    computer = bench.perform(calls.get_computer(COMPUTER_ID))
    assert isinstance(computer, Computer)
    assert reply.body == encode_answer("getFullComputerInformation", computer).body
    assert reply.headers["etag"].strip('"').isalnum()
    assert {
        "content-type": "text/xml; charset=utf-8",
        "vary": "Accept-Encoding",
        "cache-control": "private, no-cache",
    }.items() <= reply.headers.items()


def test_the_old_name_of_the_method_names_the_same_document(bench: WebBench) -> None:
    old = bench.send("GET", f"getComputerInformation?computer_id={COMPUTER_ID}")

    assert (old.body, old.headers["etag"]) == (
        poll(bench).body,
        poll(bench).headers["etag"],
    )


def test_who_reads_gzip_gets_gzip(bench: WebBench) -> None:
    plain = poll(bench)

    packed = poll(bench, Accept_Encoding="gzip, deflate")

    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert packed.headers["etag"] == f"W/{plain.headers['etag']}"
    assert "content-encoding" not in plain.headers


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
def test_who_has_the_document_is_not_sent_it_again(bench: WebBench, form: str) -> None:
    etag = poll(bench).headers["etag"]

    reply = poll(bench, If_None_Match=form.format(etag))

    assert (reply.status, reply.body) == (304, b"")
    assert reply.headers["etag"] == etag


def test_an_answer_without_a_document_has_no_body(bench: WebBench) -> None:
    line = bench.connect()

    line.write(
        b"GET /%b HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: *\r\n\r\n"
        % POLL.encode()
    )
    bench.world.run_for(1)

    head, _, body = line.received.lower().partition(b"\r\n\r\n")
    assert head.startswith(b"http/1.1 304 ")
    assert b"content-" not in head
    assert body == b""
    assert line.transport is not None
    line.transport.loseConnection()


def test_an_idle_poll_touches_no_object_of_the_store(bench: WebBench) -> None:
    """It is answered while the store hangs."""
    first = poll(bench)
    bench.host.runtime.threads.pause()  # type: ignore[attr-defined] # simulated

    conditional = poll(bench, If_None_Match=first.headers["etag"])
    unconditional = poll(bench)

    assert (conditional.status, unconditional.body) == (304, first.body)
    bench.host.runtime.threads.resume()  # type: ignore[attr-defined]


def test_whoever_polls_after_a_change_sees_it(bench: WebBench) -> None:
    etags = [poll(bench).headers["etag"]]
    for number in range(3):
        change(bench, f"root {number}")
        reply = poll(bench, If_None_Match=", ".join(etags))
        assert f"root {number}".encode() in reply.body
        etags.append(reply.headers["etag"])

    assert len(set(etags)) == 4


def test_a_waiting_poll_is_woken_by_the_change_of_another_client(
    bench: WebBench,
) -> None:
    etag = poll(bench).headers["etag"]
    waiting = start_waiting(bench, etag)
    begun = bench.world.clock.seconds()
    assert not waiting.called

    change(bench)
    reply = bench.world.result(waiting)

    assert bench.world.clock.seconds() - begun < AT_ONCE_SECONDS
    assert reply.status == 200
    assert b"root" in reply.body


def test_a_change_of_another_computer_wakes_nobody(bench: WebBench) -> None:
    etag = poll(bench).headers["etag"]
    waiting = start_waiting(bench, etag)

    bench.perform(calls.define_computer(a_computer_definition(2, computer_id="OTHER")))
    bench.world.run_for(1)

    assert not waiting.called
    assert bench.world.result(waiting).status == 304


@pytest.mark.parametrize("seconds", [WAIT_SECONDS, WAIT_SECONDS_MAX, 10**8])
def test_a_poll_waits_as_long_as_it_prefers_within_a_bound(
    bench: WebBench, seconds: int
) -> None:
    etag = poll(bench).headers["etag"]
    begun = bench.world.clock.seconds()

    reply = bench.world.result(start_waiting(bench, etag, seconds), 1000)

    bounded = min(seconds, WAIT_SECONDS_MAX)
    assert reply.status == 304
    assert reply.headers["preference-applied"] == f"wait={bounded}"
    waited = bench.world.clock.seconds() - begun
    assert bounded <= waited < bounded + AT_ONCE_SECONDS


@pytest.mark.parametrize(
    "headers",
    [
        {"Prefer": "wait=20"},
        {"Prefer": "wait=20", "If-None-Match": '"other"'},
        {"Prefer": "wait=20", "If-None-Match": "*"},
        {"Prefer": "wait=0", "If-None-Match": "*"},
    ],
)
def test_what_has_an_answer_does_not_wait(
    bench: WebBench, headers: dict[str, str]
) -> None:
    poll(bench)

    reply = bench.world.result(start_poll(bench, headers), AT_ONCE_SECONDS)

    assert "preference-applied" not in reply.headers


def test_a_connection_that_is_cut_frees_its_place(bench: WebBench) -> None:
    etag = poll(bench).headers["etag"]
    line = bench.connect()
    line.write(
        b"GET /%b HTTP/1.1\r\nHost: localhost\r\nPrefer: wait=20\r\n"
        b"If-None-Match: %b\r\n\r\n" % (POLL.encode(), etag.encode())
    )
    bench.world.run_for(1)
    assert waiting_count(bench) == 1

    assert line.transport is not None
    line.transport.loseConnection()
    bench.world.run_for(1)

    assert waiting_count(bench) == 0


def test_a_master_that_stops_answers_who_waits(bench: WebBench) -> None:
    etag = poll(bench).headers["etag"]
    waiting = [start_waiting(bench, etag) for _ in range(3)]
    begun = bench.world.clock.seconds()

    stopping = bench.service.stopService()
    replies = [bench.world.result(it) for it in waiting]
    bench.world.result(stopping)

    assert [it.status for it in replies] == [304, 304, 304]
    assert bench.world.clock.seconds() - begun < 5


def test_a_master_that_stops_tells_who_waits_of_a_change(bench: WebBench) -> None:
    """What was acknowledged is not denied, though the document is computed still."""
    etag = poll(bench).headers["etag"]
    waiting = start_waiting(bench, etag)
    change(bench)

    stopping = bench.service.stopService()
    reply = bench.world.result(waiting)
    bench.world.result(stopping)

    assert reply.status == 200


@pytest.mark.parametrize(
    ("verb", "path", "status", "sentence"),
    [
        ("POST", POLL, 405, b"getFullComputerInformation is called with GET"),
        ("HEAD", POLL, 405, b""),
        ("GET", "getFullComputerInformation", 400, b"computer_id: missing"),
        ("GET", POLL + "%ff", 400, b"the form is not understood"),
        ("GET", POLL + "0", 404, b"no computer 'COMP-10'"),
    ],
)
def test_what_is_no_poll_is_refused_as_before(
    bench: WebBench, verb: str, path: str, status: int, sentence: bytes
) -> None:
    reply = bench.send(verb, path)

    assert reply.status == status
    assert sentence in reply.body
    assert "etag" not in reply.headers


def test_an_unexpected_error_is_an_incident(bench: WebBench) -> None:
    store = bench.service._running.store  # type: ignore[union-attr] # noqa: SLF001
    database = store._database  # noqa: SLF001 - to break it
    opened, database.open = database.open, None

    reply = poll(bench)

    database.open = opened
    assert (reply.status, b"incident" in reply.body) == (500, True)
    assert poll(bench).status == 200
