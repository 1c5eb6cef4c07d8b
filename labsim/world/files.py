"""The files of a simulated host, with the durability that the port promises."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from attrs import frozen
from twisted.internet.defer import Deferred
from zope.interface import implementer

from labsim.world.clock import LifeClock
from labsim.world.disk import Layers
from labsim.world.entry import Entry, change_entry
from runtime.paths import absolute_path, components, parent_and_name
from runtime.ports import DiskSpace, FileKind, FileStatus, ICalendar, IFileTree

REMOVAL_SECONDS = 0.02
"""Removing a tree takes two such steps; a power loss between them leaves a part."""

_ROOT = Entry(FileKind.DIRECTORY, 0o755, 0.0)


@implementer(IFileTree)
@frozen
class DiskTree:
    """A tree on the disk of one life of a host.

    Without ``is_durable`` nothing is synchronised: that is how most programs write.
    """

    layers: Layers
    clock: LifeClock
    calendar: ICalendar
    root: str
    is_durable: bool = True

    def path(self, relative: str) -> str:
        return absolute_path(self.root, relative)

    def subtree(self, relative: str) -> IFileTree:
        return DiskTree(
            self.layers,
            self.clock,
            self.calendar,
            self.path(relative),
            self.is_durable,
        )

    def read(self, relative: str, bytes_max: int = 16 * 1024 * 1024) -> bytes:
        parent_and_name(relative)
        entry = self._existing(relative)
        if entry.kind is FileKind.DIRECTORY:
            raise _error(errno.EISDIR, relative)
        if entry.kind is FileKind.LINK:
            raise _error(errno.ELOOP, relative)
        if len(entry.content) > bytes_max:
            raise _error(errno.EFBIG, relative)
        return self.layers.content(self.path(relative), entry)

    def write(self, relative: str, content: bytes, mode: int = 0o644) -> None:
        self._replace(
            relative,
            Entry(FileKind.FILE, mode, self.calendar.now(), content=bytes(content)),
        )

    def make_directory(self, relative: str, mode: int = 0o755) -> None:
        names = self.path("").strip("/").split("/") if self.path("") != "/" else []
        path = ""
        for name in (*names, *components(relative)):
            path = f"{path}/{name}"
            if self.layers.find(path) is None:
                self._put(path, Entry(FileKind.DIRECTORY, 0o755, self.calendar.now()))
        if path:
            entry = self.layers.find(path)
            assert entry is not None
            if entry.kind is not FileKind.DIRECTORY:
                raise _error(errno.ENOTDIR, relative)
            self._put(path, change_entry(entry, mode, None, None))

    def list(self, relative: str = "") -> tuple[str, ...]:
        return self.layers.names(self.path(relative))

    def entries(self, relative: str = "") -> Mapping[str, FileStatus]:
        names = self.layers.entries(self.path(relative))
        return {name: names[name].status for name in sorted(names)}

    def status(self, relative: str) -> FileStatus | None:
        try:
            return self._existing(relative).status
        except FileNotFoundError:
            return None

    def change(
        self,
        relative: str,
        mode: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
    ) -> None:
        components(relative)
        entry = self._existing(relative)
        if entry.kind is FileKind.LINK:
            raise _error(errno.ELOOP, relative)
        self.layers.put(self.path(relative), change_entry(entry, mode, uid, gid))

    def link(self, relative: str, target: str) -> None:
        self._replace(
            relative,
            Entry(FileKind.LINK, 0o777, self.calendar.now(), target=target),
        )

    def target(self, relative: str) -> str:
        parent_and_name(relative)
        entry = self._existing(relative)
        if entry.kind is not FileKind.LINK:
            raise _error(errno.EINVAL, relative)
        return entry.target

    def remove(self, relative: str) -> None:
        parent_and_name(relative)
        path = self.path(relative)
        try:
            entry = self._existing(relative)
        except FileNotFoundError:
            return
        if entry.kind is FileKind.DIRECTORY:
            raise _error(errno.EISDIR, relative)
        self.layers.drop(path)
        self._synchronise(path)

    def remove_tree(self, relative: str) -> Deferred[None]:
        parent_and_name(relative)
        removed: Deferred[None] = Deferred()
        self.clock.callLater(REMOVAL_SECONDS, self._empty, relative, removed)
        return removed

    def free_bytes(self) -> int:
        return self.layers.free_bytes()

    def space(self) -> DiskSpace:
        free_bytes = self.layers.free_bytes()
        return DiskSpace(self.layers.used_bytes() + free_bytes, free_bytes, 0, 0)

    def _empty(self, relative: str, removed: Deferred[None]) -> None:
        """Remove the first half of what a directory holds."""
        path = self.path(relative)
        try:
            entry = self._existing(relative)
        except FileNotFoundError:
            removed.callback(None)
            return
        if entry.kind is not FileKind.DIRECTORY:
            removed.errback(_error(errno.ENOTDIR, relative))
            return
        names = self.layers.names(path)
        for name in names[: (len(names) + 1) // 2]:
            self.layers.drop(f"{path}/{name}")
            self._synchronise(f"{path}/{name}")
        self.clock.callLater(REMOVAL_SECONDS, self._finish, path, removed)

    def _finish(self, path: str, removed: Deferred[None]) -> None:
        self.layers.drop(path)
        self._synchronise(path)
        removed.callback(None)

    def _existing(self, relative: str) -> Entry:
        path = self.path(relative)
        entry = _ROOT if path == "/" else self.layers.find(path)
        if entry is None:
            raise _error(errno.ENOENT, relative)
        return entry

    def _replace(self, relative: str, entry: Entry) -> None:
        parent_and_name(relative)
        path = self.path(relative)
        old = self.layers.find(path)
        if old is not None and old.kind is FileKind.DIRECTORY:
            raise _error(errno.EISDIR, relative)
        self.layers.write(path, entry)
        self._synchronise(path)

    def _put(self, path: str, entry: Entry) -> None:
        self.layers.put(path, entry)
        self._synchronise(path)

    def _synchronise(self, path: str) -> None:
        if self.is_durable:
            self.layers.synchronise(path, self.clock)


def _error(number: int, relative: str) -> OSError:
    return OSError(number, os.strerror(number), relative)
