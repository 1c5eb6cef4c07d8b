"""Core. Routes of partitions as they travel: in definitions, and among parameters.

``format`` says of a tap which network it routes. ERP5 keeps that as one more address of
the partition, on the interface ``route_TAP``, and tells the instance of it in a list of
its own (``full_ip_list``), whose entries have a gateway, a netmask and a network.
An entry without a gateway or a netmask would be an address and no route.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from slap.errors import MalformedDocument
from slap.marshalling import Value
from slap.model import NetworkAddress, Route

PREFIX = "route_"
"""Of the interface of a route; slapconfiguration looks for it."""

TAP_FIELDS = ("ipv4_addr", "ipv4_gateway", "ipv4_netmask", "ipv4_network")
"""Of a tap: the last four of a route, in its order."""


def routes_of_tap(interface: str, tap: dict[str, Value]) -> tuple[Route, ...]:
    """Return the route that a definition gives to a tap, if it gives one."""
    route = Route(
        f"{PREFIX}{interface}",
        *(_text(tap.get(name)) for name in TAP_FIELDS),
    )
    is_whole = route.address and route.gateway and route.netmask
    return (route,) if is_whole else ()


def tap_fields(routes: tuple[Route, ...]) -> dict[str, Value]:
    """Write what ``routes_of_tap`` reads."""
    assert len(routes) <= 1, f"several routes for one tap: {routes}"
    fields: dict[str, Value] = {}
    for it in routes:
        texts = (it.address, it.gateway, it.netmask, it.network)
        fields |= zip(TAP_FIELDS, texts, strict=True)
    return fields


def _text(value: Value) -> str:
    # Without a route they are absent, None, empty or false.
    return value if isinstance(value, str) else ""


def as_addresses(routes: Iterable[Route]) -> tuple[NetworkAddress, ...]:
    """Return what firewalls let through for routes."""
    return tuple(NetworkAddress(it.interface, it.address) for it in routes)


def with_routes(fields: dict[str, Value], routes: tuple[Route, ...]) -> None:
    """Add a list of routes; none where there are none, as slapproxy has no such key."""
    if routes:
        fields["full_ip_list"] = [
            (it.interface, it.address, it.gateway, it.netmask, it.network)
            for it in routes
        ]


def read_routes(values: Iterable[Value]) -> tuple[Route, ...]:
    """Read the same list."""
    return tuple(_route(value) for value in values)


def _route(value: Value) -> Route:
    match value:
        case (
            str() as interface,
            str() as address,
            str() as gateway,
            str() as netmask,
            str() as network,
        ):
            return Route(interface, address, gateway, netmask, network)
    raise MalformedDocument("full_ip_list: not a list of five texts each")


def split_addresses(
    entries: Iterable[Mapping[str, str]],
) -> tuple[tuple[NetworkAddress, ...], tuple[Route, ...]]:
    """Tell addresses from routes in a definition of JSON-RPC, which lists both."""
    addresses: list[NetworkAddress] = []
    routes: list[Route] = []
    for entry in entries:
        interface, address = entry["network-interface"], entry["ip-address"]
        gateway = entry.get("gateway-ip-address", "")
        netmask = entry.get("netmask", "")
        if gateway and netmask:
            network = entry.get("network-address", "")
            routes.append(Route(interface, address, gateway, netmask, network))
        else:
            addresses.append(NetworkAddress(interface, address))
    return tuple(addresses), tuple(routes)


def join_addresses(
    addresses: Iterable[NetworkAddress], routes: Iterable[Route]
) -> list[dict[str, str]]:
    """Write what ``split_addresses`` reads."""
    plain = [
        {"ip-address": it.address, "network-interface": it.interface}
        for it in addresses
    ]
    return plain + [
        {
            "ip-address": it.address,
            "network-interface": it.interface,
            "gateway-ip-address": it.gateway,
            "netmask": it.netmask,
            "network-address": it.network,
        }
        for it in routes
    ]
