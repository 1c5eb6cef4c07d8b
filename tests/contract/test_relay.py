"""The relay: releases of replicas at one address, over sockets and in a world."""

from __future__ import annotations

import hashlib

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import deferLater
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from master_cluster.web.release import ReleaseFiles, render_wheelhouse_profile
from runtime.http_client import ConnectionFailed, HttpClient
from runtime.http_server import BoundedSite
from runtime.ports import TcpAddress
from runtime.tls import ServerTrust, serve_tls
from slap import calls
from slap.errors import Forbidden
from slap.identities import Identity, Role, refusal_of_master
from slap.replicas import Replicas
from slapgrid.config import read_config
from slapgrid.relaying.listening import (
    CONNECTIONS_MAX,
    LISTEN_SECONDS,
    Relay,
    RelayFactory,
)
from slapgrid.relaying.serving import EXCHANGES_MAX, TAKEN_SECONDS_MAX
from slapgrid.slap_client import SlapClient
from tests.certificates import a_region, a_root
from tests.contract.benches import Bench, RealBench, SimulatedBench
from tests.programs import free_port

ROOT = a_root()
REGION = a_region(ROOT)
COMPUTER = REGION.issue_to(Identity(Role.COMPUTER, "COMP-3")).credentials(ROOT)
REPLICA = REGION.issue_to(Identity(Role.REPLICA, "lyon")).credentials(ROOT)
PERSON = REGION.issue_to(Identity(Role.PERSON, "ada")).credentials(ROOT)
WHEEL = bytes(range(256)) * 4000
OWN = "127.0.0.1:5000"


class Answering(Resource):
    """A replica that gives one answer, and keeps what it was asked."""

    isLeaf = True

    def __init__(self, status=200, body=b"here", broken_after=None):
        super().__init__()
        self.status, self.body, self.broken_after = status, body, broken_after
        self.asked = []

    def render(self, request):
        self.asked.append((request.method, request.uri, request.getAllHeaders()))
        request.setResponseCode(self.status)
        if self.broken_after is None:
            return self.body
        request.setHeader(b"Content-Length", b"%d" % len(self.body))
        request.write(self.body[: self.broken_after])
        clock = request.site.clock
        clock.callLater(0.1, request.channel.transport.abortConnection)
        return NOT_DONE_YET


class Silent(Resource):
    """A replica that takes what it is asked, and says nothing."""

    isLeaf = True

    def render(self, _):
        return NOT_DONE_YET


@implementer(IPushProducer)
class Endless(Resource):
    """Sends zeros until it is paused; counts them."""

    isLeaf = True

    def __init__(self):
        super().__init__()
        self.byte_count, self._is_paused, self.has_ended = 0, False, False

    def render(self, request):
        self._request = request
        request.notifyFinish().addErrback(lambda _: self.stopProducing())
        request.registerProducer(self, streaming=True)
        request.site.clock.callLater(0, self.resumeProducing)
        return NOT_DONE_YET

    def resumeProducing(self):
        self._is_paused = False
        while not self._is_paused and not self.has_ended:
            self.byte_count += 65536
            self._request.write(bytes(65536))

    def pauseProducing(self):
        self._is_paused = True

    def stopProducing(self):
        self.has_ended = True


class Place:
    """Replicas, a relay that knows them, and somebody who builds."""

    def __init__(self, bench, trust=None):
        self.bench = bench
        self.urls = []
        self._ports = []
        self._http = HttpClient(bench.runtime, trust)
        self.client = HttpClient(bench.runtime)

    async def __aenter__(self):
        self.factory = RelayFactory(
            self.bench.runtime,
            self._http,
            lambda: tuple(self.urls),
            TcpAddress("127.0.0.1", 5000),
        )
        self.url = await self._listen(self.factory)
        return self

    async def __aexit__(self, *_):
        self.factory.abort_all()
        for client in (self.client, self._http):
            await client.close()
        for port in self._ports:
            await port.stopListening()
        await deferLater(self.bench.runtime.clock, 0.3)

    async def add(self, resource, credentials=None):
        """Have a replica there; nobody listens where there is nothing to answer."""
        factory = BoundedSite(resource, self.bench.runtime)
        scheme = "http"
        if credentials is not None:
            factory = serve_tls(factory, self.bench.runtime, lambda: credentials)
            scheme = "https"
        url = await self._listen(factory)
        self.urls.append(url.replace("http", scheme))

    async def add_dead(self):
        await self.add(Silent())
        await self._ports.pop().stopListening()

    async def get(self, path="/release/wheel", verb="GET", **named):
        return await self.client.send(
            verb, self.url + path, timeout_seconds=100, **named
        )

    async def _listen(self, factory):
        endpoint = self.bench.runtime.network.server_endpoint(
            TcpAddress("127.0.0.1", 0)
        )
        port = await endpoint.listen(factory)
        self._ports.append(port)
        return f"http://127.0.0.1:{port.getHost().port}"


