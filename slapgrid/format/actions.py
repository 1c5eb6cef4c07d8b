"""Core. What ``format`` may do to a host, one value each.

Each action may be done again, and what it makes is seen by the next observation: a
format that was interrupted anywhere is continued by another one. They are performed in
the order of a plan; nothing else is changed.
"""

from __future__ import annotations

from attrs import frozen

from slapgrid.format.machine import Interface, Network


@frozen
class RunProgram:
    """Run a program of the system that makes or changes an account or a setting."""

    partition_id: str
    argv: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(self.argv)


@frozen
class ChangeNetwork:
    """A line for ``ip -batch``."""

    partition_id: str
    line: str

    def __str__(self) -> str:
        return f"ip {self.line}"


@frozen
class MakeDirectory:
    """Make a directory, or give an existing one its mode and owner."""

    partition_id: str
    path: str
    mode: int
    owner: str = ""
    """The name of a user; empty for whoever runs the agent."""

    def __str__(self) -> str:
        whose = f" of {self.owner}" if self.owner else ""
        return f"make the directory {self.path}, mode {self.mode:o}{whose}"


@frozen
class WriteFile:
    """Replace a file."""

    partition_id: str
    path: str
    content: bytes

    def __str__(self) -> str:
        return f"write {self.path}"


Action = RunProgram | ChangeNetwork | MakeDirectory | WriteFile


def replace_address(
    partition_id: str, link: str, interface: Interface, *options: str
) -> ChangeNetwork:
    """Give an address to a link."""
    line = f"address replace {interface} dev {link}"
    return ChangeNetwork(partition_id, " ".join((line, *options)))


def add_device(partition_id: str, name: str, kind: str, owner: str) -> ChangeNetwork:
    """Make a tap or a tun that a user may open."""
    return ChangeNetwork(
        partition_id, f"tuntap add dev {name} mode {kind} user {owner}"
    )


def raise_link(partition_id: str, name: str) -> ChangeNetwork:
    """Have a link carry packets."""
    return ChangeNetwork(partition_id, f"link set dev {name} up")


def replace_route(
    partition_id: str,
    destination: Network,
    link: str,
    *,
    gateway: str = "",
    is_local: bool = False,
) -> ChangeNetwork:
    """Say where a network is reached."""
    kind = "local " if is_local else ""
    via = f" via {gateway}" if gateway else ""
    return ChangeNetwork(
        partition_id, f"route replace {kind}{destination}{via} dev {link}"
    )


def allow_nonlocal_binding() -> RunProgram:
    """Let programs listen at any address of a range."""
    return RunProgram("", ("sysctl", "-q", "-w", "net.ipv6.ip_nonlocal_bind=1"))


def make_group(name: str) -> RunProgram:
    """Make a group of the system."""
    return RunProgram("", ("groupadd", "--system", name))


def make_user(
    partition_id: str, name: str, home: str, shell: str, *groups: str
) -> RunProgram:
    """Make an account that nobody can log in to with a password.

    Without ``groups`` of its own (``--gid NAME``), it gets a group of its name.
    """
    options = ("--system", "--no-create-home", "--home-dir", home, "--shell", shell)
    return RunProgram(partition_id, ("useradd", *options, *groups, name))


def change_user(partition_id: str, name: str, *options: str) -> RunProgram:
    """Change an account."""
    return RunProgram(partition_id, ("usermod", *options, name))
