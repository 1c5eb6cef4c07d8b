"""XML-RPC calls to the supervisord below an instance root, over its Unix socket."""

from __future__ import annotations

import xmlrpc.client
from collections.abc import Sequence

from runtime.http_client import ConnectionFailed, HttpClient
from runtime.ports import IFileTree, Runtime, UnixAddress
from slapgrid.layout import SUPERVISORD_SOCKET, SUPERVISORD_SOCKET_OF_OLD
from slapgrid.supervision.port import SupervisionError

#: supervisord does one thing at a time; starting 500 programs takes it 8 s.
CALL_SECONDS_MAX = 60.0
#: In one message: a start takes a fork, and no other client is answered meanwhile.
CALLS_TOGETHER_MAX = 100

#: What supervisord answers to a method that it does not have.
UNKNOWN_METHOD = 1


class Refused(SupervisionError):
    """supervisord answers, and refuses the call; ``code`` is its own."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class SupervisordCalls:
    """Calls of one supervisord."""

    def __init__(self, runtime: Runtime, tree: IFileTree) -> None:
        self._tree = tree
        self._http = HttpClient(runtime)

    @property
    def socket(self) -> str:
        """Where it listens, or will: the old name is used where it is there."""
        if self._tree.status(SUPERVISORD_SOCKET_OF_OLD) is not None:
            return SUPERVISORD_SOCKET_OF_OLD
        return SUPERVISORD_SOCKET

    async def call(self, method: str, *arguments: object) -> object:
        """One call; ``SupervisionError`` when nobody answers it."""
        body = xmlrpc.client.dumps(arguments, method).encode()  # type: ignore[arg-type] # lists and texts
        try:
            reply = await self._http.send(
                "POST",
                "http://127.0.0.1/RPC2",
                {"Content-Type": "text/xml"},
                body,
                timeout_seconds=CALL_SECONDS_MAX,
                address=UnixAddress(self._tree.path(self.socket)),
            )
        except ConnectionFailed as error:
            raise SupervisionError(f"supervisord does not answer: {error}") from error
        if reply.status != 200:  # noqa: PLR2004 - HTTP
            raise SupervisionError(f"supervisord answers with status {reply.status}")
        try:
            # The socket is ours alone (mode 0700): what comes out of it is trusted.
            (answer,), _ = xmlrpc.client.loads(reply.body)
        except xmlrpc.client.Fault as fault:
            raise Refused(int(fault.faultCode), fault.faultString) from fault
        return answer

    async def call_each(
        self, method: str, arguments: Sequence[tuple[object, ...]]
    ) -> list[Refused | None]:
        """The same call with each of these arguments, in few messages.

        Gives the refusal of each, in order.
        """
        refusals: list[Refused | None] = []
        for begin in range(0, len(arguments), CALLS_TOGETHER_MAX):
            answers = await self.call(
                "system.multicall",
                [
                    {"methodName": method, "params": list(each)}
                    for each in arguments[begin : begin + CALLS_TOGETHER_MAX]
                ],
            )
            assert isinstance(answers, list)
            refusals += [_refusal(answer) for answer in answers]
        return refusals


def _refusal(answer: object) -> Refused | None:
    if isinstance(answer, dict) and "faultCode" in answer:
        return Refused(int(answer["faultCode"]), str(answer["faultString"]))
    return None
