"""Core. Who may reach an instance by IPv4, and whom it may reach: rules as text.

Everything stands in one table of our own, replaced as a whole in one transaction:
whatever was in it before, and whatever other tables hold, does not matter. A rule that
accepts ends our table only; another table may still refuse.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping

from attrs import frozen

from slap.model import Partition
from slapgrid.grants.asking import BadGrant, decode_list, shown
from slapgrid.layout import WHITELIST_FILE

TABLE = "slapgrid"
#: Taps of virtual machines have an address in the network of ``format``, and this name.
ROUTE_PREFIX = "route_"
RESTRICTED_KEY = "fw_restricted_access"
AUTHORIZED_KEY = "fw_authorized_sources"
REJECTED_KEY = "fw_rejected_sources"

Networks = tuple[ipaddress.IPv4Network, ...]


@frozen
class Whitelist:
    """Programs of this user reach these addresses and, by IPv4, no others."""

    uid: int
    networks: Networks = ()


@frozen
class Guard:
    """Who reaches these addresses: who is accepted; of the others, see below.

    With ``rejected`` ``None`` nobody else does, otherwise all but these.
    """

    addresses: Networks
    accepted: Networks = ()
    rejected: Networks | None = None


def decode_whitelist(content: bytes) -> Networks:
    """The addresses that a file lists."""
    found = []
    for number, entry in enumerate(decode_list(WHITELIST_FILE, content), 1):
        network = _network(entry) if isinstance(entry, str) else None
        if network is None:
            raise BadGrant(
                f"{WHITELIST_FILE}, entry {number} must be an IPv4 address, not "
                f"{shown(entry)}"
            )
        found.append(network)
    return _merged(found)


def guarded_addresses(partition: Partition) -> Networks:
    """The IPv4 addresses by which a partition routes."""
    places = [(each.interface, each.address) for each in partition.addresses]
    places += [(each.interface, each.address) for each in partition.routes]
    texts = [
        address for interface, address in places if interface.startswith(ROUTE_PREFIX)
    ]
    return _merged(each for each in map(_network, texts) if each is not None)


def plan_guard(
    addresses: Networks,
    tree_addresses: Iterable[str],
    authorized: Networks,
    allocation_filter: Mapping[str, str],
) -> Guard:
    """Who reaches an instance: its tree, and whom operator and requester name."""
    tree = [each for each in map(_network, tree_addresses) if each is not None]
    accepted = _merged((*tree, *authorized, *_sources(allocation_filter)))
    rejected = None
    if allocation_filter.get(RESTRICTED_KEY, "on") == "off":
        rejected = _sources(allocation_filter, REJECTED_KEY)
    return Guard(addresses, accepted, rejected)


def _sources(
    allocation_filter: Mapping[str, str], key: str = AUTHORIZED_KEY
) -> Networks:
    found = []
    for text in allocation_filter.get(key, "").split():
        network = _network(text)
        if network is None:
            raise BadGrant(
                f"{key} must name IPv4 addresses or networks, not {shown(text)}: "
                "request the instance with others"
            )
        found.append(network)
    return _merged(found)


def _network(text: str) -> ipaddress.IPv4Network | None:
    try:
        return ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        return None


def _merged(networks: Iterable[ipaddress.IPv4Network]) -> Networks:
    # A set of nft refuses networks that overlap.
    return tuple(ipaddress.collapse_addresses(networks))


def render_ruleset(
    whitelists: Mapping[str, Whitelist], guards: Mapping[str, Guard]
) -> str:
    """The input of ``nft -f``; without rules the table goes."""
    removal = f"add table inet {TABLE}\ndelete table inet {TABLE}\n"
    if not whitelists and not guards:
        return removal
    lines: list[str] = []
    outgoing: list[str] = []
    incoming: list[str] = []
    for partition_id, whitelist in sorted(whitelists.items()):
        chain = f"{partition_id}-whitelist"
        rules = [*_rule("daddr", whitelist.networks, "accept"), _REJECT]
        lines += _chain(chain, rules)
        outgoing.append(f"meta nfproto ipv4 meta skuid {whitelist.uid} jump _{chain}")
    for partition_id, guard in sorted(guards.items()):
        chain = f"{partition_id}-guard"
        rules = list(_rule("saddr", guard.accepted, "accept"))
        if guard.rejected is None:
            rules.append(_REJECT)
        else:
            rules += _rule("saddr", guard.rejected, "reject")
        lines += _chain(chain, rules)
        incoming += _rule("daddr", guard.addresses, f"jump _{chain}")
    lines += _hook("output", outgoing)
    lines += _hook("input", incoming)
    lines += _hook("forward", incoming)
    return f"{removal}table inet {TABLE} {{\n" + "\n".join(lines) + "\n}\n"


_REJECT = "meta nfproto ipv4 reject"


def _rule(side: str, networks: Networks, verdict: str) -> tuple[str, ...]:
    if not networks:
        return ()
    return (f"ip {side} {{ {', '.join(map(str, networks))} }} {verdict}",)


def _chain(name: str, rules: Iterable[str]) -> list[str]:
    # Begun so, a name that is a word of nft's language, or starts with a digit, is one.
    return [f"  chain _{name} {{", *(f"    {rule}" for rule in rules), "  }"]


def _hook(name: str, rules: Iterable[str]) -> list[str]:
    base = f"type filter hook {name} priority 0; policy accept;"
    return [f"  chain {name} {{", f"    {base}", *(f"    {r}" for r in rules), "  }"]
