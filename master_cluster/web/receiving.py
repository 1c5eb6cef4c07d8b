"""Shell. What a master answers before it has a state: how far it is, and nothing else.

``/readyz`` begins with ``receiving``: whoever promises that a replica is there takes
that for kept, since the state that it waits for may wait for the promise.
"""

# mypy: allow-untyped-calls
# Much of twisted.web is not annotated, and super() leads there.

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from twisted.web.resource import IResource
from twisted.web.server import Request

from master_cluster.answering.pushes import PushAnswers
from master_cluster.authority.region import RegionHome
from master_cluster.receiving import Receiver
from master_cluster.transferring import receiving
from master_cluster.web.entrance import Entrance
from master_cluster.web.operations import HealthPage
from master_cluster.web.replying import Answering, Refusal, pass_all
from runtime.ports import Runtime
from slap.calls import Call
from slap.errors import BadRequest
from slap.methods import EXTENSION
from slap.transfer import Piece, TransferReport


class ReceivingAnswers:
    """The methods that are answered."""

    def __init__(
        self, receiver: Receiver, home: RegionHome | None, pushes: PushAnswers
    ) -> None:
        self._receiver = receiver
        self._home = home
        self.table: Mapping[str, Callable[..., Awaitable[object]]] = {
            EXTENSION + "transfer": self._report,
            EXTENSION + "receive": self._receive,
            EXTENSION + "open": self._open,
            EXTENSION + "roots": self._roots,
            **pushes.table(self._find_named),
        }

    async def answer(self, call: Call) -> object:
        return await self.table[call.method](**call.arguments)

    async def _report(self) -> TransferReport:
        return self._receiver.report()

    async def _receive(self, piece: Piece) -> TransferReport:
        return await self._receiver.take(piece)

    async def _open(self, digest: str) -> TransferReport:
        return await self._receiver.open(digest)

    async def _find_named(self) -> frozenset[str]:
        raise receiving("no release is removed before it is known which are supplied")

    async def _roots(self) -> str:
        if self._home is None:
            raise BadRequest("this master has no identity directory")
        return self._home.roots()


class ReceivingGate(Entrance):
    """The root of a master that has no state."""

    def __init__(
        self,
        receiver: Receiver,
        home: RegionHome | None,
        runtime: Runtime,
        *,
        is_loopback_only: bool,
        pushes: PushAnswers,
    ) -> None:
        super().__init__(is_loopback_only=is_loopback_only)
        self._receiver = receiver
        answers = ReceivingAnswers(receiver, home, pushes)
        for name in answers.table:
            page = Answering(answers, runtime, self.run, pass_all)
            self.putChild(name.encode("ascii"), page)
        self.putChild(b"healthz", HealthPage())

    def getChild(self, path: bytes, request: Request) -> IResource:  # noqa: ARG002
        return Refusal(receiving(self._receiver.reason))
