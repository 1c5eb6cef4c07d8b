"""Shell. Which documents an agent takes, heard on the wire.

An answer to a poll is taken when all of it has arrived. Its ETag names the content; an
answer without a body says that nothing changed, and nothing is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import define, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from zope.interface import implementer

from runtime.http_server import SIGN
from runtime.ports import Address, INetwork

POLL = b"GET /getFullComputerInformation?"
OK = b"HTTP/1.1 200 "

Hear = Callable[[str], None]
"""Told the ETag of a document, without what says how it was sent."""


@implementer(INetwork)
@frozen
class OverheardNetwork:
    """The network of an agent, whose polls are told to ``hear``."""

    network: INetwork
    hear: Hear

    def client_endpoint(self, address: Address) -> IStreamClientEndpoint:
        return _OverheardEndpoint(self.network.client_endpoint(address), self.hear)

    def server_endpoint(self, address: Address) -> IStreamServerEndpoint:
        return self.network.server_endpoint(address)


@implementer(IStreamClientEndpoint)
@frozen
class _OverheardEndpoint:
    endpoint: IStreamClientEndpoint
    hear: Hear

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        connecting: Deferred[IProtocol] = self.endpoint.connect(
            _Overheard(protocolFactory, self.hear)
        )
        return connecting.addCallback(_inner)


def _inner(wrapper: IProtocol) -> IProtocol:
    assert isinstance(wrapper, _Exchanges)
    inner: IProtocol = wrapper.wrappedProtocol
    return inner


class _Overheard(WrappingFactory):
    """Makes connections that are overheard."""

    noisy = False

    def __init__(self, factory: IProtocolFactory, hear: Hear) -> None:
        super().__init__(factory)  # type: ignore[no-untyped-call] # Twisted's
        self._hear = hear

    def buildProtocol(self, addr: IAddress | None) -> ProtocolWrapper:
        inner = self.wrappedFactory.buildProtocol(addr)
        return _Exchanges(self, inner, self._hear)


@define
class Answers:
    """The answers on one connection, of which one is awaited at a time."""

    hear: Hear
    is_poll: bool = False
    received: bytes = b""

    def sent(self, data: bytes) -> None:
        """Notice a question: of others the answers are not looked at."""
        if data.startswith(POLL):
            self.is_poll, self.received = True, b""

    def came(self, data: bytes) -> None:
        if not self.is_poll:
            return
        self.received += data
        while self.received.startswith(SIGN):
            self.received = self.received.removeprefix(SIGN)
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return
        lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
        headers = {name.strip().lower(): value.strip() for name, _, value in lines}
        if len(body) < int(headers.get(b"content-length", b"0")):
            return
        self.is_poll, self.received = False, b""
        if head.startswith(OK):
            etag = headers[b"etag"].decode("ascii")
            self.hear(etag.removeprefix("W/").strip('"'))


class _Exchanges(ProtocolWrapper):
    """A connection; whoever has it sees no difference."""

    def __init__(self, factory: _Overheard, inner: IProtocol, hear: Hear) -> None:
        super().__init__(factory, inner)  # type: ignore[arg-type] # makes these
        self._answers = Answers(hear)

    def write(self, data: bytes) -> None:
        self._answers.sent(data)
        super().write(data)  # type: ignore[no-untyped-call] # Twisted's

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def dataReceived(self, data: bytes) -> None:
        # What is heard is told after it was taken: its owner acts on it before.
        self._answers.came(data)
        super().dataReceived(data)  # type: ignore[no-untyped-call] # Twisted's
