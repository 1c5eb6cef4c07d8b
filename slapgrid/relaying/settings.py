"""Core. Where the releases of the replicas are relayed to this computer."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from attrs import field, frozen

from slapgrid.settings import ADDRESS, Area, ConfigError, Key

PORT_MAX = 65535


def read_listen(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``, which must be an address of loopback."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname or "", parts.port or 0
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        host, port, is_loopback = "", 0, False
    if not is_loopback or not 0 < port <= PORT_MAX or text != spell(host, port):
        raise ConfigError(
            f"release_listen must be an address of loopback such as 127.0.0.1:5000, "
            f"not {text!r}: whoever reaches it reads releases by this computer's "
            "certificate"
        )
    return host, port


def spell(host: str, port: int) -> str:
    """Return an address as it stands in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_listen(_: object, __: object, value: str) -> None:
    if value:
        read_listen(value)


@frozen
class RelaySettings:
    """Without ``listen`` nothing is relayed."""

    listen: str = field(default="", validator=_is_listen)


AREA = Area(
    RelaySettings,
    (
        Key(
            "slapos",
            "release_listen",
            "listen",
            ADDRESS,
            "of ours: the address of loopback at which the agent relays /release/ of "
            "the replicas, such as 127.0.0.1:5000; without it none are relayed",
        ),
    ),
)
