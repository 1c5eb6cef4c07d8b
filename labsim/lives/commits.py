"""Shell. What a power loss leaves of a store in a file, and of its backups.

The real storage writes to a directory of this machine, and what it synchronises there
is recorded. After each commit the power is lost on a copy: of what was not synchronised
each block, each length and each name may be the old one or a later one. What was
acknowledged is there, and of what was refused nothing. Some commits meet a disk that
fails once to synchronise: that one is refused, and the next one is made.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from traceback import format_exception
from typing import Any

from attrs import define, field

from labsim.world.persistence import BLOCK_BYTES
from labsim.world.world import World
from master_cluster.store import decisions
from master_cluster.store.backup import back_up
from master_cluster.store.cloud import Cloud
from master_cluster.store.content import verify
from master_cluster.store.storages import open_database
from master_cluster.store.store import Store
from slap.errors import Unavailable
from slap.model import ComputerDefinition, PartitionDefinition

STORAGE: Any = import_module("ZODB.FileStorage.FileStorage")
"""The module, which has ``fsync`` under a name of its own."""

ROUNDS = 12
LOSSES = 4
"""Of each instant: each leaves something else of what was not synchronised."""

PARTITIONS_MAX = 60
"""A computer of so many is several blocks."""

STORE, BACKUP = "store", "backup"
"""Directories; a backup is on another disk."""

FILE = "Data.fs"


@define(eq=False)
class File:
    """What programs wrote to a file: the first version is on the disk."""

    versions: list[bytes] = field(factory=lambda: [b""])

    def write(self, content: bytes) -> None:
        if content != self.versions[-1]:
            self.versions.append(content)

    def synchronise(self) -> None:
        del self.versions[:-1]

    def left(self, entropy: Random) -> bytes:
        """What is there when the power is gone: blocks are written in any order."""
        size = len(entropy.choice(self.versions))
        blocks = (
            entropy.choice(self.versions)[at : at + BLOCK_BYTES].ljust(
                BLOCK_BYTES, b"\0"
            )
            for at in range(0, size, BLOCK_BYTES)
        )
        return b"".join(blocks)[:size]


class RecordedDisk:
    """A directory of this machine, and what is on its disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.failure_count = 0
        self._files: dict[int, File] = {}
        self._names: dict[str, File] = {}
        self._durable_names: dict[str, File] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Record what this process synchronises from here on."""
        originals = os.fsync, STORAGE.fsync
        os.fsync = self._synchronise  # type: ignore[assignment] # a descriptor alone
        # The first failure is that of the commit; taking it back succeeds.
        STORAGE.fsync = self._fail_or_synchronise
        try:
            yield
        finally:
            os.fsync, STORAGE.fsync = originals

    def look(self) -> None:
        """Note what programs see now."""
        inodes: dict[int, File] = {}
        names: dict[str, File] = {}
        for path in sorted(self.root.iterdir()):
            number = path.stat().st_ino
            # A number that was not there is that of another file.
            found = inodes.get(number) or self._files.get(number) or File()
            found.write(path.read_bytes())
            inodes[number] = names[path.name] = found
        self._files, self._names = inodes, names

    def lose_power(self, entropy: Random, root: Path) -> None:
        """Put into another directory what is left."""
        self.look()
        for name in sorted(self._names.keys() | self._durable_names.keys()):
            places = self._durable_names, self._names
            found = entropy.choice(places).get(name)
            if found is not None:
                (root / name).write_bytes(found.left(entropy))

    def _fail_or_synchronise(self, descriptor: int) -> None:
        if self.failure_count:
            self.failure_count -= 1
            self.look()
            raise OSError(errno.EIO, "the disk is as drawn")
        self._synchronise(descriptor)

    def _synchronise(self, descriptor: Any) -> None:
        self.look()
        number = os.fstat(descriptor).st_ino
        if number in self._files:
            self._files[number].synchronise()
        elif self.root.stat().st_ino == number:
            self._durable_names = dict(self._names)


def _watch_nothing(*_: int) -> None:
    """Nobody wants to know."""


@define(eq=False)
class Life:
    """A store in a file below a directory of this machine."""

    world: World
    root: Path
    acknowledged: list[str] = field(factory=list)
    entropy: Random = field(init=False)
    _disks: dict[str, RecordedDisk] = field(init=False)
    _store: Store | None = None

    def __attrs_post_init__(self) -> None:
        self.entropy = self.world.entropy("commits")
        self._disks = {}
        for name in (STORE, BACKUP):
            self.root.joinpath(name).mkdir()
            self._disks[name] = RecordedDisk(self.root / name)

    def play(self) -> Iterator[str]:
        """Play all rounds; yield what does not hold."""
        for number in range(ROUNDS):
            if self._store is None or self.entropy.random() < 1 / 4:
                self._begin_again()
            yield from self._commit(f"COMP-{number}")
            yield from self._lose_store()
        yield from self._back_up()
        self._close()
        self.world.finish()

    def _begin_again(self) -> None:
        self._close()
        with self._disks[STORE].listening():
            self._store = self._open(self.root / STORE)
            self.world.result(self._store.prepare())

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()

    def _open(self, directory: Path) -> Store:
        runtime = self.world.host("master").runtime
        database = open_database(f"file:{directory / FILE}", runtime.calendar)
        return Store(database, runtime)

    def _commit(self, computer_id: str) -> Iterator[str]:
        assert self._store is not None
        count = self.entropy.randint(1, PARTITIONS_MAX)
        partitions = tuple(PartitionDefinition(f"slappart{it}") for it in range(count))
        definition = ComputerDefinition(computer_id, partitions=partitions)
        disk = self._disks[STORE]
        is_failing = self.entropy.random() < 1 / 3
        disk.failure_count = int(is_failing)
        with disk.listening():
            committing = self._store.decide(
                lambda it, _: decisions.define_computer(it, definition, 0.0)
            )
            try:
                self.world.result(committing)
            except Unavailable as error:
                if not is_failing:
                    yield f"the disk is well, and {computer_id} is refused: {error}"
            else:
                self.acknowledged.append(computer_id)

    def _lose_store(self) -> Iterator[str]:
        for left in self._losses(STORE):
            found = self._read(left)
            if found != self.acknowledged:
                yield f"{_told(found)} are left of {_told(self.acknowledged)}"

    def _read(self, directory: Path) -> list[str]:
        if not directory.joinpath(FILE).exists():
            return []
        store = self._open(directory)
        self.world.result(store.prepare())
        found = self.world.result(store.ask(Cloud.computer_ids))
        store.close()
        return list(found)

    def _back_up(self) -> Iterator[str]:
        path, target = self.root / STORE / FILE, self.root / BACKUP / FILE
        with self._disks[BACKUP].listening():
            content = back_up(path, target, _watch_nothing, is_forced=False)
        for left in self._losses(BACKUP):
            if not left.joinpath(FILE).exists():
                yield "a backup was made, and is not there"
            elif verify(left / FILE, _watch_nothing) != content:
                yield "a backup is another one than was made"

    def _losses(self, name: str) -> Iterator[Path]:
        for _ in range(LOSSES):
            with TemporaryDirectory(dir=self.root) as left:
                self._disks[name].lose_power(self.entropy, Path(left))
                yield Path(left)


def _told(names: list[str]) -> str:
    return ", ".join(names) or "none"


def find_problem(seed: int) -> str:
    """Play one life; say what is left that must not be, ``""`` when nothing is."""
    with TemporaryDirectory() as root:
        try:
            return "\n".join(Life(World(seed), Path(root)).play())
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a problem
            return "".join(format_exception(error))
