"""Shell. The resources of the master: one for each method of SLAP, and the files.

Nothing of an unexpected error leaves the process: the caller gets a number, and the log
has the number with the error.
"""

# mypy: allow-untyped-calls
# Much of twisted.web is not annotated, and super() leads there.

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from master_cluster.answering.answers import Answers
from runtime.ports import Runtime
from slap.calls import HttpAnswer, decode_call, encode_answer, encode_error
from slap.errors import BadRequest, Forbidden, NotFound, ServerError, SlapError
from slap.methods import METHODS

INCIDENT_BITS = 40
"""Short enough to read aloud, long enough to find one line in a log."""


class Gate(Resource):
    """The root: methods and files, for whoever may ask.

    A web page in a browser of this machine can make it send requests here under any
    name that its owner points at loopback; so only names of loopback are answered.
    """

    def __init__(
        self, answers: Answers, runtime: Runtime, *, is_loopback_only: bool
    ) -> None:
        super().__init__()
        self._is_loopback_only = is_loopback_only
        self._running: set[Deferred[None]] = set()
        for name in METHODS:
            answering = _Answering(answers, runtime, self.run)
            self.putChild(name.encode("ascii"), answering)

    def getChildWithDefault(self, path: bytes, request: Request) -> IResource:
        host = request.getHeader("host") or ""
        if self._is_loopback_only and not is_loopback(host):
            return _Refusal(Forbidden("this master answers on loopback names only"))
        found: IResource = super().getChildWithDefault(path, request)
        return found

    def getChild(self, path: bytes, request: Request) -> IResource:  # noqa: ARG002
        return _Refusal(NotFound(f"no method {path.decode(errors='replace')!r}"))

    async def settle(self) -> None:
        """Return when no call runs."""
        while self._running:
            await _finished(next(iter(self._running)))

    def run(self, call: Deferred[None]) -> None:
        """Count a call among those that ``settle`` awaits."""
        self._running.add(call)
        call.addBoth(lambda _: self._running.discard(call))


def is_loopback(host: str) -> bool:
    """Whether a Host header, with or without a port, names loopback.

    A missing one is a client without a browser's rules, and harmless.
    """
    if not host:
        return True
    if host.startswith("["):
        name, _, port = host[1:].partition("]")
        port = port.removeprefix(":")
    else:
        name, _, port = host.partition(":")
    if port and not (port.isascii() and port.isdigit()):
        return False
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class _Refusal(Resource):
    """A path that is not served."""

    isLeaf = True

    def __init__(self, error: SlapError) -> None:
        super().__init__()
        self._error = error

    def render(self, request: Request) -> bytes:
        return _set_head(request, encode_error(self._error))


class _Answering(Resource):
    """One method."""

    isLeaf = True

    def __init__(
        self,
        answers: Answers,
        runtime: Runtime,
        run: Callable[[Deferred[None]], None],
    ) -> None:
        super().__init__()
        self._answers = answers
        self._runtime = runtime
        self._run = run

    def render(self, request: Request) -> int:
        self._run(Deferred.fromCoroutine(self._serve(request)))
        return NOT_DONE_YET

    async def _serve(self, request: Request) -> None:
        gone = request.notifyFinish()
        gone.addErrback(lambda _: None)
        try:
            answer = await self._answer(request)
        except SlapError as error:
            answer = encode_error(error)
        except Exception:  # noqa: BLE001 - the boundary: nothing may leave
            answer = encode_error(self._incident())
        if not gone.called:
            request.write(_set_head(request, answer))
            request.finish()

    async def _answer(self, request: Request) -> HttpAnswer:
        path, _, query = _text(request.uri).partition("?")
        headers = {
            name.decode("latin-1"): b", ".join(values).decode("latin-1")
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        verb = _text(request.method)
        call = decode_call(verb, path, query, headers, _body(request))
        return encode_answer(call.method, await self._answers.answer(call))

    def _incident(self) -> ServerError:
        number = f"{self._runtime.entropy.getrandbits(INCIDENT_BITS):010x}"
        self._runtime.log.failure("incident {number}", number=number)
        return ServerError(f"the master failed; incident {number} in its log")


def _set_head(request: Request, answer: HttpAnswer) -> bytes:
    request.setResponseCode(answer.status)
    for name, value in answer.headers.items():
        request.setHeader(name.encode("ascii"), value.encode("latin-1", "replace"))
    request.setHeader(b"Content-Length", b"%d" % len(answer.body))
    return answer.body


def _body(request: Request) -> bytes:
    assert request.content is not None
    body: bytes = request.content.read()
    return body


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadRequest("the address is not UTF-8") from error


def _finished(call: Deferred[Any]) -> Deferred[None]:
    """Return a Deferred that fires when ``call`` does, and leaves its result alone."""
    finished: Deferred[None] = Deferred()

    def pass_on(result: object) -> object:
        finished.callback(None)
        return result

    call.addBoth(pass_on)
    return finished
