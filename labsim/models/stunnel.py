"""Shell. stunnel on a simulated host: what stands between the links of two regions.

For each section it has a port open; what comes there is led to another address, plain
on one side and by TLS on the other. What programs notice of it, held to the real one by
``tests/contract/stunnel_contract.py``:

- It accepts at once, whether or not anybody is at the other end, and closes when it
  knows: a refusal and a silence look like a connection that is lost young. What was
  written until then is gone.
- A program behind it hears of a client when both certificates were accepted, and never
  of one that was refused.
- Its kernel goes on to accept and to keep what is written while its process is stopped.
- The end of a way is carried to the other end, a reset as an end: nobody behind it
  learns that a program aborted.
- When it is killed both programs see an end. Nobody is told what had arrived.

Of TLS there are records, names of certificates that are compared, and one round trip
more than TCP needs. There is no cryptography, and no session is resumed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import define, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
    IListeningPort,
    IProtocol,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from labsim.world.host import Host
from labsim.world.stream import Stream
from runtime.ports import Runtime, TcpAddress

RECORD_BYTES_MAX = 16 * 1024
"""What TLS puts into one record."""

_ALERT, _HANDSHAKE, _CONTENT = 21, 22, 23
_HEADER_BYTES = 5
_END = b"end"


@frozen
class Section:
    """Who comes to ``accept`` is led to ``connect``.

    A client's takes plain connections and dials with TLS; the other one takes TLS.
    """

    accept: TcpAddress
    connect: TcpAddress
    is_client: bool = False


@frozen
class Timeouts:
    """As stunnel has them when its configuration does not say."""

    connect_seconds: float = 10.0
    busy_seconds: float = 300.0
    """Of a handshake in which the other side is silent."""

    idle_seconds: float = 43_200.0
    close_seconds: float = 60.0
    """How long it waits for the second half when one side has ended its own."""


@frozen
class Configuration:
    """The name of its own certificate, those that it accepts, and its sections."""

    certificate: str
    accepted: frozenset[str]
    sections: tuple[Section, ...]
    timeouts: Timeouts = field(factory=Timeouts)


class Stunnel(Service):
    """One life of a process."""

    def __init__(self, runtime: Runtime, configuration: Configuration) -> None:
        self.runtime = runtime
        self.configuration = configuration
        self.passages: dict[_Passage, None] = {}
        self._ports: list[IListeningPort] = []

    def startService(self) -> None:
        for section in self.configuration.sections:
            endpoint = self.runtime.network.server_endpoint(section.accept)
            endpoint.listen(_Accepting(self, section)).addCallback(self._ports.append)

    async def stopService(self) -> None:
        for port in self._ports:
            await maybeDeferred(port.stopListening)
        for passage in tuple(self.passages):
            passage.end()


@define(eq=False)
class _Accepting(Factory):
    stunnel: Stunnel
    section: Section

    def buildProtocol(self, _: IAddress | None) -> _End:
        return _Passage(self.stunnel, self.section).accepted


@define(eq=False)
class _Dialled(Factory):
    end: _End

    def buildProtocol(self, _: IAddress | None) -> _End:
        return self.end


@implementer(IHalfCloseableProtocol)
class _End(Protocol):
    """One of the two connections of a passage."""

    def __init__(self, passage: _Passage) -> None:
        self._passage = passage
        self.is_over = False

    @property
    def link(self) -> Stream:
        assert isinstance(self.transport, Stream)
        return self.transport

    def send(self, content: bytes) -> None:
        if self.connected and not self.is_over:
            self.link.write(content)

    def feed_from(self, other: _End) -> None:
        """Take what the other hears, no faster than this one sends."""
        self.link.registerProducer(other.link, streaming=True)

    def finish(self, *, is_reset: bool = False) -> None:
        """End this connection; its passage is not told."""
        if self.is_over:
            return
        self.is_over = True
        if self.connected:
            if is_reset:
                self.link.abortConnection()
            else:
                self.link.unregisterProducer()
                self.link.loseConnection()

    def connectionMade(self) -> None:
        self._passage.begin(self)

    def dataReceived(self, data: bytes) -> None:
        self._passage.take(self, data)

    def readConnectionLost(self) -> None:
        self._passage.hear_end(self)

    def writeConnectionLost(self) -> None:
        """Nothing is left to write."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.is_over:
            self.is_over = True
            self._passage.lose(self, is_reset=not reason.check(ConnectionDone))


