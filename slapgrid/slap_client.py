"""Calls to the master: one replica after the other, each at most once."""

from __future__ import annotations

from attrs import evolve

from runtime.http_client import ConnectionFailed, HttpClient
from runtime.ports import Runtime
from slap.calls import Call, HttpAnswer, decode_answer, encode_call
from slap.errors import MasterAway, SlapError, Unreachable
from slap.model import PartitionKey
from slap.replicas import Answered, Failed, Replicas, absorb, choose

#: An allocation on a loaded master takes less; a silent one is left after this.
CALL_SECONDS_MAX = 60.0


class SlapClient:
    """Performs calls; raises what the master raised, ``MasterAway`` when none answers.

    ``requester`` is the partition in whose name calls are made that name none.
    """

    def __init__(
        self,
        runtime: Runtime,
        replicas: Replicas,
        requester: PartitionKey | None = None,
    ) -> None:
        self._runtime = runtime
        self._replicas = replicas
        self._requester = requester
        self._http = HttpClient(runtime)

    async def perform(self, call: Call) -> object:
        """The answer of the first replica that can give one."""
        if call.requester is None and self._requester is not None:
            call = evolve(call, requester=self._requester)
        asked: list[str] = []
        while True:
            url = choose(self._replicas, self._runtime.clock.seconds())
            if url in asked:
                # The preferred one may be back in between; the rest are still untried.
                untried = [each for each in self._replicas.urls if each not in asked]
                url = untried[0]
            asked.append(url)
            try:
                answer = await self._ask(url, call)
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
        wanted = encode_call(call)
        try:
            reply = await self._http.send(
                wanted.verb,
                f"{url.rstrip('/')}/{wanted.path}",
                wanted.headers,
                wanted.body,
                timeout_seconds=CALL_SECONDS_MAX,
            )
        except ConnectionFailed as error:
            raise Unreachable(f"no answer from {url}: {error}") from error
        return decode_answer(call, HttpAnswer(reply.status, reply.headers, reply.body))
