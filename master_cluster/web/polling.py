"""Shell. Polls over HTTP: conditional, compressed, and waiting for a change.

Most polls find that nothing changed; they are answered in the call of the reactor that
brought them, from memory. What else a poll needs is in ``master_cluster.polling``.
"""

# mypy: allow-untyped-calls
# Much of twisted.web is not annotated.

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import cast

from attrs import define, evolve
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from master_cluster.answering.desk import Desk
from master_cluster.bodies import Document
from master_cluster.kept_documents import KeptDocuments
from master_cluster.polling import Answer, Due, NotModified, Poll, Polling
from master_cluster.store import documents
from master_cluster.store.callers import Caller, enter
from master_cluster.web.channel import LimitedRequest
from master_cluster.web.replying import set_head
from runtime.ports import Runtime
from slap.answers import COMPUTER
from slap.calls import decode_call, encode_error
from slap.errors import SlapError
from slap.freshness import FRESHNESS_HEADER, STALE_HEADER, decode_freshness
from slap.polling import (
    UNCONDITIONAL,
    WAIT_SECONDS_MAX,
    accepts_gzip,
    decode_condition,
    decode_wait,
)
from slap.replicas import REPLICAS_HEADER

POLL_METHODS = (b"getFullComputerInformation", b"getComputerInformation")

ADDRESS_LENGTH_MAX = 200
ADDRESS_COUNT_MAX = 20_000
"""Of the addresses whose computer is remembered: twice the computers of a large master,
some megabytes."""

# Held by no shared cache, for it is one computer's; by its own, never unasked.
_CACHE_CONTROL = b"private, no-cache"

_CONTENT_TYPE = COMPUTER.content_type.encode("ascii")


@define(eq=False)
class _Exchange:
    """A poll that is not answered yet."""

    request: Request
    wait_seconds: int
    timer: IDelayedCall | None = None


class Polls:
    """Polls of a master, from its start to its stop."""

    def __init__(
        self,
        desk: Desk,
        runtime: Runtime,
        incident: Callable[[], SlapError],
        polling: Polling | None = None,
        *,
        kept: KeptDocuments | None = None,
        replicas_header: Callable[[], bytes] = bytes,
    ) -> None:
        self._desk = desk
        self._clock = runtime.clock
        self._kept = kept
        self._replicas_header = replicas_header
        self._incident = incident
        self._exchanges: dict[Poll, _Exchange] = {}
        self._settled: list[Deferred[None]] = []
        self.polling = polling or Polling()
        desk.listen(self._hear)

    def begin(self, poll: Poll, request: Request, wait_seconds: int = 0) -> None:
        """Answer a poll, now or later."""
        if self.polling.answers_stale(poll.computer_id):
            self._recall(poll.computer_id)
        due = self.polling.begin(poll)
        if self.polling.knows(poll.computer_id):
            self._desk.contacts.hear(poll.computer_id, self._desk.now())
        if due.answers:
            ((_, answer),) = due.answers
            self._respond(request, answer, wait_seconds)
            return
        exchange = self._exchanges[poll] = _Exchange(request, wait_seconds)
        if poll.can_wait:
            exchange.timer = self._clock.callLater(wait_seconds, self._expire, poll)
            cast("LimitedRequest", request).has_waited = True
        request.notifyFinish().addErrback(lambda _: self._leave(poll))
        self._perform(due)

    def stop(self) -> None:
        """Answer every poll that waits."""
        self._perform(self.polling.stop())

    def settle(self) -> Deferred[None]:
        """Wait until no poll is to be answered."""
        if not self._exchanges:
            return succeed(None)
        settled: Deferred[None] = Deferred()
        self._settled.append(settled)
        return settled

    def prove(self, at: float, heard: bytes) -> None:
        """The store was asked, and all changes up to a transaction were heard."""
        self.polling.prove(at, heard)
        if self._kept is not None:
            self._kept.advance(heard, at, self.polling.is_current, is_now=False)

    def pass_second(self) -> None:
        """One more second is over: answer whoever waits for a computation for long."""
        for computer_id in self.polling.pass_second():
            self._recall(computer_id)
            self._perform(self.polling.give_up(computer_id))

    def lose(self) -> None:
        """The store is lost: answer with what was known last."""
        if self._kept is not None:
            heard, at = self.polling.heard, self.polling.proven_at
            self._kept.advance(heard, at, self.polling.is_current, is_now=True)
        for computer_id in {it.computer_id for it in self._exchanges}:
            self._recall(computer_id)
        self._perform(self.polling.lose())

    def find(self) -> None:
        """The store is there again."""
        self.polling.find()

    def refuse(self, error: SlapError) -> None:
        """Answer every poll that waits with an error."""
        self._perform(self.polling.refuse(error))

    def _recall(self, computer_id: str) -> None:
        if self._kept is None or not self.polling.lacks(computer_id):
            return
        kept = self._kept.recall(computer_id)
        if kept is not None:
            self.polling.recall(computer_id, kept.document, kept.good_to)

    def _respond(self, request: Request, answer: Answer, wait_seconds: int) -> None:
        header = self._replicas_header()
        if header:
            request.responseHeaders.setRawHeaders(REPLICAS_HEADER.encode(), [header])
        respond(request, answer, wait_seconds, self._clock.seconds())

    def _hear(self, oids: Collection[bytes] | None) -> None:
        self._perform(self.polling.hear(oids))

    def _expire(self, poll: Poll) -> None:
        self._exchanges[poll].timer = None
        self._perform(self.polling.expire(poll))

    def _leave(self, poll: Poll) -> None:
        self.polling.leave(poll)
        self._end(poll)
        self._notice_end()

    def _perform(self, due: Due) -> None:
        for computer_id in due.computing:
            Deferred.fromCoroutine(self._compute(computer_id))
        for poll, answer in due.answers:
            exchange = self._end(poll)
            self._respond(exchange.request, answer, exchange.wait_seconds)
        self._notice_end()

    def _end(self, poll: Poll) -> _Exchange:
        exchange = self._exchanges.pop(poll)
        if exchange.timer is not None:
            exchange.timer.cancel()
        return exchange

    def _notice_end(self) -> None:
        while self._settled and not self._exchanges:
            self._settled.pop().callback(None)

    async def _compute(self, computer_id: str) -> None:
        # For all who wait, whoever was the first.
        enter(Caller(self.polling.seen(computer_id)))
        try:
            outcome: Document | SlapError = await self._read(computer_id)
        except SlapError as error:
            outcome = error
        except Exception:  # noqa: BLE001 - the boundary: nothing may leave
            outcome = self._incident()
        self._perform(self.polling.finish(computer_id, outcome))
        if self._kept is not None and isinstance(outcome, Document):
            self._kept.keep(computer_id, outcome)

    async def _read(self, computer_id: str) -> Document:
        if not self.polling.knows(computer_id):
            oid = await self._desk.read(documents.revision_of_computer, computer_id)
            self.polling.learn(computer_id, oid)
            self._desk.contacts.hear(computer_id, self._desk.now())
        begun = self._clock.seconds()
        dated = await self._desk.read_dated(documents.polled_document, computer_id)
        self.polling.prove(begun)
        return evolve(dated.answer, tid=dated.tid)


