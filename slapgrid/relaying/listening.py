"""Shell. The relay of an agent: it has its address whenever nobody else has it.

Agents that share a loopback share the address too: the first of them relays, for all.
A mini-master may have it until it is retired. So a release has one URL everywhere and
for ever, whoever serves it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.task import deferLater
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory

from runtime.http_client import HttpClient
from runtime.http_server import BoundedSite
from runtime.network import url_of
from runtime.ports import Runtime, TcpAddress
from slapgrid.config import Config
from slapgrid.relaying.serving import Relayed
from slapgrid.relaying.settings import read_listen
from slapgrid.trusting import trust_of

LISTEN_SECONDS = 3.0
"""Between two tries to listen: a build that finds nobody waits longer than this."""

CONNECTIONS_MAX = 100
"""Those of builds are some few, and short."""

IDLE_SECONDS = 23
"""Between two exchanges of a connection: whoever holds one does not keep others out."""

BODY_BYTES_MAX = 1024
"""What is asked has no body."""


class Relay:
    """Relays the releases of the replicas that ``find_urls`` names, in that order."""

    def __init__(
        self,
        config: Config,
        runtime: Runtime,
        find_urls: Callable[[], tuple[str, ...]],
    ) -> None:
        self._config = config
        self._runtime = runtime
        self._find_urls = find_urls

    @property
    def loops(self) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
        """What a service runs beside its other loops, without end."""
        return (self._keep_listening,) if self._config.relaying.listen else ()

    async def _keep_listening(self) -> None:
        address = TcpAddress(*read_listen(self._config.relaying.listen))
        has_said = False
        while True:
            http = HttpClient(self._runtime, trust_of(self._runtime, self._config))
            factory = RelayFactory(self._runtime, http, self._find_urls, address)
            try:
                port = await listen(self._runtime, factory, address)
            except CannotListenError as error:
                if not has_said:
                    self._runtime.log.info(
                        "releases are not relayed at {address} by this agent while "
                        "somebody else has it: {error}",
                        address=url_of(address),
                        error=error.socketError,
                    )
                has_said = True
                await deferLater(self._runtime.clock, LISTEN_SECONDS)
                continue
            self._runtime.log.info(
                "releases are relayed at {address}release/", address=url_of(address)
            )
            try:
                await Deferred()
            finally:
                await maybeDeferred(port.stopListening)
                factory.abort_all()
                await http.close()


async def listen(
    runtime: Runtime, factory: RelayFactory, address: TcpAddress
) -> IListeningPort:
    """Listen; ``CannotListenError`` when somebody else does."""
    port: IListeningPort = await runtime.network.server_endpoint(address).listen(
        factory
    )
    return port


class RelayFactory(WrappingFactory):
    """Connections to a relay at ``address``, so many at once; one more is closed."""

    noisy = False

    def __init__(
        self,
        runtime: Runtime,
        http: HttpClient,
        find_urls: Callable[[], tuple[str, ...]],
        address: TcpAddress,
    ) -> None:
        own = url_of(address).removeprefix("http://").rstrip("/")
        relayed = Relayed(runtime, http, find_urls, own)
        site = BoundedSite(relayed, runtime, BODY_BYTES_MAX)
        site.timeOut = IDLE_SECONDS
        super().__init__(site)  # type: ignore[no-untyped-call] # Twisted's

    def buildProtocol(self, addr: IAddress | None) -> ProtocolWrapper | None:  # type: ignore[override] # nobody is let in
        if len(self.protocols) >= CONNECTIONS_MAX:
            return None
        return super().buildProtocol(addr)

    def abort_all(self) -> None:
        """End all connections, and what they are in the middle of."""
        for protocol in tuple(self.protocols):
            protocol.abortConnection()
