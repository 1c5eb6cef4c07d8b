"""Core. What is there already: network, accounts and directories of a host."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import (
    IPv4Interface,
    IPv4Network,
    IPv6Interface,
    IPv6Network,
    ip_interface,
    ip_network,
)
from types import MappingProxyType
from typing import Any

from attrs import field, frozen

Interface = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network

LOOPBACK = "lo"
TAP = "tap"
TUN = "tun"
_EVERYTHING = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}


@frozen
class LinkAddress:
    """An address of a link. One that ``has_failed`` is another host's as well."""

    interface: Interface
    is_lasting: bool = True
    """Global, and neither temporary nor about to go."""
    is_tentative: bool = False
    has_failed: bool = False


@frozen
class Link:
    """A network interface; ``kind`` is ``tap``, ``tun`` or anything else."""

    name: str
    kind: str = ""
    is_up: bool = True
    has_carrier: bool = True
    addresses: tuple[LinkAddress, ...] = ()

    def has(self, interface: Interface) -> bool:
        """Whether this very address, with its length, is on the link and usable."""
        return any(
            it.interface == interface and not it.has_failed for it in self.addresses
        )


@frozen
class NetworkRoute:
    """Where a network is reached; ``is_local`` when it is on this host as a whole."""

    destination: Network
    link: str
    gateway: str = ""
    is_local: bool = False


@frozen
class ObservedNetwork:
    """Everything that ``ip`` tells."""

    links: Mapping[str, Link] = field(default=MappingProxyType({}))
    routes: frozenset[NetworkRoute] = frozenset()
    can_bind_nonlocal: bool = False
    """Whether programs may listen at addresses of a range that no link carries."""

    @property
    def addresses(self) -> Iterator[tuple[Link, LinkAddress]]:
        """All addresses, with their links."""
        for link in self.links.values():
            for address in link.addresses:
                yield link, address

    @property
    def tentative(self) -> tuple[str, ...]:
        """Addresses that the kernel still asks the neighbours about."""
        return tuple(
            str(it.interface)
            for link, it in self.addresses
            if it.is_tentative
            and it.is_lasting
            and link.has_carrier
            and not it.has_failed
        )


def decode_links(document: bytes) -> Mapping[str, Link]:
    """Read the answer of ``ip -json -details address show``."""
    links = [_link(fields) for fields in json.loads(document or b"[]") if fields]
    return MappingProxyType({it.name: it for it in links})


def _link(fields: Mapping[str, Any]) -> Link:
    flags = fields.get("flags", ())
    details = fields.get("linkinfo", {})
    kind = str(details.get("info_kind", ""))
    if kind == TUN:
        kind = str(details.get("info_data", {}).get("type", TUN))
    return Link(
        str(fields["ifname"]),
        kind,
        "UP" in flags,
        "LOWER_UP" in flags,
        tuple(_address(it) for it in fields.get("addr_info", ()) if "local" in it),
    )


def _address(fields: Mapping[str, Any]) -> LinkAddress:
    is_passing = any(fields.get(it) for it in ("temporary", "deprecated"))
    return LinkAddress(
        ip_interface(f"{fields['local']}/{fields['prefixlen']}"),
        fields.get("scope") == "global" and not is_passing,
        bool(fields.get("tentative")),
        bool(fields.get("dadfailed")),
    )


def decode_routes(document: bytes, version: int) -> frozenset[NetworkRoute]:
    """Read the answer of ``ip -json route show table all``, of one version of IP."""
    return frozenset(
        NetworkRoute(
            _EVERYTHING[version] if it["dst"] == "default" else ip_network(it["dst"]),
            str(it.get("dev", "")),
            str(it.get("gateway", "")),
            it.get("type") == "local",
        )
        for it in json.loads(document or b"[]")
        if it and "dst" in it
    )


@frozen
class User:
    """An account; ``groups`` are the additional ones."""

    name: str
    uid: int
    gid: int
    home: str = ""
    groups: frozenset[str] = frozenset()
    is_locked: bool = True


@frozen
class Accounts:
    """The users and groups of a host."""

    users: Mapping[str, User] = field(default=MappingProxyType({}))
    groups: frozenset[str] = frozenset()


def decode_accounts(passwd: bytes, group: bytes, shadow: bytes) -> Accounts:
    """Read the three files of ``/etc``; a line unlike theirs is passed over."""
    members: dict[str, set[str]] = {}
    groups = set()
    for name, _, _, names, *_ in _rows(group, 4):
        groups.add(name)
        for member in filter(None, names.split(",")):
            members.setdefault(member, set()).add(name)
    passwords = {row[0]: row[1] for row in _rows(shadow, 2)}
    users = {}
    for name, password, uid, gid, _, home, *_ in _rows(passwd, 6):
        if not (uid.isdecimal() and gid.isdecimal()):
            continue
        users[name] = User(
            name,
            int(uid),
            int(gid),
            home,
            frozenset(members.get(name, ())),
            passwords.get(name, password).startswith(("!", "*")),
        )
    return Accounts(MappingProxyType(users), frozenset(groups))


def _rows(content: bytes, count_min: int) -> Iterable[list[str]]:
    for line in content.decode(errors="replace").splitlines():
        row = line.split(":")
        if len(row) >= count_min:
            yield row


@frozen
class FoundEntry:
    """What stands where a directory should be."""

    is_directory: bool
    mode: int
    uid: int


@frozen
class ObservedFiles:
    """Directories and resources by absolute path; what is missing is not in them."""

    directories: Mapping[str, FoundEntry] = field(default=MappingProxyType({}))
    contents: Mapping[str, bytes] = field(default=MappingProxyType({}))
