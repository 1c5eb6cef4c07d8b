"""Which host of a world an address belongs to.

Host number n owns ``fd00:0:0:n::/64`` and ``10.0.0.0/8 | n``; every address of its IPv6
network is local to it, so that each partition can have one.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

_IPV6_BASE = int(IPv6Address("fd00::"))
_IPV4_BASE = int(IPv4Address("10.0.0.0"))
HOST_COUNT_MAX = 65_535
"""What the fourth group of an IPv6 address numbers."""

ADDRESSES_MAX = 4096
"""Of which is kept what was read in them: each connection asks again, and the largest
worlds have half as many hosts."""


@lru_cache(ADDRESSES_MAX)
def spelt(host: str) -> str:
    """The one spelling of an address; ``ValueError`` for a name."""
    return str(ip_address(host))


def ipv6_network(number: int) -> str:
    """The network of a host, as a configuration names it."""
    return f"{IPv6Address(_IPV6_BASE + (number << 64))}/64"


def ipv6_address(number: int) -> str:
    """The main address of a host."""
    return str(IPv6Address(_IPV6_BASE + (number << 64) + 1))


@lru_cache(ADDRESSES_MAX)
def number_of(host: str) -> int | None:
    """The number of the host that owns an address; 0 for loopback and wildcards.

    ``None`` for an address that nobody can own, ``ValueError`` for a name.
    """
    address = ip_address(host)
    if address.is_loopback or address.is_unspecified:
        return 0
    if isinstance(address, IPv4Address):
        number = int(address) - _IPV4_BASE
    else:
        number = (int(address) - _IPV6_BASE) >> 64
    return number if 0 < number <= HOST_COUNT_MAX else None
