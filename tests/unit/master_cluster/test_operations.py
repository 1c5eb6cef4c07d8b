"""What watches a master: health, readiness, measures, and one id for each call."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.logger import Logger

from labsim.world.observer import Observer
from labsim.world.world import World
from master_cluster.config import AccessLog, Config
from master_cluster.service import build_service
from master_cluster.web.operations import READY_SECONDS_MAX
from runtime.http_client import HttpClient
from runtime.logs import LineObserver, render_json
from runtime.ports import TcpAddress
from slap import calls
from slap.errors import NotFound
from tests.builders import COMPUTER_ID, a_computer_definition, an_instance_request
from tests.source_tree import TOP
from tests.stores import open_test_database
from tests.unit.master_cluster.benches import WebBench

UNKNOWN = "getFullComputerInformation?computer_id=nowhere"


@pytest.fixture
def bench() -> Iterator[WebBench]:
    bench = WebBench()
    yield bench
    bench.close()


def metrics(bench: WebBench) -> dict[str, float]:
    """Every sample of the page, without the durations."""
    lines = bench.send("GET", "metrics").body.decode().splitlines()
    samples = [it.rpartition(" ") for it in lines if not it.startswith("#")]
    return {name: float(value) for name, _, value in samples if "seconds" not in name}


def hang_store(bench: WebBench, seconds: float) -> None:
    """Let the store begin no call for so long."""
    threads: Any = bench.host.runtime.threads
    threads.pause()
    bench.host.runtime.clock.callLater(seconds, threads.resume)


def test_a_master_is_alive_and_ready(bench: WebBench) -> None:
    answers = [bench.send("GET", it) for it in ("healthz", "readyz")]

    assert [(it.status, it.body) for it in answers] == [
        (200, b"alive\n"),
        (200, b"ready\n"),
    ]


def test_a_master_whose_store_hangs_is_alive_and_not_ready(bench: WebBench) -> None:
    hang_store(bench, 60)
    begun = bench.world.clock.seconds()

    ready = bench.send("GET", "readyz")
    waited = bench.world.clock.seconds() - begun
    alive = bench.send("GET", "healthz")
    bench.world.run_for(60)
    later = bench.send("GET", "readyz")

    assert (ready.status, ready.body) == (503, b"the store did not answer within 2 s\n")
    assert READY_SECONDS_MAX <= waited < READY_SECONDS_MAX + 1
    assert alive.status == 200
    assert later.status == 200


def test_a_store_that_hangs_is_asked_once_however_many_probe(bench: WebBench) -> None:
    hang_store(bench, 60)

    for _ in range(5):
        bench.send("GET", "readyz")

    assert bench.host.runtime.threads.call_count == 1
    bench.world.run_for(60)


def test_a_stopping_master_is_not_ready_and_closes_idle_connections() -> None:
    bench = WebBench()
    idle, asking = bench.connect(), bench.connect()
    asking.write(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    bench.world.run_for(1)
    hang_store(bench, 5)
    busy = bench.connect()
    busy.write(b"GET /" + UNKNOWN.encode() + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    bench.world.run_for(1)

    stopping = bench.service.stopService()
    bench.world.run_for(0.5)
    asking.write(b"\r\n")
    bench.world.run_for(0.5)
    was_idle_closed, was_stopped = idle.is_lost, stopping.called
    bench.world.result(stopping)
    bench.world.run_for(1)

    assert was_idle_closed
    assert not was_stopped
    assert asking.received.startswith(b"HTTP/1.1 503 ")
    assert asking.received.endswith(b"this master is stopping\n")
    assert b"\r\nConnection: close\r\n" in asking.received
    assert busy.received.startswith(b"HTTP/1.1 404 ")
    assert asking.is_lost
    assert busy.is_lost
    bench.close()


@pytest.mark.parametrize("delay_seconds", [0.0, 0.0005, 0.002, 0.02, 0.2])
def test_a_master_that_is_stopped_while_it_starts_did_not_fail(delay_seconds) -> None:
    """At whichever line: what it leaves behind, `finish` finds."""
    world = World(1)
    host = world.host("master")
    config = Config("memory:", TcpAddress("127.0.0.1", 5000))
    host.boot(lambda runtime: build_service(config, runtime, open_test_database))

    world.run_for(delay_seconds)

    world.finish()


def test_a_master_whose_start_is_cancelled_says_that() -> None:
    """SIGTERM cancels: the command ends as if it had been interrupted later."""
    world = World(1)
    config = Config("memory:", TcpAddress("127.0.0.1", 5000))
    runtime = world.host("master").runtime
    service = build_service(config, runtime, open_test_database)
    starting = service.startService()
    world.run_for(0.0005)

    starting.cancel()

    with pytest.raises(CancelledError):
        world.result(starting)
    world.finish()


def test_calls_are_counted_by_method_and_status(bench: WebBench) -> None:
    bench.perform(calls.define_computer(a_computer_definition(2)))
    with pytest.raises(NotFound):
        bench.perform(calls.get_computer("nowhere"))
    for path in ("nonsense", "other/nonsense", "nonsense"):
        bench.send("GET", path)

    counted = metrics(bench)

    assert {
        name: value for name, value in counted.items() if name.startswith("slapc")
    } == {
        'slapcluster_calls_total{method="getFullComputerInformation",status="404"}': 1,
        'slapcluster_calls_total{method="loadComputerConfigurationFromXML"'
        ',status="200"}': 1,
        'slapcluster_calls_total{method="other",status="404"}': 3,
        'slapcluster_store_attempts_total{outcome="done"}': 6,
        'slapcluster_store_attempts_total{outcome="refused"}': 1,
        "slapcluster_store_commits_total": 1,
        "slapcluster_store_threads_busy": 0,
        "slapcluster_store_calls_waiting": 0,
        "slapcluster_connections": 1,
        "slapcluster_polls_waiting": 0,
        "slapcluster_store_lost": 0,
    }


def test_polls_are_counted_by_how_they_end(bench: WebBench) -> None:
    bench.perform(calls.define_computer(a_computer_definition(1)))
    poll = f"getFullComputerInformation?computer_id={COMPUTER_ID}"
    first = bench.send("GET", poll)

    bench.send("GET", poll, {"If-None-Match": first.headers["etag"]})
    bench.send("GET", poll)
    bench.send("GET", UNKNOWN)

    name = "slapcluster_polls_total"
    assert {
        key: value for key, value in metrics(bench).items() if key.startswith(name)
    } == {f'{name}{{outcome="full"}}': 2, f'{name}{{outcome="unchanged"}}': 1}


def test_the_page_for_operators_names_every_measure(bench: WebBench) -> None:
    page = (TOP / "docs" / "operating.md").read_text()

    lines = bench.send("GET", "metrics").body.decode().splitlines()

    names = [it.split()[2] for it in lines if it.startswith("# TYPE ")]
    assert len(names) >= 8
    assert [it for it in names if f"`{it}`" not in page] == []


def test_durations_are_measured_on_the_clock(bench: WebBench) -> None:
    hang_store(bench, 0.75)
    with pytest.raises(NotFound):
        bench.perform(calls.get_computer("nowhere"))

    text = bench.send("GET", "metrics").body.decode()

    name = "slapcluster_call_seconds"
    of = 'method="getFullComputerInformation"'
    assert f'{name}_bucket{{{of},le="0.5"}} 0\n' in text
    assert f'{name}_bucket{{{of},le="1"}} 1\n' in text
    assert f"{name}_count{{{of}}} 1\n" in text


class LoggedMaster:
    """A master whose log is kept as JSON."""

    def __init__(self, access_log: AccessLog = AccessLog.CHANGES) -> None:
        self.world = World(0)
        runtime = self.world.host("master").runtime
        self.lines: list[str] = []
        observer = LineObserver(runtime.calendar, render_json, self.lines.append)
        log = Logger(namespace="slapcluster", observer=Observer(observer))
        self.runtime = evolve(runtime, log=log)
        config = Config("memory:", TcpAddress("127.0.0.1", 5000), access_log=access_log)
        self.service = build_service(config, self.runtime)
        self.world.result(self.service.startService())
        self.client = HttpClient(self.runtime)

    def send(self, call: calls.Call, **headers: str) -> Any:
        http = calls.encode_call(call)
        url = f"http://127.0.0.1:5000/{http.path}"
        sent = {**http.headers, **headers}
        return self.client.send(http.verb, url, sent, http.body, timeout_seconds=30)

    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(it) for it in self.lines]

    def close(self) -> None:
        self.world.result(self.client.close())
        self.world.result(self.service.stopService())
        self.world.finish()


def test_an_exchange_is_one_line_with_the_id_of_the_client() -> None:
    master = LoggedMaster()
    call = calls.define_computer(a_computer_definition(1))

    reply = master.world.result(master.send(call, **{"X-Request-Id": "trail-7"}))
    master.close()

    assert reply.headers["x-request-id"] == "trail-7"
    [line] = [it for it in master.documents() if "method" in it]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert (line["request_id"], line["level"], line["status"]) == (
        "trail-7",
        "info",
        200,
    )
    assert line["message"].startswith("POST loadComputerConfigurationFromXML 200 in ")


@pytest.mark.parametrize("sent", ["", "a b", "x" * 101, 'a"b', "é"])
def test_an_id_that_is_not_sane_is_replaced(bench: WebBench, sent: str) -> None:
    reply = bench.send("GET", "healthz", {"X-Request-Id": sent} if sent else {})

    assert re.fullmatch(r"[0-9a-f]{16}", reply.headers["x-request-id"])


def test_what_only_reads_is_silent_unless_it_fails_or_all_is_wanted() -> None:
    counts = []
    for access_log in AccessLog:
        master = LoggedMaster(access_log)
        definition = calls.define_computer(a_computer_definition(1))
        for call in (
            definition,
            calls.get_computer(COMPUTER_ID),
            calls.get_computer("nowhere"),
        ):
            master.world.result(master.send(call))
        master.close()
        counts.append([it["status"] for it in master.documents() if "method" in it])

    assert dict(zip(AccessLog, counts, strict=True)) == {
        AccessLog.NONE: [],
        AccessLog.CHANGES: [200, 404],
        AccessLog.ALL: [200, 200, 404],
    }


def test_lines_of_calls_that_run_at_once_keep_their_own_ids() -> None:
    """The id survives the threads of the store and the retries after conflicts."""
    master = LoggedMaster()
    call = calls.define_computer(a_computer_definition(3))
    master.world.result(master.send(call))

    wanted = [
        calls.request_instance(
            an_instance_request(
                title=f"t{n}", allocation_filter={"computer_guid": COMPUTER_ID}
            )
        )
        for n in range(5)
    ]
    running = [
        master.send(it, **{"X-Request-Id": f"id-{n}"}) for n, it in enumerate(wanted)
    ]
    replies = master.world.result(
        gatherResults([Deferred.fromCoroutine(it) for it in running])
    )
    master.close()

    answered = sorted((it.headers["x-request-id"], it.status) for it in replies)
    logged = sorted(
        (it["request_id"], it["status"])
        for it in master.documents()
        if it.get("method") == "requestComputerPartition"
    )
    assert logged == answered
    assert [status for _, status in answered].count(200) == 3


def test_nothing_secret_is_logged() -> None:
    master = LoggedMaster(AccessLog.ALL)
    master.world.result(master.send(calls.define_computer(a_computer_definition(1))))
    wanted = an_instance_request(
        parameters={"password": "hunter2"},
        allocation_filter={"computer_guid": COMPUTER_ID},
    )

    master.world.result(master.send(calls.request_instance(wanted)))
    master.world.result(master.send(calls.get_computer("hunter2")))
    master.close()

    assert "hunter2" not in "".join(master.lines)
