"""What a power loss leaves on a simulated disk."""

from __future__ import annotations

import errno

import pytest

from labsim.world.world import World


@pytest.fixture
def world():
    return World(1)


@pytest.fixture
def host(world):
    return world.host("alone")


def everything(host):
    """Paths and contents of all files."""
    found = {}

    def visit(tree, path):
        for name in tree.list(path):
            below = f"{path}/{name}" if path else name
            if tree.status(below).size == 4096:
                visit(tree, below)
            else:
                found[below] = tree.read(below)

    visit(host.runtime.file_tree("/"), "")
    return found


def lose_power(host):
    host.crash()
    host.boot()


def test_what_the_port_wrote_survives(host):
    files = host.runtime.file_tree("/srv")
    files.make_directory("deep/deeper")
    files.write("deep/deeper/file", b"first")
    files.write("deep/deeper/file", b"second")
    files.write("deep/gone", b"")
    files.remove("deep/gone")
    lose_power(host)

    assert everything(host) == {"srv/deep/deeper/file": b"second"}


def test_what_programs_wrote_is_lost_unless_synchronised(host):
    pending = host.pending_files("/")
    pending.make_directory("srv")
    pending.write("srv/early", b"early")
    host.disk.synchronise_all()
    pending.write("srv/early", b"changed")
    pending.write("srv/late", b"late")

    assert everything(host) == {"srv/early": b"changed", "srv/late": b"late"}
    lose_power(host)
    assert everything(host) == {"srv/early": b"early"}


def test_a_durable_file_in_a_directory_that_is_not_is_lost(host):
    host.pending_files("/").make_directory("srv")
    host.runtime.file_tree("/srv").write("file", b"content")
    lose_power(host)

    assert everything(host) == {}


def test_a_removal_by_a_program_is_undone(host):
    files = host.runtime.file_tree("/")
    files.write("file", b"content")
    host.pending_files("/").remove("file")
    assert everything(host) == {}
    lose_power(host)

    assert everything(host) == {"file": b"content"}


def test_a_power_loss_in_the_middle_of_a_removal_leaves_a_part(world, host):
    files = host.runtime.file_tree("/")
    files.make_directory("tree")
    for name in ("a", "b", "c"):
        files.write(f"tree/{name}", b"")
    world_clock = host.runtime.clock
    removing = files.remove_tree("tree")
    world.run_until(lambda: len(files.list("tree")) < 3)
    lose_power(host)

    assert everything(host) == {"tree/c": b""}
    assert not removing.called
    assert world_clock.is_over


def test_files_of_a_life_that_is_over_are_written_to_nothing(host):
    ghost = host.runtime.file_tree("/")
    ghost.write("file", b"content")
    lose_power(host)
    ghost.write("file", b"by a ghost")

    assert everything(host) == {"file": b"content"}


def test_killing_the_programs_keeps_what_they_wrote(host):
    host.pending_files("/").write("file", b"pending")
    ghost = host.runtime.file_tree("/")
    host.kill()
    host.boot()
    ghost.write("file", b"by a ghost")

    assert everything(host) == {"file": b"pending"}
    lose_power(host)
    assert everything(host) == {}


def test_a_full_disk_refuses_writes_and_keeps_what_is_there(host):
    files = host.runtime.file_tree("/")
    files.write("file", b"content")
    host.disk.fill()

    for write in (
        lambda: files.write("file", b"other content"),
        lambda: files.write("new", b""),
        lambda: files.make_directory("new"),
        lambda: files.link("new", "file"),
    ):
        with pytest.raises(OSError, match="No space left") as raised:
            write()
        assert raised.value.errno == errno.ENOSPC
    assert everything(host) == {"file": b"content"}
    assert files.free_bytes() == 0


def test_a_disk_that_is_emptied_takes_writes_again(host):
    files = host.runtime.file_tree("/")
    host.disk.fill()
    host.disk.empty()
    files.write("file", b"content")

    assert everything(host) == {"file": b"content"}


def test_a_full_disk_lets_files_be_removed_and_read(host):
    files = host.runtime.file_tree("/")
    files.write("file", b"content")
    files.write("other", b"123")
    host.disk.fill()
    files.remove("file")
    files.write("small", b"1234567")

    assert everything(host) == {"other": b"123", "small": b"1234567"}
