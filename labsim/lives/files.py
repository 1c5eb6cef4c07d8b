"""Shell. What a power loss leaves of what ``runtime.files`` does, after each call.

The system calls of the real tree, in a directory of this machine, are recorded and made
again on a simulated disk, which loses its power after each of them in turn: what is
left is the old or the new, whole, and once the call has returned, the new.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, TypeAlias

from attrs import frozen
from twisted.internet.defer import fail

from labsim.world.entry import Entry
from labsim.world.persistence import FileSystem, Persistence
from runtime.files import DirectoryTree
from runtime.paths import UNFINISHED_PREFIX
from runtime.ports import FileKind, IFileTree

LOSSES = 25
"""Of each instant: each leaves something else of what was not synchronised."""

OLD, NEW = b"old" * 3000, b"new" * 3000

DIRECTORY = Entry(FileKind.DIRECTORY, 0o755, 0.0)

CHANGING_CALLS = ("mkdir", "unlink", "fsync", "symlink", "rename", "fchmod")

Call: TypeAlias = tuple[Any, ...]
"""A verb, a path, and what the verb needs."""

Files: TypeAlias = dict[str, object]
"""What is left: contents of files and targets of links, by path."""


class Recording:
    """The system calls that change files below a directory, with their paths."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.calls: list[Call] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Record what this process calls from here on."""
        originals = {name: getattr(os, name) for name in CHANGING_CALLS}
        for name, original in originals.items():
            setattr(os, name, self._wrapped(name, original))
        try:
            yield
        finally:
            for name, original in originals.items():
                setattr(os, name, original)

    def record(self, change: Callable[[IFileTree], None]) -> list[Call]:
        """The system calls of one change."""
        self.calls.clear()
        with self.listening():
            change(DirectoryTree(self.root, fail))
        return list(self.calls)

    def _wrapped(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            note = getattr(self, f"_note_{name}")(*arguments, **named)
            answer = original(*arguments, **named)
            self.calls.append(note)
            return answer

        return call

    def _path(self, name: str, directory: int | None = None) -> str:
        whole = name if directory is None else f"{_path_of(directory)}/{name}"
        return whole.removeprefix(self.root)

    def _note_mkdir(
        self, name: str, mode: int = 0o777, *, dir_fd: int | None = None
    ) -> Call:
        del mode
        return ("make", self._path(name, dir_fd), DIRECTORY)

    def _note_unlink(self, name: str, *, dir_fd: int) -> Call:
        return ("drop", self._path(name, dir_fd))

    def _note_symlink(self, target: str, name: str, *, dir_fd: int) -> Call:
        entry = Entry(FileKind.LINK, 0o777, 0.0, target=target)
        return ("make", self._path(name, dir_fd), entry)

    def _note_rename(
        self, name: str, target: str, *, src_dir_fd: int, dst_dir_fd: int
    ) -> Call:
        return (
            "rename",
            self._path(name, src_dir_fd),
            self._path(target, dst_dir_fd),
        )

    def _note_fchmod(self, descriptor: int, mode: int) -> Call:
        """By then it has all its content, and nothing else tells that it is made."""
        path = Path(_path_of(descriptor))
        if path.is_dir():
            return ("make", self._path(str(path)), DIRECTORY)
        entry = Entry(FileKind.FILE, mode, 0.0, path.read_bytes())
        return ("make", self._path(str(path)), entry)

    def _note_fsync(self, descriptor: int) -> Call:
        path = _path_of(descriptor)
        return ("synchronise", self._path(path), Path(path).is_dir())


def _path_of(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


@frozen
class Case:
    """A change of files; ``old`` and ``new`` are what may be left of it."""

    before: Callable[[IFileTree], None]
    change: Callable[[IFileTree], None]
    old: Mapping[str, object]
    new: Mapping[str, object]


def _nothing(_: IFileTree) -> None:
    pass


def _write_in_new_directories(tree: IFileTree) -> None:
    tree.make_directory("a/b")
    tree.write("a/b/file", NEW)


def _write_below_a_new_root(tree: IFileTree) -> None:
    lower = tree.subtree("above/deeper")
    lower.make_directory("")
    lower.write("file", NEW)


CASES: Mapping[str, Case] = MappingProxyType(
    {
        "a new file is there whole or not at all": Case(
            _nothing, lambda tree: tree.write("file", NEW), {}, {"/file": NEW}
        ),
        "a file that is replaced is the old or the new": Case(
            lambda tree: tree.write("file", OLD),
            lambda tree: tree.write("file", NEW),
            {"/file": OLD},
            {"/file": NEW},
        ),
        "a link is the old or the new": Case(
            lambda tree: tree.link("link", "old"),
            lambda tree: tree.link("link", "new"),
            {"/link": "old"},
            {"/link": "new"},
        ),
        "a removed file is gone": Case(
            lambda tree: tree.write("file", OLD),
            lambda tree: tree.remove("file"),
            {"/file": OLD},
            {},
        ),
        "a file in new directories is there when it was written": Case(
            _nothing, _write_in_new_directories, {}, {"/a/b/file": NEW}
        ),
        "a root that was made is there": Case(
            _nothing, _write_below_a_new_root, {}, {"/above/deeper/file": NEW}
        ),
    }
)


def play(
    calls: Iterable[Call], entries: dict[str, Entry], persistence: Persistence
) -> None:
    """Make recorded calls on a simulated disk; ``entries`` is what programs see."""
    for call, path, *rest in calls:
        match call:
            case "make":
                (entry,) = rest
                persistence.put(path, entry, entries.get(path), 0.0)
                entries[path] = entry
            case "drop":
                if entries.pop(path, None) is not None:
                    persistence.drop(path, 0.0)
            case "rename":
                (target,) = rest
                entries[target] = entries.pop(path)
                persistence.rename(path, target, entries[target], 0.0)
            case "synchronise":
                (is_directory,) = rest
                if is_directory:
                    persistence.synchronise_names(path)
                else:
                    persistence.synchronise_content(path)


def states(
    before: list[Call],
    calls: list[Call],
    file_system: FileSystem,
    *,
    count: int | None = None,
    first_loss: int = 0,
) -> list[Files]:
    """What may be left: of a loss after each of the calls, or after ``count``."""
    found: list[Files] = []
    counts = range(len(calls) + 1) if count is None else [count]
    for made in counts:
        for loss in range(first_loss, first_loss + LOSSES):
            persistence = Persistence(file_system)
            entries: dict[str, Entry] = {}
            play(before, entries, persistence)
            persistence.synchronise_all()
            play(calls[:made], entries, persistence)
            left = persistence.lose_power(Random(loss), 1.0)  # noqa: S311 - a seed
            shown: Files = {
                path: entry.content or entry.target
                for path, entry in left.items()
                if entry.kind is not FileKind.DIRECTORY
                and not path.rpartition("/")[2].startswith(UNFINISHED_PREFIX)
            }
            if shown not in found:
                found.append(shown)
    return found


def find_wrong(
    name: str, file_system: FileSystem, root: str, first_loss: int = 0
) -> str:
    """Say what a power loss leaves of a case that it must not, ``""`` if nothing."""
    case, recording = CASES[name], Recording(root)
    before = recording.record(case.before)
    calls = recording.record(case.change)
    allowed = (dict(case.old), dict(case.new))
    for left in states(before, calls, file_system, first_loss=first_loss):
        if left not in allowed:
            return f"{name}: {_told(left)} is left on {file_system.value}"
    after = states(before, calls, file_system, count=len(calls), first_loss=first_loss)
    if after != [dict(case.new)]:
        told = " or ".join(map(_told, after))
        return f"{name}: {told} is left on {file_system.value} when it was done"
    return ""


def find_problem(seed: int) -> str:
    """Say what a power loss leaves of any case that it must not."""
    for name in CASES:
        for file_system in FileSystem:
            with TemporaryDirectory() as root:
                problem = find_wrong(name, file_system, root, seed * LOSSES)
            if problem:
                return problem
    return ""


def _told(left: Files) -> str:
    return ", ".join(f"{path} ({str(it)[:6]})" for path, it in left.items()) or "none"