class PollPage(Resource):
    """The method of polls; what is no poll is left to ``answering`` to refuse."""

    isLeaf = True

    def __init__(self, polls: Polls, answering: IResource) -> None:
        super().__init__()
        self._polls = polls
        self._answering = answering

    def render(self, request: Request) -> int:
        try:
            computer_id = polled_computer(request.method, request.uri)
        except (SlapError, UnicodeDecodeError):
            rendered: int = self._answering.render(request)
            return rendered
        self._polls.begin(*read_poll(request, computer_id))
        return NOT_DONE_YET


def read_poll(request: Request, computer_id: str) -> tuple[Poll, Request, int]:
    """Return what a request asks, and for how many seconds it may wait."""
    condition, wait_seconds = UNCONDITIONAL, 0
    if_none_match = request.getHeader("if-none-match")
    if if_none_match is not None:
        condition = decode_condition(if_none_match)
        prefer = request.getHeader("prefer")
        if prefer is not None:
            wait_seconds = min(decode_wait(prefer) or 0, WAIT_SECONDS_MAX)
    seen = decode_freshness(request.getHeader(FRESHNESS_HEADER))
    poll = Poll(computer_id, condition, wait_seconds > 0, seen)
    return poll, request, wait_seconds


def polled_computer(verb: bytes, address: bytes) -> str:
    """Return the computer whose document is asked for; raises what a call does."""
    if verb == b"GET" and len(address) <= ADDRESS_LENGTH_MAX:
        return _recall_computer(address)
    return _decode_computer(verb, address)


@lru_cache(ADDRESS_COUNT_MAX)
def _recall_computer(address: bytes) -> str:
    return _decode_computer(b"GET", address)


def _decode_computer(verb: bytes, address: bytes) -> str:
    path, _, query = address.decode().partition("?")
    call = decode_call(verb.decode(), path, query, {}, b"")
    return str(call.arguments["computer_id"])


def respond(
    request: Request, answer: Answer, wait_seconds: int, now: float = 0.0
) -> None:
    """Send an answer; the caller is there still."""
    if isinstance(answer, SlapError):
        request.write(set_head(request, encode_error(answer)))
        request.finish()
        return
    headers = request.responseHeaders
    headers.setRawHeaders(FRESHNESS_HEADER.encode(), [answer.tid.hex().encode()])
    if answer.current_at is not None:
        stale_seconds = max(0, math.ceil(now - answer.current_at))
        headers.setRawHeaders(STALE_HEADER.encode(), [b"%d" % stale_seconds])
    is_packed = accepts_gzip(request.getHeader("accept-encoding") or "")
    etag = answer.etag.encode("ascii")
    # Compressors differ from replica to replica: the bytes are not the same, only what
    # they say.
    headers.setRawHeaders(b"ETag", [b'W/"%b"' % etag if is_packed else b'"%b"' % etag])
    headers.setRawHeaders(b"Vary", [b"Accept-Encoding"])
    headers.setRawHeaders(b"Cache-Control", [_CACHE_CONTROL])
    if isinstance(answer, NotModified):
        request.setResponseCode(304)
        if answer.has_waited:
            applied = b"wait=%d" % wait_seconds
            headers.setRawHeaders(b"Preference-Applied", [applied])
    else:
        body = answer.packed if is_packed else answer.content
        if is_packed:
            headers.setRawHeaders(b"Content-Encoding", [b"gzip"])
        headers.setRawHeaders(b"Content-Type", [_CONTENT_TYPE])
        headers.setRawHeaders(b"Content-Length", [b"%d" % len(body)])
        request.write(body)
    request.finish()
