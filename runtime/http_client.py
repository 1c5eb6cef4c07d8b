"""HTTP exchanges over the network of a runtime, for SLAP and for local sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Never

from attrs import define, field, frozen
from twisted.internet.defer import (
    Deferred,
    DeferredSemaphore,
)
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import (
    URI,
    Agent,
    HTTPConnectionPool,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IResponse
from zope.interface import implementer

from runtime.http_bodies import BodyCollector, HttpStream, WholeBody, plain_headers
from runtime.http_server import SIGN
from runtime.http_weather import AnswerTooLarge, ConnectionFailed, spoken_weather
from runtime.network import is_ipv6
from runtime.ports import INetwork, Runtime, TcpAddress, UnixAddress
from runtime.tls import Credentials, ServerTrust, TlsClientEndpoint

__all__ = [
    "AnswerTooLarge",
    "ConnectionFailed",
    "HttpClient",
    "HttpReply",
    "HttpStream",
    "Silence",
]

BODY_BYTES_MAX = 16 * 1024 * 1024
"""The document of a computer with some thousand instances is smaller."""

EXCHANGES_MAX = 32
"""At once, over all servers; more wait. An agent has a few, a long poll keeps one."""

PERSISTENT_PER_SERVER_MAX = 4

IDLE_SECONDS = 97
"""How long an unused connection stays open.

Shorter than the patience of our servers (``http_server.IDLE_SECONDS``), so that it is
the client that closes and no exchange meets a closing server; and no multiple of a poll
period, for a poll that comes just when its connection ends is lost.
"""


@frozen
class Silence:
    """When a server that says nothing is left: it sends signs while it has no answer.

    ``first_seconds`` is for the first sign, with all that it takes to connect.
    """

    first_seconds: float
    seconds: float


@frozen
class HttpReply:
    """An answer. Names of headers are in lower case, repeated ones joined by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """Sends over persistent connections; addresses are numeric, redirects are given.

    ``https`` with a ``trust`` alone; connections that were made with credentials from
    before are left. Close it when its owner stops: its connections are the network's.
    """

    def __init__(self, runtime: Runtime, trust: ServerTrust | None = None) -> None:
        self._runtime = runtime
        self._clock = runtime.clock
        self._network = runtime.network
        self._trust = trust
        self._tickets = DeferredSemaphore(EXCHANGES_MAX)
        # When each server was heard last, whichever connection it spoke on.
        self._heard_at: dict[bytes, float] = {}
        self._credentials: Credentials | None = None
        self._pool = self._new_pool()

    async def send(
        self,
        verb: str,
        url: str,
        headers: Mapping[str, str] = MappingProxyType({}),
        body: bytes = b"",
        *,
        timeout_seconds: float,
        body_bytes_max: int = BODY_BYTES_MAX,
        address: UnixAddress | None = None,
        silence: Silence | None = None,
    ) -> HttpReply:
        """One exchange; ``ConnectionFailed`` when it gives no usable answer.

        ``timeout_seconds`` bounds the whole of it, ``silence`` each wait for a sign of
        life, which the server has to be asked for. With an ``address`` the connection
        goes there, for this exchange alone, and ``url`` is what the server is told.
        """
        exchange = Deferred.fromCoroutine(
            self._exchange(verb, url, headers, body, body_bytes_max, address)
        )
        exchange.addTimeout(timeout_seconds, self._clock, onTimeoutCancel=_fail_late)
        if silence is not None:
            server = URI.fromBytes(url.encode()).netloc
            _Listening(self._clock, lambda: self._heard_at.get(server), silence).to(
                exchange
            )
        try:
            return await exchange
        except ConnectionFailed as error:
            raise type(error)(f"{verb} {url}: {error}") from error.__cause__

    async def open(
        self,
        verb: str,
        url: str,
        headers: Mapping[str, str] = MappingProxyType({}),
        *,
        timeout_seconds: float,
    ) -> HttpStream:
        """Begin an exchange: return when the head of the answer is there.

        ``timeout_seconds`` bounds that, with a wait for others to end. The body has to
        be read, or the stream to be stopped: until then it counts as an exchange.
        """
        opening = Deferred.fromCoroutine(self._open(verb, url, headers))
        opening.addTimeout(timeout_seconds, self._clock, onTimeoutCancel=_fail_late)
        try:
            return await opening
        except ConnectionFailed as error:
            raise type(error)(f"{verb} {url}: {error}") from error.__cause__

    async def _open(
        self, verb: str, url: str, headers: Mapping[str, str]
    ) -> HttpStream:
        await self._tickets.acquire()
        try:
            with spoken_weather():
                response = await self._request(verb, url, headers)
        except BaseException:
            self._tickets.release()
            raise
        return HttpStream(self._clock, response, self._tickets.release)

    def close(self) -> Deferred[None]:
        """Close the connections that no exchange uses."""
        closed: Deferred[None] = self._pool.closeCachedConnections()
        return closed

    def _hear(self, server: bytes) -> None:
        self._heard_at[server] = self._clock.seconds()

    async def _exchange(  # noqa: PLR0917 - the arguments of send, once more
        self,
        verb: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        body_bytes_max: int,
        address: UnixAddress | None,
    ) -> HttpReply:
        async with self._tickets:
            with spoken_weather():
                response = await self._request(verb, url, headers, body, address)
                collector = BodyCollector(self._clock, body_bytes_max)
                response.deliverBody(collector)
                return HttpReply(
                    status=response.code,
                    headers=plain_headers(response.headers),
                    body=await collector.collected,
                )

    def _request(
        self,
        verb: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        address: UnixAddress | None = None,
    ) -> Deferred[IResponse]:
        requesting: Deferred[IResponse] = self._agent(url, address).request(
            verb.encode(),
            url.encode(),
            Headers({name: [value] for name, value in headers.items()}),
            WholeBody(body) if body else None,
        )
        return requesting

    def _agent(self, url: str, address: UnixAddress | None) -> Agent:
        if self._trust is not None and url.startswith("https:"):
            self._take_up(self._trust.ask())
        way: IAgentEndpointFactory = _ByUrl(self._runtime, self._trust, self._hear)
        pool: HTTPConnectionPool | None = self._pool
        if address is not None:
            # The pool tells connections by URL, and those to a socket have none.
            way, pool = _ByAddress(self._network, address), None
        agent: Agent = Agent.usingEndpointFactory(self._clock, way, pool=pool)
        return agent

    def _take_up(self, credentials: Credentials) -> None:
        """Leave the connections that others than these were shown on."""
        if self._credentials is not None and credentials != self._credentials:
            # Those that are in use are given back to a pool that keeps none.
            self._pool.persistent = False
            self._pool.closeCachedConnections()
            self._pool = self._new_pool()
        self._credentials = credentials

    def _new_pool(self) -> HTTPConnectionPool:
        pool = HTTPConnectionPool(self._clock)
        pool.maxPersistentPerHost = PERSISTENT_PER_SERVER_MAX
        pool.cachedConnectionTimeout = IDLE_SECONDS
        return pool


