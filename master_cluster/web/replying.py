"""Shell. How a method is called by HTTP: the request read, the answer written.

Nothing of an unexpected error leaves the process: the caller gets a number, and the log
has the number with the error.
"""

# mypy: allow-untyped-calls
# Much of twisted.web is not annotated, and super() leads there.

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Protocol, TypeAlias

from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from runtime.ports import Runtime
from slap.calls import Call, HttpAnswer, decode_call, encode_answer, encode_error
from slap.errors import BadRequest, ServerError, SlapError

Run: TypeAlias = Callable[[Deferred[None]], None]

Check: TypeAlias = Callable[[Request, Call], Awaitable[None]]
"""Raises ``Forbidden`` for a call that is not for whoever makes it."""


async def pass_all(request: Request, call: Call) -> None:
    """Check nothing, as a mini-master: it is asked by its own computer alone."""


INCIDENT_BITS = 40
"""Short enough to read aloud, long enough to find one line in a log."""


class Serving(Resource):
    """One address, answered by a coroutine.

    ``run`` is told of each answer that is being made, so that stopping awaits it.
    """

    isLeaf = True

    def __init__(self, runtime: Runtime, run: Run) -> None:
        super().__init__()
        self._runtime = runtime
        self._run = run

    def render(self, request: Request) -> bytes | int:
        self._run(Deferred.fromCoroutine(self._serve(request)))
        return NOT_DONE_YET

    async def _answer(self, request: Request) -> HttpAnswer:
        """Return what is answered, or raise an error of ``slap``."""
        raise NotImplementedError

    async def _serve(self, request: Request) -> None:
        gone = request.notifyFinish()
        gone.addErrback(lambda _: None)
        try:
            answer = await self._answer(request)
        except SlapError as error:
            answer = encode_error(error, path_of(request))
        except Exception:  # noqa: BLE001 - the boundary: nothing may leave
            answer = encode_error(report_incident(self._runtime), path_of(request))
        if not gone.called:
            request.write(set_head(request, answer))
            request.finish()


class Answerer(Protocol):
    """Who answers calls; raises the errors of ``slap``."""

    async def answer(self, call: Call) -> object: ...


class Answering(Serving):
    """One method."""

    def __init__(
        self, answers: Answerer, runtime: Runtime, run: Run, check: Check
    ) -> None:
        super().__init__(runtime, run)
        self._answers = answers
        self._check = check

    async def _answer(self, request: Request) -> HttpAnswer:
        call = call_of(request)
        await self._check(request, call)
        return encode_answer(call.method, await self._answers.answer(call))


class Refusal(Resource):
    """Whatever is asked is refused."""

    isLeaf = True

    def __init__(self, error: SlapError) -> None:
        super().__init__()
        self._error = error

    def render(self, request: Request) -> bytes:
        return set_head(request, encode_error(self._error, path_of(request)))


def report_incident(runtime: Runtime) -> ServerError:
    """Log the error that is being handled; return what the caller is told of it."""
    number = f"{runtime.entropy.getrandbits(INCIDENT_BITS):010x}"
    runtime.log.failure("incident {number}", number=number)
    return ServerError(f"the master failed; incident {number} in its log")


def call_of(request: Request) -> Call:
    """Return what an HTTP request asks; raises the errors of ``slap``."""
    path, _, query = text_of(request.uri).partition("?")
    verb, headers = text_of(request.method), headers_of(request)
    return decode_call(verb, path, query, headers, body_of(request))


def headers_of(request: Request) -> Mapping[str, str]:
    """Return the headers by lowered name; those sent twice are joined by a comma."""
    return {
        name.decode("latin-1").lower(): b", ".join(values).decode("latin-1")
        for name, values in request.requestHeaders.getAllRawHeaders()
    }


def path_of(request: Request) -> str:
    """Return the path, for the dialect of an error."""
    path: str = request.path.decode("ascii", "replace")
    return path


def set_head(request: Request, answer: HttpAnswer) -> bytes:
    """Set status and headers of an answer; returns its body."""
    request.setResponseCode(answer.status)
    for name, value in answer.headers.items():
        request.setHeader(name.encode("ascii"), value.encode("latin-1", "replace"))
    if answer.status != HTTPStatus.NOT_MODIFIED:  # its length would be the content's
        request.setHeader(b"Content-Length", b"%d" % len(answer.body))
    return answer.body


def body_of(request: Request) -> bytes:
    """Return the whole body, however often it is asked for."""
    assert request.content is not None
    request.content.seek(0)
    body: bytes = request.content.read()
    return body


def text_of(raw: bytes) -> str:
    """Return a part of the first line of a request as text."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadRequest("the address is not UTF-8") from error
