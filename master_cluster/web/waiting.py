"""Shell. What a master answers before it has its store.

A master that had it once answers polls with the documents that are on its disk, and is
not ready; one that was started while its region is cut off does so until it has it.
"""

# mypy: allow-untyped-calls
# Much of twisted.web is not annotated, and super() leads there.

from __future__ import annotations

from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from master_cluster.kept_documents import KeptDocuments
from master_cluster.polling import Polling, lost
from master_cluster.web.entrance import Entrance
from master_cluster.web.operations import HealthPage
from master_cluster.web.polling import (
    POLL_METHODS,
    polled_computer,
    read_poll,
    respond,
)
from master_cluster.web.replying import Refusal
from runtime.ports import Runtime
from slap.errors import SlapError


class WaitingGate(Entrance):
    """The root until the store is there; ``reason`` says why it is not."""

    def __init__(
        self, kept: KeptDocuments, runtime: Runtime, *, is_loopback_only: bool
    ) -> None:
        super().__init__(is_loopback_only=is_loopback_only)
        self.reason = "the store was not asked yet"
        for name in POLL_METHODS:
            self.putChild(name, _KeptPage(kept, runtime))
        self.putChild(b"healthz", HealthPage())

    def getChild(self, path: bytes, request: Request) -> IResource:  # noqa: ARG002
        return Refusal(lost(f"nothing else can be answered: {self.reason}"))


class _KeptPage(Resource):
    """Polls, answered as of before."""

    isLeaf = True

    def __init__(self, kept: KeptDocuments, runtime: Runtime) -> None:
        super().__init__()
        self._kept = kept
        self._clock = runtime.clock
        self._polling = Polling()
        self._polling.lose()

    def render(self, request: Request) -> int | bytes:
        try:
            computer_id = polled_computer(request.method, request.uri)
        except (SlapError, UnicodeDecodeError):
            return Refusal(lost("nothing but polls is answered")).render(request)
        if self._polling.lacks(computer_id):
            kept = self._kept.recall(computer_id)
            if kept is not None:
                self._polling.recall(computer_id, kept.document, kept.good_to)
        poll, _, wait_seconds = read_poll(request, computer_id)
        ((_, answer),) = self._polling.begin(poll).answers
        respond(request, answer, wait_seconds, self._clock.seconds())
        return NOT_DONE_YET
