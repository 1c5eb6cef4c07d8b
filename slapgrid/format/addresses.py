"""Core. What ``format`` writes of the partitions of a computer."""

from __future__ import annotations

import json

from slap.model import ComputerDefinition, NetworkAddress, PartitionDefinition
from slapgrid.config import Config

IPV4_NETMASK = "255.255.255.255"
IPV6_NETMASK = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"


def define_computer(config: Config) -> ComputerDefinition:
    """The computer as the master is told."""
    return ComputerDefinition(
        config.computer_id,
        config.format.partition_address(0),
        IPV6_NETMASK,
        tuple(
            PartitionDefinition(
                partition_id,
                tuple(
                    NetworkAddress(partition_id, address)
                    for address, _ in partition_addresses(config, index)
                ),
            )
            for index, partition_id in enumerate(config.format.partition_ids)
        ),
    )


def partition_addresses(config: Config, index: int) -> tuple[tuple[str, str], ...]:
    """The addresses of a partition with their netmasks; IPv4 first, as stock nodes."""
    return (
        (config.format.ipv4_address, IPV4_NETMASK),
        (config.format.partition_address(index), IPV6_NETMASK),
    )


def render_resource(config: Config, index: int, user_name: str) -> bytes:
    """The ``.slapos-resource`` of a partition, which recipes read."""
    partition_id = config.format.partition_ids[index]
    path = f"{config.instance_root}/{partition_id}"
    document = {
        "address_list": [
            {"addr": address, "netmask": netmask}
            for address, netmask in partition_addresses(config, index)
        ],
        "external_storage_list": [],
        "path": path,
        "reference": partition_id,
        "tap": {"name": partition_id},
        "tun": None,
        "user": {
            "additional_group_list": [],
            "name": user_name,
            "path": path,
            "shell": "/bin/sh",
        },
    }
    return json.dumps(document, indent=4, sort_keys=True).encode()
