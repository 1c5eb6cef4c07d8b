"""The log of a process: one line per event, for people or as JSON.

Times come from a calendar. Each line carries the id of the HTTP request in whose
context it was written, from whichever thread: see ``REQUEST_ID``.

A log that nobody reads any more, or not fast enough, costs lines and nothing else:
writing never raises and never waits. The next line that gets through says how many did
not.
"""

from __future__ import annotations

import json
import os
import select
import stat
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from threading import Lock  # noqa: TID251 - store threads and the reactor write
from types import MappingProxyType

from attrs import field, frozen
from twisted.logger import ILogObserver, LogEvent, formatEvent
from zope.interface import implementer

from runtime.ports import ICalendar

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""Names the HTTP request that is served in this context; empty outside of one.

Coroutines keep the context in which they began, and so do calls of store threads.
"""

LINE_BYTES_MAX = 64 * 1024
"""A traceback through Twisted has some kilobytes; what is longer is cut."""

PIPE_BYTES = 4096
"""A pipe that is said to be writable takes so many bytes without waiting."""


def _frozen(values: Mapping[str, object]) -> Mapping[str, object]:
    return MappingProxyType(dict(values))


@frozen
class LogLine:
    """One event. ``values`` are the numbers and texts that its message is made of."""

    written_at: float
    level: str
    source: str
    message: str
    request_id: str = ""
    traceback: str = ""
    values: Mapping[str, object] = field(factory=dict, converter=_frozen)


def describe_event(event: LogEvent, now: float, request_id: str) -> LogLine:
    """Return what a log event says."""
    level = event.get("log_level")
    failure = event.get("log_failure")
    values = {
        name: value
        for name, value in event.items()
        if not name.startswith("log_")
        and isinstance(value, str | int | float)
        and name not in _LEGACY
    }
    return LogLine(
        written_at=now,
        level=level.name if level is not None else "info",
        source=str(event.get("log_namespace", "")),
        message=formatEvent(event),
        request_id=request_id,
        traceback=failure.getTraceback() if failure is not None else "",
        values=values,
    )


_LEGACY = ("time", "isError", "format", "system")
"""Names that Twisted adds for observers of its first logger."""


def render_time(instant: float) -> str:
    """Return seconds since 1970 as ISO 8601, UTC, with milliseconds."""
    moment = datetime.fromtimestamp(instant, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def render_text(line: LogLine) -> str:
    """Return a line for people; a traceback follows it on lines of its own."""
    about = f" ({line.request_id})" if line.request_id else ""
    message = line.message.replace("\n", "\n\t")
    head = f"{render_time(line.written_at)} [{line.source}#{line.level}]"
    trace = "\n\t" + line.traceback.strip().replace("\n", "\n\t")
    return f"{head} {message}{about}{trace if line.traceback else ''}"


def render_json(line: LogLine) -> str:
    """Return a line as one JSON object."""
    document: dict[str, object] = {
        "time": render_time(line.written_at),
        "level": line.level,
        "source": line.source,
        "message": line.message,
    }
    if line.request_id:
        document["request_id"] = line.request_id
    if line.traceback:
        document["traceback"] = line.traceback
    return json.dumps({**line.values, **document}, default=str)


@implementer(ILogObserver)
@frozen(eq=False)
class LineObserver:
    """Writes each event of a log as a line; nothing that goes wrong gets out."""

    calendar: ICalendar
    render: Callable[[LogLine], str]
    write: Callable[[str], None]

    def __call__(self, event: LogEvent) -> None:
        now = self.calendar.now()
        try:
            text = self.render(describe_event(event, now, REQUEST_ID.get()))
        except Exception as error:  # noqa: BLE001 - a log that fails has nowhere to go
            text = f"{render_time(now)} a log event cannot be told: {type(error)}"
        self.write(text)


class LineFile:
    """An open file that gets lines; one that cannot be written now loses them."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = Lock()
        self._lost_count = 0
        self._is_within_line = False

    def write(self, line: str) -> None:
        with self._lock:
            text = line
            if self._lost_count:
                text = f"{self._lost_count} lines of the log were lost\n{line}"
            if self._is_within_line:
                text = "\n" + text
            content = text.encode(errors="backslashreplace")[:LINE_BYTES_MAX] + b"\n"
            if self._put(content):
                self._lost_count = 0
            else:
                self._lost_count += 1

    def _put(self, content: bytes) -> bool:
        """Whether all of it is written."""
        try:
            while content and self._is_writable():
                written = os.write(self._descriptor, content[:PIPE_BYTES])
                self._is_within_line = content[written - 1 : written] != b"\n"
                content = content[written:]
        except OSError:
            return False
        return not content

    def _is_writable(self) -> bool:
        """Whether a write returns at once; a disk is not asked."""
        if stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            return True
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        return bool(poll.poll(0))
