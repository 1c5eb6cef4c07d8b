"""Bodies of HTTP exchanges: one that is sent, one that is kept, one that passes by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IConsumer,
    IDelayedCall,
    IPushProducer,
    IReactorTime,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IResponse
from zope.interface import implementer

from runtime.http_weather import AnswerTooLarge, ConnectionFailed, spoken_weather


def plain_headers(headers: Headers) -> Mapping[str, str]:
    return MappingProxyType(
        {
            name.decode("latin-1").lower(): ", ".join(
                value.decode("latin-1") for value in values
            )
            for name, values in sorted(headers.getAllRawHeaders())
        }
    )


@implementer(IBodyProducer)
class WholeBody:
    """A body that is in memory: written at once."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.length = len(content)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._content)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Everything is written already."""

    def resumeProducing(self) -> None:
        """Everything is written already."""

    def stopProducing(self) -> None:
        """Everything is written already."""


class BodyCollector(Protocol):
    """Keeps a body up to a bound, and closes the connection of one that exceeds it.

    It closes at the next turn: bytes that came with the excess may end the body, and
    then the connection is already given back for the next exchange.
    """

    def __init__(self, clock: IReactorTime, bytes_max: int) -> None:
        self._clock = clock
        self._bytes_max = bytes_max
        self._content = bytearray()
        self._is_too_large = False
        self.collected: Deferred[bytes] = Deferred(lambda _: self._close())

    def dataReceived(self, data: bytes) -> None:
        if self._is_too_large:
            return
        self._content += data
        if len(self._content) > self._bytes_max:
            self._is_too_large = True
            self._clock.callLater(0, self._close)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.collected.called:
            return
        if self._is_too_large:
            self.collected.errback(
                AnswerTooLarge(f"the answer has more than {self._bytes_max} bytes")
            )
        elif reason.check(ResponseDone, PotentialDataLoss):
            # Without a length the end of the connection is the end of the body.
            self.collected.callback(bytes(self._content))
        else:
            self.collected.errback(reason)

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()


@implementer(IPushProducer)
class HttpStream:
    """An answer whose head is there; its body comes as fast as it is taken.

    Nothing is read from the connection before ``read``, and while it is paused.
    """

    def __init__(
        self, clock: IReactorTime, response: IResponse, release: Callable[[], object]
    ) -> None:
        self.status: int = response.code
        self.headers: Mapping[str, str] = plain_headers(response.headers)
        self._response = response
        self._release = release
        self._reader = _BodyReader(clock)

    async def read(
        self, take: Callable[[bytes], object], *, quiet_seconds: float
    ) -> None:
        """Hand on each piece, and return when that was the last.

        ``ConnectionFailed`` when the body was cut, or nothing came for so long while
        somebody wanted it. Cancelling stops the stream.
        """
        self._reader.begin(take, quiet_seconds)
        self._response.deliverBody(self._reader)
        try:
            with spoken_weather():
                await self._reader.ended
        finally:
            self._release()

    def stop(self) -> None:
        """Want no body, though ``read`` was never called; the connection ends."""
        self._reader.ended.addErrback(lambda _: None)
        self._response.deliverBody(self._reader)
        self._reader.stop()
        self._release()

    def pauseProducing(self) -> None:
        self._reader.pause()

    def resumeProducing(self) -> None:
        self._reader.resume()

    def stopProducing(self) -> None:
        self._reader.stop()


class _BodyReader(Protocol):
    """Hands a body on; it is given up when it is silent and not paused."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._take: Callable[[bytes], object] = len
        self._quiet_seconds = 0.0
        self._timer: IDelayedCall | None = None
        self._is_silent = False
        self.ended: Deferred[None] = Deferred(lambda _: self.stop())

    def begin(self, take: Callable[[bytes], object], quiet_seconds: float) -> None:
        self._take, self._quiet_seconds = take, quiet_seconds
        self._timer = self._clock.callLater(quiet_seconds, self._be_silent)

    def dataReceived(self, data: bytes) -> None:
        if self._timer is not None:
            self._timer.reset(self._quiet_seconds)
        self._take(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._cancel_timer()
        if self.ended.called:
            return
        if self._is_silent:
            self.ended.errback(ConnectionFailed("nothing more comes"))
        elif reason.check(ResponseDone, PotentialDataLoss):
            self.ended.callback(None)
        else:
            self.ended.errback(reason)

    def pause(self) -> None:
        self._cancel_timer()
        if self.transport is not None:
            _producer(self.transport).pauseProducing()

    def resume(self) -> None:
        if self._timer is None and not self.ended.called:
            self._timer = self._clock.callLater(self._quiet_seconds, self._be_silent)
        if self.transport is not None:
            _producer(self.transport).resumeProducing()

    def stop(self) -> None:
        self._cancel_timer()
        if self.transport is not None:
            _producer(self.transport).stopProducing()

    def _be_silent(self) -> None:
        self._timer = None
        self._is_silent = True
        self.stop()

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()


def _producer(transport: ITransport) -> IPushProducer:
    """Return what twisted.web gives to who reads a body: it can be paused."""
    return cast("IPushProducer", transport)
