"""Core. Under which address a client found this master.

Links lead where the client came from: a master behind another name than its own would
send clients away. The name is the one of the ``Host`` header. What a proxy in front
adds (``X-Forwarded-Proto``, ``X-Forwarded-Prefix``) is anybody's to send, so it is
believed only when the configuration says that there is such a proxy.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache

from slap.errors import BadRequest

HOST_LENGTH_MAX = 300
"""A name of DNS has at most 253 characters."""

HOST_COUNT_MAX = 1_000
"""Names by which this master was called that are remembered."""

_HOST = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9_.~-]+){0,10}/?")
_PROTOS = ("http", "https")


def scheme_for(host: str, *, is_secure: bool) -> str:
    """Return the scheme of the address that a client used.

    Who comes by TLS and calls us by a name of loopback came through an entry of its
    own computer, which speaks TLS for it: the address of the entry is a plain one.
    """
    return "https" if is_secure and not is_loopback(host) else "http"


def find_origin(
    headers: Mapping[str, str],
    own: str,
    *,
    is_secure: bool = False,
    has_trusted_proxy: bool = False,
) -> str:
    """Return the address of the master without a final slash.

    ``headers`` have lowered names; ``own`` is what to say to who sends no ``Host``.
    ``BadRequest`` when a header makes no address.
    """
    host = headers.get("host") or own
    if len(host) > HOST_LENGTH_MAX or not _HOST.fullmatch(host):
        raise BadRequest("Host: not a name with a port")
    if not has_trusted_proxy:
        return f"{scheme_for(host, is_secure=is_secure)}://{host}"
    proto = headers.get("x-forwarded-proto") or "http"
    prefix = headers.get("x-forwarded-prefix", "")
    if proto not in _PROTOS:
        raise BadRequest("X-Forwarded-Proto: neither http nor https")
    if not _PREFIX.fullmatch(prefix):
        raise BadRequest("X-Forwarded-Prefix: not a path")
    return f"{proto}://{host}{prefix.rstrip('/')}"


@lru_cache(HOST_COUNT_MAX)
def is_loopback(host: str) -> bool:
    """Whether a Host header, with or without a port, names loopback.

    A missing one is a client without a browser's rules, and harmless.
    """
    if not host:
        return True
    if host.startswith("["):
        name, _, port = host[1:].partition("]")
        port = port.removeprefix(":")
    else:
        name, _, port = host.partition(":")
    if port and not (port.isascii() and port.isdigit()):
        return False
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
