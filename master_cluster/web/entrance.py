"""Shell. The root of what a master serves: for whoever may call it by that name.

A web page in a browser of this machine can make it send requests here under any name
that its owner points at loopback; so a mini-master answers names of loopback alone.
"""

# mypy: allow-untyped-calls
# Much of twisted.web is not annotated, and super() leads there.

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request

from master_cluster.web.origin import is_loopback
from master_cluster.web.replying import Refusal
from slap.errors import Forbidden


class Entrance(Resource):
    """A root."""

    def __init__(self, *, is_loopback_only: bool) -> None:
        super().__init__()
        self.is_loopback_only = is_loopback_only
        self._running: set[Deferred[None]] = set()

    def getChildWithDefault(self, path: bytes, request: Request) -> IResource:
        host = request.getHeader("host") or ""
        if self.is_loopback_only and not is_loopback(host):
            return Refusal(Forbidden("this master answers on loopback names only"))
        found: IResource = super().getChildWithDefault(path, request)
        return found

    async def settle(self) -> None:
        """Return when no call runs."""
        while self._running:
            await _finished(next(iter(self._running)))

    def run(self, call: Deferred[None]) -> None:
        """Count a call among those that ``settle`` awaits."""
        self._running.add(call)
        call.addBoth(lambda _: self._running.discard(call))


def _finished(call: Deferred[Any]) -> Deferred[None]:
    """Return a Deferred that fires when ``call`` does, and leaves its result alone."""
    finished: Deferred[None] = Deferred()

    def pass_on(result: object) -> object:
        finished.callback(None)
        return result

    call.addBoth(pass_on)
    return finished
