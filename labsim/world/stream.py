"""One end of a simulated connection: what a protocol sees as its transport.

Rules that hold at every instant:

1. Bytes arrive in order, and each once. What is written in one instant travels as one
   segment.
2. A severed link or a host without power holds segments back, as TCP does by sending
   them again; they arrive after the link heals, or their sender gives up after
   ``GIVE_UP_SECONDS``.
3. A protocol that half-closing does not interest loses its connection when its peer
   closes. What arrives at an end that is closed, or that a crash has forgotten, is
   answered by a reset.
4. A protocol is never called from inside its own call to the transport.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import Enum
from typing import Protocol
from zlib import crc32

from attrs import define
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IDelayedCall,
    IHalfCloseableProtocol,
    IProducer,
    IProtocol,
    IPullProducer,
    IPushProducer,
    ITCPTransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from labsim.world.clock import LifeClock

GIVE_UP_SECONDS = 924.6
"""What Linux needs for 15 retransmissions (tcp_retries2)."""

RETRANSMISSION_SECONDS = 0.2
"""How much later a segment comes that was held back: the least timeout of TCP."""

WINDOW_BYTES = 64 * 1024
"""Written and not yet taken by the peer: more pauses a streaming producer."""


class Wire(Protocol):
    """What a stream asks of the network."""

    life: LifeClock

    def travel_seconds(self, source: str, target: str) -> float:
        """Draw how long a packet takes."""

    def holds_back(self, source: str, target: str) -> bool:
        """Whether packets vanish on this way now."""

    def record(self, host: str, kind: str, text: str) -> None:
        """Write a line of the trace."""

    def forget(self, stream: Stream) -> None:
        """This end has ended."""


class _Kind(Enum):
    BYTES = "bytes"
    END = "end"
    RESET = "reset"


@define
class _Segment:
    kind: _Kind
    written: float
    content: bytearray


@implementer(ITCPTransport, IPushProducer, IConsumer)
class Stream:
    """One end; ``peer`` is the other."""

    peer: Stream

    def __init__(
        self,
        wire: Wire,
        life: LifeClock,
        hosts: tuple[str, str],
        addresses: tuple[IAddress, IAddress],
        name: str,
    ) -> None:
        self.life = life
        self.host, self.peer_host = hosts
        self.name = name
        self.disconnecting = False
        self.is_stalled = False
        self._wire = wire
        self._local, self._remote = addresses
        self._is_closed = False
        self._is_write_closed = False
        self._outgoing: deque[_Segment] = deque()
        self._flight = 0  # the number of the present attempt to send what is outgoing
        self._last_arrival = 0.0
        self._give_up: IDelayedCall | None = None
        self._protocol: IProtocol | None = None
        self._is_paused = True  # until there is a protocol
        self._inbox: deque[_Segment] = deque()
        self._untaken_bytes = 0
        self._producer: IProducer | None = None
        self._is_streaming = False
        self._is_producer_paused = False
        self._is_no_delay = False
        self._is_keep_alive = False

    # What the network does with it.

    def open(self, protocol: IProtocol) -> None:
        """Give the connection to its protocol."""
        self._protocol = protocol
        self._is_paused = False
        protocol.makeConnection(self)
        if self._inbox:
            self.life.callLater(0, self._take_inbox)

    def reset(self) -> None:
        """Lose the connection as a reset from the network does."""
        self._outgoing.clear()
        if self._protocol is None:
            self._inbox.append(_Segment(_Kind.RESET, 0, bytearray()))
        else:
            self._lose(ConnectionLost())

    def end_with_process(self) -> None:
        """The kernel closes it; the protocol, which is no more, hears nothing."""
        if not self._is_closed:
            self._is_closed = True
            self._send(_Kind.END)

    def refuse_late(self) -> None:
        """The connecting side did not wait for this connection."""
        self._is_closed = True
        self._send(_Kind.RESET)
        self._wire.forget(self)

    def try_again(self) -> None:
        """Send again what was held back, when the way is free."""
        if not self.is_stalled or self._wire.holds_back(self.host, self.peer_host):
            return
        self.is_stalled = False
        self._cancel_give_up()
        if self.life.is_over:
            self._outgoing.clear()
        for _ in self._outgoing:
            self._schedule(RETRANSMISSION_SECONDS)

    # ITransport and ITCPTransport.

    def write(self, data: bytes) -> None:
        if self._is_closed or self._is_write_closed or not data:
            return
        self._untaken_bytes += len(data)
        self._send(_Kind.BYTES, data)
        is_full = self._untaken_bytes > WINDOW_BYTES
        if is_full and self._is_streaming and not self._is_producer_paused:
            assert self._producer is not None
            self._is_producer_paused = True
            IPushProducer(self._producer).pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        if not self._is_closed and not self.disconnecting:
            self.disconnecting = True
            if self._producer is None:
                self._close()

    def loseWriteConnection(self) -> None:
        if not self._is_closed and not self._is_write_closed:
            self._is_write_closed = True
            self._send(_Kind.END)

    def abortConnection(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._flight += 1
            self._outgoing.clear()
            self._send(_Kind.RESET)
            self.life.callLater(0, self._tell_lost, ConnectionAborted())

    # A socket of the file system is no ITCPTransport, but has all that is used of it.
    def getPeer(self) -> IAddress:  # type: ignore[override]
        return self._remote

    def getHost(self) -> IAddress:  # type: ignore[override]
        return self._local

    def getTcpNoDelay(self) -> bool:
        return self._is_no_delay

    def setTcpNoDelay(self, enabled: bool) -> None:
        self._is_no_delay = enabled

    def getTcpKeepAlive(self) -> bool:
        return self._is_keep_alive

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self._is_keep_alive = enabled

    # IPushProducer: what the peer sends.

    def pauseProducing(self) -> None:
        self._is_paused = True

    def resumeProducing(self) -> None:
        self._is_paused = False
        if self._inbox:
            self.life.callLater(0, self._take_inbox)

    def stopProducing(self) -> None:
        self.loseConnection()

    # IConsumer: what somebody wants to send.

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        assert self._producer is None, "a producer is registered already"
        if self._is_closed:
            producer.stopProducing()
            return
        self._producer = producer
        self._is_streaming = streaming
        self._is_producer_paused = False
        if not streaming:
            IPullProducer(producer).resumeProducing()

    def unregisterProducer(self) -> None:
        self._producer = None
        self._is_streaming = False
        if self.disconnecting and not self._is_closed:
            self._close()

    # Sending.

    def _send(self, kind: _Kind, content: bytes = b"") -> None:
        now = self._wire.life.seconds()
        if self._outgoing and kind is _Kind.BYTES:
            last = self._outgoing[-1]
            if (last.kind, last.written) == (_Kind.BYTES, now):
                last.content += content
                return
        self._outgoing.append(_Segment(kind, now, bytearray(content)))
        if not self.is_stalled:
            self._schedule(0)

    def _schedule(self, extra_seconds: float) -> None:
        now = self._wire.life.seconds()
        travel_seconds = self._wire.travel_seconds(self.host, self.peer_host)
        arrival = max(now + extra_seconds + travel_seconds, self._last_arrival)
        self._last_arrival = arrival
        self._wire.life.callLater(arrival - now, self._deliver, self._flight)

    def _deliver(self, flight: int) -> None:
        if flight != self._flight or not self._outgoing:
            return
        if self._wire.holds_back(self.host, self.peer_host):
            self._stall()
            return
        segment = self._outgoing.popleft()
        digest = f"{len(segment.content)} {crc32(segment.content):08x}"
        self._wire.record(
            self.host, "packet", f"{self.name} {segment.kind.value} {digest}"
        )
        self.peer._arrive(segment)  # noqa: SLF001 - the other end

    def _stall(self) -> None:
        self.is_stalled = True
        self._flight += 1
        if self._outgoing[-1].kind is _Kind.RESET:
            self._outgoing.clear()  # a reset is sent once
        if not self.life.is_over and not self._is_closed:
            self._give_up = self.life.callLater(GIVE_UP_SECONDS, self.reset)

    def _cancel_give_up(self) -> None:
        if self._give_up is not None and self._give_up.active():
            self._give_up.cancel()
        self._give_up = None

    def _was_taken(self, byte_count: int) -> None:
        self._untaken_bytes -= byte_count
        producer = self._producer
        if producer is None or self._is_closed or self.life.is_over:
            return
        if not self._is_streaming:
            if self._untaken_bytes == 0:
                IPullProducer(producer).resumeProducing()
        elif self._is_producer_paused and self._untaken_bytes <= WINDOW_BYTES:
            self._is_producer_paused = False
            IPushProducer(producer).resumeProducing()

    # Receiving.

    def _arrive(self, segment: _Segment) -> None:
        if self.life.is_over or self._is_closed:
            if segment.kind is _Kind.BYTES or self.life.is_over:
                travel_seconds = self._wire.travel_seconds(self.host, self.peer_host)
                self._wire.life.callLater(travel_seconds, self.peer.reset)
        elif segment.kind is _Kind.RESET:
            self.reset()
        elif self._is_paused or self._inbox:
            self._inbox.append(segment)
        else:
            self._take(segment)

    def _take_inbox(self) -> None:
        while self._inbox and not self._is_paused and not self._is_closed:
            self._take(self._inbox.popleft())

    def _take(self, segment: _Segment) -> None:
        assert self._protocol is not None
        if segment.kind is _Kind.RESET:
            self.reset()
        elif segment.kind is _Kind.BYTES:
            self._protocol.dataReceived(bytes(segment.content))
            self.peer._was_taken(len(segment.content))  # noqa: SLF001 - the other end
        elif IHalfCloseableProtocol.providedBy(self._protocol):
            IHalfCloseableProtocol(self._protocol).readConnectionLost()
        else:
            self._send(_Kind.END)
            self._lose(ConnectionDone())

    # Ending.

    def _close(self) -> None:
        self._is_closed = True
        if not self._is_write_closed:
            self._send(_Kind.END)
        self.life.callLater(0, self._tell_lost, ConnectionDone())

    def _lose(self, reason: Exception) -> None:
        if not self._is_closed:
            self._is_closed = True
            if not self.life.is_over:
                self._tell_lost(reason)

    def _tell_lost(self, reason: Exception) -> None:
        self._cancel_give_up()
        self._wire.forget(self)
        if self._producer is not None:
            self._producer.stopProducing()
        assert self._protocol is not None
        self._protocol.connectionLost(Failure(reason))
