"""Shell. A stunnel that reads its configuration from files, to be told to read it anew.

``labsim.models.stunnel`` carries bytes between programs; this one carries none, and
knows of each connection whose certificate it came with. What the real one does is tried
by ``tests/contract/test_links.py`` and written down in ``docs/decisions/0038``:

- told to read anew, it does so after a while; what cannot be read is refused, and it
  goes on with what it had;
- a port that is taken makes it close all of its ports and read again each second;
- whoever is connected stays connected, whatever it has read since;
- its log is where it says whose certificate a connection came with.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from random import Random

from attrs import define, field, frozen
from twisted.internet.interfaces import IDelayedCall

from runtime.ports import IFileTree, Runtime
from stunnel_conf.journal import Journal
from stunnel_conf.links import Endpoint
from stunnel_conf.rendering import CONFIGURATION

READING_SECONDS = (0.0, 0.4)
"""Between the signal and what comes of it."""

AGAIN_SECONDS = 1.0

_SECTION = re.compile(r"^\[(.+)\]$", re.MULTILINE)
_VALUE = r"^{} = (.*)$"
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


@frozen
class Read:
    """What one section says, with the certificates that it pins, as PEM."""

    accept: Endpoint
    pinned: frozenset[str]


@frozen
class Connection:
    """Somebody who is connected; ``certificate`` is theirs, as PEM."""

    section: str
    origin: str
    certificate: str


class Unreadable(Exception):
    """Why a configuration is refused."""


@define(eq=False)
class ReadingStunnel:
    """One process, from its start to its end; it is an ``IStunnel``.

    ``taken`` are the endpoints that other programs have.
    """

    runtime: Runtime
    home: str
    entropy: Random
    taken: set[Endpoint] = field(factory=set)
    connections: dict[str, Connection] = field(factory=dict, init=False)
    sections: Mapping[str, Read] = field(factory=dict, init=False)
    own: str = field(default="", init=False)
    closing_count: int = field(default=0, init=False)
    """How often it had to close all of its ports."""
    _is_bound: bool = field(default=False, init=False)
    _lines: list[str] = field(factory=list, init=False)
    _number: int = field(default=0, init=False)
    _timer: IDelayedCall | None = field(default=None, init=False)
    _is_alive: bool = field(default=False, init=False)

    def start(self) -> bool:
        """Begin; whether it did."""
        self._lines.clear()
        self.connections.clear()
        self._is_alive = True
        self._read()
        self._is_alive = self._is_bound
        return self._is_alive

    def end(self) -> None:
        """It is killed, or its power goes."""
        self._is_alive = self._is_bound = False
        self.connections.clear()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def connect(self, section: str, certificate: str, subject: str) -> str | None:
        """Let somebody in; return the number of the connection, if it was."""
        read = self.sections.get(section)
        if not self._is_bound or read is None or certificate not in read.pinned:
            return None
        self._number += 1
        thread, origin = str(self._number), f"::1:{40_000 + self._number}"
        self.connections[thread] = Connection(section, origin, certificate)
        self._say(5, thread, f"Service [{section}] accepted connection from {origin}")
        self._say(5, thread, f"Certificate accepted at depth=0: CN={subject}")
        return thread

    def pid(self) -> int | None:
        return 1 if self._is_alive else None

    def reload(self) -> None:
        if self._is_alive:
            self._read_within(self.entropy.uniform(*READING_SECONDS))

    def listening(self) -> Collection[Endpoint]:
        bound = self.sections.values() if self._is_bound else ()
        return frozenset(it.accept for it in bound)

    def journal(self) -> Journal:
        journal = Journal()
        journal.take(self._lines)
        return journal

    def close(self, origins: Collection[str]) -> int:
        closed = [it for it, of in self.connections.items() if of.origin in origins]
        for thread in closed:
            del self.connections[thread]
            self._say(5, thread, "Connection closed: 0 byte(s) sent to TLS, 0 back")
        return len(closed)

    def _read_within(self, seconds: float) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self.runtime.clock.callLater(seconds, self._read)

    def _read(self) -> None:
        self._say(5, "ui", f"Reading configuration from file {CONFIGURATION}")
        try:
            own, sections = _read_files(self.runtime.file_tree(self.home))
        except Unreadable as error:
            self._say(3, "ui", str(error))
            self._say(3, "ui", "Configuration failed")
            return
        # Its own ports were open until now.
        clash = next(
            (it.accept for it in sections.values() if it.accept in self.taken), None
        )
        self.own, self.sections, self._is_bound = own, sections, clash is None
        if clash is None:
            self._say(5, "ui", "Configuration successful")
        else:
            self.closing_count += 1
            self._say(3, "ui", "Binding service [x] failed")
            self._read_within(AGAIN_SECONDS)

    def _say(self, level: int, thread: str, sentence: str) -> None:
        self._lines.append(f"2027.01.15 08:00:00 LOG{level}[{thread}]: {sentence}\n")


def _read_files(files: IFileTree) -> tuple[str, dict[str, Read]]:
    text = _content(files, CONFIGURATION)
    head, *rest = _SECTION.split(text)
    own = _content(files, _value("cert", head).rpartition("/")[2])
    sections = {}
    for name, body in zip(rest[::2], rest[1::2], strict=True):
        host, _, port = _value("accept", body).rpartition(":")
        pinned: frozenset[str] = frozenset()
        if "verifyPeer = yes" in body:
            file = _value("CAfile", body).rpartition("/")[2]
            pinned = frozenset(_PEM.findall(_content(files, file)))
        sections[name] = Read(Endpoint(host, int(port)), pinned)
    return own, sections


def _value(key: str, text: str) -> str:
    found = re.search(_VALUE.format(key), text, re.MULTILINE)
    if found is None:
        raise Unreadable(f"{key} is missing")
    return found[1]


def _content(files: IFileTree, name: str) -> str:
    try:
        return files.read(name).decode()
    except OSError as error:
        raise Unreadable(f"{name}: {error}") from error
