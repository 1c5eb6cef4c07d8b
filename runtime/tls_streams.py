"""Connections of TLS: what stands between a stream and another protocol."""

# mypy: allow-untyped-calls
# Much of twisted.protocols.policies is not annotated, and super() leads there.

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from zope.interface import directlyProvides, providedBy

from runtime.ports import Runtime
from runtime.tls_peers import Peer, peer_named
from runtime.tls_reasons import reason_of

HANDSHAKE_SECONDS_MAX = 20.0
"""Three lost packets on a slow link take some seconds, a thousand agents that come at
once two or three; whoever takes longer says nothing."""

HANDSHAKES_MAX = 2_000
"""At once at one server, besides the connections of those who have ended theirs. A
master that returns meets its agents all at once; with one more, the oldest ends."""

LINGER_SECONDS = 2.0
"""How long a refused client may read why: a close with unread bytes would reset the
connection, and the reason would be lost."""

TELL_SECONDS = 1.0
"""Refused handshakes get a line of the log so often: anybody may fail as fast as they
can."""

READ_BYTES = 64 * 1024

_RECORD = 0x16
"""The first byte of TLS: a handshake."""

_PLAIN_SENTENCE = b"this port speaks TLS: ask at https://\n"
_PLAIN_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_PLAIN_SENTENCE), _PLAIN_SENTENCE)
)


_CUT = "the connection ended in the middle of TLS"
_CUT_EARLY = "the other end hung up before TLS began: is its port one of TLS?"

Refusal = Callable[[Peer], str | None]
"""Says why a server, whose chain and dates are good, is none of ours."""


class TlsFailed(ConnectionLost):
    """A connection that TLS refuses, here or at the other end; says what to do."""

    def __str__(self) -> str:
        return str(self.args[0])


class TlsStream(ProtocolWrapper):
    """One connection: TLS below it, the wrapped protocol above it once it stands."""

    factory: _TlsFactory
    transport: ITCPTransport
    wrappedProtocol: Any

    def __init__(
        self, factory: _TlsFactory, wrapped: IProtocol, context: ssl.SSLContext
    ) -> None:
        super().__init__(factory, wrapped)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=factory.is_server
        )
        self._is_open = False
        self._is_over = False
        self._end: Exception | None = None
        self._timer: IDelayedCall | None = None
        self.peer: Peer | None = None

    def makeConnection(self, transport: ITCPTransport) -> None:
        directlyProvides(self, ISSLTransport, providedBy(transport))
        Protocol.makeConnection(self, transport)
        self.factory.registerProtocol(self)
        if ITCPTransport.providedBy(transport):
            # A handshake is small messages, of which the last is no answer to any.
            transport.setTcpNoDelay(True)
        clock = self.factory.runtime.clock
        self._timer = clock.callLater(HANDSHAKE_SECONDS_MAX, self._be_late)
        self._shake()

    def dataReceived(self, data: bytes) -> None:
        if self._is_over or self.disconnecting:
            return
        self._incoming.write(data)
        if self._is_open:
            self._take()
        else:
            self._shake()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._is_over = True
        self._cancel_timer()
        self.factory.unregisterProtocol(self)
        is_cut = not self.disconnecting and reason.check(ConnectionDone) is not None
        if self._end is None and is_cut:
            # Whoever cuts a stream must not seem to be its end.
            self._end = TlsFailed(_CUT if self._is_open else _CUT_EARLY)
        if self._end is not None:
            reason = Failure(self._end)
        wrapped, self.wrappedProtocol = self.wrappedProtocol, None
        if self._is_open:
            wrapped.connectionLost(reason)
        else:
            self.stay_closed(reason)

    def write(self, data: bytes) -> None:
        if self.disconnecting or self._is_over:
            return
        left = memoryview(data)
        try:
            while left:
                left = left[self._tls.write(left) :]
        except ssl.SSLError as error:
            self._fail(TlsFailed(self._reason(error)))
            return
        self._flush()

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        if self.disconnecting or self._is_over:
            return
        self.disconnecting = 1
        self._say_goodbye()
        self.transport.loseConnection()

    def abortConnection(self) -> None:
        self._is_over = True
        self.transport.abortConnection()

    def open_up(self) -> None:
        """Begin the wrapped protocol."""
        self.wrappedProtocol.makeConnection(self)

    def stay_closed(self, reason: Failure) -> None:
        """It ended before it began."""

    def refuse(self, reason: TlsFailed) -> None:
        """Give up a handshake; what is to be told to the other end is written."""
        raise NotImplementedError

    def judge(self) -> str | None:
        """Say why the other end, whose chain is verified, is not taken."""
        raise NotImplementedError

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
            self.peer = peer_named(self._tls)
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._flush()
            self._give_up(self._reason(error))
            return
        except ValueError as error:
            self._give_up(f"the certificate cannot be read: {error}")
            return
        self._flush()
        refusal = self.judge()
        if refusal is not None:
            self._give_up(refusal)
            return
        self._cancel_timer()
        self._is_open = True
        self.open_up()
        self._take()

    def _take(self) -> None:
        """Give on what has come."""
        try:
            while data := self._tls.read(READ_BYTES):
                self.wrappedProtocol.dataReceived(data)
                if self._is_over or self.disconnecting:
                    return
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._fail(TlsFailed(self._reason(error)))
        else:
            self._end = ConnectionDone()
            self.loseConnection()

    def _fail(self, reason: TlsFailed) -> None:
        """End a connection that stood."""
        self._is_over = True
        self._end = reason
        self._flush()
        self.transport.loseConnection()

    def _give_up(self, sentence: str) -> None:
        """End a handshake."""
        self._is_over = True
        self._end = TlsFailed(sentence)
        self._cancel_timer()
        self.refuse(self._end)

    def _be_late(self) -> None:
        self._timer = None
        self._give_up(f"no handshake of TLS within {HANDSHAKE_SECONDS_MAX:g} s")

    def _say_goodbye(self) -> None:
        # It would wait for the other's goodbye, and we do not.
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self.transport.write(self._outgoing.read())

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _reason(self, error: ssl.SSLError) -> str:
        return reason_of(error, is_server=self.factory.is_server)


