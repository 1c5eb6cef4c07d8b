"""Shell. HTTP within limits: what a client may send, and how long it may take.

``runtime.http_server`` bounds what is kept of a body; here, too, a body that is too
long is refused before it has come, a call has to arrive in time however slowly its
bytes trickle, and headers are few and short.

The rest of a refused body is read and dropped for a moment before the connection
closes: a close with unread bytes would reset the connection, and most clients would
report that instead of the answer.
"""

# mypy: allow-untyped-calls
# Much of twisted.web is not annotated, and super() leads there.

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import Any, cast

from twisted.internet.interfaces import IDelayedCall, ITCPTransport
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, datetimeToString
from twisted.web.resource import IResource
from twisted.web.server import Request

from master_cluster.config import CONNECTIONS_MAX
from master_cluster.measuring import Measures
from master_cluster.store.callers import Caller, enter
from master_cluster.web.access import REQUEST_ID_HEADER, Access, Exchange
from master_cluster.web.replying import Refusal
from runtime.http_server import SIGN, BoundedRequest, BoundedSite
from runtime.logs import REQUEST_ID
from runtime.ports import Runtime
from slap.errors import SlapError, TooLarge
from slap.form import BODY_BYTES_MAX
from slap.freshness import (
    CLAIM_HEADER,
    CLAIMED,
    FRESHNESS_HEADER,
    UNSEEN,
    decode_freshness,
)
from slap.liveness import FIRST_SIGN_SECONDS, LIVENESS_HEADER, decode_liveness

HEADER_BYTES_MAX = 4 * 1024
"""One header or request line: they hold names, and a few numbers. Twisted fails on a
Content-Length of more digits than Python converts, which are 4300."""

HEADER_COUNT_MAX = 100
"""Clients send about ten, proxies add a few."""

RECEIVE_SECONDS_MAX = 75.0
"""For a whole call to arrive; 8 MB at 1 Mbit/s take 67 s."""

VERB_LENGTH_MAX = 16
"""What is told of a verb that nobody speaks."""

TLS_RECORD = 0x16
"""What TLS begins with, and no verb does."""

LINGER_SECONDS = 2.0
"""How long the rest of a refused body is read and dropped."""


class LimitedRequest(BoundedRequest):
    """A call; its channel refuses the body as soon as it is too long.

    ``has_waited`` is set by whoever lets it wait on purpose.
    """

    request_id = ""
    begun_seconds = 0.0
    has_waited = False
    _next_sign: IDelayedCall | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.caller = Caller()

    def handleContentChunk(self, data: bytes) -> None:
        channel = cast("LimitedChannel", self.channel)
        if channel.is_refusing:
            return
        if self._body_bytes + len(data) > BODY_BYTES_MAX:
            channel.refuse_body()
            return
        super().handleContentChunk(data)

    def process(self) -> None:
        # A context of its own: the one of the reactor serves every connection.
        copy_context().run(self._process)

    def render(self, resrc: IResource) -> None:
        self.setHeader(b"Server", b"slapcluster")
        self.setHeader(REQUEST_ID_HEADER.encode(), self.request_id.encode())
        if cast("LimitedSite", self.site).is_closing:
            self.setHeader(b"Connection", b"close")
        super().render(resrc)

    def _process(self) -> None:
        site = cast("LimitedChannel", self.channel).site
        self.begun_seconds = site.clock.seconds()
        self.request_id = site.access.request_id(self.getHeader(REQUEST_ID_HEADER))
        REQUEST_ID.set(self.request_id)
        self.caller.seen = decode_freshness(self.getHeader(FRESHNESS_HEADER))
        self.caller.is_claiming = self.getHeader(CLAIM_HEADER) == CLAIMED
        enter(self.caller)
        super().process()
        sign_seconds = decode_liveness(self.getHeader(LIVENESS_HEADER))
        if sign_seconds and self._may_give_signs:
            self._sign_later(FIRST_SIGN_SECONDS, sign_seconds)

    @property
    def _may_give_signs(self) -> bool:
        is_over = self.startedWriting or self.finished or self.caller.is_gone
        return not is_over and self.clientproto == b"HTTP/1.1"

    def _sign_later(self, delay_seconds: float, sign_seconds: int) -> None:
        clock = cast("LimitedSite", self.site).clock
        self._next_sign = clock.callLater(delay_seconds, self._sign, sign_seconds)

    def _sign(self, sign_seconds: int) -> None:
        self._next_sign = None
        self.channel.write(SIGN)
        self._sign_later(sign_seconds, sign_seconds)

    def _end_signs(self) -> None:
        sign, self._next_sign = self._next_sign, None
        if sign is not None:
            sign.cancel()

    def write(self, data: bytes) -> None:
        self._end_signs()
        if not self.startedWriting and self.caller.known > UNSEEN:
            known = self.caller.known.hex().encode()
            self.setHeader(FRESHNESS_HEADER.encode(), known)
        super().write(data)

    def connectionLost(self, reason: Failure) -> None:
        self.caller.is_gone = True
        self._end_signs()
        super().connectionLost(reason)

    def finish(self) -> None:
        self._end_signs()
        super().finish()


