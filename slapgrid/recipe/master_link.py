"""Blocking calls to one address of a master, for processes that have no reactor.

Recipes and the console use it: they do one thing after the other.
"""

from __future__ import annotations

import ssl
import time
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import SplitResult, urlsplit

from attrs import frozen

from slap.calls import Call, HttpAnswer, decode_answer, encode_call
from slap.errors import Unreachable
from slap.identities import refusal_of_master

WAIT_SECONDS_MAX = 30.0
"""For a connection or the next bytes: a commit in a quorum of regions takes seconds."""

ANSWER_SECONDS_MAX = 60.0
"""For a whole answer: one that drips must not hold the pass of the agent."""

ANSWER_BYTES_MAX = 16 * 1024 * 1024
"""A host of ten thousand shared instances fits; a mistaken server does not."""

_PIECE_BYTES = 64 * 1024


@frozen
class MasterLink:
    """A master's address, and the certificate to show there if it is https.

    With ``roots_path`` it is a replica of a cloud of ours, known by its certificate;
    else its name is compared, and the authorities are those of the computer.
    """

    url: SplitResult
    key_path: str = ""
    certificate_path: str = ""
    roots_path: str = ""

    def perform(self, call: Call) -> object:
        """Return what the master answers; raises ``SlapError``."""
        http_call = encode_call(call)
        try:
            connection = self._open()
        except OSError as error:
            raise self._unreachable(error) from error
        try:
            path = f"{self.url.path.rstrip('/')}/{http_call.path}"
            body = http_call.body or None
            connection.connect()
            self._check(connection)
            connection.request(http_call.verb, path, body, dict(http_call.headers))
            with connection.getresponse() as reply:
                content = _read(reply)
        except (OSError, HTTPException) as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()
        answer = HttpAnswer(reply.status, dict(reply.headers), content)
        return decode_answer(call, answer)

    def _unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(f"{self.url.geturl()}: {error or type(error).__name__}")

    def _check(self, connection: HTTPConnection) -> None:
        if not self.roots_path or not isinstance(connection.sock, ssl.SSLSocket):
            return
        names = (connection.sock.getpeercert() or {}).get("subjectAltName", ())
        uris = [str(it[1]) for it in names if it[0] == "URI"]
        refusal = refusal_of_master(uris)
        if refusal is not None:
            raise ssl.SSLError(f"the server is not to be trusted: {refusal}")

    def _open(self) -> HTTPConnection:
        host = self.url.hostname or ""
        port = self.url.port
        if self.url.scheme == "http":
            return HTTPConnection(host, port, timeout=WAIT_SECONDS_MAX)
        context = ssl.create_default_context(cafile=self.roots_path or None)
        context.check_hostname = not self.roots_path
        if self.certificate_path and self.key_path:
            context.load_cert_chain(self.certificate_path, self.key_path)
        return HTTPSConnection(host, port, timeout=WAIT_SECONDS_MAX, context=context)


def parse_master_url(text: str) -> SplitResult:
    """Return an address that can be called; ``ValueError`` says why it cannot."""
    url = urlsplit(text)
    try:
        _ = url.port
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from error
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError(f"{text!r} is no http address")
    return url


def _read(reply: HTTPResponse) -> bytes:
    now = time.monotonic  # noqa: TID251 - buildout's process has no runtime
    deadline = now() + ANSWER_SECONDS_MAX
    content = bytearray()
    while piece := reply.read1(_PIECE_BYTES):
        content += piece
        if len(content) > ANSWER_BYTES_MAX:
            raise HTTPException(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
        if now() > deadline:
            raise HTTPException(f"an answer takes more than {ANSWER_SECONDS_MAX} s")
    if reply.length:
        raise HTTPException(f"an answer ended {reply.length} bytes early")
    return bytes(content)
