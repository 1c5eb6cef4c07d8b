"""What a power loss leaves on a simulated disk."""

from __future__ import annotations

import errno

import pytest

from labsim.world.persistence import FileSystem
from labsim.world.world import World
from runtime.ports import FileKind
from tests.unit.world.parts import connect


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
            if tree.status(below).kind is FileKind.DIRECTORY:
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
    host.disk.use(FileSystem.FORGETFUL)
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
    host.disk.use(FileSystem.FORGETFUL)
    host.pending_files("/").make_directory("srv")
    host.runtime.file_tree("/srv").write("file", b"content")
    lose_power(host)

    assert everything(host) == {}


def test_a_removal_by_a_program_is_undone(host):
    host.disk.use(FileSystem.FORGETFUL)
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
    host.disk.use(FileSystem.FORGETFUL)
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


BLOCKS = b"1" * 4096 + b"2" * 4096 + b"3" * 100
SEEDS = range(60)


def left_of(file_system, write, seeds=SEEDS):
    """What is left after a power loss, of each seed: tuples of paths and contents."""
    found = set()
    for seed in seeds:
        world = World(seed)
        host = world.host("alone")
        host.disk.use(file_system)
        write(world, host.runtime.file_tree("/"), host.pending_files("/"))
        lose_power(host)
        found.add(tuple(everything(host).items()))
    return found


@pytest.mark.parametrize("file_system", FileSystem)
def test_what_the_port_wrote_survives_on_every_file_system(file_system):
    def write(_, files, pending):
        files.make_directory("a/b")
        pending.write("noise", b"pending")
        files.write("a/b/kept", BLOCKS)
        files.write("a/b/kept", b"new" + BLOCKS)
        files.write("a/gone", BLOCKS)
        files.remove("a/gone")

    for left in left_of(file_system, write):
        assert [item for item in left if item[0] != "noise"] == [
            ("a/b/kept", b"new" + BLOCKS)
        ]


def test_names_are_left_in_the_order_in_which_they_were_made_on_ext4():
    def write(_, files, pending):
        del files
        for name in "abcd":
            pending.write(name, b"")

    assert left_of(FileSystem.EXT4, write) == {
        tuple((name, b"") for name in "abcd"[:count]) for count in range(5)
    }


def test_names_are_left_in_any_order_on_a_loose_file_system():
    def write(_, files, pending):
        del files
        for name in "abc":
            pending.write(name, b"")

    assert len(left_of(FileSystem.LOOSE, write)) == 2**3


def test_a_new_file_that_was_not_synchronised_is_torn():
    def write(world, files, pending):
        pending.write("new", BLOCKS)
        world.run_for(10)  # its name is on disk since
        del files

    assert left_of(FileSystem.EXT4, write) == {
        (("new", BLOCKS[:length]),) for length in (0, 4096, 8192, len(BLOCKS))
    }


def test_what_is_old_is_on_disk():
    def write(world, files, pending):
        del files
        pending.write("new", BLOCKS)
        world.run_for(36)

    assert left_of(FileSystem.EXT4, write) == {(("new", BLOCKS),)}
    assert left_of(FileSystem.LOOSE, write) == {(("new", BLOCKS),)}
    assert left_of(FileSystem.FORGETFUL, write) == {()}


def test_a_file_that_was_written_anew_is_old_or_new_or_empty():
    def write(_, files, pending):
        files.write("file", b"old")
        pending.write("file", b"new")

    assert left_of(FileSystem.EXT4, write) == {
        (("file", content),) for content in (b"old", b"new", b"")
    }


def test_synchronising_one_file_writes_the_names_of_all_on_ext4():
    def write(_, files, pending):
        pending.make_directory("srv")
        pending.write("srv/other", BLOCKS)
        files.write("srv/file", b"content")

    for left in left_of(FileSystem.EXT4, write):
        assert [name for name, _ in left] == ["srv/file", "srv/other"]


def test_a_removed_tree_may_come_back_in_part():
    def write(_, files, pending):
        files.make_directory("tree")
        for name in "ab":
            files.write(f"tree/{name}", b"")
        pending.remove("tree/a")
        pending.remove("tree/b")

    assert left_of(FileSystem.EXT4, write) == {
        (("tree/a", b""), ("tree/b", b"")),
        (("tree/b", b""),),
        (),
    }


