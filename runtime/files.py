"""The files below one directory of this machine.

Each component of a path is opened relative to the one before, never through a link: a
tree may belong to another user, who can replace any directory by a link at any instant.
"""

from __future__ import annotations

# pathlib knows no directory descriptors.
# ruff: noqa: PTH101, PTH102, PTH112, PTH116, PTH120, PTH208
import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from attrs import frozen
from twisted.internet.defer import Deferred
from zope.interface import implementer

from runtime.paths import (
    UNFINISHED_PREFIX,
    absolute_path,
    components,
    parent_and_name,
)
from runtime.ports import DiskSpace, FileKind, FileStatus, IFileTree
from runtime.removal import remove_directory

_DIRECTORY = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Not blocking: a pipe planted in place of a file would stall its reader for ever.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


@implementer(IFileTree)
@frozen
class DirectoryTree:
    """A tree rooted at ``root``, an absolute path that may itself pass through links.

    ``in_thread`` runs a function with arguments in a thread. One program writes a
    file at a time: two would share the name of the unfinished file.
    """

    root: str
    in_thread: Callable[..., Deferred[None]]

    def path(self, relative: str) -> str:
        return absolute_path(self.root, relative)

    def subtree(self, relative: str) -> IFileTree:
        return DirectoryTree(self.path(relative), self.in_thread)

    def read(self, relative: str, bytes_max: int = 16 * 1024 * 1024) -> bytes:
        parents, name = parent_and_name(relative)
        with self._directory(parents) as directory:
            descriptor = os.open(name, _READ, dir_fd=directory)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISDIR(mode):
                raise _error(errno.EISDIR, relative)
            if not stat.S_ISREG(mode):
                raise _error(errno.EINVAL, relative)
            content = file.read(bytes_max + 1)
        if len(content) > bytes_max:
            raise _error(errno.EFBIG, relative)
        return content

    def write(self, relative: str, content: bytes, mode: int = 0o644) -> None:
        parents, name = parent_and_name(relative)
        unfinished = UNFINISHED_PREFIX + name
        with self._directory(parents) as directory, _replacing(directory, unfinished):
            descriptor = os.open(unfinished, _NEW_FILE, 0o600, dir_fd=directory)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(descriptor, mode)
                # The content must be on disk before its name is.
                os.fsync(descriptor)
            os.rename(unfinished, name, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)

    def make_directory(self, relative: str, mode: int = 0o755) -> None:
        names = components(relative)
        if not os.path.isdir(self.root):
            _make_root(self.root)
        for depth in range(1, len(names) + 1):
            with (
                self._directory(names[: depth - 1]) as parent,
                suppress(FileExistsError),
            ):
                os.mkdir(names[depth - 1], 0o755, dir_fd=parent)
                os.fsync(parent)
        with self._directory(names) as directory:
            os.fchmod(directory, mode)
            os.fsync(directory)

    def list(self, relative: str = "") -> tuple[str, ...]:
        with self._directory(components(relative)) as directory:
            names = os.listdir(directory)
        return tuple(sorted(n for n in names if not n.startswith(UNFINISHED_PREFIX)))

    def entries(self, relative: str = "") -> Mapping[str, FileStatus]:
        found = {}
        with (
            self._directory(components(relative)) as directory,
            os.scandir(directory) as entries,
        ):
            for entry in entries:
                if entry.name.startswith(UNFINISHED_PREFIX):
                    continue
                with suppress(FileNotFoundError):  # gone since it was listed
                    found[entry.name] = _status(entry.stat(follow_symlinks=False))
        return dict(sorted(found.items()))

    def status(self, relative: str) -> FileStatus | None:
        names = components(relative)
        try:
            if not names:
                found = os.stat(self.root)
            else:
                with self._directory(names[:-1]) as directory:
                    found = os.lstat(names[-1], dir_fd=directory)
        except FileNotFoundError:
            return None
        return _status(found)

    def change(
        self,
        relative: str,
        mode: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
    ) -> None:
        with self._handle(relative) as handle:
            # The owner before the mode: a new owner clears the set-user-id bit. By
            # the handle, because chmod by name would follow a link.
            entry = f"/proc/self/fd/{handle}"
            if uid is not None or gid is not None:
                os.chown(entry, _or_unchanged(uid), _or_unchanged(gid))
            if mode is not None:
                os.chmod(entry, mode)

    def link(self, relative: str, target: str) -> None:
        parents, name = parent_and_name(relative)
        unfinished = UNFINISHED_PREFIX + name
        with self._directory(parents) as directory, _replacing(directory, unfinished):
            os.symlink(target, unfinished, dir_fd=directory)
            os.rename(unfinished, name, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)

    def target(self, relative: str) -> str:
        parents, name = parent_and_name(relative)
        with self._directory(parents) as directory:
            return os.readlink(name, dir_fd=directory)

    def remove(self, relative: str) -> None:
        parents, name = parent_and_name(relative)
        with suppress(FileNotFoundError), self._directory(parents) as directory:
            is_removed = False
            for each in (UNFINISHED_PREFIX + name, name):
                with suppress(FileNotFoundError):
                    os.unlink(each, dir_fd=directory)
                    is_removed = True
            if is_removed:
                os.fsync(directory)

    def remove_tree(self, relative: str) -> Deferred[None]:
        parents, name = parent_and_name(relative)
        return self.in_thread(self._remove_tree, parents, name)

    def free_bytes(self) -> int:
        found = os.statvfs(self.root)
        return found.f_bavail * found.f_frsize

    def space(self) -> DiskSpace:
        found = os.statvfs(self.root)
        return DiskSpace(
            total_bytes=found.f_blocks * found.f_frsize,
            free_bytes=found.f_bavail * found.f_frsize,
            file_count_max=found.f_files,
            file_count_free=found.f_favail,
        )

    def _remove_tree(self, parents: tuple[str, ...], name: str) -> None:
        with suppress(FileNotFoundError), self._directory(parents) as directory:
            remove_directory(name, directory)
            os.fsync(directory)

    @contextmanager
    def _directory(self, names: tuple[str, ...]) -> Iterator[int]:
        """A readable descriptor of a directory of the tree."""
        if names:
            with self._walk(names[:-1]) as place:
                directory = os.open(names[-1], os.O_RDONLY | _DIRECTORY, dir_fd=place)
        else:
            directory = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield directory
        finally:
            os.close(directory)

    @contextmanager
    def _handle(self, relative: str) -> Iterator[int]:
        """A descriptor of any entry that gives no access to its content."""
        names = components(relative)
        with self._walk(names[:-1]) as place:
            handle = os.open(names[-1] if names else ".", _HANDLE, dir_fd=place)
        try:
            if stat.S_ISLNK(os.fstat(handle).st_mode):
                raise _error(errno.ELOOP, relative)
            yield handle
        finally:
            os.close(handle)

    @contextmanager
    def _walk(self, names: tuple[str, ...]) -> Iterator[int]:
        place = os.open(self.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in names:
                deeper = os.open(name, os.O_PATH | _DIRECTORY, dir_fd=place)
                os.close(place)
                place = deeper
            yield place
        finally:
            os.close(place)


@contextmanager
def _replacing(directory: int, unfinished: str) -> Iterator[None]:
    """Remove the leftover of an earlier life, and that of an attempt that fails."""
    with suppress(FileNotFoundError):
        os.unlink(unfinished, dir_fd=directory)
    try:
        yield
    except OSError:
        with suppress(OSError):
            os.unlink(unfinished, dir_fd=directory)
        raise


def _make_root(path: str) -> None:
    """Make a root with missing parents, each entry durable."""
    parent = os.path.dirname(path)
    if not os.path.isdir(parent):
        _make_root(parent)
    with suppress(FileExistsError):
        os.mkdir(path, 0o755)
    descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _status(found: os.stat_result) -> FileStatus:
    return FileStatus(
        kind=_kind(found.st_mode),
        mode=stat.S_IMODE(found.st_mode),
        size=found.st_size,
        modified=found.st_mtime,
        uid=found.st_uid,
        gid=found.st_gid,
        changed=found.st_ctime,
    )


def _kind(mode: int) -> FileKind:
    if stat.S_ISREG(mode):
        return FileKind.FILE
    if stat.S_ISDIR(mode):
        return FileKind.DIRECTORY
    return FileKind.LINK if stat.S_ISLNK(mode) else FileKind.OTHER


def _or_unchanged(identity: int | None) -> int:
    return -1 if identity is None else identity


def _error(number: int, relative: str) -> OSError:
    return OSError(number, os.strerror(number), relative)
