"""The disk of a simulated host: what programs see, and what can go wrong with it.

Programs see ``current``; what a power loss leaves of that is a matter of its
``persistence``. A disk may be full, slow, stuck, or give other bytes than were written.

Whoever synchronises waits for the disk. A slow or stuck one keeps the process there: in
the simulation its code goes on to the end of the present call, but it makes no more
calls and sends nothing until the disk has answered, and when the host loses its power
or the process is killed before, what it wrote meanwhile was never written. Reads come
from memory and do not wait.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from random import Random
from sys import intern
from zlib import crc32

from attrs import frozen

from labsim.world.clock import LifeClock, WorldClock
from labsim.world.entry import Entry
from labsim.world.persistence import (
    BLOCK_BYTES,
    FileSystem,
    Persistence,
    directories_of,
)
from runtime.ports import FileKind

AMPLE_BYTES = 1 << 40
"""What is free on a disk without a capacity."""


class Layers:
    """What the programs of one life of a host see of its disk."""

    def __init__(
        self, disk: Disk, persistence: Persistence, entries: Mapping[str, Entry]
    ) -> None:
        self._disk = disk
        self.persistence = persistence
        self.capacity_bytes: int | None = None
        self.current = directories_of(entries.items())

    def find(self, path: str) -> Entry | None:
        """The entry at a path; ENOTDIR or ENOENT when its directory is none."""
        parent, name = _split(path)
        return self._names(parent).get(name)

    def names(self, path: str) -> tuple[str, ...]:
        """The names in a directory, sorted."""
        return tuple(sorted(self._names(path)))

    def entries(self, path: str) -> Mapping[str, Entry]:
        """What a directory holds, in no order."""
        return self._names(path)

    def content(self, path: str, entry: Entry) -> bytes:
        """What reading the file at a path gives; EIO for a block that cannot be."""
        return self._disk.content(path, entry)

    def put(self, path: str, entry: Entry) -> None:
        """Make or replace an entry; ENOSPC when there is no room for it."""
        parent, name = _split(path)
        names = self._names(parent)
        old = names.get(name)
        if old != entry:
            # The old content is given back only when the new one has its name.
            self._require_room(max(entry.size, 1), path)
        self.persistence.put(path, entry, old, self._disk.now())
        names[intern(name)] = entry
        if entry.kind is FileKind.DIRECTORY:
            self.current.setdefault(path, {})
        self._disk.record(f"put {path} {entry.kind.value} {crc32(entry.content):08x}")

    def write(self, path: str, entry: Entry) -> None:
        """Put a file with content that is written to other blocks."""
        self.put(path, entry)
        self._disk.mend(path)

    def drop(self, path: str) -> None:
        """Remove an entry, a directory with all it holds."""
        parent, name = _split(path)
        self._drop(path, self._names(parent).pop(name))
        self._disk.record(f"drop {path}")

    def synchronise(self, path: str, life: LifeClock) -> None:
        """Make the entry at a path, or its absence, durable; ``life`` waits for it."""
        self._disk.synchronise(self.persistence, path, life)

    def used_bytes(self) -> int:
        return sum(
            entry.size for names in self.current.values() for entry in names.values()
        )

    def free_bytes(self) -> int:
        if self.capacity_bytes is None:
            return AMPLE_BYTES
        return max(0, self.capacity_bytes - self.used_bytes())

    def _drop(self, path: str, entry: Entry) -> None:
        if entry.kind is FileKind.DIRECTORY:
            for name, below in sorted(self.current.pop(path).items()):
                self._drop(f"{path}/{name}", below)
        self.persistence.drop(path, self._disk.now())

    def _names(self, path: str) -> dict[str, Entry]:
        names = self.current.get(path)
        if names is not None:
            return names
        path = path.rstrip("/")
        if path in self.current:
            return self.current[path]
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


@frozen(eq=False)
class _Waiting:
    """A process that waits for the disk to have written a change."""

    path: str
    number: int
    life: LifeClock


@frozen
class _Damage:
    """A block of some content gives other bytes, or none."""

    content: bytes
    damaged: bytes | None


class Disk:
    """What stays of a host when its power goes.

    ``draw`` gives the stream of random numbers of a purpose.
    """

    def __init__(
        self,
        clock: WorldClock,
        draw: Callable[..., Random],
        record: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._draw = draw
        self._loss_count = 0
        self._corruption = draw("corruption")
        self._damage: dict[str, _Damage] = {}
        self._slow_seconds = 0.0
        self._is_stuck = False
        self._is_busy_until = 0.0
        self._waiting: list[_Waiting] = []
        self.record = record
        self.layers = Layers(self, Persistence(), {})

    def now(self) -> float:
        return self._clock.now

    def use(self, file_system: FileSystem) -> None:
        """Have another file system from now on, with what is there synchronised."""
        self.layers.persistence.synchronise_all()
        self.layers.persistence.file_system = file_system

    def lose_power(self) -> None:
        """Draw what is left; what held the old layers writes into nothing."""
        self._loss_count += 1
        persistence = self._forget_unreached()
        entropy = self._draw("power loss", self._loss_count)
        self._replace(persistence, persistence.lose_power(entropy, self.now()))

    def detach(self) -> None:
        """Keep everything, but what held the old layers writes into nothing."""
        persistence = self._forget_unreached()
        self._replace(persistence, persistence.current())

    def synchronise_all(self) -> None:
        """Everything on disk, as ``sync`` does it."""
        self.layers.persistence.synchronise_all()

    def fill(self) -> None:
        """Leave no room: from here on writes are ENOSPC."""
        self.layers.capacity_bytes = self.layers.used_bytes()

    def empty(self) -> None:
        """Give it room again."""
        self.layers.capacity_bytes = None

    def slow(self, seconds: float) -> None:
        """Take so long to synchronise, one process after the other; 0 ends that."""
        self.record(f"slow {seconds:g}")
        self._slow_seconds = seconds

    def stick(self) -> None:
        """Answer nobody who synchronises, until ``unstick``."""
        self.record("stuck")
        self._is_stuck = True

    def unstick(self) -> None:
        """Answer all who wait."""
        self.record("answers")
        self._is_stuck = False
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            self._finish(each)

    def synchronise(self, persistence: Persistence, path: str, life: LifeClock) -> None:
        if persistence is not self.layers.persistence:
            return
        if not self._is_stuck and not self._slow_seconds and not self._waiting:
            persistence.synchronise(path)
            return
        waiting = _Waiting(path, persistence.change_count, life)
        self._waiting.append(waiting)
        life.pause()
        if not self._is_stuck:
            begin = max(self.now(), self._is_busy_until)
            self._is_busy_until = begin + self._slow_seconds
            self._clock.call_at(self._is_busy_until, self._answer, waiting)

    def corrupt(
        self, path: str | None = None, *, spared: str = "", is_unreadable: bool = False
    ) -> str:
        """Damage a block of a file; its path, ``""`` when there is none.

        Without ``path`` it is any that has content and is not below ``spared``.

        Reading gives other bytes, or EIO when it is unreadable, until the file is
        written anew. Whatever looks at its status sees nothing.
        """
        if path is None:
            paths = sorted(self._files())
            if spared:
                paths = [it for it in paths if not it.startswith(f"{spared}/")]
            path = self._corruption.choice(paths) if paths else ""
        if not path:
            return path
        content = self._files()[path]
        begin = self._corruption.randrange(0, len(content), BLOCK_BYTES)
        block = content[begin : begin + BLOCK_BYTES]
        changed = bytes(byte ^ 0xFF for byte in block)
        damaged = content[:begin] + changed + content[begin + BLOCK_BYTES :]
        self._damage[path] = _Damage(content, None if is_unreadable else damaged)
        self.record(f"corrupt {path} {begin}")
        return path

    def content(self, path: str, entry: Entry) -> bytes:
        """What reading a file gives."""
        damage = self._damage.get(path)
        if damage is None:
            return entry.content
        if damage.content is not entry.content:
            del self._damage[path]
            return entry.content
        if damage.damaged is None:
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return damage.damaged

    def mend(self, path: str) -> None:
        """What is at a path has whole blocks."""
        self._damage.pop(path, None)

    def _files(self) -> dict[str, bytes]:
        return {
            f"{directory}/{name}": entry.content
            for directory, names in self.layers.current.items()
            for name, entry in names.items()
            if entry.kind is FileKind.FILE and entry.content
        }

    def _answer(self, waiting: _Waiting) -> None:
        if waiting in self._waiting and not self._is_stuck:
            self._waiting.remove(waiting)
            self._finish(waiting)

    def _finish(self, waiting: _Waiting) -> None:
        self.layers.persistence.synchronise(waiting.path, waiting.number)
        waiting.life.resume()

    def _forget_unreached(self) -> Persistence:
        """Undo what was written by processes that had not come so far."""
        persistence = self.layers.persistence
        if self._waiting:
            persistence.forget_after(min(it.number for it in self._waiting))
            self._waiting.clear()
        return persistence

    def _replace(self, persistence: Persistence, entries: Mapping[str, Entry]) -> None:
        old = self.layers
        old.persistence = Persistence()
        self.layers = Layers(self, persistence, entries)
        self.layers.capacity_bytes = old.capacity_bytes


def _split(path: str) -> tuple[str, str]:
    """The directory of a path, without a slash at its end, and the name in it."""
    parent, _, name = path.rpartition("/")
    return parent, name
