"""HTTP between our client and our site, over sockets and in a simulated world."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.web.http import stringToDatetime
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from runtime import http_client, http_server
from runtime.http_client import (
    AnswerTooLarge,
    ConnectionFailed,
    HttpClient,
    HttpReply,
    Silence,
)
from runtime.http_server import SIGN, BoundedSite
from runtime.ports import TcpAddress, UnixAddress
from runtime.tls import ServerTrust, serve_tls
from slap.identities import Identity, Role
from tests.certificates import a_region, a_root, nobody
from tests.contract.benches import Bench, RealBench, SimulatedBench

LOOPBACK = TcpAddress("::1", 0)


class Desk(Resource):
    """Answers with what it was asked; keeps what it saw."""

    isLeaf = True

    def __init__(self):
        super().__init__()
        self.peers = set()
        self.bodies = []

    def render_GET(self, http_request):
        self.peers.add(http_request.getClientAddress().port)
        if http_request.path == b"/never":
            return NOT_DONE_YET
        if http_request.path == b"/slow":
            return self.answer_slowly(http_request)
        if http_request.path == b"/long":
            return b"x" * 100_000
        if http_request.path == b"/headers":
            http_request.responseHeaders.setRawHeaders(b"X-Twice", [b"1", b"2"])
            return http_request.getHeader(b"x-mine") or b""
        if http_request.path == b"/missing":
            http_request.setResponseCode(404)
        return b"%s at %s" % (http_request.uri, http_request.getHeader(b"host"))

    def answer_slowly(self, http_request):
        """Give signs of life in the meantime, in pieces of any length."""
        clock = http_request.site.clock
        for number in range(1, 9):
            sign = SIGN * (number % 3)
            clock.callLater(number / 10, http_request.channel.write, sign or SIGN[:5])
            if not sign:
                clock.callLater(number / 10, http_request.channel.write, SIGN[5:])
        clock.callLater(0.9, http_request.write, b"at last")
        clock.callLater(0.9, http_request.finish)
        return NOT_DONE_YET

    def render_POST(self, http_request):
        self.peers.add(http_request.getClientAddress().port)
        self.bodies.append(http_request.content.read())
        return b"%d bytes" % len(self.bodies[-1])


class Abrupt(Protocol):
    """Answers with the text of its factory and closes."""

    def dataReceived(self, _):
        self.transport.write(self.factory.text)
        self.transport.loseConnection()


class Holding(Protocol):
    """Answers with the text of its factory and says no more."""

    def dataReceived(self, _):
        self.transport.write(self.factory.text)


class Open:
    """A port that serves, and a client."""

    def __init__(self, bench, factory, address, scheme):
        self._network = bench.runtime.network
        self._factory = factory
        self._address = address
        self._scheme = scheme
        self.client = HttpClient(bench.runtime)
        if scheme == "https" and isinstance(address, TcpAddress):
            root = a_root()
            server = a_region(root).issue_to(Identity(Role.REPLICA, "lyon"))
            self._factory = serve_tls(
                factory, bench.runtime, lambda: server.credentials(root)
            )
            trust = ServerTrust(lambda: nobody(root), lambda _: None)
            self.client = HttpClient(bench.runtime, trust)
        self.url = "http://unused"

    async def __aenter__(self):
        endpoint = self._network.server_endpoint(self._address)
        self._port = await endpoint.listen(self._factory)
        if isinstance(self._address, TcpAddress):
            host = self._address.host
            host = f"[{host}]" if ":" in host else host
            self.url = f"{self._scheme}://{host}:{self._port.getHost().port}"
        return self

    async def __aexit__(self, *_):
        await self.client.close()
        await self._port.stopListening()

    async def get(self, path, **named):
        return await self.send("GET", path, **named)

    async def send(self, verb, path, **named):
        defaults = {"timeout_seconds": 10}
        return await self.client.send(verb, self.url + path, **{**defaults, **named})


@pytest.fixture
def scheme():
    return "http"


@pytest.fixture
def serve(bench: Bench, scheme):
    """Opens a port with a desk, or another resource or factory."""

    def build(served=None, *, address=LOOPBACK, body_bytes_max=10_000):
        served = Desk() if served is None else served
        if isinstance(served, Resource):
            served = BoundedSite(served, bench.runtime, body_bytes_max)
        return Open(bench, served, address, scheme)

    return build


class HttpContract:
    @pytest.mark.parametrize("host", ["::1", "127.0.0.1"])
    def test_a_question_is_answered(self, bench: Bench, serve, host):
        async def scenario():
            async with serve(address=TcpAddress(host, 0)) as site:
                reply = await site.get("/path?x=1")
                authority = site.url.partition("://")[2].encode()
                assert reply.body == b"/path?x=1 at " + authority
                return reply.status

        assert bench.run(scenario()) == 200

    def test_who_gives_signs_of_life_is_waited_for(self, bench, serve):
        silence = Silence(0.4, 0.4)

        async def scenario():
            async with serve() as site:
                first = await site.get("/slow", silence=silence)
                again = await site.get("/slow", silence=silence)
                with pytest.raises(ConnectionFailed, match="no sign of life"):
                    await site.get("/never", silence=silence)
                plain = await site.get("/path", silence=silence)
                return first.body, again.body, plain.status

        assert bench.run(scenario()) == (b"at last", b"at last", 200)

    def test_a_body_can_be_taken_piece_by_piece(self, bench, serve):
        """As fast as it is taken; silence counts while somebody wants more."""

        async def scenario():
            async with serve(body_bytes_max=1000) as site:
                stream = await site.client.open(
                    "GET", site.url + "/long", timeout_seconds=10
                )
                pieces = []
                reading = Deferred.fromCoroutine(
                    stream.read(pieces.append, quiet_seconds=0.2)
                )
                stream.pauseProducing()
                await deferLater(bench.runtime.clock, 0.5)
                is_waiting = not reading.called
                stream.resumeProducing()
                await reading
                # Its connection and its ticket are free again.
                return is_waiting, b"".join(pieces), (await site.get("/path")).status

        assert bench.run(scenario())[1:] == (b"x" * 100_000, 200)

    def test_a_stream_that_is_stopped_or_silent_ends(self, bench, serve):
        async def scenario():
            half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
            async with serve(a_holding_server(half)) as site:
                for _ in range(http_client.EXCHANGES_MAX + 1):
                    stream = await site.client.open("GET", site.url, timeout_seconds=9)
                    stream.stop()
                stream = await site.client.open("GET", site.url, timeout_seconds=9)
                with pytest.raises(ConnectionFailed, match="nothing more comes"):
                    await stream.read(len, quiet_seconds=0.1)
                await deferLater(bench.runtime.clock, 0.1)

        bench.run(scenario())

    def test_a_stream_that_is_cut_says_so(self, bench, serve):
        half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
        abrupt = an_abrupt_server(half)

        async def scenario():
            async with serve(abrupt) as site:
                stream = await site.client.open("GET", site.url, timeout_seconds=9)
                with pytest.raises(ConnectionFailed):
                    await stream.read(len, quiet_seconds=9)
                with pytest.raises(ConnectionFailed, match="no answer within"):
                    await site.client.open("GET", site.url, timeout_seconds=0)

        bench.run(scenario())

    def test_a_status_of_refusal_is_an_answer(self, bench, serve):
        async def scenario():
            async with serve() as site:
                return (await site.get("/missing")).status

        assert bench.run(scenario()) == 404

    def test_bodies_are_sent_whole(self, bench, serve):
        desk = Desk()

        async def scenario():
            async with serve(desk) as site:
                return await site.send("POST", "/", body=b"x" * 10_000)

        reply = bench.run(scenario())

        assert reply.body == b"10000 bytes"
        assert desk.bodies == [b"x" * 10_000]

    def test_headers_go_both_ways(self, bench, serve):
        async def scenario():
            async with serve() as site:
                reply = await site.get("/headers", headers={"X-Mine": "yes"})
                return reply.body, reply.headers["x-twice"]

        assert bench.run(scenario()) == (b"yes", "1, 2")

    def test_an_answer_is_dated_by_the_calendar(self, bench, serve):
        async def scenario():
            async with serve() as site:
                reply = await site.get("/")
                date = stringToDatetime(reply.headers["date"].encode())
                return bench.runtime.calendar.now() - date

        assert 0 <= bench.run(scenario()) < 10

    def test_exchanges_one_after_the_other_share_a_connection(self, bench, serve):
        desk = Desk()

        async def scenario():
            async with serve(desk) as site:
                for _ in range(3):
                    await site.get("/")
                    await site.send("POST", "/", body=b"x")

        bench.run(scenario())

        assert len(desk.peers) == 1

    def test_many_exchanges_are_answered_at_once(self, bench, serve):
        async def scenario():
            async with serve() as site:
                replies = await gatherResults(
                    [Deferred.fromCoroutine(site.get(f"/{n}")) for n in range(100)]
                )
                return [reply.body.split(b" ")[0] for reply in replies]

        assert bench.run(scenario()) == [b"/%d" % n for n in range(100)]

    def test_a_socket_of_the_file_system_is_spoken_to(self, bench, serve, tmp_path):
        address = UnixAddress(str(tmp_path / "socket"))
        abrupt = an_abrupt_server(b"HTTP/1.0 200 OK\r\n\r\nhere")

        async def scenario():
            async with serve(abrupt, address=address) as site:
                return await site.get("/path", address=address)

        assert bench.run(scenario()) == HttpReply(200, {}, b"here")

    def test_an_answer_that_is_too_large_is_refused(self, bench, serve):
        async def scenario():
            async with serve() as site:
                with pytest.raises(AnswerTooLarge, match="more than 10000 bytes"):
                    await site.get("/long", body_bytes_max=10_000)
                with pytest.raises(AnswerTooLarge, match="more than 3 bytes"):
                    await site.get("/", body_bytes_max=3)
                return (await site.get("/long", body_bytes_max=100_000)).status

        assert bench.run(scenario()) == 200

    def test_a_late_answer_is_not_waited_for(self, bench, serve):
        async def scenario():
            async with serve() as site:
                with pytest.raises(ConnectionFailed, match=r"no answer within 0.1 s"):
                    await site.get("/never", timeout_seconds=0.1)
                return (await site.get("/")).status

        assert bench.run(scenario()) == 200

    def test_the_wait_for_a_free_connection_counts(self, bench, serve):
        async def scenario():
            async with serve() as site:
                waiting = [
                    Deferred.fromCoroutine(site.get("/never", timeout_seconds=0.3))
                    for _ in range(http_client.EXCHANGES_MAX)
                ]
                with pytest.raises(ConnectionFailed, match=r"no answer within 0.1 s"):
                    await site.get("/", timeout_seconds=0.1)
                for one in waiting:
                    with pytest.raises(ConnectionFailed):
                        await one
                return (await site.get("/")).status

        assert bench.run(scenario()) == 200

    def test_nobody_there_is_said(self, bench, serve):
        async def scenario():
            async with serve() as site:
                pass
            with pytest.raises(ConnectionFailed, match=r"GET .*(efused|nobody)"):
                await site.get("/")

        bench.run(scenario())

    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"HTTP/1.1 200 OK\r\nContent-Le",
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
            b"this is no HTTP\r\n\r\n",
        ],
    )
    def test_an_answer_that_breaks_off_is_a_failure(self, bench, serve, text):
        async def scenario():
            async with serve(an_abrupt_server(text)) as site:
                with pytest.raises(ConnectionFailed, match="POST http"):
                    await site.send("POST", "/", body=b"x")

        bench.run(scenario())

    def test_an_answer_that_ends_with_its_connection_is_whole(self, bench, serve):
        text = b"HTTP/1.1 200 OK\r\n\r\nall of it"

        async def scenario():
            async with serve(an_abrupt_server(text)) as site:
                return (await site.get("/")).body

        assert bench.run(scenario()) == b"all of it"

    def test_an_exchange_can_be_cancelled(self, bench, serve):
        async def scenario():
            async with serve() as site:
                asking = Deferred.fromCoroutine(site.get("/never"))
                await deferLater(bench.runtime.clock, 0.1)
                asking.cancel()
                with pytest.raises(CancelledError):
                    await asking
                early = Deferred.fromCoroutine(site.get("/never"))
                early.cancel()
                with pytest.raises(CancelledError):
                    await early
                return (await site.get("/")).status

        assert bench.run(scenario()) == 200

    @pytest.mark.parametrize(
        ("url", "reason"),
        [
            ("http://localhost:1/", "names are never resolved"),
            ("https://[::1]/", "https needs the root certificate of the cloud"),
            ("ftp://[::1]/", "'ftp' is not spoken here"),
            ("nonsense", "is not spoken here"),
            ("http://[::1]:1/a b", "Invalid URI"),
        ],
    )
    def test_an_address_that_cannot_be_used_is_said(self, bench, url, reason):
        async def scenario():
            client = HttpClient(bench.runtime)
            with pytest.raises(ConnectionFailed, match=reason):
                await client.send("GET", url, timeout_seconds=1)

        bench.run(scenario())

    def test_a_body_beyond_the_bound_is_refused_and_not_kept(self, bench, serve):
        desk = Desk()

        async def scenario():
            async with serve(desk, body_bytes_max=1000) as site:
                allowed = await site.send("POST", "/", body=b"x" * 1000)
                refused = await site.send("POST", "/", body=b"x" * 1001)
                with pytest.raises(ConnectionFailed):
                    await site.send("POST", "/", body=b"x" * 10_000_000)
                return allowed.status, refused.status, refused.body

        assert bench.run(scenario()) == (
            200,
            413,
            b"the body has more than 1000 bytes\n",
        )
        assert len(desk.bodies) == 1


def a_holding_server(text):
    factory = Factory.forProtocol(Holding)
    factory.text = text
    return factory


def an_abrupt_server(text):
    factory = Factory.forProtocol(Abrupt)
    factory.text = text
    return factory


class TestRealHttp(HttpContract):
    @pytest.fixture
    def bench(self, real_bench: RealBench) -> RealBench:
        return real_bench


class TestRealHttps(TestRealHttp):
    """The same, by TLS."""

    @pytest.fixture
    def scheme(self):
        return "https"


class TestSimulatedHttp(HttpContract):
    @pytest.fixture
    def bench(self, simulated_bench: SimulatedBench) -> SimulatedBench:
        return simulated_bench

    @pytest.mark.parametrize("pause_seconds", [5, 10, 30, 60, 90, 120, 300, 600])
    def test_no_poll_meets_a_connection_that_is_just_ending(
        self, bench, serve, pause_seconds
    ):
        async def scenario():
            async with serve() as site:
                for _ in range(5):
                    await site.send("POST", "/", body=b"x")
                    await deferLater(bench.runtime.clock, pause_seconds)

        bench.world.result(scenario(), limit_seconds=10_000)
        bench.world.finish()

    def test_clients_are_the_first_to_close_an_idle_connection(self):
        assert http_client.IDLE_SECONDS < http_server.IDLE_SECONDS


class TestSimulatedHttps(HttpContract):
    """The same, by TLS."""

    @pytest.fixture
    def bench(self, simulated_bench: SimulatedBench) -> SimulatedBench:
        return simulated_bench

    @pytest.fixture
    def scheme(self):
        return "https"
