"""The simulated network: hosts that listen and connect over links.

A host is named by the world; its addresses follow from its number
(``labsim.world.addresses``). Connecting takes a round trip; a host that is down or cut
off silently is tried again like TCP does, until the bound of the port.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from ipaddress import ip_address

from attrs import frozen
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import (
    CannotListenError,
    ConnectError,
    ConnectingCancelledError,
    NoRouteError,
)
from twisted.internet.error import ConnectionRefusedError as ConnectRefused
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from zope.interface import implementer

from labsim.world.addresses import ipv6_address, number_of
from labsim.world.clock import LifeClock
from labsim.world.links import Cut, Links
from labsim.world.stream import Stream
from runtime.network import CONNECT_SECONDS_MAX
from runtime.ports import Address, INetwork, TcpAddress, UnixAddress

SYN_SECONDS = (0.0, 1.0, 3.0, 7.0, 15.0)
"""When TCP knocks, again and again, within the bound of the port."""

EPHEMERAL_PORT_MIN = 32_768

_ListenerKey = tuple[str, Address]


class Network:
    """All links, listeners and streams of a world."""

    def __init__(
        self,
        life: LifeClock,
        links: Links,
        record: Callable[[str, str, str], None],
    ) -> None:
        self.life = life
        self.links = links
        self.record = record
        self.listeners: dict[_ListenerKey, Listener] = {}
        self.streams: dict[Stream, None] = {}  # a dictionary keeps the order
        self._host_names: dict[int, str] = {}
        self._down: dict[str, None] = {}
        self._last_port = EPHEMERAL_PORT_MIN
        self._stream_count = 0

    def add_host(self, name: str, number: int) -> None:
        self._host_names[number] = name

    def host_name(self, number: int) -> str | None:
        return self._host_names.get(number)

    def set_cut(self, source: str, target: str, cut: Cut | None) -> None:
        """Sever one way, or heal it."""
        self.links.set_cut(source, target, cut)
        for stream in tuple(self.streams):
            if {stream.host, stream.peer_host} == {source, target}:
                if cut is Cut.REFUSED:
                    stream.reset()
                stream.try_again()

    def power_off(self, host: str) -> None:
        """The host is gone without a word; its peers notice later, or never."""
        self._down[host] = None
        self._forget_listeners(host)

    def power_on(self, host: str) -> None:
        self._down.pop(host, None)
        for stream in tuple(self.streams):
            if host in {stream.host, stream.peer_host}:
                stream.try_again()

    def end_processes(self, host: str) -> None:
        """The kernel of a living host closes the sockets of its dead programs."""
        self._forget_listeners(host)
        for stream in tuple(self.streams):
            if stream.host == host:
                stream.end_with_process()

    def travel_seconds(self, source: str, target: str) -> float:
        return self.links.travel_seconds(source, target)

    def is_down(self, host: str) -> bool:
        return host in self._down

    def holds_back(self, source: str, target: str) -> bool:
        return self.links.cut(source, target) is Cut.SILENT or target in self._down

    def forget(self, stream: Stream) -> None:
        self.streams.pop(stream, None)

    def connect(
        self, host: HostNetwork, listener: Listener, client_address: Address
    ) -> tuple[Stream, Stream]:
        """The two ends of a new connection, that of the client first."""
        hosts = (host.name, listener.host.name)
        addresses = (
            _twisted_address(client_address),
            _twisted_address(listener.address),
        )
        self._stream_count += 1
        name = f"{self._stream_count} {hosts[0]}>{hosts[1]}"
        near = Stream(self, host.life, hosts, addresses, name)
        far = Stream(
            self,
            listener.host.life,
            (hosts[1], hosts[0]),
            (addresses[1], addresses[0]),
            f"{self._stream_count} {hosts[1]}>{hosts[0]}",
        )
        near.peer, far.peer = far, near
        self.streams[near] = None
        self.streams[far] = None
        return near, far

    def open_ends(self) -> tuple[Stream | Listener, ...]:
        """What living hosts have open: listeners and connections."""
        streams = tuple(s for s in self.streams if not s.life.is_over)
        return (*self.listeners.values(), *streams)

    def draw_port(self) -> int:
        self._last_port += 1
        return self._last_port

    def find_listener(self, host: str, address: Address) -> Listener | None:
        exact = self.listeners.get((host, address))
        if exact is not None or isinstance(address, UnixAddress):
            return exact
        wildcard = "::" if ":" in address.host else "0.0.0.0"  # noqa: S104 - simulated
        return self.listeners.get((host, TcpAddress(wildcard, address.port)))

    def _forget_listeners(self, host: str) -> None:
        for key in [key for key in self.listeners if key[0] == host]:
            del self.listeners[key]


@implementer(INetwork)
@frozen
class HostNetwork:
    """The network as one life of a host sees it."""

    network: Network
    life: LifeClock
    name: str
    number: int

    def client_endpoint(self, address: Address) -> IStreamClientEndpoint:
        return ClientEndpoint(self, _normal(address))

    def server_endpoint(self, address: Address) -> IStreamServerEndpoint:
        return ServerEndpoint(self, _normal(address))

    def owns(self, address: Address) -> bool:
        if isinstance(address, UnixAddress):
            return True
        return number_of(address.host) in {0, self.number}


@implementer(IStreamServerEndpoint)
@frozen
class ServerEndpoint:
    """Where a host listens."""

    host: HostNetwork
    address: Address

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        address = self.address
        network = self.host.network
        if isinstance(address, TcpAddress) and address.port == 0:
            address = TcpAddress(address.host, network.draw_port())
        if not self.host.owns(address):
            return fail(_cannot_listen(address, errno.EADDRNOTAVAIL))
        if network.find_listener(self.host.name, address) is not None:
            return fail(_cannot_listen(address, errno.EADDRINUSE))
        listener = Listener(self.host, address, protocolFactory)
        listener.startListening()
        return succeed(listener)


@implementer(IListeningPort)
@frozen(eq=False)
class Listener:
    """An open port."""

    host: HostNetwork
    address: Address
    factory: IProtocolFactory

    def startListening(self) -> None:
        self.host.network.listeners[self.host.name, self.address] = self
        self.factory.doStart()

    def stopListening(self) -> Deferred[None]:
        key = (self.host.name, self.address)
        if self.host.network.listeners.get(key) is self:
            del self.host.network.listeners[key]
            self.factory.doStop()
        return succeed(None)

    def getHost(self) -> IAddress:
        return _twisted_address(self.address)


@implementer(IStreamClientEndpoint)
@frozen
class ClientEndpoint:
    """Where a host connects to."""

    host: HostNetwork
    address: Address

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        number = 0
        if isinstance(self.address, TcpAddress):
            found = number_of(self.address.host)
            if found is None:
                return fail(NoRouteError())
            number = found
        network = self.host.network
        target = self.host.name if number == 0 else network.host_name(number)
        return _Attempt(self.host, self.address, target, protocolFactory).connected


class _Attempt:
    """A connection being made: knock, be accepted or refused, open."""

    def __init__(
        self,
        host: HostNetwork,
        address: Address,
        target: str | None,
        factory: IProtocolFactory,
    ) -> None:
        self._host = host
        self._network = host.network
        self._address = address
        self._target = target
        self._factory = factory
        self._is_accepted = False
        self._calls = [
            host.life.callLater(seconds, self._knock) for seconds in SYN_SECONDS
        ]
        self._calls.append(
            host.life.callLater(CONNECT_SECONDS_MAX, self._fail, ConnectTimeout())
        )
        self.connected: Deferred[IProtocol] = Deferred(self._cancel)
        factory.doStart()

    def _knock(self) -> None:
        if self._target is None or self._is_accepted:
            return
        network, here, there = self._network, self._host.name, self._target
        cuts = {network.links.cut(here, there), network.links.cut(there, here)}
        if Cut.REFUSED in cuts:
            self._after_travel(self._host.life, self._fail, ConnectRefused())
        elif Cut.SILENT not in cuts and not network.is_down(there):
            self._after_travel(network.life, self._arrive, there)

    def _arrive(self, target: str) -> None:
        if self._is_accepted or self.connected.called or self._network.is_down(target):
            return
        listener = self._network.find_listener(target, self._address)
        client_address = self._client_address()
        protocol = None
        if listener is not None:
            protocol = listener.factory.buildProtocol(_twisted_address(client_address))
        if listener is None or protocol is None:
            refusal = (
                ConnectError(string=f"nobody listens at {self._address.path}")
                if isinstance(self._address, UnixAddress)
                else ConnectRefused(string=f"nobody listens at {self._address}")
            )
            self._after_travel(self._host.life, self._fail, refusal)
            return
        self._is_accepted = True
        near, far = self._network.connect(self._host, listener, client_address)
        far.open(protocol)
        self._after_travel(self._host.life, self._open, near)

    def _open(self, stream: Stream) -> None:
        if self.connected.called:
            stream.refuse_late()
            return
        self._end()
        protocol = self._factory.buildProtocol(stream.getPeer())
        if protocol is None:
            stream.refuse_late()
            self.connected.errback(ConnectError(string="the factory wants none"))
            return
        stream.open(protocol)
        self.connected.callback(protocol)

    def _fail(self, reason: Exception) -> None:
        if not self.connected.called:
            self._end()
            self.connected.errback(reason)

    def _cancel(self, connected: Deferred[IProtocol]) -> None:
        self._end()
        connected.errback(ConnectingCancelledError(_twisted_address(self._address)))

    def _end(self) -> None:
        for call in self._calls:
            if call.active():
                call.cancel()

    def _after_travel(
        self, life: LifeClock, call: Callable[..., None], *arguments: object
    ) -> None:
        assert self._target is not None
        seconds = self._network.travel_seconds(self._host.name, self._target)
        life.callLater(seconds, call, *arguments)

    def _client_address(self) -> Address:
        if isinstance(self._address, UnixAddress):
            return UnixAddress("")
        source = self._address.host
        if number_of(source) != 0:
            source = ipv6_address(self._host.number)
        return TcpAddress(source, self._network.draw_port())


def _normal(address: Address) -> Address:
    """One spelling of each address; ``ValueError`` for a name."""
    if isinstance(address, UnixAddress):
        return address
    return TcpAddress(str(ip_address(address.host)), address.port)


def _twisted_address(address: Address) -> IAddress:
    if isinstance(address, UnixAddress):
        return UNIXAddress(address.path.encode())
    kind = IPv6Address if ":" in address.host else IPv4Address
    return kind("TCP", address.host, address.port)


def _cannot_listen(address: Address, number: int) -> CannotListenError:
    interface, port = (
        (address.host, address.port)
        if isinstance(address, TcpAddress)
        else ("", address.path)
    )
    return CannotListenError(interface, port, OSError(number, os.strerror(number)))
