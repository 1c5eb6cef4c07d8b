"""Core. How the partitions of a computer are named, owned and addressed."""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv4Network, IPv6Network

from attrs import field, frozen

from slapgrid.settings import (
    ADDRESS,
    FLAG,
    NAME,
    NUMBER,
    PATH,
    Area,
    ConfigError,
    Key,
    Kind,
    is_absolute_or_empty,
    is_plain_name,
)

#: As many as an IPv6 network of 16 bits less the reserved ones can serve.
PARTITION_COUNT_MAX = 16000
#: Below, a purpose has no number; above, no prefix has the bits.
PREFIXSHIFT_MIN, PREFIXSHIFT_MAX = 3, 64
#: The kernel's limit less its closing zero.
LINK_NAME_LENGTH_MAX = 15
TUN_BASE_NAME = "slaptun"


class AddressSource(Enum):
    """Where the addresses of partitions come from."""

    NETWORK = "ipv6_network, or this host alone without one"
    INTERFACE = "the addresses of interface_name"
    DEFINITION = "input_definition_file"


@frozen
class FormatSettings:
    """What ``format`` makes.

    ``ipv6_network`` gives partition i the address i + 2 in it, and wins over
    ``interface_name``. ``may_alter_users`` and ``may_alter_network`` ``None`` follow
    from the source of addresses: where stock settings are used, as stock nodes do.
    """

    partition_amount: int = 0
    partition_base_name: str = field(default="slappart", validator=is_plain_name)
    user_base_name: str = field(default="slapuser", validator=is_plain_name)
    software_user: str = field(default="slapsoft", validator=is_plain_name)
    ipv6_network: IPv6Network | None = None
    ipv4_address: str = "127.0.0.1"
    interface_name: str = ""
    ipv6_interface: str = ""
    ipv4_local_network: IPv4Network = IPv4Network("10.0.0.0/16")  # noqa: RUF009
    has_ranges: bool = True
    ipv6_prefixshift: int = 16
    has_taps: bool = True
    has_tap_networks: bool = True
    tap_base_name: str = field(default="slaptap", validator=is_plain_name)
    tap_gateway_interface: str = ""
    has_tuns: bool = False
    has_tun_networks: bool = True
    may_alter_users: bool | None = None
    may_alter_network: bool | None = None
    instance_storage_home: str = field(default="", validator=is_absolute_or_empty)
    agent_storage_home: str = field(default="", validator=is_absolute_or_empty)
    computer_xml: str = field(default="", validator=is_absolute_or_empty)
    computer_json: str = field(default="", validator=is_absolute_or_empty)
    input_definition_file: str = ""
    output_definition_file: str = ""
    public_ipv4_address: str = ""

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.partition_amount <= PARTITION_COUNT_MAX:
            raise ConfigError(
                f"partition_amount must be 0 to {PARTITION_COUNT_MAX}, "
                f"not {self.partition_amount}"
            )
        network = self.ipv6_network
        if network is not None and network.num_addresses < self.partition_amount + 2:
            raise ConfigError(
                f"ipv6_network {network} is too small for "
                f"{self.partition_amount} partitions"
            )
        self._check_prefixshift()
        for base in (self.tap_base_name, TUN_BASE_NAME):
            longest = f"{base}{max(0, self.partition_amount - 1)}"
            if len(longest) > LINK_NAME_LENGTH_MAX:
                raise ConfigError(
                    f"tap_base_name makes {longest}, and the name of a device has at "
                    f"most {LINK_NAME_LENGTH_MAX} characters"
                )

    def _check_prefixshift(self) -> None:
        shift = self.ipv6_prefixshift
        if not PREFIXSHIFT_MIN <= shift <= PREFIXSHIFT_MAX:
            raise ConfigError(
                f"ipv6_prefixshift must be {PREFIXSHIFT_MIN} to {PREFIXSHIFT_MAX}, "
                f"not {shift}"
            )
        # The last number of the last quarter belongs to the next network.
        count_max = 2 ** (shift - 2) - self.has_tuns
        if self.source is AddressSource.INTERFACE and self.partition_amount > count_max:
            raise ConfigError(
                f"ipv6_prefixshift {shift} numbers {count_max} partitions, and "
                f"partition_amount is {self.partition_amount}"
            )

    @property
    def source(self) -> AddressSource:
        """Where the addresses of partitions come from."""
        if self.input_definition_file:
            return AddressSource.DEFINITION
        if self.ipv6_network is None and self.interface_name:
            return AddressSource.INTERFACE
        return AddressSource.NETWORK

    @property
    def alters_users(self) -> bool:
        """Whether missing users are made."""
        if self.may_alter_users is None:
            return self.source is not AddressSource.NETWORK
        return self.may_alter_users

    @property
    def alters_network(self) -> bool:
        """Whether missing addresses, devices and routes are made."""
        if self.may_alter_network is None:
            return self.source is not AddressSource.NETWORK
        return self.may_alter_network and self.source is not AddressSource.NETWORK

    @property
    def storage_home(self) -> str:
        """Where ``data<number>`` stand; a stock file may say it in either section."""
        return self.instance_storage_home or self.agent_storage_home

    @property
    def partition_ids(self) -> tuple[str, ...]:
        """The partitions that ``format`` makes."""
        return tuple(
            f"{self.partition_base_name}{index}"
            for index in range(self.partition_amount)
        )

    def partition_address(self, index: int) -> str:
        """The IPv6 address of a partition in ``ipv6_network``."""
        if self.ipv6_network is None:
            return "::1"
        return str(self.ipv6_network[index + 2])


