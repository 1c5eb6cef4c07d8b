"""Shell. Instance requests, which are repeated at every processing of their requester.

A request whose bytes were answered before, and changed nothing, is answered from memory
until something that its answer stands on changes: it touches no store.
"""

# mypy: allow-untyped-calls
# Much of twisted.web is not annotated, and super() leads there.

from __future__ import annotations

import hashlib

from attrs import frozen
from twisted.web.server import Request

from master_cluster.answering.answers import Answers
from master_cluster.remembering import AnswerMemory, Lasting
from master_cluster.store.callers import present_caller
from master_cluster.web.replying import (
    Answering,
    Check,
    Run,
    body_of,
    call_of,
    set_head,
)
from runtime.ports import Runtime
from runtime.tls import peer_of
from slap.calls import HttpAnswer, encode_answer


@frozen
class Remembered:
    """An answer as it was sent, and the last transaction that it knew."""

    answer: HttpAnswer
    tid: bytes


class Repeating(Answering):
    """A method that is asked the same again and again."""

    def __init__(
        self,
        answers: Answers,
        runtime: Runtime,
        run: Run,
        check: Check,
        memory: AnswerMemory[Remembered],
    ) -> None:
        super().__init__(answers, runtime, run, check)
        self._lasting = answers
        self._memory = memory

    def render(self, request: Request) -> bytes | int:
        known = self._memory.recall(_question(request))
        caller = present_caller()
        if known is None or caller.seen > known.tid or caller.is_claiming:
            return super().render(request)
        caller.learn(known.tid)
        return set_head(request, known.answer)

    async def _answer(self, request: Request) -> HttpAnswer:
        since = self._memory.instant
        call = call_of(request)
        await self._check(request, call)
        answer = await self._lasting.answer_lasting(call)
        if not isinstance(answer, Lasting):
            return encode_answer(call.method, answer)
        encoded = encode_answer(call.method, answer.answer)
        remembered = Remembered(encoded, present_caller().known)
        lasting = Lasting(remembered, answer.stands_on)
        self._memory.keep(_question(request), lasting, since)
        return encoded


def _question(request: Request) -> bytes:
    """Return a digest of all that an answer depends on, besides the store.

    Who asks is a part of it: what one may ask another one may not.
    """
    digest = hashlib.blake2b(digest_size=16)
    authorization = request.getHeader(b"authorization") or b""
    peer = peer_of(request.channel.transport)
    who = b"" if peer is None else " ".join(peer.uris).encode()
    for part in (request.method, request.uri, authorization, who, body_of(request)):
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.digest()
