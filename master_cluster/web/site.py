"""Shell. The resources of the master: one for each method of SLAP, and the files."""

# mypy: allow-untyped-calls
# Much of twisted.web is not annotated, and super() leads there.

from __future__ import annotations

from twisted.web.resource import IResource
from twisted.web.server import Request

from master_cluster.answering.answers import Answers
from master_cluster.remembering import AnswerMemory
from master_cluster.web.entrance import Entrance
from master_cluster.web.repeating import Remembered, Repeating
from master_cluster.web.replying import Answering, Check, Refusal, pass_all
from runtime.ports import Runtime
from slap.errors import NotFound
from slap.methods import METHODS


class Gate(Entrance):
    """Methods and files, for whoever may ask; ``check`` sees every call."""

    def __init__(
        self,
        answers: Answers,
        runtime: Runtime,
        memory: AnswerMemory[Remembered],
        check: Check = pass_all,
        *,
        is_loopback_only: bool,
    ) -> None:
        super().__init__(is_loopback_only=is_loopback_only)
        for name in METHODS:
            answering = Answering(answers, runtime, self.run, check)
            self.putChild(name.encode("ascii"), answering)
        repeating = Repeating(answers, runtime, self.run, check, memory)
        self.putChild(b"requestComputerPartition", repeating)

    def getChild(self, path: bytes, request: Request) -> IResource:  # noqa: ARG002
        return Refusal(NotFound(f"no method {path.decode(errors='replace')!r}"))
