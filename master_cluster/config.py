"""Shell. What a mini-master is told when it starts.

The reference proxy's configuration is understood too, so that ours starts where
``slapos proxy start --cfg FILE`` did:

================================== =================================================
theirs                             ours
================================== =================================================
``[slapproxy] host``, ``port``     ``listen``; else host and port of ``master_url``
``[slapproxy] database_uri``       ``store_uri``: the file beside it, named with
                                   ``.zodb`` added; SQLite is not read
``[slapos] computer_id``           ``default_computer_id``
``[multimaster/URL]``              ``masters``: see ``other_masters``
``software_product_list``          ``products``: see ``configured_products``
================================== =================================================

Other keys have no meaning here and are ignored.
"""

from __future__ import annotations

import configparser
import ipaddress
import re
from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import urlsplit

from attrs import field, frozen

from master_cluster.configured_products import read_products
from master_cluster.errors import Misconfigured
from master_cluster.forwarding import Masters
from master_cluster.other_masters import read_other_masters
from runtime.ports import TcpAddress
from slap.model import texts
from slap.replicas import ListedReplica

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 5000
DEFAULT_ADDRESS = TcpAddress(DEFAULT_HOST, DEFAULT_PORT)
"""Where the reference proxy of the documentation listens."""

PORT_MAX = 65535

CONNECTIONS_MAX = 12_000
"""Ten thousand agents that keep one, and people. A connection costs some 10 kB."""


def _checked_address(listen: TcpAddress) -> TcpAddress:
    try:
        ipaddress.ip_address(listen.host)
    except ValueError as error:
        raise Misconfigured(
            f"{listen.host!r} is not a numeric address, such as 127.0.0.1 or ::1"
        ) from error
    if not 0 <= listen.port <= PORT_MAX:
        raise Misconfigured(f"{listen.port} is not a port")
    return listen


class AccessLog(StrEnum):
    """Which HTTP exchanges get a line: none, all, or those that are no mere reading.

    The middle one has what changes something and what is refused.
    """

    NONE = "none"
    CHANGES = "changes"
    ALL = "all"


_PREFIX = re.compile(r"[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*")


def _checked_prefix(prefix: str) -> str:
    prefix = prefix.strip("/")
    if prefix and _PREFIX.fullmatch(prefix) is None:
        raise Misconfigured(
            f"{prefix!r} is not a prefix of paths, such as erp5/portal_slap"
        )
    return prefix


@frozen
class Config:
    """How a master starts.

    ``is_loopback_only`` keeps a mini-master, which asks nobody for a certificate, from
    listening where another computer can reach it. ``release_directory`` is what it
    serves as ``/release/``; in ``pushed_directory``, which is its own, it keeps
    releases that are pushed to it. With more connections than ``connections_max`` the
    most silent one ends. Below ``path_prefix`` it serves everything once more, as
    masters do that stand behind a site. ``products`` are releases by the title of a
    product, which it knows besides those of its store.
    ``identity_directory`` has who it is, and with the key of a region its authority;
    without one the store has an authority of its own.
    With ``has_tls`` it speaks TLS with what the identity directory has, asks everybody
    for a certificate, and answers what ``authorising`` allows; it may listen anywhere.
    In ``documents_directory``, which is its own, it keeps the last documents of
    computers, and answers polls with them while its store is away.
    One that ``receives`` makes no state in an empty store: it waits until one is
    received there and opened, by this replica or another one, and keeps the copy in
    that directory meanwhile.
    ``announced`` is where it is reached by whoever is told which replicas there are.
    ``has_trusted_proxy`` believes the ``X-Forwarded-`` headers, for links: only behind
    a proxy that sets them itself.
    """

    store_uri: str
    listen: TcpAddress = DEFAULT_ADDRESS
    default_computer_id: str | None = None
    release_directory: str | None = None
    pushed_directory: str | None = None
    is_loopback_only: bool = True
    access_log: AccessLog = AccessLog.CHANGES
    masters: Masters = field(factory=Masters)
    connections_max: int = CONNECTIONS_MAX
    path_prefix: str = field(default="", converter=_checked_prefix)
    products: Mapping[str, str] = texts()
    has_trusted_proxy: bool = False
    announced: ListedReplica | None = None
    documents_directory: str | None = None
    identity_directory: str | None = None
    has_tls: bool = False
    receives: bool = False

    def __attrs_post_init__(self) -> None:
        _checked_address(self.listen)
        if self.receives and self.documents_directory is None:
            raise Misconfigured("who receives a state needs a directory of documents")
        if self.has_tls:
            if self.identity_directory is None:
                raise Misconfigured("TLS needs an identity directory")
            return
        if self.is_loopback_only and not _is_loopback(self.listen.host):
            raise Misconfigured(
                f"a mini-master has no authentication and listens on loopback only:"
                f" not on {self.listen.host}, but on 127.0.0.1 or ::1"
            )


def read_reference_config(text: str) -> Config:
    """Read a ``slapos.cfg`` of the reference; ``Misconfigured`` says what is wrong."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise Misconfigured(f"the configuration is not understood: {error}") from error
    database_uri = parser.get("slapproxy", "database_uri", fallback="").strip()
    if not database_uri:
        raise Misconfigured("[slapproxy] database_uri is missing")
    path = database_uri.removeprefix("sqlite://")
    computer_id = parser.get("slapos", "computer_id", fallback="").strip()
    return Config(
        store_uri=f"file:{path}.zodb",
        listen=_read_address(parser),
        default_computer_id=computer_id or None,
        masters=Masters(read_other_masters(parser), _own_urls(parser)),
        products=read_products(parser),
    )


def _own_urls(parser: configparser.ConfigParser) -> tuple[str, ...]:
    url = parser.get("slapos", "master_url", fallback="").strip()
    return (url,) if url else ()


def _read_address(parser: configparser.ConfigParser) -> TcpAddress:
    url = urlsplit(parser.get("slapos", "master_url", fallback="").strip())
    try:
        url_port = url.port
        port = int(parser.get("slapproxy", "port", fallback=url_port or DEFAULT_PORT))
    except ValueError as error:
        raise Misconfigured(f"the port is not a number: {error}") from error
    host = parser.get("slapproxy", "host", fallback=url.hostname or DEFAULT_HOST)
    host = host.strip().strip("[]")
    return TcpAddress(DEFAULT_HOST if host == "localhost" else host, port)


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback
