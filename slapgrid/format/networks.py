"""Core. Which IPv6 addresses and networks the partitions of a computer get.

Theory of operation. The computer has the address A of length P on its interface; the
``prefixshift`` bits that follow P number the networks of the partitions:

1. Partition i has the address i + 2 of the network of A: 1 is the router's.
2. It has one network of length P + prefixshift for each purpose: its range, its tap and
   its tun. A purpose has a quarter of the numbers; the first quarter is nobody's.
3. What is taken is replaced by a number that is drawn, and drawn the same way on each
   run: an interrupted format leads to the same addresses. Numbers are drawn from 16
   bits, so there is no replacement for networks numbered by more or fewer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum
from hashlib import sha256
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from itertools import chain, pairwise
from typing import TypeVar

T = TypeVar("T")

ADDRESS_BITS = 128
#: A network below this length has no room for a gateway and the address of its tap.
NETWORK_LENGTH_MAX = 126
FIRST_HOST = 2
DRAWN_BITS = 16
#: More draws than this find a free number of 65,536 only when most are taken.
DRAW_COUNT_MAX = 10
TUN_IPV4_NETWORK = IPv4Network("172.16.0.0/12")
#: The smallest network in which a tun has an address and a peer.
TUN_IPV4_LENGTH_MAX = 30


class AddressTaken(Exception):
    """Nothing is free; the sentence says of what."""


class Purpose(IntEnum):
    """What a network of a partition is for: the quarter that its number is in."""

    RANGE = 1
    TAP = 2
    TUN = 3


def partition_address(place: IPv6Interface, index: int) -> IPv6Interface:
    """The address of a partition beside that of its computer."""
    host_count = 2 ** (ADDRESS_BITS - place.network.prefixlen) - FIRST_HOST
    if host_count <= 0:
        raise AddressTaken(f"{place.network} has no room for partitions")
    return _at(place, (index + FIRST_HOST) % host_count)


def partition_network(
    place: IPv6Interface, prefixshift: int, purpose: Purpose, index: int
) -> IPv6Network:
    """The network of a partition for one purpose."""
    number = purpose * 2 ** (prefixshift - 2) + index + 1
    return _numbered(place, prefixshift, number)


def choose_address(
    place: IPv6Interface,
    index: int,
    kept: IPv6Interface | None,
    is_taken: Callable[[IPv6Interface], bool],
    seed: str,
) -> IPv6Interface:
    """The address that a partition had, else its own, else one that is drawn."""
    if kept is not None and kept.network == place.network and not is_taken(kept):
        return kept
    bits = min(DRAWN_BITS, ADDRESS_BITS - place.network.prefixlen)
    drawn = (_at(place, number) for number in _draws(seed, bits))
    candidates = chain([partition_address(place, index)], drawn)
    return _first_free(candidates, is_taken, f"address of {place.network}")


def choose_network(
    place: IPv6Interface,
    prefixshift: int,
    purpose: Purpose,
    index: int,
    *,
    kept: IPv6Network | None,
    is_taken: Callable[[IPv6Network], bool],
    seed: str,
) -> IPv6Network:
    """The network that a partition had for a purpose, else its own, else one drawn."""
    length = place.network.prefixlen + prefixshift
    if length > NETWORK_LENGTH_MAX:
        raise AddressTaken(f"{place.network} has no room for networks of partitions")
    if (
        kept is not None
        and kept.prefixlen == length
        and kept.subnet_of(place.network)
        and not is_taken(kept)
    ):
        return kept
    numbers = _draws(seed, DRAWN_BITS) if prefixshift == DRAWN_BITS else iter(())
    drawn = (_numbered(place, prefixshift, number) for number in numbers)
    own = partition_network(place, prefixshift, purpose, index)
    return _first_free(chain([own], drawn), is_taken, f"network of {place.network}")


def choose_host(
    network: IPv4Network,
    kept: IPv4Interface | None,
    is_taken: Callable[[IPv4Interface], bool],
    seed: str,
) -> IPv4Interface:
    """The IPv4 address that a partition had, else one of a network that is drawn."""
    if kept is not None and kept.ip in network and not is_taken(kept):
        return kept
    # Neither the first nor the last: they mean the network and everybody in it.
    margin = 1 if network.num_addresses > FIRST_HOST else 0
    first, last = margin, network.num_addresses - 1 - margin
    count = last - first + 1
    draws = [first + it % count for it in _draws(seed, network.max_prefixlen)]
    # In a small or crowded network, what follows the first draw is tried as well.
    following = (
        first + (draws[0] - first + step) % count
        for step in range(min(count, 2**DRAWN_BITS))
    )
    candidates = (IPv4Interface(network[it]) for it in chain(draws, following))
    return _first_free(candidates, is_taken, f"address of {network}")


def choose_tun_hosts(
    count: int, kept: tuple[IPv4Interface | None, ...]
) -> tuple[IPv4Interface, ...]:
    """The IPv4 address of the tun of each of ``count`` partitions.

    The private network is split as stock nodes do, into the least power of two. What a
    partition had is kept; a new one gets a free network, the smaller the fewer there
    are. When what is kept leaves no room, all are chosen anew.
    """
    own_length = TUN_IPV4_NETWORK.prefixlen + (max(count, 1) - 1).bit_length()
    before = [kept[it] if it < len(kept) else None for it in range(count)]
    used = [it.network for it in before if it and it.ip in TUN_IPV4_NETWORK]
    missing_count = count - len(used)
    is_consistent = not any(
        one.overlaps(two) for one, two in pairwise(sorted(used))
    ) and len(used) == len([it for it in before if it])
    lengths = range(own_length, TUN_IPV4_LENGTH_MAX + 1)
    roomy = (it for it in lengths if _free_count(it, used) >= missing_count)
    length = next(roomy, None) if is_consistent else None
    if length is None:
        return choose_tun_hosts(count, ())
    chosen: list[IPv4Interface] = []
    for index, known in enumerate(before):
        host = known or _free_host(length, index, used)
        chosen.append(host)
        used.append(host.network)
    return tuple(chosen)


def _free_count(length: int, used: list[IPv4Network]) -> int:
    """How many networks of a length meet none of the used ones."""
    larger = sum(1 << length - it.prefixlen for it in used if it.prefixlen <= length)
    smaller = {it.supernet(new_prefix=length) for it in used if it.prefixlen > length}
    return (1 << length - TUN_IPV4_NETWORK.prefixlen) - larger - len(smaller)


def _free_host(length: int, index: int, used: list[IPv4Network]) -> IPv4Interface:
    """The first address of a free network, which there is: its own, else the next."""
    whole, size = TUN_IPV4_NETWORK, 2 ** (32 - length)
    number_count = 2 ** (length - whole.prefixlen)
    number = index % number_count
    while True:
        found = IPv4Network((whole.network_address + number * size, length))
        blocking = next((it for it in used if it.overlaps(found)), None)
        if blocking is None:
            return IPv4Interface((found[1], length))
        # Past all of what blocks: each step leaves a used network behind.
        end = int(blocking.broadcast_address) + 1 - int(whole.network_address)
        number = max(number + 1, -(-end // size)) % number_count


def _at(place: IPv6Interface, number: int) -> IPv6Interface:
    network = place.network
    return IPv6Interface((int(network.network_address) + number, network.prefixlen))


def _numbered(place: IPv6Interface, prefixshift: int, number: int) -> IPv6Network:
    length = place.network.prefixlen + prefixshift
    base = int(place.network.network_address)
    return IPv6Network((base + (number << (ADDRESS_BITS - length)), length))


def _draws(seed: str, bits: int) -> Iterator[int]:
    """Numbers that are the same for the same seed, on every version of Python."""
    for count in range(DRAW_COUNT_MAX):
        digest = sha256(f"{seed} {count}".encode()).digest()
        yield int.from_bytes(digest) % 2**bits


def _first_free(candidates: Iterator[T], is_taken: Callable[[T], bool], what: str) -> T:
    for candidate in candidates:
        if not is_taken(candidate):
            return candidate
    raise AddressTaken(f"no {what} is free")
