"""Calls to the master: one replica after the other, each at most once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from attrs import evolve

from runtime.http_client import BODY_BYTES_MAX, ConnectionFailed, HttpClient
from runtime.ports import Runtime
from runtime.tls import ServerTrust
from slap.calls import Call, HttpAnswer, HttpCall, decode_answer, encode_call
from slap.errors import MasterAway, Overtaken, SlapError, Unavailable, Unreachable
from slap.freshness import UNSEEN, freshness_headers, freshness_of
from slap.model import PartitionKey
from slap.packing import ACCEPTED, unpack
from slap.polling import Polled, Unchanged, decode_poll, encode_poll
from slap.replicas import Answered, Failed, Replicas, absorb, choose

#: An allocation on a loaded master takes less; a silent one is left after this.
CALL_SECONDS_MAX = 60.0
#: A poll that was to wait is answered so soon after; a silent master is left then.
WAIT_GRACE_SECONDS = 20.0
#: Others change one thing one after the other, and each change is one try.
OVERTAKEN_MAX = 10
#: A replica that did not answer the last poll may be one that is silent.
FIRST_WAIT_SECONDS_MAX = round(CALL_SECONDS_MAX - WAIT_GRACE_SECONDS)

T = TypeVar("T")


class SlapClient:
    """Performs calls; raises what the master raised, ``MasterAway`` when none answers.

    ``requester`` is the partition in whose name calls are made that name none. ``seen``
    is the last transaction of which an answer knew, ``answered`` that of the last
    answer; no call is answered by who knows less than was seen before it. Masters with
    an ``https`` address need a ``trust``.
    """

    def __init__(
        self,
        runtime: Runtime,
        replicas: Replicas,
        requester: PartitionKey | None = None,
        seen: bytes = UNSEEN,
        trust: ServerTrust | None = None,
    ) -> None:
        self._runtime = runtime
        self._replicas = replicas
        self._requester = requester
        self._http = HttpClient(runtime, trust)
        self.seen = seen
        self.answered = UNSEEN
        self._polled_url = ""
        self._polled_etag: str | None = None

    async def perform(self, call: Call) -> object:
        """The answer of the first replica that can give one."""
        if call.requester is None and self._requester is not None:
            call = evolve(call, requester=self._requester)
        return await self._ask_replicas(lambda url: self._ask(url, call))

    async def poll(
        self, computer_id: str, wait_seconds: int | None = None
    ) -> Polled | Unchanged:
        """The document of a computer, or that it is the one that was polled last.

        With ``wait_seconds``, a master that can tells of a change within that time, or
        says sooner that there was none.
        """
        return await self._ask_replicas(
            lambda url: self._ask_document(url, computer_id, wait_seconds)
        )

    async def _ask_replicas(self, ask: Callable[[str], Awaitable[T]]) -> T:
        asked: list[str] = []
        while True:
            url = choose(self._replicas, self._runtime.clock.seconds())
            if url in asked:
                # The preferred one may be back in between; the rest are still untried.
                untried = [each for each in self._replicas.urls if each not in asked]
                url = untried[0]
            asked.append(url)
            try:
                answer = await ask(url)
            except MasterAway:
                self._absorb(Failed(url))
                if len(asked) == len(self._replicas.urls):
                    raise
            except SlapError:
                self._absorb(Answered(url))
                raise
            else:
                self._absorb(Answered(url))
                return answer

    async def close(self) -> None:
        """Close idle connections."""
        await self._http.close()

    def _absorb(self, outcome: Answered | Failed) -> None:
        now = self._runtime.clock.seconds()
        self._replicas = absorb(self._replicas, outcome, now)

    async def _ask(self, url: str, call: Call) -> object:
        encoded = encode_call(call)
        for _ in range(OVERTAKEN_MAX):
            # What it has not seen is in the answer that says so.
            with suppress(Overtaken):
                reply = await self._send(url, encoded, CALL_SECONDS_MAX)
                return decode_answer(call, reply)
        raise Unavailable(f"{call.method}: others were always faster")

    async def _ask_document(
        self, url: str, computer_id: str, wait_seconds: int | None
    ) -> Polled | Unchanged:
        etag = self._polled_etag
        if wait_seconds is not None and url != self._polled_url:
            # One that is silent is left as soon as any other call would leave it.
            wait_seconds = min(wait_seconds, FIRST_WAIT_SECONDS_MAX)
        wanted = encode_poll(computer_id, etag, wait_seconds)
        timeout_seconds = CALL_SECONDS_MAX
        if etag is not None and wait_seconds is not None:
            timeout_seconds = wait_seconds + WAIT_GRACE_SECONDS
        # The document of a large computer is some hundred kilobytes, and packs well.
        packed = {**wanted.headers, "Accept-Encoding": ACCEPTED}
        reply = await self._send(url, evolve(wanted, headers=packed), timeout_seconds)
        answer = decode_poll(computer_id, etag, unpack(reply, BODY_BYTES_MAX))
        self._polled_url = url
        if isinstance(answer, Polled):
            self._polled_etag = answer.etag
        return answer

    async def _send(
        self, url: str, wanted: HttpCall, timeout_seconds: float
    ) -> HttpAnswer:
        try:
            reply = await self._http.send(
                wanted.verb,
                f"{url.rstrip('/')}/{wanted.path}",
                {**wanted.headers, **freshness_headers(self.seen)},
                wanted.body,
                timeout_seconds=timeout_seconds,
            )
        except ConnectionFailed as error:
            raise Unreachable(f"no answer from {url}: {error}") from error
        told = HttpAnswer(reply.status, reply.headers, reply.body)
        self.answered = freshness_of(told.headers)
        self.seen = max(self.seen, self.answered)
        return told
