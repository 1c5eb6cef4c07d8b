"""Shell. Answers with what replicas have below ``/release/``, piece by piece.

One replica after the other is asked until one begins to send; what it sends is handed
on as fast as the asker takes it. When a replica breaks off after its first byte, so
does the answer: its length was told, and whoever builds tries again.
"""

# mypy: allow-untyped-calls
# Much of twisted.web is not annotated, and super() leads there.

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import cast

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import (
    IDelayedCall,
    IPushProducer,
    IReactorTime,
    ITCPTransport,
)
from twisted.python.failure import Failure
from twisted.web.http import SERVICE_UNAVAILABLE
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from runtime.http_client import ConnectionFailed, HttpClient, HttpStream
from runtime.ports import Runtime
from slap.replicas import (
    Answered,
    AnsweredAway,
    Failed,
    Outcome,
    Replicas,
    absorb,
    order_asked,
)
from slapgrid.relaying.deciding import (
    ANSWERED_HEADERS,
    ASKED_HEADERS,
    CIRCLE,
    FULL,
    MARK,
    NO_MASTER,
    READ_ONLY,
    Said,
    Worth,
    askable,
    describe_refusal,
    judge,
    relayed_path,
)

EXCHANGES_MAX = 24
"""At once; more are told to ask again. Two builds at a time have some few, and below
what a client of ours has connections for."""

HEAD_SECONDS_MAX = 10.0
"""For the head of an answer while there is another replica to ask: a first listing has
the digests of a whole wheelhouse computed."""

LAST_HEAD_SECONDS_MAX = 60.0

QUIET_SECONDS_MAX = 60.0
"""Without a byte, while the asker takes what comes."""

TAKEN_SECONDS_MAX = 120.0
"""An asker that takes nothing for so long does not keep its place."""

FILE_SECONDS_MAX = 3600.0
"""For all of a file: nor does one that takes a byte now and then."""

DROPPED_BYTES_MAX = 64 * 1024
DROP_SECONDS_MAX = 5.0
"""A refusal is a sentence."""

RETRY_AFTER_SECONDS = 5

VERBS = (b"GET", b"HEAD")


class Relayed(Resource):
    """Everything at the address of a relay; ``own`` is that address, in a URL."""

    isLeaf = True

    def __init__(
        self,
        runtime: Runtime,
        http: HttpClient,
        find_urls: Callable[[], tuple[str, ...]],
        own: str,
    ) -> None:
        super().__init__()
        self._runtime = runtime
        self._http = http
        self._find_urls = find_urls
        self._own = own
        self._replicas: Replicas | None = None
        self._exchange_count = 0

    def render(self, http_request: Request) -> int:
        path = relayed_path(http_request.uri)
        if path is None:
            return _say(http_request, NO_MASTER)
        if http_request.method not in VERBS:
            http_request.setHeader(b"Allow", b"GET, HEAD")
            return _say(http_request, READ_ONLY)
        if MARK in (http_request.getHeader("via") or ""):
            return _say(http_request, CIRCLE)
        if self._exchange_count >= EXCHANGES_MAX:
            return _say(http_request, FULL)
        self._exchange_count += 1
        answering = Deferred.fromCoroutine(self._answer(http_request, path))
        answering.addTimeout(FILE_SECONDS_MAX, self._runtime.clock)
        http_request.notifyFinish().addErrback(lambda _: answering.cancel())
        answering.addErrback(self._break_off, http_request)
        answering.addBoth(self._end)
        return NOT_DONE_YET

    def _end(self, _: object) -> None:
        self._exchange_count -= 1

    def _break_off(self, failure: Failure, http_request: Request) -> None:
        """Cut an answer that cannot be finished; its asker may have gone already."""
        if not failure.check(CancelledError, DeferredTimeout):
            self._runtime.log.failure("a file of a release is not relayed", failure)
        _cut(http_request)

    async def _answer(self, http_request: Request, path: str) -> None:
        found = _Findings()
        order = self._order()
        for number, url in enumerate(order, start=1):
            if found.missing and self._is_left_alone(url):
                # What one that answers does not have is not worth a long wait.
                break
            seconds = HEAD_SECONDS_MAX if number < len(order) else LAST_HEAD_SECONDS_MAX
            try:
                stream = await self._ask(http_request, url, path, seconds)
                if await self._hand_on(http_request, path, url, stream, found):
                    return
            except ConnectionFailed as error:
                found.failed[url] = str(error)
                self._absorb(Failed(url, self._runtime.entropy.random()))
        _say(http_request, describe_refusal(found.missing, found.failed, path))

    async def _hand_on(
        self,
        http_request: Request,
        path: str,
        url: str,
        stream: HttpStream,
        found: _Findings,
    ) -> bool:
        """Hand it on if it is worth that; ``ConnectionFailed`` when it never began."""
        worth = judge(stream.status)
        if worth is not Worth.PASSED:
            await _drop(stream)
            if worth is Worth.MISSING:
                found.missing[url] = stream.status
                self._absorb(Answered(url))
            else:
                found.failed[url] = f"status {stream.status}"
                self._absorb(AnsweredAway(url, self._runtime.entropy.random()))
            return False
        passing = _Passing(self._runtime.clock, http_request, stream, path)
        try:
            await stream.read(passing.take, quiet_seconds=QUIET_SECONDS_MAX)
        except ConnectionFailed as error:
            if not passing.has_begun:
                raise
            self._absorb(Failed(url, self._runtime.entropy.random()))
            self._runtime.log.warn(  # noqa: G010 - Twisted's name
                "{url} broke off {path}: {error}", url=url, path=path, error=error
            )
            _cut(http_request)
        else:
            self._absorb(Answered(url))
            passing.finish()
        finally:
            passing.stop_waiting()
        return True

    async def _ask(
        self, http_request: Request, url: str, path: str, seconds: float
    ) -> HttpStream:
        headers = {
            name: value
            for name in ASKED_HEADERS
            if (value := http_request.getHeader(name)) is not None
        }
        # What a profile of the release says of its own address is this relay's.
        headers |= {"host": self._own, "via": f"1.1 {MARK}"}
        return await self._http.open(
            http_request.method.decode(),
            url.rstrip("/") + path,
            headers,
            timeout_seconds=seconds,
        )

    def _order(self) -> tuple[str, ...]:
        """Return the replicas to ask, those that failed of late last."""
        urls = askable(self._find_urls(), self._own)
        if not urls:
            self._replicas = None
            return ()
        known = self._replicas
        self._replicas = Replicas(urls) if known is None else known.listing(urls)
        return order_asked(self._replicas, self._runtime.clock.seconds())

    def _is_left_alone(self, url: str) -> bool:
        now = self._runtime.clock.seconds()
        replicas = self._replicas
        return replicas is not None and now < replicas.return_at.get(url, now)

    def _absorb(self, outcome: Outcome) -> None:
        if self._replicas is not None:
            now = self._runtime.clock.seconds()
            self._replicas = absorb(self._replicas, outcome, now)


