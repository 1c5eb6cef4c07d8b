"""Core. Ports of the computer that lead to an instance: what it asks, and the programs.

Each redirection is a program, socat, in the group ``<partition_id>-socat``. It runs as
the partition's user, who may listen on these ports anyway; only for a port below 1024,
when the operator names it, as root.
"""

from __future__ import annotations

import ipaddress

from attrs import frozen

from slapgrid.grants.asking import BadGrant, decode_list, shown
from slapgrid.layout import PORT_REDIRECTION_FILE, ProgramKind
from slapgrid.supervision.conf import ProgramDefinition

PORT_MAX = 65535
#: Below it only root may listen.
FIRST_FREE_PORT = 1024
PROTOCOLS = frozenset({"tcp", "udp"})

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@frozen
class Redirection:
    """What comes in at the source goes to the target."""

    protocol: str
    source_port: int
    target: Address
    target_port: int
    source: Address | None = None

    @property
    def program_name(self) -> str:
        """As stock nodes call it."""
        return f"socat-{self.protocol}-{self.source_port}"


def decode_redirections(
    content: bytes, partition_addresses: tuple[str, ...]
) -> tuple[Redirection, ...]:
    """What the file asks for; by default the first IPv6 of the partition is meant."""
    found: dict[str, Redirection] = {}
    for number, entry in enumerate(decode_list(PORT_REDIRECTION_FILE, content), 1):
        try:
            redirection = _decode(entry, partition_addresses)
        except BadGrant as error:
            sentence = f"{PORT_REDIRECTION_FILE}, entry {number}: {error}"
            raise BadGrant(sentence) from error
        if redirection.program_name in found:
            raise BadGrant(
                f"{PORT_REDIRECTION_FILE}, entry {number}: {redirection.protocol} port "
                f"{redirection.source_port} is there twice"
            )
        found[redirection.program_name] = redirection
    return tuple(found.values())


def _decode(entry: object, partition_addresses: tuple[str, ...]) -> Redirection:
    if not isinstance(entry, dict):
        raise BadGrant(f"it must be an object, not {shown(entry)}")
    protocol = entry.get("type", "tcp")
    if not isinstance(protocol, str) or protocol.lower() not in PROTOCOLS:
        raise BadGrant(f"type must be tcp or udp, not {shown(protocol)}")
    source = entry.get("srcAddress")
    target = entry.get("destAddress")
    if target is None:
        target = next((each for each in partition_addresses if ":" in each), None)
        if target is None:
            raise BadGrant("destAddress is missing, and the partition has no IPv6")
    return Redirection(
        protocol.lower(),
        _port("srcPort", entry.get("srcPort")),
        _address("destAddress", target),
        _port("destPort", entry.get("destPort")),
        None if source is None else _address("srcAddress", source),
    )


def _port(name: str, value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:6])
    if type(value) is not int or not 1 <= value <= PORT_MAX:
        raise BadGrant(f"{name} must be 1 to {PORT_MAX}, not {shown(value)}")
    return value


def _address(name: str, value: object) -> Address:
    # A scope (%eth0) would end up in a command.
    if isinstance(value, str) and "%" not in value:
        try:
            return ipaddress.ip_address(value)
        except ValueError:
            pass
    raise BadGrant(f"{name} must be an IP address, not {shown(value)}")


def plan_programs(
    redirections: tuple[Redirection, ...],
    privileged_ports: frozenset[int],
    agent_uid: int,
) -> tuple[ProgramDefinition, ...]:
    """The programs of the group, or why one may not be."""
    return tuple(
        ProgramDefinition(
            each.program_name,
            ProgramKind.RUN,
            render_command(each),
            is_root=_needs_root(each, privileged_ports, agent_uid),
        )
        for each in redirections
    )


def _needs_root(
    redirection: Redirection, privileged_ports: frozenset[int], agent_uid: int
) -> bool:
    port = redirection.source_port
    if port >= FIRST_FREE_PORT:
        return False
    if port not in privileged_ports:
        raise BadGrant(
            f"port {port} may not be redirected: choose one from {FIRST_FREE_PORT} on, "
            "or have the operator add it to redirect_port_list"
        )
    if agent_uid != 0:
        raise BadGrant(
            f"port {port} needs an agent that root runs: choose one from "
            f"{FIRST_FREE_PORT} on"
        )
    return True


def render_command(redirection: Redirection) -> str:
    """The command line of socat, a process for each connection."""
    version = 4 if redirection.source is None else redirection.source.version
    protocol = redirection.protocol.upper()
    listening = f"{protocol}{version}-LISTEN:{redirection.source_port}"
    if redirection.source is not None:
        listening += f",bind={_bracketed(redirection.source)}"
    if redirection.protocol == "tcp":
        # Else a port of which a connection was just closed could not be had again.
        listening += ",reuseaddr"
    listening += ",fork"
    target = redirection.target
    return (
        f"socat {listening} "
        f"{protocol}{target.version}:{_bracketed(target)}:{redirection.target_port}"
    )


def _bracketed(address: Address) -> str:
    return f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004
