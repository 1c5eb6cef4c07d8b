"""Core. Files in which an operator says what each partition has, instead of ``format``.

The form is that of stock nodes: a section ``computer`` and one ``partition_N`` for each
partition, with addresses as ``ADDRESS/NETMASK`` or ``ADDRESS/LENGTH``.
"""

from __future__ import annotations

import configparser
import io
import re
import shlex
from collections.abc import Iterable
from ipaddress import IPv6Network, ip_interface

from attrs import frozen

from slapgrid.format.computer import FormattedComputer
from slapgrid.format.machine import Interface
from slapgrid.settings import ConfigError

COMPUTER = "computer"
_SECTION = re.compile(r"partition_(0|[1-9]\d{0,4})\Z")


@frozen
class DefinedPartition:
    """What a file says of one partition; empty where it says nothing."""

    addresses: tuple[Interface, ...]
    user_name: str = ""
    link: str = ""
    path_name: str = ""
    ipv6_range: IPv6Network | None = None
    capabilities: tuple[str, ...] = ()


@frozen
class DefinedComputer:
    """What a file says of a computer."""

    address: Interface
    partitions: tuple[DefinedPartition, ...]
    software_user: str = ""


def read_definition(text: str) -> DefinedComputer:
    """Read a file; ``ConfigError`` names the section and the key at fault."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ConfigError(f"not a definition file: {error}") from error
    numbers = sorted(
        int(found[1]) for found in map(_SECTION.match, parser.sections()) if found
    )
    if numbers != list(range(len(numbers))):
        raise ConfigError(
            f"a definition file has partition_0 to partition_N, not {numbers}"
        )
    if not parser.has_option(COMPUTER, "address"):
        raise ConfigError("[computer] address is missing in the definition file")
    return DefinedComputer(
        _address(COMPUTER, parser.get(COMPUTER, "address")),
        tuple(_partition(parser[f"partition_{number}"]) for number in numbers),
        parser.get(COMPUTER, "software_user", fallback=""),
    )


def _partition(section: configparser.SectionProxy) -> DefinedPartition:
    name = section.name
    addresses = [_address(name, it) for it in section.get("address", "").split()]
    if sorted(it.version for it in addresses) != [4, 6]:
        raise ConfigError(
            f"[{name}] address must be one IPv4 and one IPv6 address with their "
            "netmasks, with a blank between"
        )
    given = section.get("ipv6_range", "")
    try:
        ipv6_range = IPv6Network(given) if given else None
    except ValueError as error:
        raise ConfigError(f"[{name}] ipv6_range: {error}") from error
    return DefinedPartition(
        tuple(sorted(addresses, key=lambda it: it.version)),
        section.get("user", ""),
        section.get("network_interface", ""),
        section.get("pathname", ""),
        ipv6_range,
        tuple(shlex.split(section.get("capability_list", ""))),
    )


def _address(section: str, text: str) -> Interface:
    address, _, netmask = text.strip().partition("/")
    if ":" in netmask:
        # Python reads netmasks of IPv4 alone.
        try:
            netmask = str(int(ip_interface(netmask).ip).bit_count())
        except ValueError as error:
            raise ConfigError(f"[{section}] address: {error}") from error
    try:
        return ip_interface(f"{address}/{netmask}" if netmask else address)
    except ValueError as error:
        raise ConfigError(f"[{section}] address: {error}") from error


def render_definition(computer: FormattedComputer, software_user: str) -> bytes:
    """Write a file that defines what this computer has."""
    parser = configparser.ConfigParser(interpolation=None)
    parser[COMPUTER] = {
        "address": _text(computer.address),
        "software_user": software_user,
    }
    for index, it in enumerate(computer.partitions):
        section = {
            "user": it.user_name,
            "address": _texts(it.addresses),
            "network_interface": it.partition_id if it.tap is None else it.tap.name,
            "pathname": it.path.rpartition("/")[2],
        }
        if it.ipv6_range is not None:
            section["ipv6_range"] = str(it.ipv6_range)
        if it.capabilities:
            section["capability_list"] = shlex.join(it.capabilities)
        parser[f"partition_{index}"] = section
    written = io.StringIO()
    parser.write(written)
    return written.getvalue().encode()


def _text(address: Interface) -> str:
    return f"{address.ip}/{address.netmask}"


def _texts(addresses: Iterable[Interface]) -> str:
    return " ".join(_text(it) for it in addresses)
