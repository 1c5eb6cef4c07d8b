"""One end of a simulated connection: what a protocol sees as its transport.

Rules that hold at every instant:

1. Bytes arrive in order, and each once. What is written in one instant travels as one
   segment, unless a link of limited bandwidth cuts it into pieces.
2. A protocol that half-closing does not interest loses its connection when its peer
   closes.
3. A protocol is never called from inside its own call to the transport, nor while its
   process is paused.

Of TCP these facts are modelled:

- What is lost is sent again: the first time after two round trips (the probe of the
  tail, or what selective acknowledgements tell), then after a timeout that begins with
  a round trip and 0.2 s and doubles up to two minutes. So a connection that was cut
  goes on some time after the cut ends, up to as long as it lasted. The connection is
  lost when nothing was acknowledged for 924.6 s.
- What comes out of order waits for what is before it, at most as long as it takes to
  send that again. Duplicates are dropped by the kernel.
- Acknowledgements need the way back: when it alone is cut, bytes arrive, ten packets at
  most, and their sender gives up after all.
- A hold delays, and its sender gives up before it ends if it lasts that long; what was
  sent arrives all the same.
- Silence is no sign: an idle connection notices neither a cut nor the loss of a host.
- A reset comes from the kernel of a host that does not know the connection (it has
  booted since, or its program has closed it) or that was closed with bytes unread, from
  a program that aborts, and from a firewall that rejects; on the way, it may be lost
  like other packets.
- A program that is paused has a kernel that takes what comes, and its peer stops to
  send when what is not read fills the window. The kernel of a killed program closes its
  connections and goes on to send what was written.
- On a link of limited bandwidth connections share in pieces of 64 kB, and what the full
  queue drops is sent again.

Not modelled: congestion control (loss costs time, but no window shrinks), slow start,
windows that are negotiated, keep-alive probes, acknowledgements as packets that take
part of the bandwidth, bounds of backlogs, SYN cookies, TIME_WAIT, path MTU.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
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

from labsim.world.clock import LifeClock, WorldClock
from labsim.world.links import Cut, Way

GIVE_UP_SECONDS = 924.6
"""What Linux needs for 15 retransmissions (tcp_retries2)."""

RETRANSMISSIONS_MAX = 15

RETRANSMISSION_SECONDS = 0.2
"""What the first timeout is longer than a round trip (TCP_RTO_MIN of Linux)."""

RETRANSMISSION_SECONDS_MAX = 120.0
"""Timeouts double up to this (TCP_RTO_MAX of Linux)."""

WINDOW_BYTES = 64 * 1024
"""Written and not yet taken by the peer: more pauses a streaming producer."""

PACKET_BYTES = 1440
"""What fits beside the headers into the 1500 bytes of an Ethernet."""

HEADER_BYTES = 60
"""Of IPv6 and TCP."""

UNHEARD_BYTES_MAX = 10 * PACKET_BYTES
"""What is sent before anything is acknowledged (RFC 6928)."""

PIECE_BYTES = 64 * 1024
"""What a network card is given at once, and so the turns in which connections share."""


class Wire(Protocol):
    """What a stream asks of the network."""

    clock: WorldClock
    life: LifeClock

    def way(self, source: str, target: str) -> Way:
        """The way between two hosts as it is now."""

    def is_frozen(self, host: str) -> bool:
        """Whether the kernel of a host stands still."""

    def record(self, host: str, kind: str, text: str) -> None:
        """Write a line of the trace."""

    def watch(self, stream: Stream) -> None:
        """Have ``try_again`` called when links or hosts change."""

    def forget(self, stream: Stream) -> None:
        """This end has ended."""


class _Kind(Enum):
    OPEN = "open"
    BYTES = "bytes"
    END = "end"
    RESET = "reset"


class _Wait(Enum):
    """What has to come before more is sent."""

    TIMER = "timer"
    LINK = "link"
    PROCESS = "process"


@define
class _Segment:
    kind: _Kind
    written: float
    content: bytearray

    @property
    def packet_count(self) -> int:
        return 1 + len(self.content) // PACKET_BYTES


@implementer(ITCPTransport, IPushProducer, IConsumer)
class Stream:
    """One end; ``peer`` is the other. ``accept`` gives it its protocol, in time."""

    peer: Stream

    def __init__(
        self,
        wire: Wire,
        life: LifeClock,
        hosts: tuple[str, str],
        addresses: tuple[IAddress, IAddress],
        name: str,
        *,
        accept: Callable[[Stream], None] | None = None,
    ) -> None:
        self.life = life
        self.host, self.peer_host = hosts
        self.name = name
        self.disconnecting = False
        self._wire = wire
        self._accept = accept
        self._local, self._remote = addresses
        self._is_closed = False
        self._is_write_closed = False
        self._has_kernel = True
        # Sending: the first of what is outgoing are on their way.
        self._outgoing: deque[_Segment] = deque()
        self._sent_count = 0
        self._wait: _Wait | None = None
        self._is_stalled = False  # what was sent has vanished
        self._held_count = 0  # of what was sent, what waits for the end of a hold
        self._flight = 0  # the number of the present attempt to send what is outgoing
        self._last_arrival = 0.0
        self._silent_since: float | None = None
        self._unheard_bytes = 0
        self._unreported_bytes = 0
        self._give_up: IDelayedCall | None = None
        # Receiving.
        self._protocol: IProtocol | None = None
        self._is_paused = True  # until there is a protocol
        self._is_inbox_due = False
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
            self._take_inbox_soon()

    def greet(self) -> None:
        """Tell the peer that the connection is made."""
        self._send(_Kind.OPEN)

    def reset(self) -> None:
        """Lose the connection as a reset from the network does."""
        self._drop_outgoing()
        if self._protocol is None:
            self._inbox.append(_Segment(_Kind.RESET, 0, bytearray()))
        else:
            self._lose(ConnectionLost())

    def end_with_process(self) -> None:
        """The kernel closes it; the protocol, which is no more, hears nothing."""
        if not self._is_closed:
            self._is_closed = True
            has_unread = any(segment.kind is _Kind.BYTES for segment in self._inbox)
            if has_unread:
                self._drop_outgoing()
            if self._wait is _Wait.PROCESS:
                while len(self._outgoing) > self._sent_count:
                    self._outgoing.pop()
                self._wait = None
            self._send(_Kind.RESET if has_unread else _Kind.END, is_by_kernel=True)

    def end_with_kernel(self) -> None:
        """The host has lost its power: what is on its way goes on, nothing else."""
        self._has_kernel = False
        self._cancel_give_up()

    def refuse(self) -> None:
        """Nobody wants this connection: its peer is told, its protocol is none."""
        self._is_closed = True
        self._send(_Kind.END)

    def try_again(self) -> None:
        """Links or hosts have changed: send what was held back, if they let it."""
        if self._is_stalled:
            self._recover()
        if self._held_count and not self._way().is_held:
            held_count, self._held_count = self._held_count, 0
            for _ in range(held_count):
                self._call_at(self._wire.clock.now, self._deliver, self._flight)
        is_unheard = self._unheard_bytes > 0 or self._unreported_bytes > 0
        if is_unheard and not self._is_silent(self._back()):
            self._call_at(self._next_timeout(self._back()), self._hear)
        if self._wait is _Wait.LINK:
            self._pump()
        if self._is_stalled or self._held_count or is_unheard:
            self._wire.watch(self)

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
            self._drop_outgoing()
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
            self._take_inbox_soon()

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

    def _send(
        self, kind: _Kind, content: bytes = b"", *, is_by_kernel: bool = False
    ) -> None:
        now = self._wire.clock.now
        is_blocked = self.life.pause_count > 0 and not is_by_kernel
        if self._outgoing and kind is _Kind.BYTES and not is_blocked:
            last = self._outgoing[-1]
            if last.kind is _Kind.BYTES and last.written == now:
                last.content += content
                return
        self._outgoing.append(_Segment(kind, now, bytearray(content)))
        if self._wait is not None:
            return
        if is_blocked:
            # What a process writes once it waits for its disk is written later.
            self._wait = _Wait.PROCESS
            self.life.callLater(0, self._pump)
        elif self._way().is_plain and not self._unheard_bytes:
            self._schedule(self._outgoing[self._sent_count], 0)
        else:
            self._pump_at(now)

    def _pump_at(self, instant: float) -> None:
        self._wait = _Wait.TIMER
        self._call_at(instant, self._pump_of, self._flight)

    def _pump_of(self, flight: int) -> None:
        if flight == self._flight:
            self._pump()

    def _pump(self) -> None:
        """Send what is not on its way, as far as the link takes it."""
        self._wait = None
        now = self._wire.clock.now
        if not self._has_kernel:
            return
        while self._sent_count < len(self._outgoing):
            if self._unheard_bytes > UNHEARD_BYTES_MAX or (
                self._wire.is_frozen(self.host)
            ):
                self._wait = _Wait.LINK
                self._wire.watch(self)
                return
            way = self._way()
            if way.cut is Cut.SILENT:
                self._stall()
                return
            segment = self._outgoing[self._sent_count]
            limit = way.shape.bytes_per_second
            if limit is not None and len(segment.content) > PIECE_BYTES:
                piece = _Segment(
                    segment.kind, segment.written, segment.content[:PIECE_BYTES]
                )
                del segment.content[:PIECE_BYTES]
                self._outgoing.insert(self._sent_count, piece)
                segment = piece
            byte_count = len(segment.content) + HEADER_BYTES * segment.packet_count
            if way.is_duplicated():
                byte_count *= 2
            queue_seconds = way.queue_seconds(now, byte_count)
            if queue_seconds is None:
                self._pump_at(now + _timeout_seconds(way))
                return
            self._schedule(segment, queue_seconds)
            if self._is_stalled:
                return
            if queue_seconds and self._sent_count < len(self._outgoing):
                self._pump_at(now + queue_seconds)
                return

    def _schedule(self, segment: _Segment, extra_seconds: float) -> None:
        """Have it arrive, sent again as often as it is lost."""
        self._sent_count += 1
        way = self._way()
        now = self._wire.clock.now
        travel_seconds = way.travel_seconds()
        if not way.is_plain:
            round_trip = 2 * way.latency_seconds
            # What is late is sent again before it comes.
            travel_seconds = min(travel_seconds, way.latency_seconds + round_trip)
            losses = way.losses(segment.packet_count)
            if losses > RETRANSMISSIONS_MAX:
                self._flight += 1
                self._stall()
                return
            if losses:
                extra_seconds += 2 * round_trip
                extra_seconds += _backoff_seconds(_timeout_seconds(way), losses - 1)
        arrival = max(now + extra_seconds + travel_seconds, self._last_arrival)
        self._last_arrival = arrival
        self._call_at(arrival, self._deliver, self._flight)

    def _deliver(self, flight: int) -> None:
        if flight != self._flight or not self._outgoing:
            return
        wire, way = self._wire, self._way()
        if way.is_vanishing:
            self._stall()
        elif way.cut is Cut.REFUSED:
            self._drop_outgoing()
            self._call_at(wire.clock.now + way.travel_seconds(), self.reset)
        elif way.is_held:
            self._held_count += 1
            self._begin_to_give_up()
        else:
            segment = self._outgoing.popleft()
            self._sent_count -= 1
            content = segment.content
            wire.record(
                self.host,
                "packet",
                f"{self.name} {segment.kind.value} {len(content)} {crc32(content):08x}",
            )
            self._note_acknowledgement(len(content))
            self.peer._arrive(segment)  # noqa: SLF001 - the other end

    def _note_acknowledgement(self, byte_count: int) -> None:
        back = self._back()
        if self._is_silent(back):
            self._unheard_bytes += byte_count
            self._begin_to_give_up()
            return
        if back.cut is Cut.REFUSED:
            instant = self._wire.clock.now + back.travel_seconds()
            self._call_at(instant, self.peer.reset)
        self._unheard_bytes = 0
        self._silent_since = None
        self._cancel_give_up()

    def _stall(self) -> None:
        """What was sent has vanished: it is sent again when that can help."""
        if self._outgoing[-1].kind is _Kind.RESET or not self._has_kernel:
            self._drop_outgoing()  # a reset is sent once
            return
        self._is_stalled = True
        self._wait = _Wait.TIMER
        self._flight += 1
        self._sent_count = self._held_count = 0
        self._begin_to_give_up()

    def _recover(self) -> None:
        """Send again at the next timeout."""
        way = self._way()
        if not self._has_kernel:
            self._drop_outgoing()
        elif not way.is_vanishing:
            self._is_stalled = False
            self._pump_at(self._next_timeout(way))

    def _hear(self) -> None:
        """What was not acknowledged is, if the way back lets that through."""
        if self._is_silent(self._back()):
            return
        self._unheard_bytes = 0
        if not self._outgoing:
            self._silent_since = None
            self._cancel_give_up()
        reported, self._unreported_bytes = self._unreported_bytes, 0
        if reported:
            self._was_taken(reported)
        if self._wait is _Wait.LINK:
            self._pump()

    def _next_timeout(self, way: Way) -> float:
        """When the kernel next sends again what nobody has acknowledged."""
        now = self._wire.clock.now
        instant = now if self._silent_since is None else self._silent_since
        seconds = _timeout_seconds(way)
        instant += seconds
        while instant < now:
            seconds = min(2 * seconds, RETRANSMISSION_SECONDS_MAX)
            instant += seconds
        return instant

    def _begin_to_give_up(self) -> None:
        self._wire.watch(self)
        if self._silent_since is None:
            self._silent_since = self._wire.clock.now
        if self._give_up is None and self._has_kernel:
            self._give_up = self._wire.life.callLater(GIVE_UP_SECONDS, self._end_silent)

    def _end_silent(self) -> None:
        """Nobody has acknowledged anything for too long."""
        if self._is_stalled:
            self._drop_outgoing()
        self._lose(ConnectionLost())

    def _cancel_give_up(self) -> None:
        if self._give_up is not None and self._give_up.active():
            self._give_up.cancel()
        self._give_up = None

    def _drop_outgoing(self) -> None:
        self._flight += 1
        self._outgoing.clear()
        self._sent_count = self._held_count = 0
        self._is_stalled = False
        self._wait = None

    def _was_taken(self, byte_count: int) -> None:
        if self._is_silent(self._back()):
            self._unreported_bytes += byte_count
            self._wire.watch(self)
            return
        self._untaken_bytes -= byte_count
        if self._producer is None or self._is_closed or self.life.is_over:
            return
        if self.life.pause_count:
            self.life.callLater(0, self._pull)
        else:
            self._pull()

    def _pull(self) -> None:
        """Have the producer go on, if there is room."""
        producer = self._producer
        if producer is None or self._is_closed:
            return
        if not self._is_streaming:
            if self._untaken_bytes == 0:
                IPullProducer(producer).resumeProducing()
        elif self._is_producer_paused and self._untaken_bytes <= WINDOW_BYTES:
            self._is_producer_paused = False
            IPushProducer(producer).resumeProducing()

    def _way(self) -> Way:
        return self._wire.way(self.host, self.peer_host)

    def _back(self) -> Way:
        return self._wire.way(self.peer_host, self.host)

    def _is_silent(self, way: Way) -> bool:
        return way.is_held or way.is_vanishing

    def _call_at(
        self, instant: float, call: Callable[..., None], *arguments: object
    ) -> None:
        self._wire.clock.call_at(instant, call, *arguments)

    # Receiving.

    def _arrive(self, segment: _Segment) -> None:
        if self.life.is_over or self._is_closed:
            if segment.kind is _Kind.BYTES or self.life.is_over:
                self._answer_with_reset()
        elif segment.kind is _Kind.OPEN:
            self._be_accepted()
        elif segment.kind is _Kind.RESET and self._protocol is not None:
            self.reset()
        elif self.life.pause_count:
            self._inbox.append(segment)
            self._take_inbox_soon()
        elif self._is_paused or self._inbox:
            self._inbox.append(segment)
        else:
            self._take(segment)

    def _be_accepted(self) -> None:
        assert self._accept is not None
        if self.life.pause_count:
            self.life.callLater(0, self._accept, self)
        else:
            self._accept(self)

    def _answer_with_reset(self) -> None:
        wire = self._wire
        way = self._way()
        if not way.is_vanishing and way.cut is None:
            instant = wire.clock.now + way.travel_seconds()
            self._call_at(instant, self.peer.reset)

    def _take_inbox_soon(self) -> None:
        if not self._is_inbox_due:
            self._is_inbox_due = True
            self.life.callLater(0, self._take_inbox)

    def _take_inbox(self) -> None:
        self._is_inbox_due = False
        while self._inbox and not self._is_paused and not self._is_closed:
            if self.life.pause_count:
                self._take_inbox_soon()
                return
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
            if self.life.pause_count:
                self.life.callLater(0, self._tell_lost, reason)
            elif not self.life.is_over:
                self._tell_lost(reason)

    def _tell_lost(self, reason: Exception) -> None:
        if not self._is_stalled:
            self._cancel_give_up()
        self._wire.forget(self)
        if self._producer is not None:
            self._producer.stopProducing()
        assert self._protocol is not None
        self._protocol.connectionLost(Failure(reason))


def _timeout_seconds(way: Way) -> float:
    return 2 * way.latency_seconds + RETRANSMISSION_SECONDS


def _backoff_seconds(timeout_seconds: float, count: int) -> float:
    """How long after a packet was sent it is sent again for the count-th time."""
    seconds = 0.0
    for _ in range(count):
        seconds += timeout_seconds
        timeout_seconds = min(2 * timeout_seconds, RETRANSMISSION_SECONDS_MAX)
    return seconds
