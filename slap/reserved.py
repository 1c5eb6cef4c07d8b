"""Core. Names of parameters that belong to the protocol.

The master adds its own values to the parameters of an instance, in one dictionary. A
user's parameter of the same name would be lost without a word, so it is refused.
"""

from __future__ import annotations

from collections.abc import Iterable

from slap.errors import BadRequest

RESERVED_PARAMETERS = frozenset(
    {
        "full_address_list",
        "full_ip_list",
        "instance_title",
        "ip_list",
        "root_instance_short_title",
        "root_instance_title",
        "slap_computer_id",
        "slap_computer_partition_id",
        "slap_software_release_url",
        "slap_software_type",
        "slave_instance_list",
        "timestamp",
    }
)
"""What a partition finds among its parameters besides those of its user."""

SHARED_KEYS = frozenset({"slave_reference", "slave_title", "slap_software_type"})
"""The same, for a shared instance; and a ``timestamp`` that is a number."""


def check_parameters(where: str, names: Iterable[str], *, is_shared: bool) -> None:
    """Refuse parameters that an instance would not see."""
    reserved = SHARED_KEYS | {"timestamp"} if is_shared else RESERVED_PARAMETERS
    taken = sorted(reserved.intersection(names))
    if taken:
        raise BadRequest(
            f"{where}: the name {taken[0]!r} is reserved, choose another one"
        )