@pytest.fixture
def release(tmp_path):
    """What a replica serves."""
    directory = tmp_path / "release"
    (directory / "wheelhouse").mkdir(parents=True)
    (directory / "wheelhouse" / "neo-1+ours-py3.whl").write_bytes(WHEEL)
    top = Resource()
    top.putChild(b"release", ReleaseFiles(str(directory)))
    return top


class RelayContract:
    def test_a_release_comes_from_a_replica_by_tls(self, bench: Bench, release):
        """Whole, listed with digests; its profile has the address of the relay."""
        trust = ServerTrust(lambda: COMPUTER, lambda it: refusal_of_master(it.uris))

        async def scenario():
            async with Place(bench, trust) as place:
                await place.add(release, PERSON)
                await place.add(release, REPLICA)
                wheel = await place.get("/release/wheelhouse/neo-1+ours-py3.whl")
                head = await place.get(
                    "/release/wheelhouse/neo-1+ours-py3.whl", verb="HEAD"
                )
                same = await place.get(
                    "/release/software/../wheelhouse/neo-1%2Bours-py3.whl",
                    headers={"If-Modified-Since": wheel.headers["last-modified"]},
                )
                moved = await place.get("/release/wheelhouse")
                listing = await place.get("/release/wheelhouse/")
                profile = await place.get("/release/hello/../wheelhouse.cfg")
                return wheel, head, same, moved, listing, profile

        wheel, head, same, moved, listing, profile = bench.run(scenario())

        assert (wheel.status, wheel.body) == (200, WHEEL)
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == str(len(WHEEL))
        assert (same.status, same.body) == (304, b"")
        assert moved.headers["location"] == "/release/wheelhouse/"
        assert hashlib.sha256(WHEEL).hexdigest() in listing.body.decode()
        assert profile.body.decode() == render_wheelhouse_profile(
            f"http://{OWN}/release", OWN
        )

    def test_the_next_replica_serves_when_one_does_not(self, bench):
        """Dead, failing, without the file, or broken before its first byte."""
        served = Answering()

        async def scenario():
            async with Place(bench) as place:
                await place.add_dead()
                await place.add(Answering(500))
                await place.add(Answering(404))
                await place.add(Answering(206))
                await place.add(Answering(broken_after=0))
                await place.add(served)
                first = await place.get()
                again = await place.get()
                return first.body, again.body

        assert bench.run(scenario()) == (b"here", b"here")
        verb, uri, headers = served.asked[0]
        assert (verb, uri, headers[b"host"]) == (
            b"GET",
            b"/release/wheel",
            b"127.0.0.1:5000",
        )

    def test_what_no_replica_has_is_not_there(self, bench):
        async def scenario():
            async with Place(bench) as place:
                nobody = await place.get()
                await place.add_dead()
                away = await place.get()
                await place.add(Answering(404))
                missing = await place.get()
                # That the dead one is not asked again for it saves a wait.
                await place.add_dead()
                return nobody, away, missing, await place.get()

        nobody, away, missing, again = bench.run(scenario())
        assert (nobody.status, away.status) == (503, 503)
        assert away.headers["retry-after"] == "5"
        assert b"no replica gives /release/wheel: http://127.0.0.1:" in away.body
        assert (missing.status, again.status) == (404, 404)
        assert b"supply its release of now" in missing.body

    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/getComputerInformation?computer_id=COMP-3",
            "/released",
            "/release/../getRunId",
            "/release/%2e%2e/getRunId",
            "/release/x/../../release2",
            "/release/a%2fb",
            "/release/%00",
        ],
    )
    def test_nothing_else_is_relayed(self, bench, path):
        """503 as from a master that is away: its clients ask the next one."""
        served = Answering()

        async def scenario():
            async with Place(bench) as place:
                await place.add(served)
                return (await place.get(path)).status

        assert bench.run(scenario()) == 503
        assert served.asked == []

    def test_clients_of_a_mini_master_that_is_gone_go_on(self, bench):
        """Its address is that of the relay by then, and stays in settings."""
        served = Answering(403)

        async def scenario():
            async with Place(bench) as place:
                await place.add(served)
                replicas = Replicas((place.url, *place.urls))
                client = SlapClient(bench.runtime, replicas)
                with pytest.raises(Forbidden):
                    await client.perform(calls.get_computer("COMP-3"))
                await client.close()

        bench.run(scenario())
        assert len(served.asked) == 1

    def test_it_neither_writes_nor_asks_itself_nor_another_relay(self, bench):
        served = Answering()

        async def scenario():
            async with Place(bench) as place:
                place.urls.append(f"http://{OWN}")
                await place.add(served)
                written = await place.get(verb="POST", body=b"x")
                circle = await place.get(headers={"Via": "1.1 slapgrid"})
                read = await place.get()
                return written.status, circle.status, read.status

        assert bench.run(scenario()) == (405, 503, 200)
        assert len(served.asked) == 1

    def test_an_answer_that_breaks_off_does_so_for_who_asked(self, bench):
        async def scenario():
            async with Place(bench) as place:
                await place.add(Answering(body=b"x" * 9000, broken_after=5000))
                with pytest.raises(ConnectionFailed):
                    await place.get()

        bench.run(scenario())

    def test_no_more_is_read_than_is_taken(self, bench):
        """And nothing at all when the asker has gone."""
        endless = Endless()

        async def scenario():
            async with Place(bench) as place:
                await place.add(endless)
                asked = await place.client.open(
                    "GET", place.url + "/release/zeros", timeout_seconds=10
                )
                await deferLater(bench.runtime.clock, 0.5)
                first = endless.byte_count
                asked.stop()
                await deferLater(bench.runtime.clock, 0.2)
                return first

        assert 0 < bench.run(scenario()) < 16 * 1024 * 1024
        assert endless.has_ended

    def test_too_many_at_once_are_told_to_ask_again(self, bench):
        async def scenario():
            async with Place(bench) as place:
                await place.add(Silent())
                waiting = [
                    Deferred.fromCoroutine(place.get()) for _ in range(EXCHANGES_MAX)
                ]
                await deferLater(bench.runtime.clock, 0.2)
                status = (await place.get()).status
                for each in waiting:
                    each.addErrback(lambda failure: failure.trap(CancelledError))
                    each.cancel()
                await deferLater(bench.runtime.clock, 0.2)
                place.urls.clear()
                await place.add(Answering())
                return status, (await place.get()).status

        assert bench.run(scenario()) == (503, 200)

    def test_one_agent_of_a_loopback_relays_and_the_next_when_it_ends(self, bench):
        """The other one waits for the address, and says so once."""
        port = free_port()
        config = read_config(
            "[slapos]\ncomputer_id = a\nmaster_url = http://127.0.0.1:1\n"
            f"software_root = /soft\ninstance_root = /srv\n"
            f"release_listen = 127.0.0.1:{port}\n"
        )
        served = Answering()

        async def scenario():
            async with Place(bench) as place:
                await place.add(served)
                place.url = f"http://127.0.0.1:{port}"
                runtime = bench.runtime
                loops = []
                for _ in range(2):
                    relay = Relay(config, runtime, lambda: tuple(place.urls))
                    (loop,) = relay.loops
                    running = Deferred.fromCoroutine(loop())
                    running.addErrback(lambda failure: failure.trap(CancelledError))
                    loops.append(running)
                await deferLater(runtime.clock, 0.1)
                first = (await place.get()).body
                loops[0].cancel()
                await deferLater(runtime.clock, LISTEN_SECONDS + 0.5)
                second = (await place.get()).body
                loops[1].cancel()
                await loops[1]
                return first, second

        assert bench.run(scenario()) == (b"here", b"here")


