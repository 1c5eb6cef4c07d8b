"""Shell. What a master answers when others took over its state: who they are."""

# mypy: allow-untyped-calls
# Much of twisted.web is not annotated, and super() leads there.

from __future__ import annotations

from twisted.web.resource import IResource
from twisted.web.server import Request

from master_cluster.web.entrance import Entrance
from master_cluster.web.replying import Refusal
from slap.methods import EXTENSION
from slap.transfer import Moved

KEPT = (
    (EXTENSION + "transfer").encode("ascii"),
    (EXTENSION + "move").encode("ascii"),
    b"healthz",
    b"release",
)
"""Whoever moves a state asks again, nobody is to restart this for it, and files that
somebody builds from are no state."""


class MovedGate(Entrance):
    """The root from then on, in place of ``gate``."""

    def __init__(self, moved: Moved, gate: Entrance) -> None:
        super().__init__(is_loopback_only=gate.is_loopback_only)
        self._moved = moved
        for name in KEPT:
            if name in gate.children:
                self.putChild(name, gate.children[name])

    def getChild(self, path: bytes, request: Request) -> IResource:  # noqa: ARG002
        return Refusal(self._moved)
