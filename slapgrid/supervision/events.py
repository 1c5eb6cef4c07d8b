"""Core. What supervisord tells a listener, and what the watchdog keeps of it.

supervisord writes a header line of ``name:value`` pairs, then a payload of as many
bytes as ``len`` says, of the same form. It sends the next event after an answer.
"""

from __future__ import annotations

import json

from attrs import define, frozen

from slapgrid.convergence.banging import describe_ended_program
from slapgrid.supervision.conf import WATCH_SUFFIX

WATCHED_EVENTS = ("PROCESS_STATE_EXITED", "PROCESS_STATE_FATAL")
READY = b"READY\n"
ACKNOWLEDGED = b"RESULT 2\nOK"
#: A header has some hundred bytes, a payload about as many.
EVENT_BYTES_MAX = 64 * 1024


class MalformedEvents(ValueError):
    """What is read is not what supervisord writes."""


@frozen
class ProgramEnd:
    """A watched process that ended though it never should."""

    partition_id: str
    process_name: str


@frozen
class Complaint:
    """What the master is to hear about a partition, and of which deployment."""

    message: str
    timestamp: str | None


@define
class EventReader:
    """Takes the bytes as they come; an event is answered when it is whole."""

    _content: bytes = b""

    def add(self, content: bytes) -> list[tuple[str, dict[str, str]]]:
        """The events that are whole now: name and payload."""
        self._content += content
        events: list[tuple[str, dict[str, str]]] = []
        while True:
            line, found, rest = self._content.partition(b"\n")
            if not found:
                if len(self._content) > EVENT_BYTES_MAX:
                    raise MalformedEvents("a header without an end")
                return events
            header = _pairs(line)
            try:
                length = int(header["len"])
                name = header["eventname"]
            except (KeyError, ValueError) as error:
                raise MalformedEvents(f"not a header: {line[:200]!r}") from error
            if not 0 <= length <= EVENT_BYTES_MAX:
                raise MalformedEvents(f"a payload of {length} bytes")
            if len(rest) < length:
                return events
            self._content = rest[length:]
            events.append((name, _pairs(rest[:length].partition(b"\n")[0])))


def _pairs(line: bytes) -> dict[str, str]:
    words = line.decode(errors="replace").split()
    return {name: value for name, _, value in (word.partition(":") for word in words)}


def find_end(name: str, payload: dict[str, str]) -> ProgramEnd | None:
    """The watched process that an event says has ended."""
    process_name = payload.get("processname", "")
    if name not in WATCHED_EVENTS or not process_name.endswith(WATCH_SUFFIX):
        return None
    return ProgramEnd(payload.get("groupname", ""), process_name)


def complain(end: ProgramEnd, timestamp: str | None) -> Complaint:
    """What to say of the end of a process."""
    return Complaint(
        describe_ended_program(end.process_name, end.partition_id), timestamp
    )


def encode_complaint(complaint: Complaint) -> bytes:
    """Write a complaint as JSON."""
    return json.dumps(
        {"message": complaint.message, "timestamp": complaint.timestamp}
    ).encode()


def decode_complaint(document: bytes) -> Complaint:
    """Read what ``encode_complaint`` wrote; ``ValueError`` when it is anything else."""
    try:
        found = json.loads(document)
        timestamp = found["timestamp"]
        return Complaint(
            str(found["message"]), None if timestamp is None else str(timestamp)
        )
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not a complaint: {error!r}") from error
