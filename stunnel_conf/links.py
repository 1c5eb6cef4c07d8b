"""Core. Links as data: which peer must reach which program, in both directions.

A *site* has one stunnel. What it *exports* are programs of its own, each at a port that
its peers reach from outside; what it *reaches* are programs that its peers export, each
at an *entry*: a local port behind which that program seems to be.

A file of links is TOML::

    name = "lyon"
    listen = "2001:db8:1::1"
    certificate = "lyon.pem"            # with its key; the peers have the certificate
    entries = "127.0.0.1:10000-10999"   # where entries are made

    [exports.database]
    port = 15432
    to = "127.0.0.1:5432"
    peers = ["tokyo"]

    [peers.tokyo]
    address = "2001:db8:2::1"
    certificates = ["tokyo.crt"]        # two of them while one replaces the other
    reaches = { database = 15432 }      # what it exports, and at which port

    [gateways.master]                   # one address for many servers of one kind
    accept = "127.0.0.1:5000"
    servers = ["[2001:db8:1::1]:5443", "[2001:db8:2::1]:5443"]   # the first preferred
    identity = "identity"               # root.crt, own.crt and own.key are in there

A *gateway* is for programs that speak no TLS, or none of ours: a stock node and its
replicas of the master. The servers have certificates of one authority that name their
addresses; the first that takes a connection has it. A site of gateways alone needs
neither an address nor a certificate of its own.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from attrs import field, frozen

LINK_COUNT_MAX = 1_000
"""Of one site: its stunnel holds a listener and 80 kB for each; 300 were tried."""

PIN_COUNT_MAX = 4
"""Of one peer: one, or two while one replaces the other; more is a mistake."""

SERVER_COUNT_MAX = 20
"""Of one gateway: who tried more of them would have waited for minutes."""

PORT_MAX = 65_535

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
"""Names stand in certificates, in logs and in names of sections."""


class BadLinks(ValueError):
    """Links that cannot be; the sentence names what is wrong and what to write."""


@contextmanager
def inside(place: str) -> Iterator[None]:
    """What is refused in a place is refused of that place."""
    try:
        yield
    except BadLinks as error:
        raise BadLinks(f"{place}: {error}") from error


def check_name(name: object) -> str:
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        raise BadLinks(
            f"{name!r} is no name: 1 to 40 of a-z, 0-9 and hyphens, as in lyon-2"
        )
    return name


def read_host(text: object) -> str:
    """Return a numeric address as everybody else writes it (RFC 5952)."""
    if not isinstance(text, str):
        raise BadLinks(f"{text!r} is no address, such as 2001:db8::1")
    bare = text.strip()
    if bare.startswith("[") and bare.endswith("]"):
        bare = bare[1:-1]
    try:
        address = ipaddress.ip_address(bare)
    except ValueError as error:
        raise BadLinks(
            f"{text!r} is no numeric address, such as 2001:db8::1 or 192.0.2.1"
        ) from error
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise BadLinks(f"{text!r} names an interface, which differs by computer")
        if address.ipv4_mapped is not None:
            raise BadLinks(f"{text!r} is IPv4: write {address.ipv4_mapped}")
        if address.is_link_local:
            raise BadLinks(f"{text!r} means another computer on each interface")
    if address.is_multicast:
        raise BadLinks(f"{text!r} is of many computers")
    return str(address)


def read_port(number: object) -> int:
    if not isinstance(number, int) or isinstance(number, bool):
        raise BadLinks(f"{number!r} is no port: write a whole number")
    if not 1 <= number <= PORT_MAX:
        raise BadLinks(f"{number} is no port: they are 1 to {PORT_MAX}")
    return number


@frozen(order=True)
class Endpoint:
    """A canonical numeric address and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else self.joined

    @property
    def joined(self) -> str:
        """As stunnel writes it: its last colon is before the port."""
        return f"{self.host}:{self.port}"


def read_endpoint(text: object) -> Endpoint:
    """Return the endpoint of ``127.0.0.1:80`` or ``[::1]:80``."""
    if not isinstance(text, str):
        raise BadLinks(f"{text!r} is no address and port, such as 127.0.0.1:5432")
    host, _, port = text.strip().rpartition(":")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise BadLinks(f"{text!r}: write IPv6 in brackets, such as [::1]:5432")
    if not port.isascii() or not port.isdecimal():
        raise BadLinks(f"{text!r} ends in no port, such as 127.0.0.1:5432")
    return Endpoint(read_host(host), read_port(int(port)))


