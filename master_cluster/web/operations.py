"""Shell. What watches a master: is it alive, should it get calls, what does it count.

- ``/healthz``: the process answers. It never touches the store: a master whose store
  is away must not be restarted for it.
- ``/readyz``: the store answers within a bound, and the master is not stopping.
- ``/metrics``: ``measuring``, for Prometheus.
"""

# mypy: allow-untyped-calls
# Much of twisted.web is not annotated.

from __future__ import annotations

from collections.abc import Sized
from http import HTTPStatus

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from master_cluster.measuring import CONTENT_TYPE, Measures
from master_cluster.polling import Polling
from master_cluster.store.callers import Caller, enter
from master_cluster.store.store import Store
from runtime.ports import IStoreThreads
from slap.errors import SlapError

READY_SECONDS_MAX = 2.0
"""Probes of supervisors and balancers wait a few seconds themselves."""

TEXT_TYPE = "text/plain; charset=utf-8"


class Readiness:
    """Whether a master should be given calls now."""

    def __init__(self, store: Store, clock: IReactorTime) -> None:
        self._store = store
        self._clock = clock
        self._is_stopping = False
        self._waiting: list[Deferred[str | None]] = []
        self._probe: Deferred[None] | None = None

    def stop(self) -> None:
        """Be not ready from now on."""
        self._is_stopping = True

    async def refusal(self) -> str | None:
        """Return why it is not ready, or ``None``; it takes no longer than its bound.

        Whoever asks while a probe runs waits for that one: a store that hangs is not
        asked again and again.
        """
        if self._is_stopping:
            return "this master is stopping"
        waiting: Deferred[str | None] = Deferred()
        waiting.addTimeout(READY_SECONDS_MAX, self._clock, _say_late)
        self._waiting.append(waiting)
        if self._probe is None:
            self._probe = Deferred.fromCoroutine(self._ask())
        return await waiting

    async def _ask(self) -> None:
        # For all who wait, whoever was the first.
        enter(Caller())
        reason: str | None = None
        try:
            await self._store.ask(lambda cloud: cloud.has_computer(""))
        except SlapError as error:
            reason = error.sentence
        waiting, self._waiting, self._probe = self._waiting, [], None
        for it in waiting:
            if not it.called:
                it.callback(reason)


def _say_late(_: object, seconds: float) -> str:
    return f"the store did not answer within {seconds:g} s"


def watch_process(
    measures: Measures, threads: IStoreThreads, connected: Sized, polling: Polling
) -> None:
    """Let the work of this process be read."""
    measures.watch(
        "slapcluster_store_threads_busy",
        "Threads of the store that work now.",
        lambda: min(threads.call_count, threads.threads_max),
    )
    measures.watch(
        "slapcluster_store_calls_waiting",
        "Calls of the store that wait for a thread.",
        lambda: max(0, threads.call_count - threads.threads_max),
    )
    measures.watch(
        "slapcluster_connections", "HTTP connections open now.", lambda: len(connected)
    )
    measures.watch(
        "slapcluster_polls_waiting",
        "Polls that wait for a change now.",
        lambda: polling.waiting_count,
    )
    measures.watch(
        "slapcluster_store_lost",
        "Whether polls are answered as of before, for the store is away.",
        lambda: int(polling.is_lost),
    )


class HealthPage(Resource):
    """Answers while the process does."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()

    def render_GET(self, request: Request) -> bytes:
        return _text(request, HTTPStatus.OK, "alive\n")


class ReadyPage(Resource):
    """Answers 200 when the master is ready, else 503 with the reason."""

    isLeaf = True

    def __init__(self, readiness: Readiness) -> None:
        super().__init__()
        self._readiness = readiness

    def render_GET(self, request: Request) -> int:
        gone = request.notifyFinish()
        gone.addErrback(lambda _: None)
        Deferred.fromCoroutine(self._answer(request, gone))
        return NOT_DONE_YET

    async def _answer(self, request: Request, gone: Deferred[None]) -> None:
        refusal = await self._readiness.refusal()
        if gone.called:
            return
        if refusal is None:
            request.write(_text(request, HTTPStatus.OK, "ready\n"))
        else:
            status = HTTPStatus.SERVICE_UNAVAILABLE
            request.write(_text(request, status, f"{refusal}\n"))
        request.finish()


class MetricsPage(Resource):
    """Answers all measures."""

    isLeaf = True

    def __init__(self, measures: Measures) -> None:
        super().__init__()
        self._measures = measures

    def render_GET(self, request: Request) -> bytes:
        return _text(request, HTTPStatus.OK, self._measures.render(), CONTENT_TYPE)


def _text(
    request: Request, status: HTTPStatus, text: str, content_type: str = TEXT_TYPE
) -> bytes:
    content = text.encode()
    request.setResponseCode(status.value)
    request.setHeader(b"Content-Type", content_type.encode("ascii"))
    request.setHeader(b"Cache-Control", b"no-store")
    request.setHeader(b"Content-Length", b"%d" % len(content))
    return content