class LimitedChannel(HTTPChannel):
    """A connection: limits of headers, bodies and time."""

    MAX_LENGTH = HEADER_BYTES_MAX
    maxHeaders = HEADER_COUNT_MAX
    transport: ITCPTransport
    site: LimitedSite
    callLater: Callable[..., IDelayedCall]

    def __init__(self) -> None:
        super().__init__()
        self.is_refusing = False
        self._is_answering = False
        self._deadline: IDelayedCall | None = None

    @property
    def is_idle(self) -> bool:
        """Whether it is between two calls."""
        return not self._is_answering and self._deadline is None

    @property
    def is_answering(self) -> bool:
        """Whether a whole call has come and waits for its answer."""
        return self._is_answering

    def connectionMade(self) -> None:
        super().connectionMade()
        self.site.admit(self)

    def dataReceived(self, data: bytes) -> None:
        if self.is_refusing:
            return
        self.site.notice(self)
        if self.is_idle and data[0] == TLS_RECORD:
            # Its sender would wait for more than a line that is never ended.
            self._respondToBadRequestAndDisconnect()
            return
        if self._deadline is None and not self._is_answering:
            self._deadline = self.callLater(RECEIVE_SECONDS_MAX, self._give_up)
        super().dataReceived(data)

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: ARG002 - Twisted's
        self._respondToBadRequestAndDisconnect()

    def headerReceived(self, line: bytes) -> bool:
        if len(line) > HEADER_BYTES_MAX:
            self._respondToBadRequestAndDisconnect()
            return False
        is_valid: bool = super().headerReceived(line)
        return is_valid

    def allHeadersReceived(self) -> None:
        if self.length is not None and self.length > BODY_BYTES_MAX:
            self.requests[-1].gotLength(self.length)
            self.refuse_body()
            return
        super().allHeadersReceived()

    def allContentReceived(self) -> None:
        if self.is_refusing:
            return
        self._cancel_deadline()
        self._is_answering = True
        super().allContentReceived()

    def requestDone(self, request: Request) -> None:
        self._is_answering = False
        if self.site.is_closing:
            self.persistent = False
        super().requestDone(request)

    def refuse_body(self) -> None:
        """Answer that the body is too long, and close."""
        self.is_refusing = True
        self.site.access.refuse(TooLarge.status)
        error = TooLarge(f"a call has at most {BODY_BYTES_MAX} bytes")
        body = error.sentence.encode()
        date = datetimeToString(self.site.calendar.now())
        self.transport.write(
            b"HTTP/1.1 413 Content Too Large\r\n"
            b"Connection: close\r\n"
            b"Content-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: %d\r\nDate: %b\r\n\r\n%b" % (len(body), date, body)
        )
        self._cancel_deadline()
        self._deadline = self.callLater(LINGER_SECONDS, self._give_up)

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._cancel_deadline()
        self.site.connected.pop(self, None)
        super().connectionLost(reason)

    def _give_up(self) -> None:
        self._deadline = None
        self.transport.abortConnection()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class LimitedSite(BoundedSite):
    """The server side: a resource behind limited channels.

    One connection more than ``connections_max`` ends the one that has been silent for
    longest: an idle one, else one that is still sending its call. While all of them
    wait for answers, the new one ends. So whoever holds many connections and says
    nothing keeps nobody out. ``refuse`` says which requests are answered with an error
    before anything is done for them.
    """

    protocol: Any = LimitedChannel
    requestFactory: Any = LimitedRequest

    def __init__(
        self,
        resource: IResource,
        runtime: Runtime,
        access: Access | None = None,
        connections_max: int = CONNECTIONS_MAX,
        refuse: Callable[[Request], SlapError | None] | None = None,
    ) -> None:
        super().__init__(resource, runtime, BODY_BYTES_MAX)
        self.requestFactory = LimitedRequest
        self.access = access or Access(runtime, Measures())
        self.is_closing = False
        self._refuse = refuse
        self.connections_max = connections_max
        # In the order in which they spoke last.
        self.connected: dict[LimitedChannel, None] = {}

    def getResourceFor(self, request: Request) -> IResource:
        refusal = self._refuse(request) if self._refuse is not None else None
        if refusal is not None:
            return Refusal(refusal)
        found: IResource = super().getResourceFor(request)
        return found

    def log(self, request: object) -> None:
        """Note an exchange that is over; Twisted calls it."""
        answered = cast("LimitedRequest", request)
        self.access.finish(
            Exchange(
                verb=answered.method.decode("ascii", "replace")[:VERB_LENGTH_MAX],
                path=answered.path or b"",
                status=answered.code,
                seconds=self.clock.seconds() - answered.begun_seconds,
                body_bytes=answered.sentLength,
                has_waited=answered.has_waited,
            )
        )

    def close_idle(self) -> None:
        """Close what is between two calls, and the others after their answer."""
        self.is_closing = True
        for channel in tuple(self.connected):
            if channel.is_idle:
                channel.loseConnection()

    def admit(self, channel: LimitedChannel) -> None:
        """Count a new connection in, at the expense of another one if need be."""
        self.connected[channel] = None
        if len(self.connected) > self.connections_max:
            ending = self._choose_least(channel)
            # It is lost a moment later; until then it is not to be chosen again.
            del self.connected[ending]
            ending.transport.abortConnection()

    def notice(self, channel: LimitedChannel) -> None:
        """Take note that a connection speaks."""
        if self.connected.pop(channel, self) is None:
            self.connected[channel] = None

    def _choose_least(self, new: LimitedChannel) -> LimitedChannel:
        others = (it for it in self.connected if it is not new)
        idle = next((it for it in others if it.is_idle), None)
        sending = (it for it in self.connected if not it.is_answering)
        return idle or next(sending, new)

    def disconnect(self) -> None:
        """Close every connection."""
        for channel in tuple(self.connected):
            channel.loseConnection()
