"""What of a disk survives a power loss: changes that are pending, and the others.

Three file systems, each with its own answer. Of Linux's ext4 as it is mounted by
default (``data=ordered``, with a journal) these facts are modelled:

- Changes of names, sizes, modes and owners go to the journal in the order in which they
  were made. Its transactions are written whole and in order: when they are 5 s old
  (``commit=5``), and when anybody synchronises anything on this file system. So after a
  power loss names are as they were at one instant: not before the last synchronisation,
  and at most 5 s ago.
- Content is not in the journal. A transaction is written after the blocks that it gives
  to files, so a file never shows what it did not have; but blocks are given late, when
  content is written back: within 30 s (``dirty_expire_centisecs``) and the 5 s in which
  that is looked at. A file that was created meanwhile is empty or has its first blocks.
- A file that is truncated and written anew is written back when it is closed, and one
  that is replaced by a rename when the rename is written (``auto_da_alloc``): it has
  its new content, or its old one, or after a truncation none.
- Synchronising a file writes its content and all names; synchronising a directory all
  names.

``LOOSE`` is what POSIX allows and other file systems come closer to (those that log the
files that are synchronised, and those only): each name, content and mode is written
alone, in any order, unless it was synchronised itself; a name needs that of its
directory. ``FORGETFUL`` loses all that was not synchronised, however old it is.

What is pending belongs to the disk, not to the programs: killing them changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from random import Random
from typing import TypeVar

from attrs import evolve, frozen

from labsim.world.entry import Entry
from runtime.ports import FileKind

COMMIT_SECONDS = 5.0
"""When the journal writes what it has."""

WRITEBACK_SECONDS = 35.0
"""By then content is on disk that nobody has synchronised."""

BLOCK_BYTES = 4096
"""The unit in which content is written."""

TRUNCATED_FRACTION = 0.1
"""How often the moment between truncating and writing again is that of the loss."""

PENDING_MAX = 4096
"""Changes of a disk; more are looked through for those that a commit has taken."""

VERSIONS_MAX = 16
"""Of one name, of which any may be left; the older ones look like the others."""

T = TypeVar("T")


class FileSystem(Enum):
    """Which one a disk has."""

    EXT4 = "ext4"
    LOOSE = "loose"
    FORGETFUL = "forgetful"


@frozen
class _Dirt:
    """Content that nobody has synchronised, since when, and whether its file is new."""

    at: float
    is_new: bool


@frozen
class _Change:
    """An entry was put at a path, or dropped. ``number`` is its place among all."""

    number: int
    at: float
    entry: Entry | None
    dirt: _Dirt | None


class Persistence:
    """What is on disk, and what is not there yet."""

    def __init__(self, file_system: FileSystem = FileSystem.EXT4) -> None:
        self.file_system = file_system
        self._durable: dict[str, Entry] = {}
        self._dirt: dict[str, _Dirt] = {}  # of what is durable but for its content
        self._pending: dict[str, list[_Change]] = {}
        self._pending_count = 0
        self._change_count = 0

    @property
    def change_count(self) -> int:
        """How many changes there were; the number of the last one."""
        return self._change_count

    def put(self, path: str, entry: Entry, old: Entry | None, at: float) -> None:
        """A file, directory or link was made or replaced."""
        dirt = self._dirt_of(path)
        if entry.kind is not FileKind.FILE:
            dirt = None
        elif old is None or old.kind is not FileKind.FILE:
            dirt = _Dirt(at, is_new=True)
        elif old.content != entry.content:
            dirt = _Dirt(at, is_new=dirt is not None and dirt.is_new)
        self._note(path, at, entry, dirt)

    def drop(self, path: str, at: float) -> None:
        """What was at a path is no more."""
        self._note(path, at, None, None)

    def rename(self, path: str, target: str, entry: Entry, at: float) -> None:
        """A file got another name, and replaced what had that."""
        dirt = self._dirt_of(path)
        if dirt is not None and self._exists(target):
            dirt = None if self.file_system is FileSystem.EXT4 else dirt
        self._note(target, at, entry, dirt)
        self._note(path, at, None, None)

    def synchronise(self, path: str, number: int | None = None) -> None:
        """Write name and content of what was at a path, as of a change."""
        number = self._change_count if number is None else number
        if self.file_system is FileSystem.EXT4:
            self._commit(number)
        else:
            self._fold(path, number)
        self._dirt.pop(path, None)

    def synchronise_content(self, path: str) -> None:
        """What fsync of a file does."""
        if self.file_system is FileSystem.EXT4:
            self._commit(self._change_count)
        self._dirt.pop(path, None)
        if path in self._pending:
            changes = self._pending[path]
            self._pending[path] = [evolve(change, dirt=None) for change in changes]

    def synchronise_names(self, directory: str) -> None:
        """What fsync of a directory does."""
        for path in tuple(self._pending):
            is_named_here = path.rpartition("/")[0] == directory
            if is_named_here or self.file_system is FileSystem.EXT4:
                self._fold(path, self._change_count)

    def synchronise_all(self) -> None:
        self._commit(self._change_count)
        self._dirt.clear()

    def current(self) -> Mapping[str, Entry]:
        """Everything, as programs see it."""
        found = dict(self._durable)
        for path, changes in self._pending.items():
            _apply(found, path, changes[-1].entry)
        return _reachable(found)

    def forget_after(self, number: int) -> None:
        """Undo the changes after one: nobody came so far."""
        for path in tuple(self._pending):
            kept = [it for it in self._pending[path] if it.number <= number]
            if kept:
                self._pending[path] = kept
            else:
                del self._pending[path]
        self._count()

    def lose_power(self, entropy: Random, now: float) -> Mapping[str, Entry]:
        """Draw what is left, and keep it as all there is."""
        if self.file_system is FileSystem.EXT4:
            left = self._left_by_ext4(entropy, now)
        elif self.file_system is FileSystem.LOOSE:
            left = self._left_loosely(entropy, now)
        else:
            left = dict(self._durable)
        self._durable = _reachable(left)
        self._pending.clear()
        self._pending_count = 0
        self._dirt.clear()
        return self._durable

    def _left_by_ext4(self, entropy: Random, now: float) -> dict[str, Entry]:
        left, dirts = dict(self._durable), dict(self._dirt)
        changes = self._in_order()
        old_count = sum(now - change.at > COMMIT_SECONDS for _, _, change in changes)
        kept_count = entropy.randint(old_count, len(changes))
        for _, path, change in changes[:kept_count]:
            _apply(left, path, change.entry)
            _apply(dirts, path, change.dirt)
        for path in sorted(dirts):
            left[path] = _written_back(left[path], dirts[path], entropy, now)
        return left

    def _left_loosely(self, entropy: Random, now: float) -> dict[str, Entry]:
        left = dict(self._durable)
        for path in sorted(self._dirt):
            dirt = evolve(self._dirt[path], is_new=True)
            left[path] = _written_back(left[path], dirt, entropy, now)
        for path in sorted(self._pending):
            changes = self._pending[path]
            old_count = sum(now - it.at > WRITEBACK_SECONDS for it in changes)
            kept_count = entropy.randint(old_count, len(changes))
            if kept_count == 0:
                continue
            change = changes[kept_count - 1]
            _apply(left, path, change.entry)
            if change.dirt is not None:
                dirt = evolve(change.dirt, is_new=True)
                left[path] = _written_back(left[path], dirt, entropy, now)
        return left

    def _exists(self, path: str) -> bool:
        changes = self._pending.get(path)
        return changes[-1].entry is not None if changes else path in self._durable

    def _dirt_of(self, path: str) -> _Dirt | None:
        changes = self._pending.get(path)
        return changes[-1].dirt if changes else self._dirt.get(path)

    def _note(
        self, path: str, at: float, entry: Entry | None, dirt: _Dirt | None
    ) -> None:
        self._change_count += 1
        change = _Change(self._change_count, at, entry, dirt)
        changes = self._pending.setdefault(path, [])
        changes.append(change)
        self._pending_count += 1
        if self.file_system is not FileSystem.EXT4:
            del changes[:-VERSIONS_MAX]
        elif self._pending_count > PENDING_MAX:
            self._commit_old(at)

    def _commit(self, number: int) -> None:
        for path in tuple(self._pending):
            self._fold(path, number)

    def _commit_old(self, now: float) -> None:
        """What the journal has written by now."""
        for path in tuple(self._pending):
            old = [it for it in self._pending[path] if now - it.at > COMMIT_SECONDS]
            if old:
                self._fold(path, old[-1].number)
        self._count()

    def _count(self) -> None:
        self._pending_count = sum(map(len, self._pending.values()))

    def _fold(self, path: str, number: int) -> None:
        """Write the changes at a path up to one."""
        changes = self._pending.get(path, [])
        written = [change for change in changes if change.number <= number]
        if written:
            _apply(self._durable, path, written[-1].entry)
            _apply(self._dirt, path, written[-1].dirt)
        if len(written) == len(changes):
            self._pending.pop(path, None)
        else:
            self._pending[path] = changes[len(written) :]

    def _in_order(self) -> list[tuple[int, str, _Change]]:
        return sorted(
            (change.number, path, change)
            for path, changes in self._pending.items()
            for change in changes
        )


def _apply(found: dict[str, T], path: str, value: T | None) -> None:
    if value is None:
        found.pop(path, None)
    else:
        found[path] = value


def _written_back(entry: Entry, dirt: _Dirt, entropy: Random, now: float) -> Entry:
    """What content a file has that nobody has synchronised."""
    if now - dirt.at > WRITEBACK_SECONDS:
        return entry
    if dirt.is_new:
        block_count = -(-len(entry.content) // BLOCK_BYTES)
        kept_bytes = entropy.randint(0, block_count) * BLOCK_BYTES
        return evolve(entry, content=entry.content[:kept_bytes])
    if entropy.random() < TRUNCATED_FRACTION:
        return evolve(entry, content=b"")
    return entry


def _reachable(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """Those whose directories are there."""
    left: dict[str, Entry] = {}
    for path in sorted(entries, key=_depth_and_path):
        parent = path.rpartition("/")[0]
        if not parent or (parent in left and left[parent].kind is FileKind.DIRECTORY):
            left[path] = entries[path]
    return left


def _depth_and_path(path: str) -> tuple[int, str]:
    return path.count("/"), path


def directories_of(entries: Iterable[tuple[str, Entry]]) -> dict[str, dict[str, Entry]]:
    """The entries of each directory, by its path; the root is ``""``."""
    found: dict[str, dict[str, Entry]] = {"": {}}
    for path, entry in sorted(entries, key=lambda item: _depth_and_path(item[0])):
        parent, _, name = path.rpartition("/")
        found[parent][name] = entry
        if entry.kind is FileKind.DIRECTORY:
            found[path] = {}
    return found
