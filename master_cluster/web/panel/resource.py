"""Shell. The panel as resources of twisted.web, and the way to it."""

# mypy: allow-untyped-calls
# Much of twisted.web is not annotated, and super() leads there.

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from master_cluster.web.panel import addresses
from master_cluster.web.panel.panel import Panel
from master_cluster.web.panel.visits import Call, redirection
from master_cluster.web.replying import Run, body_of, headers_of, set_head


class PanelResource(Resource):
    """Everything below ``/panel/``; ``run`` is told of each visit while it lasts."""

    isLeaf = True

    def __init__(self, panel: Panel, run: Run) -> None:
        super().__init__()
        self._panel = panel
        self._run = run

    def render(self, request: Request) -> bytes | int:
        if not request.postpath:
            return set_head(request, redirection(addresses.TOP, 302))
        self._run(Deferred.fromCoroutine(self._serve(request)))
        return NOT_DONE_YET

    async def _serve(self, request: Request) -> None:
        gone = request.notifyFinish()
        gone.addErrback(lambda _: None)
        answer = await self._panel.answer(_read_call(request))
        if not gone.called:
            body = set_head(request, answer)
            if request.method != b"HEAD":
                request.write(body)
            request.finish()


class WayToPanel(Resource):
    """The root of the site: a person who comes here wants the panel."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()

    def render(self, request: Request) -> bytes:
        return set_head(request, redirection(addresses.TOP, 302))


def _read_call(request: Request) -> Call:
    _, _, query = request.uri.partition(b"?")
    return Call(
        verb=request.method.decode("latin-1"),
        page="/".join(it.decode(errors="replace") for it in request.postpath or []),
        query=query.decode(errors="surrogateescape"),
        headers=headers_of(request),
        body=body_of(request),
        is_secure=request.isSecure(),
    )