def _fail_late(_: object, seconds: float) -> Never:
    raise ConnectionFailed(f"no answer within {seconds:g} s")


@implementer(IAgentEndpointFactory)
@frozen
class _ByUrl:
    """Connects to the address in a URL, and tells ``hear`` when it is heard."""

    runtime: Runtime
    trust: ServerTrust | None
    hear: Callable[[bytes], None]

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        if uri.scheme not in {b"http", b"https"}:
            raise ValueError(
                f"{uri.scheme.decode()!r} is not spoken here, only 'http' and 'https'"
            )
        host = uri.host.decode()
        is_ipv6(host)  # refuses names
        endpoint = self.runtime.network.client_endpoint(TcpAddress(host, uri.port))
        if uri.scheme == b"https":
            if self.trust is None:
                raise ValueError(
                    "https needs the root certificate of the cloud, to know its masters"
                    " by"
                )
            endpoint = TlsClientEndpoint(endpoint, self.runtime, self.trust)
        return _HeardEndpoint(endpoint, lambda: self.hear(uri.netloc))


@implementer(IAgentEndpointFactory)
@frozen
class _ByAddress:
    """Connects to one address whatever the URL."""

    network: INetwork
    address: UnixAddress

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:  # noqa: ARG002
        return self.network.client_endpoint(self.address)


@define(eq=False)
class _Listening:
    """Gives an exchange up when its server has been silent for too long."""

    clock: IReactorTime
    heard_at: Callable[[], float | None]
    silence: Silence
    _begun: float = 0.0
    _is_silent: bool = False
    _timer: IDelayedCall | None = None
    _exchange: Deferred[HttpReply] = field(init=False)

    def to(self, exchange: Deferred[HttpReply]) -> None:
        self._exchange, self._begun = exchange, self.clock.seconds()
        self._timer = self.clock.callLater(self.silence.first_seconds, self._look)
        exchange.addBoth(self._end)

    def _look(self) -> None:
        self._timer = None
        heard_at = self.heard_at() or 0.0
        rest = heard_at + self.silence.seconds - self.clock.seconds()
        if heard_at < self._begun or rest <= 0:
            self._is_silent = True
            self._exchange.cancel()
        else:
            self._timer = self.clock.callLater(rest, self._look)

    def _end(self, result: HttpReply | Failure) -> HttpReply | Failure:
        if self._timer is not None:
            self._timer.cancel()
        if self._is_silent and isinstance(result, Failure):
            raise ConnectionFailed("it gives no sign of life")
        return result


@implementer(IStreamClientEndpoint)
@frozen
class _HeardEndpoint:
    """Connections on which it is noticed that the server says something."""

    endpoint: IStreamClientEndpoint
    hear: Callable[[], None]

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        connecting: Deferred[IProtocol] = self.endpoint.connect(
            _HeardFactory(protocolFactory, self.hear)
        )
        return connecting.addCallback(_inner)


def _inner(wrapper: IProtocol) -> IProtocol:
    assert isinstance(wrapper, _Heard)
    inner: IProtocol = wrapper.wrappedProtocol
    return inner


class _HeardFactory(WrappingFactory):
    noisy = False

    def __init__(self, factory: IProtocolFactory, hear: Callable[[], None]) -> None:
        super().__init__(factory)  # type: ignore[no-untyped-call] # Twisted's
        self.hear = hear

    def buildProtocol(self, addr: IAddress | None) -> ProtocolWrapper:
        return _Heard(self, self.wrappedFactory.buildProtocol(addr))


class _Heard(ProtocolWrapper):
    """A connection; signs of life are taken out, where they are the whole of a piece.

    Twisted would write a line of its log for each. One that comes in pieces does no
    harm: it is passed on, and an answer has not begun before.
    """

    factory: _HeardFactory

    def __init__(self, factory: _HeardFactory, inner: IProtocol) -> None:
        super().__init__(factory, inner)  # type: ignore[arg-type] # makes these
        self._is_answering = False

    def write(self, data: bytes) -> None:
        self._is_answering = False
        super().write(data)  # type: ignore[no-untyped-call] # Twisted's

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def dataReceived(self, data: bytes) -> None:
        self.factory.hear()
        while not self._is_answering and data.startswith(SIGN):
            data = data[len(SIGN) :]
        if data:
            self._is_answering = True
            super().dataReceived(data)  # type: ignore[no-untyped-call] # Twisted's
