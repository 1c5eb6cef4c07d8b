"""Blocking calls to the replicas of a master, for processes that have no reactor.

Recipes and the console use it: they do one thing after the other.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import SplitResult, urlsplit

from attrs import define, field, frozen

from slap.calls import Call, HttpAnswer, decode_answer, encode_call
from slap.errors import MasterAway, Unreachable
from slap.identities import refusal_of_master

WAIT_SECONDS_MAX = 30.0
"""For a connection or the next bytes: a commit in a quorum of regions takes seconds."""

OTHERS_WAIT_SECONDS_MAX = 10.0
"""The same, while there is another replica to ask."""

CALL_SECONDS_MAX = 60.0
"""After these no further replica is asked: the pass of the agent waits."""

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

    def perform(self, call: Call, wait_seconds: float = WAIT_SECONDS_MAX) -> object:
        """Return what the master answers; raises ``SlapError``."""
        http_call = encode_call(call)
        try:
            connection = self._open(wait_seconds)
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

    def _open(self, wait_seconds: float) -> HTTPConnection:
        host = self.url.hostname or ""
        port = self.url.port
        if self.url.scheme == "http":
            return HTTPConnection(host, port, timeout=wait_seconds)
        context = ssl.create_default_context(cafile=self.roots_path or None)
        context.check_hostname = not self.roots_path
        if self.certificate_path and self.key_path:
            context.load_cert_chain(self.certificate_path, self.key_path)
        return HTTPSConnection(host, port, timeout=wait_seconds, context=context)


@define
class MasterLinks:
    """Replicas of a master, at least one: the next is asked when one cannot answer.

    It begins with who answered last. A call that was heard and given up is made again
    elsewhere: what is called here says what is to be, and changes nothing the second
    time.
    """

    links: tuple[MasterLink, ...] = field()
    _first: int = 0

    @links.validator
    def _check_links(self, _: object, links: tuple[MasterLink, ...]) -> None:
        if not links:
            raise ValueError("no master is known")

    def perform(self, call: Call, wait_seconds_max: float = WAIT_SECONDS_MAX) -> object:
        """Return what a replica answers; raises ``SlapError``."""
        others_wait_seconds = min(wait_seconds_max, OTHERS_WAIT_SECONDS_MAX)
        now = time.monotonic  # noqa: TID251 - as below
        begun = now()
        count = len(self.links)
        sentences = []
        for number in range(1, count + 1):
            link = self.links[self._first]
            is_last = number == count or now() - begun > CALL_SECONDS_MAX
            try:
                return link.perform(
                    call, wait_seconds_max if is_last else others_wait_seconds
                )
            except MasterAway as error:
                self._first = (self._first + 1) % count
                sentences.append(error.sentence)
                if count == 1:
                    raise
                if is_last:
                    raise Unreachable("; ".join(sentences)) from error
        raise AssertionError("there is a replica to ask")


def link_all(
    urls: Iterable[str],
    key_path: str = "",
    certificate_path: str = "",
    roots_path: str = "",
) -> MasterLinks:
    """Return links to these addresses; ``ValueError`` says which will not do."""
    parsed = dict.fromkeys(parse_master_url(it) for it in urls)
    return MasterLinks(
        tuple(MasterLink(it, key_path, certificate_path, roots_path) for it in parsed)
    )


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
