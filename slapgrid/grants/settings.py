"""Core. Which kinds of grants the operator of this computer allows."""

from __future__ import annotations

import ipaddress

from attrs import frozen

from slapgrid.settings import TEXT, WORDS, Area, Key, Kind

#: The kinds that stock nodes know as managers and that this agent has.
REDIRECTION_KIND = "portredir"
WHITELIST_KIND = "whitelistfirewall"
PORT_MAX = 65535


@frozen
class GrantSettings:
    """``kinds`` are the names that stock nodes give their managers.

    ``privileged_ports`` below 1024 may be redirected to instances.
    ``authorized_sources`` reach every instance whose tree is else alone; that is on
    when the section has a ``firewall_command`` or these.
    """

    kinds: tuple[str, ...] = ()
    privileged_ports: frozenset[int] = frozenset()
    firewall_command: str = ""
    authorized_sources: tuple[ipaddress.IPv4Network, ...] = ()

    @property
    def has_redirections(self) -> bool:
        return REDIRECTION_KIND in self.kinds

    @property
    def has_whitelists(self) -> bool:
        return WHITELIST_KIND in self.kinds

    @property
    def guards_routes(self) -> bool:
        return bool(self.firewall_command or self.authorized_sources)


def _ports(text: str) -> frozenset[int]:
    ports = frozenset(int(each) for each in text.replace(",", " ").split())
    if any(not 1 <= port <= PORT_MAX for port in ports):
        raise ValueError(text)
    return ports


def _networks(text: str) -> tuple[ipaddress.IPv4Network, ...]:
    return tuple(
        ipaddress.IPv4Network(each, strict=False)
        for each in text.replace(",", " ").split()
    )


AREA = Area(
    GrantSettings,
    (
        Key(
            "slapos",
            "manager_list",
            "kinds",
            WORDS,
            "what instances may ask beyond their partition: portredir, "
            "whitelistfirewall",
        ),
        Key(
            "slapos",
            "redirect_port_list",
            "privileged_ports",
            Kind("ports", _ports),
            "of ours: ports below 1024 that portredir may lead to instances, by root",
        ),
        Key(
            "firewall",
            "firewall_cmd",
            "firewall_command",
            TEXT,
            "any value has the addresses of routes guarded; the rules are set by nft",
        ),
        Key(
            "firewall",
            "authorized_sources",
            "authorized_sources",
            Kind("IPv4 networks", _networks),
            "networks that reach guarded addresses of every instance",
        ),
    ),
)
