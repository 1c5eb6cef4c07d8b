"""The partition that an instance runs in, and its line to the master.

Everything stands in ``[slap-connection]``, which the agent appends to the profile of an
instance. Calls are made one at a time with blocking sockets: buildout runs recipes one
after the other and nothing else happens in its process.
"""

from __future__ import annotations

import ssl
import time
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import SplitResult, urlsplit

from attrs import frozen

from slap.calls import Call, HttpAnswer, decode_answer, encode_call
from slap.errors import SlapError, Unreachable
from slap.model import PartitionKey
from slapgrid.recipe.section import Buildout, Section

SECTION = "slap-connection"

WAIT_SECONDS_MAX = 30.0
"""For a connection or the next bytes: a commit in a quorum of regions takes seconds."""

ANSWER_SECONDS_MAX = 60.0
"""For a whole answer: one that drips must not hold the pass of the agent."""

ANSWER_BYTES_MAX = 16 * 1024 * 1024
"""A host of ten thousand shared instances fits; a mistaken server does not."""

_PIECE_BYTES = 64 * 1024


@frozen
class SlapConnection:
    """Who calls, and whom."""

    partition: PartitionKey
    master_url: SplitResult
    software_release_url: str
    key_path: str = ""
    certificate_path: str = ""

    def perform(self, call: Call) -> object:
        """Return what the master answers; raises ``SlapError``."""
        http_call = encode_call(call)
        link = self._link()
        try:
            path = f"{self.master_url.path.rstrip('/')}/{http_call.path}"
            body = http_call.body or None
            link.request(http_call.verb, path, body, dict(http_call.headers))
            with link.getresponse() as reply:
                content = _read(reply)
        except (OSError, HTTPException) as error:
            sentence = f"{self.master_url.geturl()}: {error or type(error).__name__}"
            raise Unreachable(sentence) from error
        finally:
            link.close()
        answer = HttpAnswer(reply.status, dict(reply.headers), content)
        return decode_answer(call, answer)

    def _link(self) -> HTTPConnection:
        host = self.master_url.hostname or ""
        port = self.master_url.port
        if self.master_url.scheme == "http":
            return HTTPConnection(host, port, timeout=WAIT_SECONDS_MAX)
        context = ssl.create_default_context()
        if self.certificate_path and self.key_path:
            context.load_cert_chain(self.certificate_path, self.key_path)
        return HTTPSConnection(host, port, timeout=WAIT_SECONDS_MAX, context=context)


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


def read_connection(buildout: Buildout) -> SlapConnection:
    """Return the connection that the agent wrote into the profile of the instance."""
    section = Section(SECTION, buildout[SECTION])
    text = section.text("server-url")
    try:
        master_url = urlsplit(text)
        _ = master_url.port
    except ValueError as error:
        raise section.refusal("server-url", f"{text!r}: {error}") from error
    if master_url.scheme not in {"http", "https"} or not master_url.hostname:
        raise section.refusal("server-url", f"{text!r} is no http address")
    return SlapConnection(
        PartitionKey(section.text("computer-id"), section.text("partition-id")),
        master_url,
        section.text("software-release-url"),
        section.text("key-file", ""),
        section.text("cert-file", ""),
    )


def perform(section: Section, connection: SlapConnection, call: Call) -> object:
    """Perform a call for a section; an error becomes one that buildout shows."""
    try:
        return connection.perform(call)
    except SlapError as error:
        option = "recipe"
        raise section.refusal(option, f"{call.method}: {error.sentence}") from error