@frozen
class Span:
    """Local ports of one address, both ends included."""

    host: str
    first: int
    last: int

    def __str__(self) -> str:
        return f"{Endpoint(self.host, self.first)}-{self.last}"

    def __contains__(self, endpoint: Endpoint) -> bool:
        return endpoint.host == self.host and self.first <= endpoint.port <= self.last


DEFAULT_ENTRIES = "127.0.0.1:10000-10999"
"""Below the ports that Linux gives to clients (32768 and up)."""


def read_span(text: object) -> Span:
    """Return the ports of ``127.0.0.1:10000-10999``."""
    begin, _, last = text.rpartition("-") if isinstance(text, str) else ("", "", "")
    if not last.isascii() or not last.isdecimal():
        raise BadLinks(f"{text!r} are no ports, such as {DEFAULT_ENTRIES}")
    first = read_endpoint(begin)
    span = Span(first.host, first.port, read_port(int(last)))
    if span.last < span.first:
        raise BadLinks(f"{text!r} ends before it begins")
    return span


@frozen
class Export:
    """A program of this site, at a port outside, for some peers."""

    program: str
    port: int
    to: Endpoint
    peers: frozenset[str]


@frozen
class Peer:
    """Another site: where it is, what it proves itself by, what it exports to this one.

    ``certificates`` are names of files in a file of links, and PEM when they are read.
    """

    name: str
    address: str
    certificates: tuple[str, ...]
    reaches: Mapping[str, int]


@frozen
class Gateway:
    """A local address behind which the first of some servers is that can be reached.

    Whoever connects there speaks as the owner of ``identity``, a directory: so it is
    an address of loopback.
    """

    name: str
    accept: Endpoint
    servers: tuple[Endpoint, ...]
    identity: str

    def __attrs_post_init__(self) -> None:
        if not ipaddress.ip_address(self.accept.host).is_loopback:
            raise BadLinks(
                f"accept: whoever reaches {self.accept} would speak as this computer:"
                " write an address of loopback, such as 127.0.0.1:5000"
            )
        if not 1 <= len(self.servers) <= SERVER_COUNT_MAX:
            raise BadLinks(
                f"servers: {len(self.servers)}, there may be 1 to {SERVER_COUNT_MAX}"
            )
        if len(set(self.servers)) < len(self.servers):
            raise BadLinks("servers: one of them is there twice")
        if self.accept in self.servers:
            raise BadLinks(f"servers: {self.accept} is the gateway itself")


@frozen
class Links:
    """All links of one site; ``certificate`` is the file of its own, with its key."""

    name: str
    listen: str
    certificate: str
    entries: Span
    exports: tuple[Export, ...] = field(default=())
    peers: tuple[Peer, ...] = field(default=())
    gateways: tuple[Gateway, ...] = field(default=())

    def __attrs_post_init__(self) -> None:
        self._check_gateways()
        names = {peer.name for peer in self.peers}
        if self.name in names:
            raise BadLinks(f"peers.{self.name}: this site has that name itself")
        ports: dict[int, str] = {}
        for export in self.exports:
            with inside(f"exports.{export.program}"):
                for name in sorted(export.peers - names):
                    raise BadLinks(f"peers: there is no [peers.{name}]")
                if export.port in ports:
                    raise BadLinks(
                        f"port: {export.port} is that of exports.{ports[export.port]}"
                    )
                self._check_export(export)
            ports[export.port] = export.program
        count = len(self.exports) + len(self.reached) + len(self.gateways)
        if count > LINK_COUNT_MAX:
            raise BadLinks(f"{count} links: one stunnel has at most {LINK_COUNT_MAX}")
        if len(self.reached) > self.entries.last - self.entries.first + 1:
            raise BadLinks(
                f"entries: {self.entries} are fewer than {len(self.reached)} links"
            )

    @property
    def reached(self) -> tuple[tuple[str, str], ...]:
        """Each peer and program that this site reaches."""
        return tuple(
            (peer.name, program) for peer in self.peers for program in peer.reaches
        )

    def _check_gateways(self) -> None:
        taken: dict[Endpoint, str] = {
            Endpoint(self.listen, it.port): f"exports.{it.program}"
            for it in self.exports
        }
        for gateway in self.gateways:
            with inside(f"gateways.{gateway.name}"):
                if gateway.accept in self.entries:
                    raise BadLinks(
                        f"accept: {gateway.accept} is among the entries {self.entries}"
                    )
                owner = taken.setdefault(gateway.accept, f"gateways.{gateway.name}")
                if owner != f"gateways.{gateway.name}":
                    raise BadLinks(f"accept: {gateway.accept} is that of {owner}")

    def _check_export(self, export: Export) -> None:
        if export.to == Endpoint(self.listen, export.port):
            raise BadLinks(f"to: {export.to} is where its peers come in: it would loop")
        if Endpoint(self.listen, export.port) in self.entries:
            raise BadLinks(f"port: {export.port} is among the entries {self.entries}")
        if export.to in self.entries:
            raise BadLinks(f"to: {export.to} is among the entries {self.entries}")


