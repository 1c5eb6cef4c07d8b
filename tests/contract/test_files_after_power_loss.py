"""What a power loss leaves of what ``runtime.files`` does, after each system call.

The system calls of the real tree are recorded and made again on a simulated disk, which
loses its power after each of them in turn: what is left is the old or the new, whole,
and once the call has returned, the new.
"""

from __future__ import annotations

import os
from random import Random
from types import SimpleNamespace

import pytest
from attrs import frozen
from twisted.internet.defer import fail

from labsim.world.entry import Entry
from labsim.world.persistence import FileSystem, Persistence
from runtime.files import DirectoryTree
from runtime.ports import FileKind

SEEDS = range(25)
OLD, NEW = b"old" * 3000, b"new" * 3000

DIRECTORY = Entry(FileKind.DIRECTORY, 0o755, 0.0)


class Recording:
    """The system calls that change files below a directory, with their paths."""

    def __init__(self, root, patch):
        self.root = str(root)
        self.calls = []
        for name in ("mkdir", "unlink", "fsync", "symlink", "rename", "fchmod"):
            patch.setattr(os, name, self._wrapped(name, getattr(os, name)))

    def _wrapped(self, name, original):
        def call(*arguments, **named):
            note = getattr(self, f"_note_{name}")(*arguments, **named)
            answer = original(*arguments, **named)
            self.calls.append(note)
            return answer

        return call

    def _path(self, name, directory=None):
        whole = name if directory is None else f"{_path_of(directory)}/{name}"
        return whole.removeprefix(self.root)

    def _note_mkdir(self, name, mode=0o777, *, dir_fd=None):
        del mode
        return ("make", self._path(name, dir_fd), DIRECTORY)

    def _note_unlink(self, name, *, dir_fd):
        return ("drop", self._path(name, dir_fd))

    def _note_symlink(self, target, name, *, dir_fd):
        entry = Entry(FileKind.LINK, 0o777, 0.0, target=target)
        return ("make", self._path(name, dir_fd), entry)

    def _note_rename(self, name, target, *, src_dir_fd, dst_dir_fd):
        return (
            "rename",
            self._path(name, src_dir_fd),
            self._path(target, dst_dir_fd),
        )

    def _note_fchmod(self, descriptor, mode):
        """By then it has all its content, and nothing else tells that it is made."""
        path = _path_of(descriptor)
        if os.path.isdir(path):  # noqa: PTH112 - a path of the kernel
            return ("make", self._path(path), DIRECTORY)
        with open(path, "rb") as file:  # noqa: PTH123 - the same
            content = file.read()
        return ("make", self._path(path), Entry(FileKind.FILE, mode, 0.0, content))

    def _note_fsync(self, descriptor):
        path = _path_of(descriptor)
        is_directory = os.path.isdir(path)  # noqa: PTH112 - a path of the kernel
        return ("synchronise", self._path(path), is_directory)


def _path_of(descriptor):
    return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - the same


@frozen
class Bench:
    tree: DirectoryTree
    calls: list

    def record(self, change):
        """The system calls of one change."""
        del self.calls[:]
        change(self.tree)
        return list(self.calls)


@pytest.fixture
def bench(tmp_path, monkeypatch):
    recording = Recording(tmp_path, monkeypatch)
    return Bench(DirectoryTree(str(tmp_path), fail), recording.calls)


def play(calls, entries, persistence):
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


def states(before, calls, file_system, *, count=None):
    """What may be left: of a loss after each of the calls, or after ``count``."""
    found = []
    counts = range(len(calls) + 1) if count is None else [count]
    for made in counts:
        for seed in SEEDS:
            persistence = Persistence(file_system)
            entries = {}
            play(before, entries, persistence)
            persistence.synchronise_all()
            play(calls[:made], entries, persistence)
            left = persistence.lose_power(Random(seed), 1.0)
            shown = {
                path: entry.content or entry.target
                for path, entry in left.items()
                if entry.kind is not FileKind.DIRECTORY
                and not path.rpartition("/")[2].startswith(".slapcluster-new-")
            }
            if shown not in found:
                found.append(shown)
    return found


def check(bench, file_system, before, change, *, old, new):
    """Everything in between is the old or the new; the end is the new."""
    made_before = bench.record(before)
    calls = bench.record(change)
    assert any(call[0] == "synchronise" for call in calls)

    between = states(made_before, calls, file_system)
    after = states(made_before, calls, file_system, count=len(calls))

    assert all(state in (old, new) for state in between)
    assert after == [new]
    return between


@pytest.fixture(params=FileSystem, ids=lambda it: it.value)
def file_system(request):
    return request.param


def test_a_new_file_is_there_whole_or_not_at_all(bench, file_system):
    between = check(
        bench,
        file_system,
        lambda _: None,
        lambda tree: tree.write("file", NEW),
        old={},
        new={"/file": NEW},
    )

    assert len(between) == 2


def test_a_file_that_is_replaced_is_the_old_or_the_new(bench, file_system):
    check(
        bench,
        file_system,
        lambda tree: tree.write("file", OLD),
        lambda tree: tree.write("file", NEW),
        old={"/file": OLD},
        new={"/file": NEW},
    )


def test_a_link_is_the_old_or_the_new(bench, file_system):
    check(
        bench,
        file_system,
        lambda tree: tree.link("link", "old"),
        lambda tree: tree.link("link", "new"),
        old={"/link": "old"},
        new={"/link": "new"},
    )


def test_a_removed_file_is_gone(bench, file_system):
    check(
        bench,
        file_system,
        lambda tree: tree.write("file", OLD),
        lambda tree: tree.remove("file"),
        old={"/file": OLD},
        new={},
    )


def test_a_file_in_new_directories_is_there_when_it_was_written(bench, file_system):
    def change(tree):
        tree.make_directory("a/b")
        tree.write("a/b/file", NEW)

    check(bench, file_system, lambda _: None, change, old={}, new={"/a/b/file": NEW})


def test_a_root_that_was_made_is_there(bench, file_system):
    def change(tree):
        lower = tree.subtree("above/deeper")
        lower.make_directory("")
        lower.write("file", NEW)

    check(
        bench,
        file_system,
        lambda _: None,
        change,
        old={},
        new={"/above/deeper/file": NEW},
    )


class Forgetting:
    """A tree whose calls leave out one kind of synchronisation."""

    def __init__(self, calls, *, directories):
        self.calls = [
            call
            for call in calls
            if not (call[0] == "synchronise" and call[2] is directories)
        ]


@pytest.mark.parametrize("directories", [True, False])
def test_a_tree_that_synchronises_less_is_found_out(bench, directories):
    """On a new file: of one that is replaced, ext4 alone keeps the content."""
    calls = bench.record(lambda tree: tree.write("file", NEW))
    fewer = Forgetting(calls, directories=directories).calls
    assert len(fewer) < len(calls)
    states_found = SimpleNamespace(
        **{it.value: states([], fewer, it, count=len(fewer)) for it in FileSystem}
    )

    assert states_found.loose != [{"/file": NEW}]
    assert states_found.ext4 != [{"/file": NEW}]
