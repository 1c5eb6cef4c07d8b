"""The simulated network: hosts that listen and connect over links.

A host is named by the world; its addresses follow from its number
(``labsim.world.addresses``). Connecting takes a round trip, and its packets are lost as
others are: they are sent again like TCP does, until the bound of the port. The peer
hears of a connection half a round trip later, or never when that packet is the last.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

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

from labsim.world.addresses import ipv6_address, number_of, spelt
from labsim.world.clock import LifeClock, WorldClock
from labsim.world.links import Cut, Links, Way
from labsim.world.stream import HEADER_BYTES, Stream
from runtime.network import CONNECT_SECONDS_MAX
from runtime.ports import Address, INetwork, TcpAddress, UnixAddress

SYN_SECONDS = (0.0, 1.0, 3.0, 7.0, 15.0)
"""When TCP knocks, again and again, within the bound of the port."""

EPHEMERAL_PORT_MIN = 32_768

SYN_BYTES = HEADER_BYTES + 20
"""With the options that are negotiated."""

_ListenerKey = tuple[str, Address]
_Message = tuple[
    Way,
    Callable[..., object],
    tuple[object, ...],
    Callable[[], object] | None,
]


class Network:
    """All links, listeners and streams of a world."""

    def __init__(
        self,
        clock: WorldClock,
        links: Links,
        record: Callable[[str, str, str], None],
    ) -> None:
        self.clock = clock
        self.life = LifeClock(clock)
        self.links = links
        self.record = record
        self.listeners: dict[_ListenerKey, Listener] = {}
        self.streams: dict[Stream, None] = {}  # a dictionary keeps the order
        self.way = links.way
        self.is_frozen = links.is_frozen
        links.is_changed = self._try_again
        self._watching: dict[Stream, None] = {}
        self._held: dict[Way, list[_Message]] = {}
        self._host_names: dict[int, str] = {}
        self._last_port = EPHEMERAL_PORT_MIN
        self._stream_count = 0

    def add_host(self, name: str, number: int, region: str) -> None:
        self._host_names[number] = name
        self.links.add_host(name, region)

    def host_name(self, number: int) -> str | None:
        return self._host_names.get(number)

    def send(
        self,
        way: Way,
        byte_count: int,
        deliver: Callable[..., object],
        *arguments: object,
        refuse: Callable[[], object] | None = None,
    ) -> None:
        """Send one packet: ``deliver`` is called when it arrives, or twice, or never.

        ``refuse`` is called when a firewall answers.
        """
        links, clock = self.links, self.clock
        if way.version != links.version:
            links.refresh(way)
        message = (way, deliver, arguments, refuse)
        if way.is_plain:
            seconds = way.latency_seconds + way.jitter_seconds * way.draw_jitter()
            clock.call_with(clock.now + seconds, self._arrive, message)
            return
        if way.cut is not None:
            self._arrive(*message)
            return
        for _ in range(way.copies()):
            queue_seconds = way.queue_seconds(clock.now, byte_count)
            if queue_seconds is not None:
                instant = clock.now + queue_seconds + way.travel_seconds()
                clock.call_with(instant, self._arrive, message)

    def power_off(self, host: str) -> None:
        """The host is gone without a word; its peers notice later, or never."""
        self._forget_listeners(host)
        self.links.take_away(host)
        for stream in tuple(self.streams):
            if stream.host == host:
                stream.end_with_kernel()
                self.forget(stream)

    def power_on(self, host: str) -> None:
        self.links.give_back(host)

    def end_processes(self, host: str) -> None:
        """The kernel of a living host closes the sockets of its dead programs."""
        self._forget_listeners(host)
        for stream in tuple(self.streams):
            if stream.host == host:
                stream.end_with_process()

    def watch(self, stream: Stream) -> None:
        """Have it try again when links or hosts change."""
        self._watching[stream] = None

    def forget(self, stream: Stream) -> None:
        self.streams.pop(stream, None)

    def connect(
        self, host: HostNetwork, listener: Listener, client_address: Address
    ) -> Stream:
        """The client's end of a new connection; the other waits to be greeted."""
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
            accept=listener.accept,
        )
        near.peer, far.peer = far, near
        self.streams[near] = None
        return near

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

    def _arrive(
        self,
        way: Way,
        deliver: Callable[..., object],
        arguments: tuple[object, ...],
        refuse: Callable[[], object] | None,
    ) -> None:
        if way.version != self.links.version:
            self.links.refresh(way)
        if way.is_open:
            deliver(*arguments)
        elif way.is_vanishing:
            pass
        elif way.cut is Cut.REFUSED:
            if refuse is not None:
                instant = self.clock.now + way.travel_seconds()
                self.clock.call_at(instant, refuse)
        else:
            message = (way, deliver, arguments, refuse)
            self._held.setdefault(way, []).append(message)

    def _try_again(self) -> None:
        """Links or hosts have changed."""
        watching, self._watching = self._watching, {}
        for stream in watching:
            stream.try_again()
        for way in tuple(self._held):
            self.links.refresh(way)
            if not way.is_held:
                for message in self._held.pop(way):
                    self.clock.call_with(self.clock.now, self._arrive, message)

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

    def accept(self, stream: Stream) -> None:
        """Give a connection that was made its protocol, if this is still open."""
        network = self.host.network
        protocol = None
        if network.listeners.get((self.host.name, self.address)) is self:
            protocol = self.factory.buildProtocol(stream.getPeer())
        if protocol is None:
            stream.refuse()
        else:
            network.streams[stream] = None
            stream.open(protocol)


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
        self._calls = [
            host.life.callLater(seconds, self._knock) for seconds in SYN_SECONDS
        ]
        self._calls.append(
            host.life.callLater(CONNECT_SECONDS_MAX, self._fail, ConnectTimeout())
        )
        self.connected: Deferred[IProtocol] = Deferred(self._cancel)
        factory.doStart()

    def _knock(self) -> None:
        if self._target is not None:
            way = self._network.way(self._host.name, self._target)
            self._network.send(way, SYN_BYTES, self._arrive, refuse=self._be_refused)

    def _arrive(self) -> None:
        """The kernel of the other host answers."""
        assert self._target is not None
        network = self._network
        listener = network.find_listener(self._target, self._address)
        way = network.way(self._target, self._host.name)
        if listener is None:
            network.send(way, SYN_BYTES, self._be_refused)
        else:
            network.send(way, SYN_BYTES, self._open_soon, listener)

    def _open_soon(self, listener: Listener) -> None:
        if self._host.life.pause_count:
            self._host.life.callLater(0, self._open, listener)
        else:
            self._open(listener)

    def _open(self, listener: Listener) -> None:
        if self.connected.called or self._host.life.is_over:
            return
        self._end()
        client_address = self._client_address()
        stream = self._network.connect(self._host, listener, client_address)
        protocol = self._factory.buildProtocol(stream.getPeer())
        if protocol is None:
            self._network.forget(stream)
            self.connected.errback(ConnectError(string="the factory wants none"))
            return
        stream.greet()
        stream.open(protocol)
        self.connected.callback(protocol)

    def _be_refused(self) -> None:
        reason = (
            ConnectError(string=f"nobody listens at {self._address.path}")
            if isinstance(self._address, UnixAddress)
            else ConnectRefused(string=f"nobody listens at {self._address}")
        )
        if not self._host.life.is_over:
            self._host.life.callLater(0, self._fail, reason)

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
    return TcpAddress(spelt(address.host), address.port)


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
