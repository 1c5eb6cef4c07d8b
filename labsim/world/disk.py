"""The disk of a simulated host: what programs see, and what a power loss leaves.

Two layers of entries. Programs see ``current``. ``synchronise`` copies an entry to
``durable``, where it counts only if the directory that names it is there too. A power
loss makes ``current`` what ``durable`` is.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from zlib import crc32

from attrs import evolve, frozen

from runtime.ports import FileKind

BLOCK_BYTES = 4096
"""What a directory or a link takes."""

AMPLE_BYTES = 1 << 40
"""What is free on a disk without a capacity."""


@frozen
class Entry:
    """A file, directory or link."""

    kind: FileKind
    mode: int
    modified: float
    content: bytes = b""
    target: str = ""
    uid: int = 0
    gid: int = 0

    @property
    def size(self) -> int:
        if self.kind is FileKind.DIRECTORY:
            return BLOCK_BYTES
        return len(self.content) if self.kind is FileKind.FILE else len(self.target)


Layer = dict[str, dict[str, Entry]]
"""The entries of each directory, by its absolute path; the root is ``""``."""


class Layers:
    """Both layers, during one life of a host."""

    def __init__(self, record: Callable[[str], None], durable: Layer) -> None:
        self._record = record
        self.capacity_bytes: int | None = None
        self.durable = durable
        self.current = _copy(durable)

    def find(self, path: str) -> Entry | None:
        """The entry at a path; ENOTDIR or ENOENT when its directory is none."""
        parent, name = _split(path)
        return self._names(parent).get(name)

    def names(self, path: str) -> tuple[str, ...]:
        """The names in a directory, sorted."""
        return tuple(sorted(self._names(path)))

    def put(self, path: str, entry: Entry) -> None:
        """Make or replace an entry; ENOSPC when there is no room for it."""
        parent, name = _split(path)
        names = self._names(parent)
        if names.get(name) != entry:
            # The old content is given back only when the new one has its name.
            self._require_room(max(entry.size, 1), path)
        names[name] = entry
        if entry.kind is FileKind.DIRECTORY:
            self.current.setdefault(path, {})
        self._record(f"put {path} {entry.kind.value} {crc32(entry.content):08x}")

    def drop(self, path: str) -> None:
        """Remove an entry, a directory with all it holds."""
        parent, name = _split(path)
        del self._names(parent)[name]
        _drop_below(self.current, path)
        self._record(f"drop {path}")

    def synchronise(self, path: str) -> None:
        """Make the entry at a path, or its absence, durable."""
        parent, name = _split(path)
        if parent not in self.durable:
            return
        entry = self.current.get(parent, {}).get(name)
        if entry is None:
            self.durable[parent].pop(name, None)
            _drop_below(self.durable, path)
            return
        self.durable[parent][name] = entry
        if entry.kind is FileKind.DIRECTORY:
            self.durable.setdefault(path, {})

    def used_bytes(self) -> int:
        return sum(
            entry.size for names in self.current.values() for entry in names.values()
        )

    def free_bytes(self) -> int:
        if self.capacity_bytes is None:
            return AMPLE_BYTES
        return max(0, self.capacity_bytes - self.used_bytes())

    def _names(self, path: str) -> dict[str, Entry]:
        path = path.rstrip("/")
        names = self.current.get(path)
        if names is not None:
            return names
        while path:
            parent, name = _split(path)
            if parent in self.current:
                number = errno.ENOTDIR if name in self.current[parent] else errno.ENOENT
                raise OSError(number, os.strerror(number), path)
            path = parent
        raise AssertionError("the root is always there")

    def _require_room(self, byte_count: int, path: str) -> None:
        if byte_count > self.free_bytes():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


def _split(path: str) -> tuple[str, str]:
    """The directory of a path, without a slash at its end, and the name in it."""
    parent, _, name = path.rpartition("/")
    return parent, name


def _copy(layer: Layer) -> Layer:
    return {path: dict(names) for path, names in layer.items()}


def _drop_below(layer: Layer, path: str) -> None:
    for directory in list(layer):
        if directory == path or directory.startswith(path + "/"):
            del layer[directory]


class Disk:
    """What stays of a host when its power goes."""

    def __init__(self, record: Callable[[str], None]) -> None:
        self._record = record
        self.layers = Layers(record, {"": {}})

    def lose_power(self) -> None:
        """Drop what was not durable; what held the old layers writes into nothing."""
        old = self.layers
        self.layers = Layers(self._record, _copy(old.durable))
        self.layers.capacity_bytes = old.capacity_bytes

    def detach(self) -> None:
        """Keep everything, but what held the old layers writes into nothing."""
        old = self.layers
        self.lose_power()
        self.layers.current = _copy(old.current)

    def synchronise_all(self) -> None:
        """Everything on disk, as ``sync`` does it."""
        self.layers.durable = _copy(self.layers.current)

    def fill(self) -> None:
        """Leave no room: from here on writes are ENOSPC."""
        self.layers.capacity_bytes = self.layers.used_bytes()

    def empty(self) -> None:
        """Give it room again."""
        self.layers.capacity_bytes = None


def change_entry(
    entry: Entry, mode: int | None, uid: int | None, gid: int | None
) -> Entry:
    """The entry with another mode or owner."""
    return evolve(
        entry,
        mode=entry.mode if mode is None else mode,
        uid=entry.uid if uid is None else uid,
        gid=entry.gid if gid is None else gid,
    )
