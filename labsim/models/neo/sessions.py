"""Shell. Connections between the programs of a simulated neo_cluster.

A message is a tuple, its verb first. A peer that says nothing for ``SILENCE_SECONDS``
is lost, as in production; each says something when it was quiet for a while, and who
was called when it is there. Who said nothing is tried last for some time.
"""

from __future__ import annotations

import marshal
from collections.abc import Sequence
from typing import Any
from typing import Protocol as Interface

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, ITCPTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from runtime.ports import Runtime, TcpAddress

Message = tuple[Any, ...]

SILENCE_SECONDS = 8.0
BEAT_SECONDS = SILENCE_SECONDS / 8
"""As often as NEO looks after its connections."""

QUIET_SECONDS = 2 * BEAT_SECONDS
"""After so much each end says something."""

FIRST_WORD_SECONDS = SILENCE_SECONDS / 2
"""It comes as soon as a program that runs accepts."""

SILENT_WORD_SECONDS = SILENCE_SECONDS / 4
"""The same from an address from which nothing came before."""

AVOIDED_SECONDS = 5.0
"""So long others are tried before an address that said nothing."""

MARSHAL_VERSION = 2
"""The last one whose bytes do not tell which values are one object."""

_LENGTH_BYTES = 4


class Silences:
    """Addresses of which the last thing that came to a program was nothing."""

    def __init__(self, runtime: Runtime) -> None:
        self._clock = runtime.clock
        self._since: dict[TcpAddress, float] = {}

    def note(self, address: TcpAddress) -> None:
        self._since[address] = self._clock.seconds()

    def forget(self, address: TcpAddress) -> None:
        self._since.pop(address, None)

    def has(self, address: TcpAddress) -> bool:
        return address in self._since

    def next_place(self, addresses: Sequence[TcpAddress], place: int) -> int:
        """Return the place to try after another one: who was silent is the last."""
        count = len(addresses)
        places = [(place + step) % count for step in range(1, count + 1)]
        return next((it for it in places if self.may_try(addresses[it])), places[0])

    def may_try(self, address: TcpAddress) -> bool:
        """Whether it was not silent a moment ago."""
        since = self._since.get(address)
        return since is None or self._clock.seconds() >= since + AVOIDED_SECONDS


class Owner(Interface):
    """Who has a session."""

    silences: Silences

    def heard(self, session: Session, message: Message) -> None:
        """A message came."""

    def lost(self, session: Session) -> None:
        """The session ended, not by its owner. Nothing more is heard from it."""


class Session(Protocol):
    """One end of a connection; ``number`` and ``role`` are what its owner calls it.

    What is sent before it is made is kept until then.
    """

    def __init__(self, runtime: Runtime, owner: Owner) -> None:
        self.role = ""
        self.number = 0
        self.is_over = False
        self._runtime = runtime
        self._owner = owner
        self._unsent: list[bytes] = []
        self._received = b""
        self._address: TcpAddress | None = None
        self.is_heard = False
        self._heard_at = self._sent_at = runtime.clock.seconds()
        self._beat: IDelayedCall = runtime.clock.callLater(BEAT_SECONDS, self._on_beat)
        self._attempt: Deferred[Any] | None = None

    def dial(self, address: TcpAddress) -> Session:
        self._address = address
        endpoint = self._runtime.network.client_endpoint(address)
        self._attempt = endpoint.connect(_Dialled(self))
        self._attempt.addErrback(lambda _: self._lose())
        return self

    def send(self, *message: Any) -> None:
        if self.is_over:
            return
        content = marshal.dumps(message, MARSHAL_VERSION)
        frame = len(content).to_bytes(_LENGTH_BYTES, "big") + content
        self._sent_at = self._runtime.clock.seconds()
        if self.connected:
            self._transport.write(frame)
        else:
            self._unsent.append(frame)

    def close(self) -> None:
        """End it; its owner is not told. What was sent may arrive or not."""
        if self.is_over:
            return
        self.is_over = True
        if self._beat.active():
            self._beat.cancel()
        if not self.connected:
            if self._attempt is not None:
                self._attempt.cancel()
        elif self._runtime.entropy.random() < 1 / 2:  # no link keeps more than both
            self._transport.abortConnection()
        else:
            self._transport.loseConnection()

    # -- a protocol of Twisted

    @property
    def _transport(self) -> ITCPTransport:
        assert self.transport is not None
        return ITCPTransport(self.transport)

    def connectionMade(self) -> None:
        if self.is_over:
            self._transport.abortConnection()
            return
        if self._address is None:
            self.send()
        self._transport.writeSequence(self._unsent)
        self._unsent = []

    def dataReceived(self, data: bytes) -> None:
        self._heard_at = self._runtime.clock.seconds()
        self.is_heard = True
        if self._address is not None:
            self._owner.silences.forget(self._address)
        self._received += data
        while len(self._received) >= _LENGTH_BYTES and not self.is_over:
            end = _LENGTH_BYTES + int.from_bytes(self._received[:_LENGTH_BYTES], "big")
            if len(self._received) < end:
                return
            content = self._received[_LENGTH_BYTES:end]
            self._received = self._received[end:]
            message = marshal.loads(content)  # noqa: S302 - between programs of a model
            if message:
                self._owner.heard(self, message)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        del reason
        self._lose()

    def _on_beat(self) -> None:
        now = self._runtime.clock.seconds()
        if now - self._heard_at >= self._patience_seconds:
            if self._address is not None:
                self._owner.silences.note(self._address)
            self.close()
            self._owner.lost(self)
            return
        self._beat = self._runtime.clock.callLater(BEAT_SECONDS, self._on_beat)
        if self.connected and now - self._sent_at >= QUIET_SECONDS:
            self.send()

    @property
    def _patience_seconds(self) -> float:
        if self.is_heard:
            return SILENCE_SECONDS
        is_silent = self._address is not None and self._owner.silences.has(
            self._address
        )
        return SILENT_WORD_SECONDS if is_silent else FIRST_WORD_SECONDS

    def _lose(self) -> None:
        if not self.is_over:
            self.is_over = True
            self._beat.cancel()
            self._owner.lost(self)


@define(eq=False)
class _Dialled(Factory):
    session: Session

    def buildProtocol(self, _: IAddress | None) -> Session:
        return self.session


@define(eq=False)
class Welcoming(Factory):
    """What listens for sessions of an owner."""

    runtime: Runtime
    owner: Owner

    def buildProtocol(self, _: IAddress | None) -> Session:
        return Session(self.runtime, self.owner)
