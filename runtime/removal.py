"""Removing a directory that somebody else filled.

Its owner may have made parts of it unreadable, planted links, and nested directories
deeper than a process has descriptors. Directories are therefore opened one by one and
never through a link, made accessible first, and one that lies too deep is moved up to
the top and emptied from there.
"""

from __future__ import annotations

# pathlib knows no directory descriptors.
# ruff: noqa: PTH101, PTH208
import os
import stat
from contextlib import suppress

from runtime.paths import UNFINISHED_PREFIX

DEPTH_MAX = 50
"""Directories held open at once; builds seldom nest deeper."""

_HANDLE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_directory(name: str, parent: int) -> None:
    """Remove ``name`` in the open directory ``parent`` with all it holds.

    Something other than a directory is ``NotADirectoryError``.
    """
    top = _open_accessible(name, parent)
    try:
        while names := sorted(os.listdir(top)):
            for entry in names:
                _remove_entry(entry, top, top, 1)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)


def _remove_entry(name: str, parent: int, top: int, depth: int) -> None:
    with suppress(FileNotFoundError):
        if not stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
            os.unlink(name, dir_fd=parent)
        elif depth < DEPTH_MAX:
            directory = _open_accessible(name, parent)
            try:
                for entry in sorted(os.listdir(directory)):
                    _remove_entry(entry, directory, top, depth + 1)
            finally:
                os.close(directory)
            os.rmdir(name, dir_fd=parent)
        else:
            _move_up(name, parent, top)


def _move_up(name: str, parent: int, top: int) -> None:
    os.close(_open_accessible(name, parent))  # moving it changes its ".."
    taken = set(os.listdir(top))
    number = 0
    while (place := f"{UNFINISHED_PREFIX}{number}") in taken:
        number += 1
    os.rename(name, place, src_dir_fd=parent, dst_dir_fd=top)


def _open_accessible(name: str, parent: int) -> int:
    """Open a directory for reading after giving its owner all rights on it."""
    handle = os.open(name, _HANDLE, dir_fd=parent)
    try:
        mode = stat.S_IMODE(os.fstat(handle).st_mode)
        if mode & stat.S_IRWXU != stat.S_IRWXU:
            os.chmod(f"/proc/self/fd/{handle}", mode | stat.S_IRWXU)
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=handle)
    finally:
        os.close(handle)
