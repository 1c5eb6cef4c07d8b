"""What an HTTP server of ours differs in from Twisted's, in either world.

The ``Date`` of an answer comes from the calendar and timeouts from the clock of the
runtime; bodies are bounded and stay in memory; there is no access log, whose clock
would tick every second.

A resource that produces its answer bit by bit registers a push producer: Twisted drives
pull producers of HTTP by the global reactor.
"""

from __future__ import annotations

from io import BytesIO
from typing import BinaryIO

from twisted.internet.interfaces import IReactorTime
from twisted.web.http import REQUEST_ENTITY_TOO_LARGE, datetimeToString
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from runtime.ports import ICalendar, Runtime

IDLE_SECONDS = 331.0
"""How long a connection may be silent between two exchanges.

Longer than clients of ours keep one, and no multiple of a poll period: the poll that
comes just when its connection ends is lost.
"""

SIGN = b"HTTP/1.1 102 Processing\r\n\r\n"
"""A sign of life: an interim answer that says nothing but that somebody is there."""

BODY_BYTES_MAX = 16 * 1024 * 1024
"""The largest body of SLAP is a usage or configuration document, some megabytes."""

EXCESS_BODIES = 4
"""An oversized body is read, and dropped, up to so many times the bound, so that its
sender reads the refusal; a larger one loses the connection."""


class BoundedSite(Site):
    """Serves ``resource``; a longer body than ``body_bytes_max`` is answered 413.

    Forms in bodies are left to the resource, which finds ``content`` at its start.
    """

    def __init__(
        self,
        resource: IResource,
        runtime: Runtime,
        body_bytes_max: int = BODY_BYTES_MAX,
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            resource,
            BoundedRequest,
            timeout=IDLE_SECONDS,
            reactor=runtime.clock,
            parsePOSTFormSubmission=False,
        )
        self.clock: IReactorTime = runtime.clock
        self.calendar: ICalendar = runtime.calendar
        self.body_bytes_max = body_bytes_max

    def getContentFile(self, length: int | None) -> BinaryIO:  # noqa: ARG002
        return BytesIO()

    def startFactory(self) -> None:
        """Without the clock of the access log."""

    def stopFactory(self) -> None:
        """Without the clock of the access log."""

    def log(self, request: object) -> None:
        """Without an access log."""


class BoundedRequest(Request):
    """One exchange with a bounded body."""

    site: BoundedSite
    _body_bytes = 0

    def handleContentChunk(self, data: bytes) -> None:
        # ``site`` is set when the whole body is there.
        bytes_max: int = self.channel.site.body_bytes_max  # type: ignore[attr-defined]
        self._body_bytes += len(data)
        if self._body_bytes <= bytes_max:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]
        elif self._body_bytes > EXCESS_BODIES * bytes_max:
            self.channel.loseConnection()

    def render(self, resrc: IResource) -> None:
        self.setHeader(b"Date", datetimeToString(self.site.calendar.now()))
        if self._body_bytes > self.site.body_bytes_max:
            self.setResponseCode(REQUEST_ENTITY_TOO_LARGE)
            self.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
            bytes_max = self.site.body_bytes_max
            self.write(f"the body has more than {bytes_max} bytes\n".encode())
            self.finish()
            return
        super().render(resrc)  # type: ignore[no-untyped-call]
