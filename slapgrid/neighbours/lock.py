"""The lock by which one agent owns an instance root."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path
from typing import Protocol

_OWN_PROGRAM = re.compile(rb"slapgrid|slapcluster")


class AlreadyRunning(Exception):
    """Another agent owns the instance root; the sentence names its process."""


class Lock(Protocol):
    """What owns an instance root while an agent works."""

    def release(self) -> None:
        """Let another agent have it."""


class DirectoryHold:
    """A lock on a directory itself, which leaves nothing behind.

    The owner of the directory can hold it too: it must guard his own affairs only.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """Let another program have it."""
        os.close(self._descriptor)


def hold_directory(path: str) -> DirectoryHold | None:
    """Lock a directory; ``None`` while another program holds it."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return DirectoryHold(descriptor)


class InstanceRootLock:
    """Held from construction to ``release`` or to the end of the process.

    The kernel drops it with the process, however that ends; the number in the file is
    for people only, so a recycled one confuses nobody.
    """

    def __init__(self, path: str) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.read(self._descriptor, 32).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise AlreadyRunning(
                f"another agent (process {owner or 'unknown'}) owns {path}: stop it"
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let another agent have the instance root."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def find_owner(path: str) -> int | None:
    """The process that holds the lock; looking takes nothing.

    The kernel says so; where its list has the file under another number, as on some
    file systems, the file does, when that process is one of ours.
    """
    try:
        found = os.stat(path)  # noqa: PTH116 - beside os.major
        locks = Path("/proc/locks").read_text("ascii").splitlines()
    except OSError:
        return None
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}"
    place = f"{device}:{found.st_ino}"
    for line in locks:
        words = line.split()
        if place in words and "FLOCK" in words:
            return int(words[words.index(place) - 1])
    return _named_owner(path)


def _named_owner(path: str) -> int | None:
    try:
        number = int(Path(path).read_text("ascii"))
        command_line = Path(f"/proc/{number}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return number if _OWN_PROGRAM.search(command_line) else None