_KEYS = {
    "": {
        *("name", "listen", "certificate", "entries"),
        *("exports", "peers", "gateways"),
    },
    "exports": {"port", "to", "peers"},
    "peers": {"address", "certificates", "reaches"},
    "gateways": {"accept", "servers", "identity"},
}


def decode_links(document: Mapping[str, Any]) -> Links:
    """Return the links of a TOML document; ``BadLinks`` for what cannot be."""
    required, has_links = {"name"}, bool({"exports", "peers"} & document.keys())
    if has_links or "gateways" not in document:
        required |= {"listen", "certificate"}
    _check_keys(document, "", required=required)
    with inside("name"):
        name = check_name(document["name"])
    with inside("listen"):
        listen = read_host(document["listen"]) if "listen" in document else ""
    with inside("entries"):
        entries = read_span(document.get("entries", DEFAULT_ENTRIES))
    return Links(
        name,
        listen,
        _text(document, "certificate") if "certificate" in document else "",
        entries,
        tuple(_decode_export(*it) for it in _tables(document, "exports")),
        tuple(_decode_peer(*it) for it in _tables(document, "peers")),
        tuple(_decode_gateway(*it) for it in _tables(document, "gateways")),
    )


def _decode_export(program: str, table: Mapping[str, Any]) -> Export:
    with inside(f"exports.{program}"):
        check_name(program)
        _check_keys(table, "exports", required=_KEYS["exports"])
        with inside("port"):
            port = read_port(table["port"])
        with inside("to"):
            to = read_endpoint(table["to"])
        with inside("peers"):
            peers = [check_name(it) for it in _list(table["peers"])]
        return Export(program, port, to, frozenset(peers))


def _decode_peer(name: str, table: Mapping[str, Any]) -> Peer:
    with inside(f"peers.{name}"):
        check_name(name)
        _check_keys(table, "peers", required=_KEYS["peers"] - {"reaches"})
        with inside("address"):
            address = read_host(table["address"])
            if ipaddress.ip_address(address).is_unspecified:
                raise BadLinks(f"{address} is no place to go to")
        with inside("certificates"):
            files = _list(table["certificates"])
            if not 1 <= len(files) <= PIN_COUNT_MAX:
                raise BadLinks(f"{len(files)} files: 1 to {PIN_COUNT_MAX} are pinned")
            if not all(isinstance(it, str) and it for it in files):
                raise BadLinks("write names of files")
        reaches = {}
        with inside("reaches"):
            for program, port in _table(table.get("reaches", {})).items():
                reaches[check_name(program)] = read_port(port)
        return Peer(name, address, tuple(files), reaches)


def _decode_gateway(name: str, table: Mapping[str, Any]) -> Gateway:
    with inside(f"gateways.{name}"):
        check_name(name)
        _check_keys(table, "gateways", required=_KEYS["gateways"])
        with inside("accept"):
            accept = read_endpoint(table["accept"])
        with inside("servers"):
            servers = tuple(read_endpoint(it) for it in _list(table["servers"]))
        return Gateway(name, accept, servers, _text(table, "identity").rstrip("/"))


def _check_keys(table: Mapping[str, Any], kind: str, required: set[str]) -> None:
    for key in table:
        if key not in _KEYS[kind]:
            raise BadLinks(
                f"no key {key!r}; there are {', '.join(sorted(_KEYS[kind]))}"
            )
    for key in sorted(required - table.keys()):
        raise BadLinks(f"{key} is missing")


def _tables(document: Mapping[str, Any], key: str) -> Iterator[tuple[str, Any]]:
    for name, table in _table(document.get(key, {}), key).items():
        yield name, _table(table, f"{key}.{name}")


def _table(value: object, name: str = "it") -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadLinks(f"{name} must be a table")
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise BadLinks(f"{value!r} must be a list")
    return value


def _text(table: Mapping[str, Any], key: str) -> str:
    text = table[key]
    if not isinstance(text, str) or not text.strip() or not text.isprintable():
        raise BadLinks(f"{key}: {text!r} is no name of a file")
    return text