class _Passage:
    """One connection that is led through: a plain end, and one of TLS."""

    def __init__(self, stunnel: Stunnel, section: Section) -> None:
        self._stunnel = stunnel
        self._section = section
        self._timeouts = stunnel.configuration.timeouts
        self._clock = stunnel.runtime.clock
        self._received = b""
        self._is_open = False
        self._ended: list[_End] = []
        self._active_at = self._clock.seconds()
        self._timer: IDelayedCall | None = None
        self._dialling: Deferred[IProtocol] | None = None
        self._plain, self._tls = _End(self), _End(self)
        stunnel.passages[self] = None

    @property
    def accepted(self) -> _End:
        return self._plain if self._section.is_client else self._tls

    def begin(self, end: _End) -> None:
        """One of its ends is connected."""
        if end is self._plain:
            end.link.pauseProducing()
        if end is self.accepted:
            if end is self._plain:
                self._dial(self._tls)
            else:
                self._watch()
            return
        self._dialling = None
        if end is self._tls:
            self._watch()
            self._send(_HANDSHAKE, b"")
        else:
            self._open()

    def take(self, end: _End, data: bytes) -> None:
        """Lead what one end received to the other."""
        self._active_at = self._clock.seconds()
        if end is self._tls:
            self._received += data
            while self._may_take() and self._take_record():
                pass
            return
        for begin in range(0, len(data), RECORD_BYTES_MAX):
            self._send(_CONTENT, data[begin : begin + RECORD_BYTES_MAX])

    def hear_end(self, end: _End) -> None:
        """An end sends nothing more."""
        if end is self._plain:
            self._send(_ALERT, _END)
            self._note_end(end)
        else:
            # TLS says its end by a record: without one the other stunnel is gone.
            self.end()

    def lose(self, end: _End, *, is_reset: bool) -> None:
        """An end is no more."""
        self.end(resets_plain=end is self._tls and is_reset)

    def end(self, *, resets_plain: bool = False, resets_tls: bool = False) -> None:
        """End what is left of it."""
        if self._dialling is not None:
            dialling, self._dialling = self._dialling, None
            dialling.cancel()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._plain.finish(is_reset=resets_plain)
        self._tls.finish(is_reset=resets_tls)
        self._stunnel.passages.pop(self, None)

    def _dial(self, end: _End) -> None:
        network = self._stunnel.runtime.network
        dialling = network.client_endpoint(self._section.connect).connect(_Dialled(end))
        dialling.addTimeout(self._timeouts.connect_seconds, self._clock)
        self._dialling = dialling
        dialling.addErrback(self._find_nobody)

    def _find_nobody(self, _: Failure) -> None:
        if self._dialling is not None:
            self._dialling = None
            self.end(resets_plain=True)

    # -- records

    def _send(self, kind: int, content: bytes) -> None:
        length = len(content).to_bytes(_HEADER_BYTES - 1, "big")
        self._tls.send(bytes((kind,)) + length + content)

    def _may_take(self) -> bool:
        # A server's waits from the end of the handshake until its program is reached.
        return not self._tls.is_over and self._dialling is None

    def _take_record(self) -> bool:
        """Take the first record of what was received; tell whether it was whole."""
        if len(self._received) < _HEADER_BYTES:
            return False
        kind = self._received[0]
        length = int.from_bytes(self._received[1:_HEADER_BYTES], "big")
        if length > RECORD_BYTES_MAX:
            self._refuse()
            return False
        end = _HEADER_BYTES + length
        if len(self._received) < end:
            return False
        content = self._received[_HEADER_BYTES:end]
        self._received = self._received[end:]
        if not self._is_open:
            self._shake_hands(kind, content)
        elif kind == _CONTENT:
            self._plain.send(content)
        elif kind == _ALERT:
            if self._plain.connected and not self._plain.is_over:
                self._plain.link.loseWriteConnection()
            self._note_end(self._tls)
        return True

    def _shake_hands(self, kind: int, content: bytes) -> None:
        """A client says hello, is told a name, and tells its own."""
        own = self._stunnel.configuration.certificate.encode()
        accepted = self._stunnel.configuration.accepted
        if kind != _HANDSHAKE:
            self._refuse()
        elif not content:
            self._send(_HANDSHAKE, own)
        elif content.decode(errors="replace") not in accepted:
            self._refuse()
        elif self._section.is_client:
            self._send(_HANDSHAKE, own)
            self._open()
        else:
            # What a client writes at once waits until the program behind is reached.
            self._tls.link.pauseProducing()
            self._dial(self._plain)

    def _refuse(self) -> None:
        self.end(resets_plain=True, resets_tls=True)

    def _open(self) -> None:
        self._is_open = True
        self._active_at = self._clock.seconds()
        self._watch()
        self._plain.feed_from(self._tls)
        self._tls.feed_from(self._plain)
        self._plain.link.resumeProducing()
        self._tls.link.resumeProducing()
        if not self._section.is_client:
            self.take(self._tls, b"")

    def _note_end(self, end: _End) -> None:
        if end not in self._ended:
            self._ended.append(end)
        if len(self._ended) > 1:
            self.end()
        else:
            self._active_at = self._clock.seconds()
            self._watch()

    # -- timeouts

    @property
    def _limit_seconds(self) -> float:
        if not self._is_open:
            return self._timeouts.busy_seconds
        times = self._timeouts
        return times.close_seconds if self._ended else times.idle_seconds

    def _watch(self) -> None:
        """Look again when the present limit is over, if nothing happens until then."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        due = self._active_at + self._limit_seconds
        self._timer = self._clock.callLater(
            max(0.0, due - self._clock.seconds()), self._look
        )

    def _look(self) -> None:
        if self._clock.seconds() < self._active_at + self._limit_seconds:
            self._watch()
        elif self._is_open:
            self.end(resets_plain=not self._ended)
        else:
            self._refuse()


ENTRY_PORT = 10_000
"""Where programs of a region find those of others: this, and the number of a place."""

WIRE_PORT = 20_000
"""Where stunnels find each other."""


@frozen
class Gates:
    """The stunnel of each region, on a host of its own, and what they lead to.

    ``places`` are addresses with the region in which each is. All certificates are
    accepted by all, as pinned ones are.
    """

    hosts: Mapping[str, Host]
    places: Mapping[TcpAddress, str]

    def reached(self, region: str, address: TcpAddress) -> TcpAddress:
        """Where programs of a region reach an address."""
        if region not in self.hosts or self.places[address] == region:
            return address
        number = tuple(self.places).index(address)
        return TcpAddress(self.hosts[region].address, ENTRY_PORT + number)

    def boot(self) -> None:
        """Start all; each starts again with its host."""
        for region, host in self.hosts.items():
            host.boot(self._builder(region))

    def configuration(self, region: str) -> Configuration:
        own = self.hosts[region].address
        sections = []
        for number, (address, its) in enumerate(self.places.items()):
            if its == region:
                wire = TcpAddress(own, WIRE_PORT + number)
                sections.append(Section(wire, address))
            else:
                wire = TcpAddress(self.hosts[its].address, WIRE_PORT + number)
                entry = self.reached(region, address)
                sections.append(Section(entry, wire, is_client=True))
        others = frozenset(it for it in self.hosts if it != region)
        return Configuration(region, others, tuple(sections))

    def _builder(self, region: str) -> Callable[[Runtime], Stunnel]:
        return lambda runtime: Stunnel(runtime, self.configuration(region))