@define
class _Findings:
    """What came of the replicas that were asked in vain, by address."""

    missing: dict[str, int] = field(factory=dict)
    failed: dict[str, str] = field(factory=dict)


@implementer(IPushProducer)
class _Passing:
    """An answer that is handed on; its head goes out with the first piece."""

    def __init__(
        self,
        clock: IReactorTime,
        http_request: Request,
        stream: HttpStream,
        path: str,
    ) -> None:
        self._clock = clock
        self._request = http_request
        self._stream = stream
        self._path = path
        self._timer: IDelayedCall | None = None
        self.has_begun = False

    def take(self, piece: bytes) -> None:
        if not self.has_begun:
            self._begin()
        self._request.write(piece)

    def finish(self) -> None:
        if not self.has_begun:
            self._begin()
        self._request.unregisterProducer()
        self._request.finish()

    def pauseProducing(self) -> None:
        self.stop_waiting()
        self._timer = self._clock.callLater(TAKEN_SECONDS_MAX, _cut, self._request)
        self._stream.pauseProducing()

    def resumeProducing(self) -> None:
        self.stop_waiting()
        self._stream.resumeProducing()

    def stopProducing(self) -> None:
        self.stop_waiting()
        self._stream.stopProducing()

    def stop_waiting(self) -> None:
        """Nobody is expected to take anything."""
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def _begin(self) -> None:
        self.has_begun = True
        http_request, stream = self._request, self._stream
        http_request.setResponseCode(stream.status)
        for name in ANSWERED_HEADERS:
            if name in stream.headers:
                http_request.setHeader(name, stream.headers[name])
        if "location" in stream.headers:
            # A directory without its slash: the one reason to go elsewhere.
            http_request.setHeader(b"Location", f"{self._path}/".encode())
        http_request.registerProducer(self, streaming=True)


async def _drop(stream: HttpStream) -> None:
    """Read a body that nobody wants: a short one, so that its connection stays."""
    length = stream.headers.get("content-length", "")
    if length.isdecimal() and int(length) <= DROPPED_BYTES_MAX:
        with suppress(ConnectionFailed):
            await stream.read(len, quiet_seconds=DROP_SECONDS_MAX)
    else:
        stream.stop()


def _cut(http_request: Request) -> None:
    """End the connection of an answer in the middle, if it still has one."""
    if http_request.channel is not None:
        cast("ITCPTransport", http_request.channel.transport).abortConnection()


def _say(http_request: Request, said: Said) -> int:
    """Answer by ourselves; buildout shows no more of it than the phrase."""
    http_request.setResponseCode(said.status, said.phrase.encode())
    http_request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
    if said.status == SERVICE_UNAVAILABLE:
        http_request.setHeader(b"Retry-After", b"%d" % RETRY_AFTER_SECONDS)
    content = f"{said.sentence}\n".encode()
    http_request.setHeader(b"Content-Length", b"%d" % len(content))
    if http_request.method != b"HEAD":
        http_request.write(content)
    http_request.finish()
    return NOT_DONE_YET
