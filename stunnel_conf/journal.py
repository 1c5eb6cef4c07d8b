"""Core. What the log of a stunnel says: configurations taken or refused, connections.

It is the only place where stunnel tells whose certificate a connection came with. Lines
are those of stunnel 5 at the level *notice*::

    2026.11.22 15:05:03 LOG5[7]: Service [export.web] accepted connection from ::1:53960
    2026.11.22 15:05:03 LOG5[7]: Certificate accepted at depth=0: CN=tokyo
    2026.11.22 15:05:04 LOG5[7]: Connection closed: 2 byte(s) sent to TLS, 2 ...

Numbers of connections are never used twice in the life of a process.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from attrs import define, evolve, field, frozen

_LINE = re.compile(r"\S+ \S+ LOG(\d)\[([^\]]+)\]: (.*)")
_ACCEPTED = re.compile(r"Service \[(.+)\] accepted connection from (.+)")
_CERTIFICATE = re.compile(r"Certificate accepted at depth=0: (.*)")
_ENDED = re.compile(r"Connection (?:reset|closed|reset/closed): ")
_REFUSED = re.compile(r"Configuration failed|Binding service \[.+\] failed")

ERROR_LEVEL = 3
REASON_COUNT_MAX = 5
"""The first of them say what is wrong; a loop of failures repeats them."""


@frozen
class Live:
    """A connection that stunnel took, from ``origin``, ``HOST:PORT``.

    ``subject`` is that of the certificate at the other end of the link, empty until
    there was one.
    """

    section: str
    origin: str
    subject: str = ""


@define
class Journal:
    """What was said so far, since stunnel began."""

    reading_count: int = 0
    """How often a configuration was read."""
    is_taken: bool | None = None
    """Whether the one that was read last was; not known until it is said."""
    reasons: list[str] = field(factory=list)
    """Errors since it was read; one that is taken may have some too."""
    live: dict[str, Live] = field(factory=dict)

    def take(self, lines: Iterable[str]) -> None:
        for line in lines:
            match = _LINE.fullmatch(line.rstrip("\n"))
            if match is not None:
                level, thread, sentence = match.groups()
                self._take(int(level), thread, sentence)

    def _take(self, level: int, thread: str, sentence: str) -> None:
        if sentence.startswith("stunnel ") and " on " in sentence:
            self.live.clear()
        elif sentence.startswith("Reading configuration from"):
            self.reading_count += 1
            self.is_taken = None
            self.reasons.clear()
        elif sentence == "Configuration successful":
            self.is_taken = True
        elif _REFUSED.fullmatch(sentence):
            self.is_taken = False
        if level <= ERROR_LEVEL and thread == "ui":
            self.reasons.append(sentence)
            del self.reasons[REASON_COUNT_MAX:]
        self._take_connection(thread, sentence)

    def _take_connection(self, thread: str, sentence: str) -> None:
        accepted = _ACCEPTED.fullmatch(sentence)
        certificate = _CERTIFICATE.fullmatch(sentence)
        if accepted:
            self.live[thread] = Live(*accepted.groups())
        elif certificate and thread in self.live:
            self.live[thread] = evolve(self.live[thread], subject=certificate[1])
        elif _ENDED.match(sentence):
            self.live.pop(thread, None)
