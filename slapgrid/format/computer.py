"""Core. A computer as ``format`` prepares it, and the document that says so.

The document is that of stock nodes: what the master gets, what ``computer_xml`` keeps,
and, of each partition, what its ``.slapos-resource`` holds for recipes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface, IPv6Network
from types import MappingProxyType

from attrs import field, frozen

from slap.marshalling import Value
from slap.model import ComputerDefinition, NetworkAddress, PartitionDefinition
from slap.routes import routes_of_tap
from slapgrid.format.machine import Interface

SHELL = "/bin/sh"
NO_ADDRESS: Mapping[str, Value] = MappingProxyType(
    {
        f"{version}_{name}": ""
        for version in ("ipv4", "ipv6")
        for name in ("addr", "gateway", "netmask", "network")
    }
)


@frozen
class TapRoute:
    """The IPv4 address behind a tap, and the address of the host that routes it."""

    address: IPv4Address
    gateway: IPv4Interface


@frozen
class Tap:
    """A device by which the host's side of a virtual network is reached.

    The host has the last address of ``network``, the instance the first.
    """

    name: str
    network: IPv6Network | None = None
    route: TapRoute | None = None

    @property
    def gateway(self) -> IPv6Interface | None:
        """Where the instance is expected."""
        return None if self.network is None else _first(self.network)

    @property
    def address(self) -> IPv6Interface | None:
        """What the host has on the device."""
        if self.network is None:
            return None
        return IPv6Interface((self.network[-1], self.network.prefixlen))

    def describe(self) -> dict[str, Value]:
        """The tap as the document has it."""
        fields: dict[str, Value] = {**NO_ADDRESS, "name": self.name}
        if self.gateway is not None and self.address is not None:
            fields["ipv6_addr"] = str(self.address.ip)
            fields["ipv6_gateway"] = str(self.gateway.ip)
            fields["ipv6_netmask"] = str(self.address.netmask)
            fields["ipv6_network"] = str(self.gateway)
        if self.route is not None:
            gateway = self.route.gateway
            fields["ipv4_addr"] = str(self.route.address)
            fields["ipv4_gateway"] = str(gateway.ip)
            fields["ipv4_netmask"] = str(gateway.netmask)
            fields["ipv4_network"] = str(gateway.network.network_address)
        return fields


@frozen
class Tun:
    """A device by which an instance sends and gets packets of networks of its own."""

    name: str
    ipv4: IPv4Interface
    network: IPv6Network | None = None

    @property
    def address(self) -> IPv6Interface | None:
        """What the host has on the device."""
        return None if self.network is None else _first(self.network)

    def describe(self) -> dict[str, Value]:
        """The tun as the document has it."""
        fields: dict[str, Value] = {
            **NO_ADDRESS,
            "name": self.name,
            "ipv4_addr": str(self.ipv4.ip),
            "ipv4_netmask": str(self.ipv4.netmask),
            "ipv4_network": f"{self.ipv4.ip}/{self.ipv4.netmask}",
        }
        if self.address is not None:
            fields["ipv6_addr"] = str(self.address.ip)
            fields["ipv6_netmask"] = str(self.address.netmask)
            fields["ipv6_network"] = str(self.address)
        return fields


@frozen
class FormattedPartition:
    """One partition; ``path`` is absolute, ``addresses`` are IPv4 before IPv6."""

    partition_id: str
    path: str
    user_name: str
    groups: tuple[str, ...] = ()
    addresses: tuple[Interface, ...] = ()
    ipv6_range: IPv6Network | None = None
    tap: Tap | None = None
    tun: Tun | None = None
    storages: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()

    def describe(self) -> dict[str, Value]:
        """The partition as the document has it."""
        addresses: list[Value] = [
            {"addr": str(it.ip), "netmask": str(it.netmask)} for it in self.addresses
        ]
        fields: dict[str, Value] = {
            "address_list": addresses,
            "external_storage_list": list(self.storages),
            "path": self.path,
            "reference": self.partition_id,
            # Stock masters take the interface of all addresses from here.
            "tap": {"name": self.partition_id}
            if self.tap is None
            else self.tap.describe(),
            "tun": None if self.tun is None else self.tun.describe(),
            "user": {
                "additional_group_list": list(self.groups),
                "name": self.user_name,
                "path": self.path,
                "shell": SHELL,
            },
        }
        if self.ipv6_range is not None:
            fields["ipv6_range"] = {
                "addr": str(self.ipv6_range.network_address),
                "netmask": str(self.ipv6_range.netmask),
                "network": str(self.ipv6_range),
                "prefixlen": self.ipv6_range.prefixlen,
            }
        if self.capabilities:
            fields["capability_list"] = list(self.capabilities)
        return fields

    def render_resource(self) -> bytes:
        """The ``.slapos-resource`` of the partition, which recipes read."""
        return json.dumps(self.describe(), indent=4, sort_keys=True).encode()

    def define(self) -> PartitionDefinition:
        """What a master keeps of the partition."""
        link = self.partition_id if self.tap is None else self.tap.name
        return PartitionDefinition(
            self.partition_id,
            tuple(NetworkAddress(link, str(it.ip)) for it in self.addresses),
            self.capabilities,
            () if self.tap is None else routes_of_tap(link, self.tap.describe()),
        )


@frozen
class FormattedComputer:
    """A computer and its partitions.

    ``description`` are the fields of the document that say nothing of the network:
    versions, roots and settings.
    """

    computer_id: str
    address: Interface
    partitions: tuple[FormattedPartition, ...]
    description: Mapping[str, Value] = field(default=MappingProxyType({}))

    def describe(self) -> dict[str, Value]:
        """The document."""
        partitions: list[Value] = [it.describe() for it in self.partitions]
        return {
            **self.description,
            "address": str(self.address.ip),
            "netmask": str(self.address.netmask),
            "partition_list": partitions,
            "reference": self.computer_id,
        }

    def define(self) -> ComputerDefinition:
        """The computer as the master is told."""
        return ComputerDefinition(
            self.computer_id,
            str(self.address.ip),
            str(self.address.netmask),
            tuple(it.define() for it in self.partitions),
            self.describe(),
        )


def _first(network: IPv6Network) -> IPv6Interface:
    return IPv6Interface((network[1], network.prefixlen))
