"""Calls to the master: one replica after the other, each at most once.

Who has had an answer of a master of ours knows that all replicas give signs of life
(``slap.liveness``): one that is silent is left within seconds then, whatever its links
pretend. When none gave a sign, each gets twice as long the next time: so many callers
at once, or a slow network, do not keep each other from being answered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from attrs import evolve, frozen
from twisted.internet.task import deferLater

from runtime.http_client import BODY_BYTES_MAX, ConnectionFailed, HttpClient, Silence
from runtime.ports import Runtime
from runtime.tls import ServerTrust
from slap.calls import Call, HttpAnswer, HttpCall, decode_answer, encode_call
from slap.errors import MasterAway, Overtaken, SlapError, Unavailable, Unreachable
from slap.freshness import UNSEEN, freshness_headers, freshness_of
from slap.liveness import liveness_headers
from slap.model import PartitionKey
from slap.packing import ACCEPTED, unpack
from slap.polling import Polled, Unchanged, decode_poll, encode_poll
from slap.replicas import (
    REPLICAS_HEADER,
    Answered,
    AnsweredAway,
    AnsweredStale,
    Failed,
    ListedReplica,
    Outcome,
    Replicas,
    absorb,
    decode_replicas,
    order_asked,
    order_urls,
    spread_seconds,
)

#: An allocation on a loaded master takes less; a silent one is left after this.
CALL_SECONDS_MAX = 60.0
#: A poll that was to wait is answered so soon after; a silent master is left then.
WAIT_GRACE_SECONDS = 20.0
#: Others change one thing one after the other, and each change is one try.
OVERTAKEN_MAX = 10
#: How often a sign of life is asked for.
SIGN_SECONDS = 1


@frozen
class Patience:
    """For how many signs of life, in a row, a replica may be silent."""

    first: float
    each: float

    def silence(self, sign_seconds: int, factor: float) -> Silence:
        return Silence(
            min(self.first * sign_seconds * factor, CALL_SECONDS_MAX),
            min(self.each * sign_seconds * factor, CALL_SECONDS_MAX),
        )


#: Two that are silent cost 2.5 + 1.5 s, so there is an answer of a third within five.
OF_POLLS = Patience(1.5, 2.5)
#: A change is made twice, if it is given up and was heard all the same.
OF_CALLS = Patience(5.0, 5.0)
#: The patience of ``CALL_SECONDS_MAX`` is reached by doubling within this.
PATIENCE_FACTOR_MAX = 64.0

T = TypeVar("T")


class SlapClient:
    """Performs calls; raises what the master raised, ``MasterAway`` when none answers.

    ``requester`` is the partition in whose name calls are made that name none. ``seen``
    is the last transaction of which an answer knew, ``answered`` that of the last
    answer; no call is answered by who knows less than was seen before it. Masters with
    an ``https`` address need a ``trust``.

    The addresses are those of ``replicas`` and, from the first answer that tells, those
    ``listed``; of those the ones in the caller's ``region`` are asked first. Who has a
    ``trust`` goes nowhere without it because a list says so.
    """

    def __init__(
        self,
        runtime: Runtime,
        replicas: Replicas,
        requester: PartitionKey | None = None,
        seen: bytes = UNSEEN,
        trust: ServerTrust | None = None,
        *,
        region: str = "",
        sign_seconds: int = SIGN_SECONDS,
    ) -> None:
        self._runtime = runtime
        self._configured = replicas.urls
        self._trust = trust
        self._replicas = replicas
        self._region = region
        self._sign_seconds = sign_seconds
        self._patience_factor = 1.0
        self._requester = requester
        self._http = HttpClient(runtime, trust)
        self.seen = seen
        self.answered = UNSEEN
        self.listed: tuple[ListedReplica, ...] = ()
        self._polled_url = ""
        self._polled_etag: str | None = None

    async def perform(self, call: Call) -> object:
        """The answer of the first replica that can give one."""
        if call.requester is None and self._requester is not None:
            call = evolve(call, requester=self._requester)
        return await self._ask_replicas(lambda url, _: self._ask(url, call))

    async def poll(
        self, computer_id: str, wait_seconds: int | None = None
    ) -> Polled | Unchanged:
        """The document of a computer, or that it is the one that was polled last.

        With ``wait_seconds``, a master that can tells of a change within that time, or
        says sooner that there was none; at once when it is another replica than before.
        """
        has_waited = wait_seconds is not None and self._polled_etag is not None
        return await self._ask_replicas(
            lambda url, patience: self._ask_document(
                url, computer_id, wait_seconds, patience
            ),
            is_spread=has_waited,
        )

    @property
    def urls(self) -> tuple[str, ...]:
        """All addresses that are known now, the preferred ones first."""
        return self._replicas.urls

    @property
    def order(self) -> tuple[str, ...]:
        """The same in the order of asking: those that failed of late come last."""
        return order_asked(self._replicas, self._runtime.clock.seconds())

    def list(self, listed: tuple[ListedReplica, ...]) -> None:
        """Know that these replicas are there, besides those that are configured."""
        if not listed or listed == self.listed:
            return
        self.listed = listed
        scheme = "http" if self._trust is None else "https"
        spoken = [it for it in listed if it.url.startswith(f"{scheme}://")]
        urls = order_urls(self._configured, spoken, self._region)
        self._replicas = self._replicas.listing(urls)

    async def _ask_replicas(
        self, ask: Callable[[str, Patience], Awaitable[T]], *, is_spread: bool = False
    ) -> T:
        """Ask one after the other; ``is_spread`` when many begin to do so at once.

        A poll has more patience with the last one: there is nobody else to ask. Whom
        the last one names is asked too: others took over from it.
        """
        order = list(order_asked(self._replicas, self._runtime.clock.seconds()))
        is_anybody_there = False
        for number, url in enumerate(order, start=1):
            try:
                answer = await ask(url, OF_POLLS if number < len(order) else OF_CALLS)
            except MasterAway as error:
                is_silent = isinstance(error, Unreachable)
                is_anybody_there = is_anybody_there or not is_silent
                outcome = Failed if is_silent else AnsweredAway
                self._absorb(outcome(url, self._runtime.entropy.random()))
                if number == len(order):
                    now = self._runtime.clock.seconds()
                    asked = order_asked(self._replicas, now)
                    order += [it for it in asked if it not in order]
                if number == len(order):
                    if not is_anybody_there:
                        # They may be slow, all of them.
                        factor = 2 * self._patience_factor
                        self._patience_factor = min(factor, PATIENCE_FACTOR_MAX)
                    raise
                if is_spread and number == 1:
                    await self._pause()
            except SlapError:
                self._absorb(Answered(url))
                raise
            else:
                self._absorb(self._outcome(url, answer))
                return answer
        raise AssertionError("there is a replica to ask")

    def _outcome(self, url: str, answer: object) -> Outcome:
        match answer:
            case Polled() | Unchanged() if answer.stale_seconds is not None:
                return AnsweredStale(url, self._runtime.entropy.random())
        return Answered(url)

    async def _pause(self) -> None:
        delay = spread_seconds(self._runtime.entropy.random())
        await deferLater(self._runtime.clock, delay)

    async def close(self) -> None:
        """Close idle connections."""
        await self._http.close()

    def _absorb(self, outcome: Outcome) -> None:
        if not isinstance(outcome, Failed):
            self._patience_factor = 1.0
        now = self._runtime.clock.seconds()
        self._replicas = absorb(self._replicas, outcome, now)

    async def _ask(self, url: str, call: Call) -> object:
        encoded = encode_call(call)
        for _ in range(OVERTAKEN_MAX):
            # What it has not seen is in the answer that says so.
            with suppress(Overtaken):
                reply = await self._send(url, encoded, CALL_SECONDS_MAX, OF_CALLS)
                return decode_answer(call, reply)
        raise Unavailable(f"{call.method}: others were always faster")

    async def _ask_document(
        self,
        url: str,
        computer_id: str,
        wait_seconds: int | None,
        patience: Patience,
    ) -> Polled | Unchanged:
        etag = self._polled_etag
        is_new = wait_seconds is not None and url != self._polled_url
        if is_new:
            # Who comes from one that is silent has had no answer for long enough.
            wait_seconds = None
        wanted = encode_poll(computer_id, etag, wait_seconds)
        timeout_seconds = CALL_SECONDS_MAX
        if etag is not None and wait_seconds is not None:
            timeout_seconds = wait_seconds + WAIT_GRACE_SECONDS
        # The document of a large computer is some hundred kilobytes, and packs well.
        packed = {**wanted.headers, "Accept-Encoding": ACCEPTED}
        packed_call = evolve(wanted, headers=packed)
        reply = await self._send(url, packed_call, timeout_seconds, patience)
        answer = decode_poll(computer_id, etag, unpack(reply, BODY_BYTES_MAX))
        self._polled_url = url
        if isinstance(answer, Polled):
            self._polled_etag = answer.etag
        elif is_new:
            # It waits the next time.
            return evolve(answer, has_waited=True)
        return answer

    async def _send(
        self, url: str, wanted: HttpCall, timeout_seconds: float, patience: Patience
    ) -> HttpAnswer:
        headers = {**wanted.headers, **freshness_headers(self.seen)}
        silence = None
        if self.seen > UNSEEN:
            # Masters of others give no signs, and nothing to see.
            headers |= liveness_headers(self._sign_seconds)
            silence = patience.silence(self._sign_seconds, self._patience_factor)
        try:
            reply = await self._http.send(
                wanted.verb,
                f"{url.rstrip('/')}/{wanted.path}",
                headers,
                wanted.body,
                timeout_seconds=timeout_seconds,
                silence=silence,
            )
        except ConnectionFailed as error:
            raise Unreachable(f"no answer from {url}: {error}") from error
        told = HttpAnswer(reply.status, reply.headers, reply.body)
        self.answered = freshness_of(told.headers)
        self.seen = max(self.seen, self.answered)
        self.list(decode_replicas(told.headers.get(REPLICAS_HEADER.lower(), "")))
        return told