def test_what_is_left_is_a_matter_of_the_seed():
    def write(_, files, pending):
        del files
        for number in range(20):
            pending.write(f"file {number}", BLOCKS)

    once = [left_of(FileSystem.LOOSE, write, [seed]) for seed in range(3)]

    assert once == [left_of(FileSystem.LOOSE, write, [seed]) for seed in range(3)]
    assert once[0] != once[1]


def test_a_second_loss_takes_nothing_more(host):
    host.pending_files("/").write("file", BLOCKS)
    lose_power(host)
    before = everything(host)
    for _ in range(5):
        lose_power(host)

    assert everything(host) == before


def test_a_slow_disk_keeps_who_synchronises(world, host):
    files = host.runtime.file_tree("/")
    clock = host.runtime.clock
    instants = []
    host.disk.slow(2)

    def write(name):
        files.write(name, b"content")
        clock.callLater(0, lambda: instants.append(world.clock.seconds()))

    clock.callLater(1, write, "one")
    clock.callLater(1, write, "other")
    world.run_for(10)

    assert instants == [5, 5]
    host.disk.slow(0)
    write("third")
    world.run_for(1)
    assert instants[2:] == [10]


def test_what_is_said_while_the_disk_is_waited_for_is_said_later(world, host):
    near, far = connect(world, host, world.host("other"))
    host.disk.slow(3)

    def acknowledge():
        near.transport.write(b"before ")
        host.runtime.file_tree("/").write("file", b"")
        near.transport.write(b"done")

    host.runtime.clock.callLater(0, acknowledge)
    world.run_for(2)
    assert [data for _, data in far.heard] == [b"before "]
    world.run_for(2)

    assert [data for _, data in far.heard] == [b"before ", b"done"]


@pytest.mark.parametrize("end", ["crash", "kill"])
def test_what_a_process_did_not_come_to_never_happens(world, host, end):
    near, far = connect(world, host, world.host("other"))
    host.disk.stick()

    def acknowledge():
        files = host.runtime.file_tree("/")
        files.write("first", b"")
        files.write("second", b"")
        near.transport.write(b"done")

    host.runtime.clock.callLater(0, acknowledge)
    world.run_for(100)
    getattr(host, end)()
    host.disk.unstick()
    host.boot()
    world.run_for(100)

    assert far.heard == []
    assert "second" not in everything(host)


def test_a_stuck_disk_answers_all_when_it_moves_again(world, host):
    noted = []

    def write():
        host.runtime.file_tree("/").write("file", b"content")
        host.runtime.clock.callLater(0, noted.append, "went on")

    host.disk.stick()
    host.runtime.clock.callLater(0, write)
    world.run_for(1000)
    assert noted == []
    host.disk.unstick()
    world.run_for(1)
    assert noted == ["went on"]
    lose_power(host)

    assert everything(host) == {"file": b"content"}


def test_a_corrupted_block_gives_other_bytes_until_it_is_written_anew(host):
    files = host.runtime.file_tree("/")
    files.write("file", BLOCKS)
    status = files.status("file")
    assert host.disk.corrupt() == "/file"

    for _ in range(2):
        read = files.read("file")
        assert read != BLOCKS
        wrong = {n // 4096 for n in range(len(BLOCKS)) if read[n] != BLOCKS[n]}
        assert len(wrong) == 1
        assert files.status("file") == status
        lose_power(host)
        files = host.runtime.file_tree("/")
    files.write("file", BLOCKS)
    assert files.read("file") == BLOCKS


def test_an_unreadable_block_is_an_error(host):
    files = host.runtime.file_tree("/")
    files.write("file", BLOCKS)
    host.disk.corrupt("/file", is_unreadable=True)

    with pytest.raises(OSError, match="Input/output error"):
        files.read("file")


def test_a_corrupted_block_is_not_below_what_is_spared(host):
    files = host.runtime.file_tree("/")
    files.make_directory("srv")
    files.write("srv/spared", BLOCKS)
    assert host.disk.corrupt(spared="/srv") == ""

    files.write("srv-2", BLOCKS)
    assert host.disk.corrupt(spared="/srv") == "/srv-2"


def test_a_disk_without_files_has_nothing_to_corrupt(host):
    assert host.disk.corrupt() == ""
