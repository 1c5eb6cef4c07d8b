"""Core. How the partitions of a computer are named, owned and addressed."""

from __future__ import annotations

import ipaddress

from attrs import field, frozen

from slapgrid.settings import (
    ADDRESS,
    NAME,
    NUMBER,
    Area,
    ConfigError,
    Key,
    Kind,
    is_plain_name,
)

#: As many as an IPv6 network of 16 bits less the reserved ones can serve.
PARTITION_COUNT_MAX = 16000


@frozen
class FormatSettings:
    """``ipv6_network`` gives partition i the address i + 2 in it."""

    partition_amount: int = 0
    partition_base_name: str = field(default="slappart", validator=is_plain_name)
    user_base_name: str = field(default="slapuser", validator=is_plain_name)
    software_user: str = field(default="slapsoft", validator=is_plain_name)
    ipv6_network: ipaddress.IPv6Network | None = None
    ipv4_address: str = "127.0.0.1"

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

    @property
    def partition_ids(self) -> tuple[str, ...]:
        """The partitions that ``format`` makes."""
        return tuple(
            f"{self.partition_base_name}{index}"
            for index in range(self.partition_amount)
        )

    def partition_address(self, index: int) -> str:
        """The IPv6 address of a partition."""
        if self.ipv6_network is None:
            return "::1"
        return str(self.ipv6_network[index + 2])


def _network(text: str) -> ipaddress.IPv6Network | None:
    return ipaddress.IPv6Network(text) if text else None


AREA = Area(
    FormatSettings,
    (
        Key(
            "slapformat",
            "partition_amount",
            "partition_amount",
            NUMBER,
            "how many partitions the computer has",
        ),
        Key(
            "slapformat",
            "partition_base_name",
            "partition_base_name",
            NAME,
            "the name of partitions, before their number",
        ),
        Key(
            "slapformat",
            "user_base_name",
            "user_base_name",
            NAME,
            "the name of the partitions' users, before their number",
        ),
        Key(
            "slapformat",
            "software_user",
            "software_user",
            NAME,
            "whom the software root belongs to",
        ),
        Key(
            "slapformat",
            "ipv6_network",
            "ipv6_network",
            Kind("an IPv6 network", _network),
            "of ours: partition i has address i + 2 in it",
        ),
        Key(
            "slapformat",
            "ipv4_address",
            "ipv4_address",
            ADDRESS,
            "of ours: the IPv4 address of every partition",
        ),
    ),
)