def _network(text: str) -> IPv6Network | None:
    return IPv6Network(text) if text else None


def _local_network(text: str) -> IPv4Network:
    return IPv4Network(text, strict=False)


_IPV6_NETWORK = Kind("an IPv6 network", _network)
_IPV4_NETWORK = Kind("an IPv4 network", _local_network)

#: Key, field, what it must be, meaning.
_ROWS: tuple[tuple[str, str, Kind, str], ...] = (
    (
        "partition_amount",
        "partition_amount",
        NUMBER,
        "how many partitions the computer has",
    ),
    (
        "partition_base_name",
        "partition_base_name",
        NAME,
        "the name of partitions, before their number",
    ),
    (
        "user_base_name",
        "user_base_name",
        NAME,
        "the name of the partitions' users, before their number",
    ),
    ("software_user", "software_user", NAME, "whom the software root belongs to"),
    (
        "ipv6_network",
        "ipv6_network",
        _IPV6_NETWORK,
        "of ours: partition i has address i + 2 in it; wins over interface_name",
    ),
    (
        "ipv4_address",
        "ipv4_address",
        ADDRESS,
        "of ours: the IPv4 address of every partition without a network of their own",
    ),
    (
        "interface_name",
        "interface_name",
        NAME,
        "the interface that carries the partitions' addresses",
    ),
    (
        "ipv6_interface",
        "ipv6_interface",
        NAME,
        "the interface of their IPv6 addresses, if it is another one",
    ),
    (
        "ipv4_local_network",
        "ipv4_local_network",
        _IPV4_NETWORK,
        "where the IPv4 addresses of partitions are drawn from",
    ),
    (
        "partition_has_ipv6_range",
        "has_ranges",
        FLAG,
        "whether a partition has an IPv6 network of its own",
    ),
    (
        "ipv6_prefixshift",
        "ipv6_prefixshift",
        NUMBER,
        "how many bits number the networks of partitions",
    ),
    ("create_tap", "has_taps", FLAG, "whether a partition has a tap device"),
    ("tap_ipv6", "has_tap_networks", FLAG, "whether a tap has an IPv6 network"),
    ("tap_base_name", "tap_base_name", NAME, "the name of taps, before their number"),
    (
        "tap_gateway_interface",
        "tap_gateway_interface",
        NAME,
        "the interface whose IPv4 network has an address for each tap",
    ),
    ("create_tun", "has_tuns", FLAG, "whether a partition has a tun device"),
    ("tun_ipv6", "has_tun_networks", FLAG, "whether a tun has an IPv6 network"),
    (
        "alter_user",
        "may_alter_users",
        FLAG,
        "whether users are made; without it, by root, where interface_name is used",
    ),
    (
        "alter_network",
        "may_alter_network",
        FLAG,
        "whether addresses and devices are made; without it, as alter_user",
    ),
    (
        "instance_storage_home",
        "instance_storage_home",
        PATH,
        "where data<number> stand in which each partition gets a directory",
    ),
    ("computer_xml", "computer_xml", PATH, "where the computer is written down"),
    ("computer_json", "computer_json", PATH, "where it is written down as JSON"),
    (
        "input_definition_file",
        "input_definition_file",
        PATH,
        "what says what partitions have, instead of interface_name",
    ),
    (
        "output_definition_file",
        "output_definition_file",
        PATH,
        "where such a file is written",
    ),
    (
        "public_ipv4_address",
        "public_ipv4_address",
        ADDRESS,
        "of ours: what the master is told; no other site is asked for it",
    ),
)

AREA = Area(
    FormatSettings,
    (
        *(Key("slapformat", *row) for row in _ROWS),
        Key(
            "slapos",
            "instance_storage_home",
            "agent_storage_home",
            PATH,
            "the same as that of [slapformat], which wins",
        ),
    ),
)