def test_an_agent_relays_nothing_when_it_is_not_told_to(simulated_bench):
    config = read_config(
        "[slapos]\ncomputer_id = a\nmaster_url = http://127.0.0.1:1\n"
        "software_root = /soft\ninstance_root = /srv\n"
    )
    relay = Relay(config, simulated_bench.runtime, tuple)

    assert relay.loops == ()


def test_connections_are_bounded(simulated_bench):
    http = HttpClient(simulated_bench.runtime)
    address = TcpAddress("127.0.0.1", 5000)
    factory = RelayFactory(simulated_bench.runtime, http, tuple, address)
    factory.protocols = dict.fromkeys(range(CONNECTIONS_MAX), 1)

    assert factory.buildProtocol(None) is None


class TestRealRelay(RelayContract):
    @pytest.fixture
    def bench(self, real_bench: RealBench) -> RealBench:
        return real_bench


class TestSimulatedRelay(RelayContract):
    @pytest.fixture
    def bench(self, simulated_bench: SimulatedBench) -> SimulatedBench:
        return simulated_bench

    def test_a_silent_replica_costs_ten_seconds_once_a_while(self, bench):
        async def scenario():
            async with Place(bench) as place:
                await place.add(Silent())
                await place.add(Answering())
                begun = bench.runtime.clock.seconds()
                await place.get()
                first = bench.runtime.clock.seconds() - begun
                await place.get()
                return first, bench.runtime.clock.seconds() - begun - first

        first, again = bench.run(scenario())
        assert 10 <= first < 11
        assert again < 1

    def test_who_takes_nothing_does_not_keep_a_place(self, bench):
        endless = Endless()

        async def scenario():
            async with Place(bench) as place:
                await place.add(endless)
                await place.client.open(
                    "GET", place.url + "/release/zeros", timeout_seconds=10
                )
                await deferLater(bench.runtime.clock, TAKEN_SECONDS_MAX - 5)
                is_kept = not endless.has_ended
                await deferLater(bench.runtime.clock, 10)
                return is_kept

        assert bench.world.result(scenario(), limit_seconds=1000)
        bench.world.finish()
        assert endless.has_ended
