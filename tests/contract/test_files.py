"""Files, as this machine keeps them and as simulated disks do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from zope.interface.verify import verifyObject

from runtime.ports import FileKind, IFileTree
from tests.contract.benches import Bench, RealBench, SimulatedBench


@pytest.fixture
def tree(bench: Bench) -> IFileTree:
    """An empty tree."""
    tree = bench.runtime.file_tree(f"{bench.directory}/tree")
    tree.make_directory("")
    return tree


def number_of_refusal(call, *arguments, **named):
    """The errno of the ``OSError`` that a call raises."""
    with pytest.raises(OSError) as raised:  # noqa: PT011 - its errno is looked at
        call(*arguments, **named)
    return raised.value.errno


class FileContract:
    def test_the_tree_provides_its_interface(self, tree):
        assert verifyObject(IFileTree, tree)

    def test_what_was_written_is_read(self, tree):
        tree.write("one", b"first")
        tree.write("one", b"second")

        assert tree.read("one") == b"second"

    def test_a_file_gets_the_mode_asked_for_whatever_the_umask_is(self, tree):
        tree.write("open", b"", mode=0o666)
        tree.write("closed", b"", mode=0o600)

        assert [tree.status(n).mode for n in ("open", "closed")] == [0o666, 0o600]

    def test_reading_stops_at_the_bound(self, tree):
        tree.write("one", b"12345")

        assert tree.read("one", bytes_max=5) == b"12345"
        assert number_of_refusal(tree.read, "one", bytes_max=4) == errno.EFBIG

    def test_directories_are_made_with_their_parents(self, tree):
        tree.make_directory("a/b/c", mode=0o700)

        assert tree.status("a/b/c").kind is FileKind.DIRECTORY
        assert [tree.status(p).mode for p in ("a/b", "a/b/c")] == [0o755, 0o700]

    def test_making_an_existing_directory_sets_its_mode(self, tree):
        tree.make_directory("a", mode=0o700)
        tree.write("a/file", b"kept")
        tree.make_directory("a", mode=0o750)

        assert tree.status("a").mode == 0o750
        assert tree.read("a/file") == b"kept"

    def test_names_are_listed_in_order(self, tree):
        tree.write("b", b"")
        tree.write("a", b"")
        tree.make_directory("c")

        assert tree.list() == ("a", "b", "c")
        assert tree.list("c") == ()

    def test_entries_are_listed_with_their_statuses(self, tree):
        """As one by one, in order; links are not followed."""
        tree.make_directory("made")
        tree.make_directory("made/below")
        tree.write("made/file", b"content", 0o640)
        tree.link("made/link", "/nowhere")

        found = tree.entries("made")

        assert list(found) == ["below", "file", "link"]
        assert found == {name: tree.status(f"made/{name}") for name in found}
        with pytest.raises(FileNotFoundError):
            tree.entries("none")

    def test_a_change_of_the_same_size_and_date_is_seen(self, bench, tree):
        """What a status says of the last change is that of the calendar."""
        tree.write("file", b"one")
        now = bench.runtime.calendar.now()

        assert abs(tree.status("file").changed - now) < 5

    def test_nothing_has_no_status(self, tree):
        assert tree.status("missing") is None
        assert tree.status("missing/deeper") is None

    def test_a_status_tells_kind_and_size(self, tree):
        tree.write("file", b"123")
        tree.link("link", "file")

        assert (tree.status("file").kind, tree.status("file").size) == (
            FileKind.FILE,
            3,
        )
        assert tree.status("link").kind is FileKind.LINK
        assert tree.status("").kind is FileKind.DIRECTORY

    def test_the_date_of_a_file_is_that_of_the_calendar(self, bench, tree):
        before = bench.runtime.calendar.now()
        tree.write("file", b"")

        assert before - 1 <= tree.status("file").modified <= before + 60

    def test_a_link_is_replaced(self, tree):
        tree.link("link", "one")
        tree.link("link", "other")

        assert tree.status("link").size == len("other")

    def test_a_link_tells_where_it_points(self, tree):
        tree.write("file", b"")
        tree.link("link", "../outside/x")

        assert tree.target("link") == "../outside/x"
        assert number_of_refusal(tree.target, "file") == errno.EINVAL
        assert number_of_refusal(tree.target, "missing") == errno.ENOENT

    def test_links_are_not_followed(self, tree):
        tree.make_directory("a")
        tree.write("a/file", b"secret")
        tree.link("way", "a")
        tree.link("end", "a/file")

        assert number_of_refusal(tree.read, "way/file") == errno.ENOTDIR
        assert number_of_refusal(tree.write, "way/file", b"") == errno.ENOTDIR
        assert number_of_refusal(tree.list, "way") == errno.ENOTDIR
        assert number_of_refusal(tree.make_directory, "way/deeper") == errno.ENOTDIR
        assert number_of_refusal(tree.make_directory, "way") == errno.ENOTDIR
        assert number_of_refusal(tree.read, "end") == errno.ELOOP
        assert number_of_refusal(tree.change, "end", mode=0o777) == errno.ELOOP

    def test_writing_to_a_link_replaces_the_link(self, tree):
        tree.write("file", b"kept")
        tree.link("link", "file")
        tree.write("link", b"new")

        assert (tree.read("file"), tree.read("link")) == (b"kept", b"new")

    def test_errors_carry_their_number(self, tree):
        tree.make_directory("directory")
        tree.write("file", b"")

        assert number_of_refusal(tree.read, "missing") == errno.ENOENT
        assert number_of_refusal(tree.read, "directory") == errno.EISDIR
        assert number_of_refusal(tree.read, "file/below") == errno.ENOTDIR
        assert number_of_refusal(tree.write, "missing/file", b"") == errno.ENOENT
        assert number_of_refusal(tree.write, "directory", b"") == errno.EISDIR
        assert number_of_refusal(tree.link, "directory", "x") == errno.EISDIR
        assert number_of_refusal(tree.make_directory, "file") == errno.ENOTDIR
        assert number_of_refusal(tree.list, "missing") == errno.ENOENT
        assert number_of_refusal(tree.list, "file") == errno.ENOTDIR
        assert number_of_refusal(tree.remove, "directory") == errno.EISDIR
        assert number_of_refusal(tree.change, "missing", mode=0) == errno.ENOENT

    @pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "a/..", "\0"])
    def test_paths_that_leave_the_tree_are_refused(self, tree, path):
        for call in (tree.read, tree.list, tree.status, tree.remove, tree.path):
            with pytest.raises(ValueError, match="not a path inside a tree"):
                call(path)

    def test_a_mode_is_changed(self, tree):
        tree.write("file", b"")
        tree.change("file", mode=0o400)

        assert tree.status("file").mode == 0o400

    def test_what_is_removed_is_gone(self, tree):
        tree.write("file", b"")
        tree.link("link", "nowhere")
        tree.remove("file")
        tree.remove("link")

        assert tree.list() == ()

    def test_removing_nothing_does_nothing(self, bench, tree):
        tree.remove("missing")
        tree.remove("missing/deeper")
        bench.run(remove_tree(tree, "missing"))

        assert tree.list() == ()

    def test_a_tree_is_removed_and_links_out_of_it_are_not_followed(self, bench, tree):
        tree.make_directory("gone/deep/deeper")
        tree.make_directory("kept")
        tree.write("kept/file", b"content")
        tree.link("gone/deep/link", "../../kept")
        for name in ("a", "b", "c"):
            tree.write(f"gone/deep/{name}", b"")

        bench.run(remove_tree(tree, "gone"))

        assert tree.list() == ("kept",)
        assert tree.read("kept/file") == b"content"

    def test_removing_the_tree_at_a_file_is_refused(self, bench, tree):
        tree.write("file", b"")

        with pytest.raises(NotADirectoryError):
            bench.run(remove_tree(tree, "file"))

    def test_a_subtree_shows_the_same_files_rooted_lower(self, tree):
        tree.make_directory("a/b")
        lower = tree.subtree("a")
        lower.write("b/file", b"content")

        assert tree.read("a/b/file") == b"content"
        assert lower.root == tree.path("a")
        assert lower.path("b") == tree.path("a/b")

    def test_a_root_is_made_with_its_parents(self, bench):
        tree = bench.runtime.file_tree(f"{bench.directory}/new/deeper")
        assert tree.status("") is None
        tree.make_directory("a")

        assert tree.list() == ("a",)

    def test_there_is_room(self, tree):
        assert tree.free_bytes() > 0

    def test_what_is_free_is_a_part_of_the_whole(self, tree):
        space = tree.space()

        assert 0 < space.free_bytes <= space.total_bytes
        assert 0 <= space.file_count_free <= space.file_count_max


async def remove_tree(tree, relative):
    await tree.remove_tree(relative)


class TestRealFiles(FileContract):
    @pytest.fixture
    def bench(self, real_bench: RealBench) -> RealBench:
        return real_bench

    def test_what_a_crash_left_of_a_write_is_hidden_and_replaced(self, tree):
        leftover = Path(tree.path(".slapcluster-new-file"))
        leftover.write_bytes(b"half")
        leftover.chmod(0o400)

        assert tree.list() == ()
        tree.write("file", b"whole")

        assert os.listdir(tree.root) == ["file"]  # noqa: PTH208 - names alone
        assert tree.read("file") == b"whole"

    def test_what_a_crash_left_of_a_write_is_removed_with_the_file(self, tree):
        for name in ("file", ".slapcluster-new-file", ".slapcluster-new-other"):
            Path(tree.path(name)).write_bytes(b"a secret")

        tree.remove("file")
        tree.remove("other")

        assert os.listdir(tree.root) == []  # noqa: PTH208 - names alone

    def test_a_write_that_fails_leaves_nothing(self, tree):
        tree.make_directory("directory")

        assert number_of_refusal(tree.write, "directory", b"") == errno.EISDIR
        assert os.listdir(tree.root) == ["directory"]  # noqa: PTH208 - names alone

    def test_reading_a_pipe_is_refused_and_does_not_wait(self, tree):
        os.mkfifo(tree.path("pipe"))

        assert number_of_refusal(tree.read, "pipe") == errno.EINVAL
        assert tree.status("pipe").kind is FileKind.OTHER

    def test_parts_without_rights_are_removed_too(self, bench, tree):
        tree.make_directory("gone/closed/deeper")
        tree.write("gone/closed/file", b"")
        Path(tree.path("gone/closed")).chmod(0)
        Path(tree.path("gone")).chmod(0o500)

        bench.run(remove_tree(tree, "gone"))

        assert tree.list() == ()

    def test_nesting_deeper_than_descriptors_is_removed_too(self, bench, tree):
        tree.make_directory("gone")
        here = os.open(tree.path("gone"), os.O_RDONLY)
        for _ in range(1500):
            os.mkdir("deeper", dir_fd=here)
            lower = os.open("deeper", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = lower
        os.close(here)

        bench.run(remove_tree(tree, "gone"))

        assert tree.list() == ()

    def test_the_content_is_on_disk_before_its_name_and_the_name_at_the_end(
        self, tree, monkeypatch
    ):
        # The order of system calls is the contract, and no crash can be had here.
        calls = []
        for name in ("fsync", "rename"):
            original = getattr(os, name)

            def record(*arguments, name=name, original=original, **named):
                calls.append(name)
                return original(*arguments, **named)

            monkeypatch.setattr(os, name, record)
        tree.write("file", b"")

        assert calls == ["fsync", "rename", "fsync"]


class TestSimulatedFiles(FileContract):
    @pytest.fixture
    def bench(self, simulated_bench: SimulatedBench) -> SimulatedBench:
        return simulated_bench
