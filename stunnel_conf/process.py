"""Shell. A running stunnel of this computer, by its pid and by what Linux says of it.

stunnel has no command that closes a connection, and a configuration that it reads anew
lets all of them live. So a socket of it is duplicated (``pidfd_getfd``) and shut down.
That is for who may trace the process: its user, where the kernel allows that at all.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from stunnel_conf.journal import Journal
from stunnel_conf.kernel_sockets import inode_of, read_sockets
from stunnel_conf.links import Endpoint
from stunnel_conf.rendering import CONFIGURATION, LOG, PID

PIDFD_GETFD = 438
"""The number of the system call, the same on all architectures; Linux 5.6."""


class CannotClose(Exception):
    """The kernel lets nobody but stunnel close its connections; why."""


@frozen
class _Socket:
    """One of the process: ``origin`` is where it was connected from."""

    descriptor: int
    local: Endpoint
    origin: str
    is_listening: bool


class StunnelProcess:
    """The stunnel that reads its configuration from ``home``, if it runs."""

    def __init__(self, home: str) -> None:
        self._home = Path(home)
        self._journal = Journal()
        self._read_count = 0

    def pid(self) -> int | None:
        """Return its process id, or nothing when it does not run."""
        try:
            pid = int((self._home / PID).read_text(encoding="ascii"))
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        configuration = os.fsencode(self._home / CONFIGURATION)
        return pid if configuration in command.split(b"\0") else None

    def find(self) -> int | None:
        """Return its process id, also of one that has not written it yet."""
        configuration = os.fsencode(self._home / CONFIGURATION)
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (place / "cmdline").read_bytes().split(b"\0")
                # Before it is stunnel, a child has the command line of its parent.
                if words[1:] == [configuration, b""]:
                    return int(place.name)
        return self.pid()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        pid = self.find()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def reload(self) -> None:
        """Have it read its configuration anew."""
        pid = self.pid()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGHUP)

    def journal(self) -> Journal:
        """Return what its log says; what is known of it is not read again."""
        try:
            with (self._home / LOG).open("rb") as file:
                if os.fstat(file.fileno()).st_size < self._read_count:
                    self._journal, self._read_count = Journal(), 0
                file.seek(self._read_count)
                # The end of a line that is being written is for the next look.
                lines = file.read().splitlines(keepends=True)
                while lines and not lines[-1].endswith(b"\n"):
                    lines.pop()
        except FileNotFoundError:
            return Journal()
        self._read_count += sum(map(len, lines))
        self._journal.take(it.decode(errors="replace") for it in lines)
        return self._journal

    def listening(self) -> frozenset[Endpoint]:
        """Return where it listens."""
        pid = self.pid()
        if pid is None:
            return frozenset()
        return frozenset(it.local for it in _sockets(pid) if it.is_listening)

    def close(self, origins: Collection[str]) -> int:
        """Close the connections that came from there, and count them."""
        pid = self.pid()
        if pid is None or not origins:
            return 0
        count = 0
        process = os.pidfd_open(pid)
        try:
            for each in _sockets(pid):
                if not each.is_listening and each.origin in origins:
                    count += _shut_down(process, each)
        finally:
            os.close(process)
        return count


def _shut_down(process: int, closed: _Socket) -> bool:
    """Say whether it was still that connection."""
    libc = ctypes.CDLL(None, use_errno=True)
    own = libc.syscall(PIDFD_GETFD, process, closed.descriptor, 0)
    if own < 0:
        number = ctypes.get_errno()
        raise CannotClose(os.strerror(number))
    # Between the look and now the number may have become another file.
    with suppress(OSError), socket.socket(fileno=own) as duplicate:
        host, port = duplicate.getpeername()[:2]
        if f"{host}:{port}" == closed.origin:
            duplicate.shutdown(socket.SHUT_RDWR)
            return True
    return False


def _sockets(pid: int) -> Iterator[_Socket]:
    descriptors = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            inode = inode_of(str(entry.readlink()))
            if inode is not None:
                descriptors[inode] = int(entry.name)
    for it in read_sockets(str(pid)):
        descriptor = descriptors.get(it.inode)
        if descriptor is not None:
            yield _Socket(descriptor, it.local, it.origin.joined, it.is_listening)
