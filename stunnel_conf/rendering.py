"""Core. What stunnel is told: sections, files of pins, and the text of both.

A file of pins is named by its content, so that the one file that is replaced, that of
the configuration, decides alone what is in force.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

from attrs import frozen

from stunnel_conf.links import BadLinks, Endpoint, Gateway, Links
from stunnel_conf.pins import Pin
from stunnel_conf.ports import entry_name

CONFIGURATION = "stunnel.conf"
LOG = "stunnel.log"
PID = "stunnel.pid"
OWN_PREFIX = "own-"
PINS_PREFIX = "pins-"

CONNECT_SECONDS_MAX = 5
"""Until a gateway tries the next server: a near one answers at once, and three lost
packets take a distant one as long."""

HEADER = """\
; Written by `slapcluster link apply`; what is changed here is lost.
foreground = quiet
debug = notice
; Its log is a file. Without a syslog each line would go to the console of the
; computer, and cost five times what a connection does.
syslog = no
sslVersionMin = TLSv1.2
; Whose certificate it was is verified, and written to the log, at each handshake.
sessionResume = no
; Small answers would wait for more.
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
; A peer whose power was cut says nothing more.
socket = l:SO_KEEPALIVE=1
socket = r:SO_KEEPALIVE=1
"""

IDLE = (
    "",
    "; It begins with one section at least: a port of the kernel's choice, to nowhere.",
    "[idle]",
    "client = yes",
    "accept = 127.0.0.1:0",
    "connect = 127.0.0.1:1",
)


@frozen
class Section:
    """One listener of stunnel, and where it leads; ``peers`` may come, or are there.

    A client's takes plain connections and dials with TLS; the other one takes TLS.
    """

    name: str
    accept: Endpoint
    connect: Endpoint
    peers: tuple[str, ...]
    is_client: bool


@frozen
class Passage:
    """A gateway as a section; ``own`` is a key with its chain, both are in PEM."""

    name: str
    accept: Endpoint
    servers: tuple[Endpoint, ...]
    own: str
    roots: str


@frozen
class Configuration:
    """``files`` are the contents of files by name; ``text`` names them."""

    sections: tuple[Section | Passage, ...]
    text: str
    files: Mapping[str, str]


def sections_of(links: Links, entries: Mapping[str, int]) -> tuple[Section, ...]:
    """Return the sections of a site; what nobody may reach has none."""
    exports = tuple(
        Section(
            f"export.{export.program}",
            Endpoint(links.listen, export.port),
            export.to,
            tuple(sorted(export.peers)),
            is_client=False,
        )
        for export in links.exports
        if export.peers
    )
    reaches = tuple(
        Section(
            f"reach.{peer.name}.{program}",
            Endpoint(links.entries.host, entries[entry_name(peer.name, program)]),
            Endpoint(peer.address, port),
            (peer.name,),
            is_client=True,
        )
        for peer in links.peers
        for program, port in peer.reaches.items()
    )
    return tuple(sorted((*exports, *reaches), key=lambda it: it.name))


def render(
    home: str,
    sections: Sequence[Section],
    own: str,
    pins: Mapping[str, Sequence[Pin]],
    passages: Sequence[Passage] = (),
) -> Configuration:
    """Return what to write below ``home``; ``own`` is a key with its certificate.

    A site of gateways alone has none, which is an empty text.
    """
    if not home.isprintable() or home != home.strip():
        raise BadLinks(
            f"{home!r}: stunnel reads no such path; choose another directory"
        )
    files = {_named(OWN_PREFIX, own): own} if own else {}
    lines = [
        HEADER.rstrip("\n"),
        *([f"cert = {home}/{_named(OWN_PREFIX, own)}"] if own else []),
        f"output = {home}/{LOG}",
        f"pid = {home}/{PID}",
    ]
    if not sections and not passages:
        lines += IDLE
    for section in sections:
        accepted = "".join(
            sorted(pin.pem for name in section.peers for pin in pins[name])
        )
        name = _named(PINS_PREFIX, accepted)
        files[name] = accepted
        lines += (
            "",
            f"[{section.name}]",
            f"; peers: {' '.join(section.peers)}",
            *(["client = yes"] if section.is_client else []),
            f"accept = {section.accept.joined}",
            f"connect = {section.connect.joined}",
            # The certificate of a peer is one of those in the file: see pins.
            "verifyPeer = yes",
            f"CAfile = {home}/{name}",
        )
    for passage in passages:
        own_name = _named(OWN_PREFIX, passage.own)
        roots_name = _named(PINS_PREFIX, passage.roots)
        files |= {own_name: passage.own, roots_name: passage.roots}
        lines += (
            "",
            f"[{passage.name}]",
            "client = yes",
            f"accept = {passage.accept.joined}",
            *(f"connect = {it.joined}" for it in passage.servers),
            # The first of them that takes the connection; the others are tried in turn.
            "failover = prio",
            f"TIMEOUTconnect = {CONNECT_SECONDS_MAX}",
            f"cert = {home}/{own_name}",
            # A certificate of this authority that names one of the addresses.
            "verifyChain = yes",
            f"CAfile = {home}/{roots_name}",
            *(f"checkIP = {it}" for it in sorted({it.host for it in passage.servers})),
        )
    every: tuple[Section | Passage, ...] = (*sections, *passages)
    return Configuration(every, "\n".join(lines) + "\n", files)


def passage_of(gateway: Gateway, key: str, chain: str, roots: str) -> Passage:
    """Return the section of a gateway, with what its identity directory has."""
    return Passage(
        f"gateway.{gateway.name}",
        gateway.accept,
        gateway.servers,
        f"{key.rstrip()}\n{chain.rstrip()}\n",
        f"{roots.rstrip()}\n",
    )


_ACCEPT = re.compile(r"^accept = (.*):([1-9]\d*)$", re.MULTILINE)


def accepts_named(text: str) -> set[Endpoint]:
    """Return where a text has stunnel listen."""
    return {Endpoint(host, int(port)) for host, port in _ACCEPT.findall(text)}


def files_named(text: str) -> set[str]:
    """Return the names of files, beside it, that a text leads to."""
    return {
        name
        for line in text.splitlines()
        for name in (line.rpartition("/")[2],)
        if name.startswith((OWN_PREFIX, PINS_PREFIX))
    }


def _named(prefix: str, content: str) -> str:
    return f"{prefix}{hashlib.sha256(content.encode()).hexdigest()[:16]}.pem"
