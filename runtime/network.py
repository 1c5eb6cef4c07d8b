"""Streams between hosts, over the sockets of this machine."""

from __future__ import annotations

import socket
from pathlib import Path

from attrs import frozen
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred, execute
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
)
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.tcp import Port
from zope.interface import implementer

from runtime.ports import Address, INetwork, TcpAddress, UnixAddress

CONNECTIONS_WAITING_MAX = 2048
"""Connections that the kernel has made and we have not accepted yet. When they are more
it drops the next ones, whose clients try again after a second; Twisted's own 50 are
exceeded whenever many agents come back at once."""

ACCEPTS_MAX = 50
"""In one turn of the reactor; below the descriptors that a program has in reserve."""

CONNECT_SECONDS_MAX = 30.0
"""Three lost SYNs (1 + 2 + 4 s) and a slow peer; a dead one costs no more than this."""

SOCKET_MODE = 0o600
"""A socket of the file system serves the programs of its own user."""


@implementer(INetwork)
@frozen
class SocketNetwork:
    """The network of this machine."""

    reactor: PosixReactorBase

    def client_endpoint(self, address: Address) -> IStreamClientEndpoint:
        match address:
            case UnixAddress(path):
                return UNIXClientEndpoint(
                    self.reactor, path, timeout=CONNECT_SECONDS_MAX
                )
            case TcpAddress(host, port):
                kind = TCP6ClientEndpoint if is_ipv6(host) else TCP4ClientEndpoint
                return kind(self.reactor, host, port, timeout=CONNECT_SECONDS_MAX)

    def server_endpoint(self, address: Address) -> IStreamServerEndpoint:
        match address:
            case UnixAddress(path):
                return _SocketServer(self.reactor, path)
            case TcpAddress(host, port):
                is_ipv6(host)  # refuses a name
                return _TcpServer(self.reactor, host, port)


class _SteadyPort(Port):
    """Accepts so few at once that who gives one up for another has its descriptor.

    An aborted connection closes in the next turn of the reactor; Twisted accepts more
    in each turn the longer a rush lasts, and with no descriptor left it closes what it
    accepts.
    """

    def doRead(self) -> None:
        self.numberAccepts = min(self.numberAccepts, ACCEPTS_MAX)
        Port.doRead(self)


@implementer(IStreamServerEndpoint)
@frozen
class _TcpServer:
    """Listens at an address."""

    reactor: PosixReactorBase
    host: str
    port: int

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        def start() -> IListeningPort:
            port = _SteadyPort(
                self.port,
                protocolFactory,
                CONNECTIONS_WAITING_MAX,
                self.host,
                self.reactor,
            )
            port.startListening()
            return port

        return execute(start)


@implementer(IStreamServerEndpoint)
@frozen
class _SocketServer:
    """Listens at a socket of the file system, in place of one that nobody serves.

    A program that was killed leaves its socket behind. A lock with its process id, as
    Twisted has it, would not tell that another program has got that id since.
    """

    reactor: PosixReactorBase
    path: str

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(0)
            try:
                probe.connect(self.path)
            except ConnectionRefusedError:
                Path(self.path).unlink(missing_ok=True)
            except OSError:
                pass  # listening tells what is wrong, if anything is
        endpoint = UNIXServerEndpoint(self.reactor, self.path, mode=SOCKET_MODE)
        listening: Deferred[IListeningPort] = endpoint.listen(protocolFactory)
        return listening


def url_of(address: TcpAddress) -> str:
    """Return the address of a server as a URL."""
    host = f"[{address.host}]" if is_ipv6(address.host) else address.host
    return f"http://{host}:{address.port}/"


def is_ipv6(host: str) -> bool:
    """Whether ``host`` is an IPv6 address; ``ValueError`` when it is a name."""
    if isIPv6Address(host):
        return True
    if isIPAddress(host):
        return False
    raise ValueError(
        f"{host!r} is a name, and names are never resolved:"
        " give a numeric address such as 127.0.0.1 or ::1"
    )