class ServerTls(TlsStream):
    """The end of a server: whom it refuses may read why."""

    factory: TlsServerFactory
    _is_heard = False

    def makeConnection(self, transport: ITCPTransport) -> None:
        self.factory.begin(self)
        super().makeConnection(transport)

    def dataReceived(self, data: bytes) -> None:
        if not self._is_open and not self._is_over and not self._has_begun(data):
            return
        super().dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.end(self)
        super().connectionLost(reason)

    def judge(self) -> str | None:
        # Whose certificate is over is told so by whom it asks for something.
        return None

    def open_up(self) -> None:
        self.factory.end(self)
        super().open_up()

    def refuse(self, reason: TlsFailed) -> None:
        self.factory.tell(self, str(reason))
        clock = self.factory.runtime.clock
        self._timer = clock.callLater(LINGER_SECONDS, self._abort)

    def _abort(self) -> None:
        self._timer = None
        self.transport.abortConnection()

    def _has_begun(self, data: bytes) -> bool:
        """Whether this is TLS so far; a client of plain HTTP is answered."""
        if self._is_heard or data[0] == _RECORD:
            self._is_heard = True
            return True
        if data[:1].isalpha():
            self.transport.write(_PLAIN_ANSWER)
            self._give_up("spoke plain HTTP to a port of TLS")
        else:
            self._give_up("spoke no TLS")
        return False


class ClientTls(TlsStream):
    """The end of a client; ``opened`` gives the wrapped protocol."""

    factory: TlsClientFactory

    def __init__(
        self, factory: _TlsFactory, wrapped: IProtocol, context: ssl.SSLContext
    ) -> None:
        super().__init__(factory, wrapped, context)
        self.opened: Deferred[IProtocol] = Deferred(lambda _: self.abortConnection())

    def judge(self) -> str | None:
        now = self.factory.runtime.calendar.now()
        if self.peer is None:
            return None  # The context asks for no certificate.
        refusal = self.peer.refusal(now) or self.factory.refusal(self.peer)
        return refusal and f"the server is not to be trusted: {refusal}"

    def open_up(self) -> None:
        wrapped = self.wrappedProtocol
        super().open_up()
        self.opened.callback(wrapped)

    def refuse(self, reason: TlsFailed) -> None:  # noqa: ARG002 - stay_closed has it
        self.transport.loseConnection()

    def stay_closed(self, reason: Failure) -> None:
        if not self.opened.called:
            self.opened.errback(reason)


class _TlsFactory(WrappingFactory["TlsStream"]):
    """Makes connections of one end; knows the world."""

    noisy = False
    is_server: bool

    def __init__(self, wrapped: IProtocolFactory, runtime: Runtime) -> None:
        super().__init__(wrapped)
        self.runtime = runtime


class TlsClientFactory(_TlsFactory):
    """Makes connections to servers that ``refusal`` has nothing against."""

    is_server = False

    def __init__(
        self,
        wrapped: IProtocolFactory,
        runtime: Runtime,
        context: ssl.SSLContext,
        refusal: Refusal,
    ) -> None:
        super().__init__(wrapped, runtime)
        self.refusal = refusal
        self._context = context

    def buildProtocol(self, addr: IAddress | None) -> Any:
        return ClientTls(self, self.wrappedFactory.buildProtocol(addr), self._context)


class TlsServerFactory(_TlsFactory):
    """Makes connections of a server, within the bound of handshakes at once.

    ``give_context`` is asked for each; without one the connection ends.
    """

    is_server = True

    def __init__(
        self,
        wrapped: IProtocolFactory,
        runtime: Runtime,
        give_context: Callable[[], ssl.SSLContext | None],
        handshakes_max: int,
    ) -> None:
        super().__init__(wrapped, runtime)
        self._handshakes_max = handshakes_max
        self._give_context = give_context
        # In the order in which they came.
        self._shaking: dict[ServerTls, None] = {}
        self._tell_at = 0.0
        self._untold_count = 0

    def buildProtocol(self, addr: IAddress | None) -> Any:
        context = self._give_context()
        if context is None:
            return None
        return ServerTls(self, self.wrappedFactory.buildProtocol(addr), context)

    def stopFactory(self) -> None:
        for connection in tuple(self._shaking):
            connection.abortConnection()

    def begin(self, connection: ServerTls) -> None:
        """Count a handshake in, at the expense of the oldest one if need be."""
        self._shaking[connection] = None
        if len(self._shaking) > self._handshakes_max:
            oldest = next(iter(self._shaking))
            del self._shaking[oldest]
            oldest.abortConnection()

    def end(self, connection: ServerTls) -> None:
        """Count a handshake out."""
        self._shaking.pop(connection, None)

    def tell(self, connection: ServerTls, sentence: str) -> None:
        """Note who was refused, or that more were."""
        now = self.runtime.clock.seconds()
        if now < self._tell_at:
            self._untold_count += 1
            return
        self.runtime.log.info(
            "TLS with {peer} failed, as with {count} others before: {reason}"
            if self._untold_count
            else "TLS with {peer} failed: {reason}",
            peer=connection.getPeer(),
            count=self._untold_count,
            reason=sentence,
        )
        self._tell_at, self._untold_count = now + TELL_SECONDS, 0
