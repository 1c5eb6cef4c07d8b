"""The computer that a stock node formatted and recorded, and builders of others."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_interface
from pathlib import Path
from types import MappingProxyType

from attrs import evolve

from slap.marshalling import Value
from slapgrid.config import Config, read_config
from slapgrid.format.choosing import Wish
from slapgrid.format.machine import Link, LinkAddress, ObservedNetwork
from slapgrid.format.settings import FormatSettings

GOLDEN = Path(__file__).parents[2] / "golden" / "slapgrid"


def golden(name: str) -> bytes:
    """A file that a stock node wrote, or was configured by."""
    return (GOLDEN / name).read_bytes()


def stock_config() -> Config:
    """What that node was configured with."""
    return read_config(golden("format.cfg").decode())


def a_wish(settings: FormatSettings, **fields: object) -> Wish:
    """What is asked of a computer."""
    count = settings.partition_amount
    wish = Wish(
        "COMP-1",
        "/srv/example/inst",
        settings,
        settings.software_user,
        tuple(f"{settings.user_base_name}{index}" for index in range(count)),
        (settings.software_user,),
    )
    return evolve(wish, **fields)  # type: ignore[arg-type] # fields of a wish


def on_interface(**fields: object) -> FormatSettings:
    """Settings of three partitions on the interface ``eth0``."""
    known: dict[str, object] = {"interface_name": "eth0", "partition_amount": 3}
    return FormatSettings(**(known | fields))  # type: ignore[arg-type] # of settings


def a_link(name: str, *addresses: str, **fields: object) -> Link:
    """A link that is up, with lasting addresses."""
    found = tuple(LinkAddress(ip_interface(it)) for it in addresses)
    return evolve(Link(name, addresses=found), **fields)  # type: ignore[arg-type]


def a_network(*links: Link) -> ObservedNetwork:
    """A host with these links and a loopback."""
    everything = (a_link("lo", "127.0.0.1/8", "::1/128"), *links)
    return ObservedNetwork(MappingProxyType({it.name: it for it in everything}))


#: What the stock node said of itself besides its network.
STOCK_DESCRIPTION: Mapping[str, Value] = MappingProxyType(
    {
        "instance_root": "/srv/example/inst",
        "instance_storage_home": None,
        "interface": {
            "ipv4_local_network": "10.98.0.0/16",
            "ipv6_interface": "lo",
            "ipv6_prefixshift": 16,
            "name": "lo",
        },
        "ipv6_interface": None,
        "os_type": '["Linux-6.18.44-fc-v509-x86_64-with-glibc2.36", "debian", "12", '
        '"Debian GNU/Linux"]',
        "partition_has_ipv6_range": True,
        "public_ipv4_address": None,
        "python_version": "3.11.7",
        "slapos_version": "1.26.1",
        "software_root": "/srv/example/soft",
        "software_user": "nwsoft",
        "tap_gateway_interface": "dum1",
        "tap_ipv6": True,
    }
)
