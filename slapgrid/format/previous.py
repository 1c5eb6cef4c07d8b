"""Core. What an earlier format gave, read back from its document.

A partition keeps what it had. What cannot be understood of a partition is as if it had
not been there: it gets what a new one would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from types import MappingProxyType
from typing import TypeVar

from attrs import field, frozen

from slap.errors import MalformedDocument
from slap.marshalling import Value, loads

T = TypeVar("T")


@frozen
class PreviousPartition:
    """What a partition had; ``None`` for what it had not."""

    ipv4: IPv4Interface | None = None
    ipv6: IPv6Interface | None = None
    ipv6_range: IPv6Network | None = None
    tap_ipv4: IPv4Address | None = None
    tap_network: IPv6Network | None = None
    tun_ipv4: IPv4Interface | None = None
    tun_network: IPv6Network | None = None


NOTHING = PreviousPartition()


@frozen
class PreviousComputer:
    """What a computer had, its partitions by name."""

    address: IPv6Address | None = None
    network: IPv6Network | None = None
    partitions: Mapping[str, PreviousPartition] = field(default=MappingProxyType({}))


def decode_previous(document: bytes) -> PreviousComputer:
    """Read ``computer_xml``; raises ``MalformedDocument``."""
    fields = loads(document)
    if not isinstance(fields, dict):
        raise MalformedDocument("not a dictionary")
    partitions = {
        str(it["reference"]): _partition(it)
        for it in _dictionaries(fields.get("partition_list"))
        if "reference" in it
    }
    own = _interface(IPv6Interface, fields, "address", "netmask")
    return PreviousComputer(
        None if own is None else own.ip,
        None if own is None else own.network,
        MappingProxyType(partitions),
    )


def _partition(fields: dict[str, Value]) -> PreviousPartition:
    ipv4: IPv4Interface | None = None
    ipv6: IPv6Interface | None = None
    for it in _dictionaries(fields.get("address_list")):
        ipv4 = ipv4 or _interface(IPv4Interface, it, "addr", "netmask")
        ipv6 = ipv6 or _interface(IPv6Interface, it, "addr", "netmask")
    tap, tun = _dictionary(fields.get("tap")), _dictionary(fields.get("tun"))
    given = _dictionary(fields.get("ipv6_range"))
    return PreviousPartition(
        ipv4,
        ipv6,
        _parse(IPv6Network, given.get("network")),
        _parse(IPv4Address, tap.get("ipv4_addr")),
        _network(tap),
        _interface(IPv4Interface, tun, "ipv4_addr", "ipv4_netmask"),
        _network(tun),
    )


def _network(device: dict[str, Value]) -> IPv6Network | None:
    found = _parse(IPv6Interface, device.get("ipv6_network"))
    return None if found is None else found.network


def _interface(
    kind: Callable[[str], T], fields: dict[str, Value], address: str, netmask: str
) -> T | None:
    mask = str(fields.get(netmask))
    wide = _parse(IPv6Address, mask)
    length = mask if wide is None else str(int(wide).bit_count())
    return _parse(kind, f"{fields.get(address)}/{length}")


def _parse(kind: Callable[[str], T], value: Value) -> T | None:
    if not isinstance(value, str):
        return None
    try:
        return kind(value)
    except ValueError:
        return None


def _dictionary(value: Value) -> dict[str, Value]:
    return value if isinstance(value, dict) else {}


def _dictionaries(value: Value) -> list[dict[str, Value]]:
    items = value if isinstance(value, list | tuple) else []
    return [it for it in items if isinstance(it, dict)]
