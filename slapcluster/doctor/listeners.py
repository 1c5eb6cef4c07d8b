"""Shell. Who listens on this computer where a cloud is going to."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from slapcluster.doctor.examination import LISTENERS_MAX, Listener
from stunnel_conf.kernel_sockets import inode_of, read_sockets

PROC = Path("/proc")


def find_listeners(
    ports: Collection[int], own_paths: Collection[str], agent: int | None
) -> tuple[Listener, ...]:
    """Return who listens at these ports, at whichever address.

    A program is our own when one of ``own_paths`` is in its command line, or when it is
    the agent; those of other users are seen by root alone.
    """
    found = [it for it in read_sockets() if it.is_listening and it.local.port in ports]
    holders = _holders({it.inode for it in found}) if found else {}
    listeners = []
    for it in found[:LISTENERS_MAX]:
        pid, words = holders.get(it.inode, (None, []))
        is_ours = any(own in word for word in words for own in own_paths)
        is_own = is_ours or (pid is not None and pid == agent)
        program = words[0].rpartition("/")[2] if words else ""
        listeners.append(Listener(it.local.host, it.local.port, program, is_own))
    return tuple(sorted(listeners, key=lambda it: (it.port, it.host)))


def _holders(inodes: Collection[str]) -> dict[str, tuple[int, list[str]]]:
    """Return the process that has each of these sockets, and its command line."""
    holders = {}
    for process in PROC.iterdir():
        if not process.name.isdecimal():
            continue
        for entry in _descriptors(process):
            with suppress(OSError):
                inode = inode_of(str(entry.readlink()))
                if inode is not None and inode in inodes:
                    line = (process / "cmdline").read_bytes().decode(errors="replace")
                    holders[inode] = (int(process.name), line.split("\0"))
    return holders


def _descriptors(process: Path) -> list[Path]:
    try:
        return list((process / "fd").iterdir())
    except OSError:
        # It ended, or is not ours to see.
        return []
