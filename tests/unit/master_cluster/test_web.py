"""The master over HTTP: the real twisted.web on the network of a simulated world."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labsim.world.world import World
from master_cluster.config import Config
from master_cluster.errors import Misconfigured
from master_cluster.remembering import AnswerMemory
from master_cluster.service import build_service
from master_cluster.web.channel import (
    HEADER_BYTES_MAX,
    LINGER_SECONDS,
    RECEIVE_SECONDS_MAX,
    LimitedSite,
)
from master_cluster.web.origin import is_loopback
from master_cluster.web.site import Gate
from runtime.http_client import HttpClient
from runtime.http_server import IDLE_SECONDS
from runtime.ports import TcpAddress
from slap import calls
from slap.calls import Call
from slap.errors import BadRequest, NotFound, Unavailable
from slap.form import BODY_BYTES_MAX
from slap.methods import METHODS
from slap.model import (
    Certificate,
    Computer,
    RequestedInstance,
    RequestedState,
    SupplyState,
)
from slap.reports import CloudReport, ComputerReport, InstallationReport, TreeReport
from tests.builders import (
    COMPUTER_ID,
    SOFTWARE_RELEASE_URL,
    a_partition_key,
    a_usage_document,
    an_installation,
    an_instance_request,
)
from tests.unit.master_cluster.benches import WebBench

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
POLL = f"getFullComputerInformation?computer_id={COMPUTER_ID}"


def requested(bench: WebBench, title: str = "root", **more) -> RequestedInstance:
    answer = bench.perform(
        calls.request_instance(an_instance_request(title=title, **more))
    )
    assert isinstance(answer, RequestedInstance)
    return answer


def test_every_call_of_a_life_is_answered(bench: WebBench) -> None:
    bench.perform(calls.supply(an_installation()))
    bench.perform(calls.report_building(SOFTWARE_RELEASE_URL, COMPUTER_ID))
    bench.perform(calls.report_available(SOFTWARE_RELEASE_URL, COMPUTER_ID))
    root = requested(bench)
    child = requested(bench, "child", requester=root.key)
    shared = requested(bench, "front", requester=root.key, is_shared=True)
    bench.perform(calls.report_started(root.key))
    bench.perform(calls.report_stopped(child.key))
    bench.perform(calls.report_instance_error(child.key, "no such file"))
    bench.perform(
        calls.report_instance_error(root.key, "no site", shared.instance_guid)
    )
    bench.perform(calls.publish_connection(child.key, {"url": "http://[::1]/"}))
    bench.perform(calls.report_requested_titles(root.key, ("child", "front")))
    bench.perform(calls.bang_instance(child.key, "promise failed"))
    bench.perform(calls.bang_computer(COMPUTER_ID, "watchdog"))
    bench.perform(calls.rename_instance(child.key, "kid"))
    bench.perform(calls.send_usage(COMPUTER_ID, a_usage_document()))
    certificate = bench.perform(calls.get_certificate(root.key))
    tree = bench.perform(calls.get_tree_report("root"))
    computer = bench.perform(calls.get_computer(COMPUTER_ID))

    assert isinstance(certificate, Certificate)
    assert f"CN={root.instance_guid}/" in certificate.certificate
    assert isinstance(tree, TreeReport)
    assert [(it.title, it.reported_state, it.message) for it in tree.instances] == [
        ("root", "started", ""),
        ("front", "error", "no site"),
        ("kid", "error", "bang called: promise failed"),
    ]
    assert isinstance(computer, Computer)
    assert computer.partitions[0] == bench.perform(calls.get_partition(root.key))


def test_an_instance_is_told_what_it_requested_itself(bench: WebBench) -> None:
    root = requested(bench)
    child = requested(bench, "child", requester=root.key, parameters={"leg": "1"})
    requested(bench, "grandchild", requester=child.key)
    bench.perform(calls.publish_connection(child.key, {"url": "http://[::1]/"}))

    of_root = bench.perform(calls.get_requested(root.key))
    of_child = bench.perform(calls.get_requested(child.key))

    assert isinstance(of_root, TreeReport)
    assert isinstance(of_child, TreeReport)
    (told,) = of_root.instances
    assert (of_root.title, told.title, told.software_release_url) == (
        *("root", "child", SOFTWARE_RELEASE_URL),
    )
    assert (told.parameters, told.connection_parameters) == (
        {"leg": "1"},
        {"url": "http://[::1]/"},
    )
    assert [it.title for it in of_child.instances] == ["grandchild"]
    with pytest.raises(NotFound, match="no partition"):
        bench.perform(calls.get_requested(a_partition_key(5)))


def test_a_tree_goes_and_its_partitions_are_free(bench: WebBench) -> None:
    root = requested(bench)
    child = requested(bench, "child", requester=root.key)
    requested(bench, requested_state=RequestedState.DESTROYED)

    answers = [
        bench.perform(calls.report_destroyed(key))
        for key in (root.key, child.key, root.key)
    ]

    assert answers == [
        "Not destroying yet because this partition has child partitions: child",
        "OK",
        "OK",
    ]
    cloud = bench.perform(calls.get_cloud_report())
    assert isinstance(cloud, CloudReport)
    assert cloud.trees == ()
    assert cloud.computers[0].free_count == 3


def test_a_release_goes_when_its_removal_was_requested(bench: WebBench) -> None:
    bench.perform(calls.supply(an_installation()))
    with pytest.raises(NotFound, match="is not requested"):
        bench.perform(calls.report_removed(SOFTWARE_RELEASE_URL, COMPUTER_ID))
    bench.perform(calls.supply(an_installation(requested_state=SupplyState.DESTROYED)))
    bench.perform(
        calls.report_software_error(SOFTWARE_RELEASE_URL, COMPUTER_ID, "in use")
    )

    before = bench.perform(calls.get_computer_report(COMPUTER_ID))
    bench.perform(calls.report_removed(SOFTWARE_RELEASE_URL, COMPUTER_ID))
    after = bench.perform(calls.get_computer_report(COMPUTER_ID))

    assert isinstance(before, ComputerReport)
    assert isinstance(after, ComputerReport)
    assert before.installations == (
        InstallationReport(
            SOFTWARE_RELEASE_URL,
            "destroyed",
            "error",
            "in use",
            before.installations[0].reported_at,
        ),
    )
    assert after.installations == ()


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"requester": a_partition_key()},
        {"requester": a_partition_key(), "is_shared": True},
        {"is_shared": True},
    ],
)
def test_an_identical_request_has_the_same_bytes(
    bench: WebBench, more: dict[str, Any]
) -> None:
    """Of a root, a child and shared ones, whatever happens beside it."""
    root = requested(bench)
    wanted = calls.encode_call(
        calls.request_instance(an_instance_request(parameters={"a": "1"}, **more))
    )

    first = bench.send(wanted.verb, wanted.path, wanted.headers, wanted.body)
    bench.world.run_for(100)
    bench.perform(calls.report_started(root.key))
    requested(bench, "another")
    bench.perform(calls.supply(an_installation()))
    bench.perform(calls.report_building(SOFTWARE_RELEASE_URL, COMPUTER_ID))
    again = bench.send(wanted.verb, wanted.path, wanted.headers, wanted.body)

    assert (first.status, first.body) == (200, again.body)


UNKNOWN = a_partition_key(99)


@pytest.mark.parametrize(
    "call",
    [
        calls.get_computer("COMP-9"),
        calls.get_partition(UNKNOWN),
        calls.get_certificate(UNKNOWN),
        calls.issue_computer_certificate("COMP-9"),
        calls.revoke_computer_certificate("COMP-9"),
        calls.revoke_computer_certificate(COMPUTER_ID),
        calls.supply(an_installation(computer_id="COMP-9")),
        calls.report_available(SOFTWARE_RELEASE_URL, COMPUTER_ID),
        calls.report_started(UNKNOWN),
        calls.report_started(a_partition_key(0)),
        calls.report_destroyed(UNKNOWN),
        calls.report_instance_error(UNKNOWN, "x"),
        calls.publish_connection(UNKNOWN, {}),
        calls.bang_instance(UNKNOWN, "x"),
        calls.bang_computer("COMP-9", "x"),
        calls.rename_instance(UNKNOWN, "x"),
        calls.send_usage("COMP-9", a_usage_document()),
        calls.report_requested_titles(UNKNOWN, ()),
        calls.get_computer_report("COMP-9"),
        calls.get_tree_report("nothing"),
        calls.explain_allocation("nothing"),
        calls.request_instance(
            an_instance_request(allocation_filter={"computer_guid": "COMP-9"})
        ),
    ],
    ids=lambda call: call.method,
)
def test_what_is_unknown_is_not_found(bench: WebBench, call: Call) -> None:
    with pytest.raises(NotFound):
        bench.perform(call)


def test_an_unknown_requester_is_a_bad_request(bench: WebBench) -> None:
    with pytest.raises(BadRequest, match="the requester is not known"):
        requested(bench, requester=UNKNOWN)


BOMB = (
    '<!DOCTYPE m [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>'
    "<marshal><string>&c;&c;&c;</string></marshal>"
)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"software_release": "x", "partition_reference": "y", "state": "started"},
        {"software_release": "x", "partition_reference": "y", "state": BOMB},
        {"software_release": "x", "partition_reference": "y", "filter_xml": BOMB},
        {
            "software_release": "x",
            "partition_reference": "y",
            "shared_xml": "<marshal>"
            + "<list>" * 5000
            + "</list>" * 5000
            + "</marshal>",
        },
        {
            "software_release": "x",
            "partition_reference": "y",
            "partition_parameter_xml": '<marshal><object id="i2" module="os"'
            ' class="system"><tuple><string>id</string></tuple></object></marshal>',
        },
    ],
    ids=["missing", "undecodable", "bomb", "bomb in a filter", "deep", "strange class"],
)
def test_a_field_that_is_not_understood_is_a_bad_request(
    bench: WebBench, fields: dict[str, str]
) -> None:
    reply = bench.send(
        "POST", "requestComputerPartition", FORM, urlencode(fields).encode()
    )

    assert reply.status == 400
    cloud = bench.perform(calls.get_cloud_report())
    assert isinstance(cloud, CloudReport)
    assert cloud.trees == ()


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(sorted(METHODS)),
    st.sampled_from(["", "application/json", FORM["Content-Type"]]),
    st.binary(max_size=60),
)
def test_no_bytes_make_the_master_fail(
    lasting_bench: WebBench, name: str, content_type: str, body: bytes
) -> None:
    headers = {"Content-Type": content_type}

    reply = lasting_bench.send(METHODS[name].verb, name, headers, body)

    assert reply.status in {200, 400, 404}


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("GET", "requestComputerPartition", 405),
        ("POST", POLL, 405),
        ("PUT", POLL, 405),
        ("GET", "noSuchMethod", 404),
        ("GET", "index.html", 404),
        ("GET", "getFullComputerInformation?computer_id=%ff%fe", 400),
        ("GET", "getFullComputerInformation", 400),
    ],
)
def test_an_address_that_is_not_served_is_said_so(
    bench: WebBench, verb: str, path: str, status: int
) -> None:
    reply = bench.send(verb, path)

    assert reply.status == status
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"


def test_the_right_verb_is_told_with_the_refusal_of_a_wrong_one(
    bench: WebBench,
) -> None:
    assert bench.send("GET", "requestComputerPartition").headers["allow"] == "POST"


def status_of(received: bytes) -> bytes:
    return received.partition(b"\r\n")[0]


def test_a_body_that_is_announced_too_long_is_refused_at_once(
    bench: WebBench,
) -> None:
    line = bench.connect()

    line.write(
        b"POST /useComputer HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: %d\r\n\r\nbegin" % (BODY_BYTES_MAX + 1)
    )
    bench.world.run_until(lambda: line.received)
    line.write(b"x" * 100_000)
    bench.world.run_until(lambda: line.is_lost, LINGER_SECONDS + 1)

    assert status_of(line.received) == b"HTTP/1.1 413 Content Too Large"
    assert line.received.endswith(f"at most {BODY_BYTES_MAX} bytes".encode())


def test_a_body_that_grows_too_long_is_refused(bench: WebBench) -> None:
    line = bench.connect()
    chunk = b"%x\r\n%b\r\n" % (2**20, b"x" * 2**20)

    line.write(
        b"POST /useComputer HTTP/1.1\r\nHost: localhost\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    for _ in range(BODY_BYTES_MAX // 2**20 + 3):
        line.write(chunk)
    bench.world.run_until(lambda: line.is_lost)

    assert status_of(line.received) == b"HTTP/1.1 413 Content Too Large"


@pytest.mark.parametrize(
    "head",
    [
        b"X: " + b"x" * (HEADER_BYTES_MAX + 10) + b"\r\n",
        b"Content-Length: " + b"9" * 5000 + b"\r\n",
        b"X: 1\r\n" * 101,
        b"no colon\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 1\r\nContent-Length: 2\r\n",
    ],
    ids=["long", "digits", "many", "no colon", "negative", "two lengths"],
)
def test_headers_beyond_the_limits_end_the_connection(
    bench: WebBench, head: bytes
) -> None:
    line = bench.connect()

    line.write(b"POST /useComputer HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n")
    bench.world.run_until(lambda: line.is_lost)

    assert status_of(line.received) in {
        b"",
        b"HTTP/1.1 400 Bad Request",
        b"HTTP/1.1 413 Content Too Large",
    }


def test_a_call_that_trickles_in_is_given_up(bench: WebBench) -> None:
    line = bench.connect()

    line.write(b"GET /" + POLL.encode() + b" HTTP/1.1\r\nHost: localhost\r\n")
    for _ in range(int(RECEIVE_SECONDS_MAX)):
        assert not line.is_lost
        line.write(b"X: 1\r\n"[:1])
        bench.world.run_for(1)
    bench.world.run_for(1)

    assert line.is_lost
    assert line.received == b""


def test_one_connection_too_many_ends_the_most_silent_one() -> None:
    bench = WebBench(connections_max=3)
    call = b"GET /getFullComputerInformation?computer_id=x HTTP/1.1\r\nHost: ::1\r\n"
    sending, idle, active = bench.connect(), bench.connect(), bench.connect()
    sending.write(call)
    active.write(call + b"\r\n")
    bench.world.run_until(lambda: active.received)

    fourth = bench.connect()
    bench.world.run_until(lambda: idle.is_lost)
    fifth = bench.connect()
    bench.world.run_until(lambda: active.is_lost or fourth.is_lost)

    lost = [it.is_lost for it in (sending, idle, active, fourth, fifth)]
    assert lost == [False, True, True, False, False]
    bench.close()


def test_an_idle_connection_lives_through_polls_and_then_ends(bench: WebBench) -> None:
    line = bench.connect()
    poll = b"GET /" + POLL.encode() + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"

    for _ in range(3):
        line.write(poll)
        bench.world.run_for(300)
    assert not line.is_lost
    bench.world.run_for(IDLE_SECONDS)

    assert line.is_lost
    assert line.received.count(b"HTTP/1.1 200 OK") == 3


def test_pipelined_calls_are_answered_in_order(bench: WebBench) -> None:
    line = bench.connect()
    head = b" HTTP/1.1\r\nHost: localhost\r\n\r\n"

    line.write(b"GET /" + POLL.encode() + head + b"GET /noSuchMethod" + head)
    bench.world.run_until(lambda: b"no method" in line.received)

    assert line.received.index(b"200 OK") < line.received.index(b"404 Not Found")


def test_the_date_of_an_answer_is_of_the_calendar(bench: WebBench) -> None:
    bench.host.calendar.step(-bench.host.calendar.now() + 10.0)

    assert bench.send("GET", POLL).headers["date"] == "Thu, 01 Jan 1970 00:00:10 GMT"


def test_a_client_that_leaves_before_its_answer_disturbs_nobody(
    bench: WebBench,
) -> None:
    wanted = calls.encode_call(calls.request_instance(an_instance_request()))
    line = bench.connect()

    line.write(
        f"POST /{wanted.path} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: {wanted.headers['Content-Type']}\r\n"
        f"Content-Length: {len(wanted.body)}\r\n\r\n".encode()
        + wanted.body
    )
    assert line.transport is not None
    line.transport.loseConnection()
    bench.world.run_for(5)

    cloud = bench.perform(calls.get_cloud_report())
    assert isinstance(cloud, CloudReport)
    assert [it.title for it in cloud.trees] == ["instance 0"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("", True),
        ("127.0.0.1", True),
        ("127.0.0.1:5000", True),
        ("127.9.9.9:1", True),
        ("localhost:5000", True),
        ("LocalHost", True),
        ("[::1]", True),
        ("[::1]:5000", True),
        ("example.org", False),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org:5000", False),
        ("10.0.0.1:5000", False),
        ("[fd00::1]:5000", False),
        ("localhost:5000:x", False),
        ("localhost:٣", False),
    ],
)
def test_only_names_of_loopback_are_answered(host: str, *, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_a_page_of_elsewhere_that_found_loopback_is_refused(bench: WebBench) -> None:
    line = bench.connect()

    line.write(b"GET /" + POLL.encode() + b" HTTP/1.1\r\nHost: evil.example\r\n\r\n")
    bench.world.run_until(lambda: line.received)

    assert status_of(line.received) == b"HTTP/1.1 403 Forbidden"


class Failing:
    """Answers that have a bug."""

    async def answer(self, call: Call) -> object:
        raise ZeroDivisionError(f"secret of {call.method}")


def test_a_bug_answers_an_incident_number_and_nothing_else() -> None:
    world = World(0)
    runtime = world.host("master").runtime
    gate = Gate(Failing(), runtime, AnswerMemory(), is_loopback_only=True)
    site = LimitedSite(gate, runtime)
    endpoint = runtime.network.server_endpoint(TcpAddress("127.0.0.1", 5000))
    port = world.result(endpoint.listen(site))
    client = HttpClient(runtime)

    reply = world.result(
        client.send("GET", f"http://127.0.0.1:5000/{POLL}", timeout_seconds=10)
    )

    assert reply.status == 500
    assert b"incident" in reply.body
    assert b"secret" not in reply.body
    world.result(client.close())
    world.result(port.stopListening())
    world.finish()


def test_a_store_that_stops_is_told_with_when_to_return() -> None:
    bench = WebBench()
    stopped = bench.host.runtime.threads.stop()
    bench.world.result(stopped)

    with pytest.raises(Unavailable) as raised:
        bench.perform(calls.get_computer(COMPUTER_ID))

    assert raised.value.retry_after_seconds == 2
    bench.close()


def test_a_port_in_use_keeps_a_master_from_starting() -> None:
    bench = WebBench()
    config = Config("memory:", bench.address)
    second = build_service(config, bench.host.runtime)

    with pytest.raises(Misconfigured, match="cannot serve on"):
        bench.world.result(second.startService())
    bench.close()


def test_stopping_answers_the_calls_that_run(bench: WebBench) -> None:
    wanted = calls.encode_call(calls.request_instance(an_instance_request()))
    line = bench.connect()
    line.write(
        f"POST /{wanted.path} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: {wanted.headers['Content-Type']}\r\n"
        f"Content-Length: {len(wanted.body)}\r\n\r\n".encode()
        + wanted.body
    )
    bench.world.run_for(0.0005)
    assert line.received == b""

    bench.world.result(bench.service.stopService())
    bench.world.run_until(lambda: line.is_lost)

    assert status_of(line.received) == b"HTTP/1.1 200 OK"
