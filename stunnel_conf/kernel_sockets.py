"""Shell. Sockets of TCP, as the tables of the kernel show them."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from attrs import frozen

from stunnel_conf.links import Endpoint

TABLES: Mapping[str, socket.AddressFamily] = MappingProxyType(
    {"tcp": socket.AF_INET, "tcp6": socket.AF_INET6}
)

_LISTENING = "0A"


@frozen
class KernelSocket:
    """A line of a table; ``origin`` is the other end, ``inode`` is in processes too."""

    inode: str
    local: Endpoint
    origin: Endpoint
    is_listening: bool


def read_sockets(process: str = "self") -> Iterator[KernelSocket]:
    """Read the sockets in the network of a process, whosever they are."""
    for table, family in TABLES.items():
        lines = Path(f"/proc/{process}/net/{table}").read_text(encoding="ascii")
        for line in lines.splitlines()[1:]:
            words = line.split()
            local, origin = (_endpoint(family, it) for it in words[1:3])
            yield KernelSocket(words[9], local, origin, words[3] == _LISTENING)


def inode_of(target: str) -> str | None:
    """Return the socket that a link below ``/proc/PID/fd`` names."""
    inode = target.removeprefix("socket:[").removesuffix("]")
    return inode if target == f"socket:[{inode}]" else None


def _endpoint(family: socket.AddressFamily, text: str) -> Endpoint:
    """Read an address of the kernel: words of 32 bits in the order of this machine."""
    host, _, port = text.partition(":")
    words = [int(host[at : at + 8], 16) for at in range(0, len(host), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return Endpoint(socket.inet_ntop(family, packed), int(port, 16))
