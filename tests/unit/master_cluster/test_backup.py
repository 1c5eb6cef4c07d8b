"""Copies of the file of a store: whole, verified, or not there at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from persistent.mapping import PersistentMapping

from master_cluster.errors import Unusable
from master_cluster.store.backup import back_up, restore
from master_cluster.store.cloud import Cloud
from master_cluster.store.content import Content, verify
from tests.builders import COMPUTER_ID, a_partition_key
from tests.unit.master_cluster.benches import StoreBench

INSTANCES = 20


def watch(done: int, total: int) -> None:
    assert 0 <= done <= total


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a store with some instances, that nobody uses."""
    path = tmp_path / "state.fs"
    fill(path, INSTANCES)
    return path


def fill(path: Path, count: int) -> None:
    bench = StoreBench(f"file:{path}")
    bench.format(INSTANCES)
    for number in range(count):
        bench.request(f"root {number}")
    bench.close()


def test_a_copy_has_what_the_file_has(path: Path) -> None:
    copy = path.with_name("copy.fs")

    content = back_up(path, copy, watch, is_forced=False)

    assert content == verify(path, watch)
    assert (content.computer_count, content.partition_count) == (1, INSTANCES)
    assert (content.instance_count, content.tree_count) == (INSTANCES, INSTANCES)
    assert copy.read_bytes() == path.read_bytes()
    assert sorted(it.name for it in path.parent.glob("copy*")) == ["copy.fs"]


def test_a_copy_beside_its_writer_ends_with_a_whole_transaction(path: Path) -> None:
    copy = path.with_name("copy.fs")
    bench = StoreBench(f"file:{path}", seed=1)
    bench.format(INSTANCES + 1)
    late = bench.request("late")
    storage = bench.store._database.storage._storage  # noqa: SLF001 - to leave it half
    storage._file.seek(0, 2)  # noqa: SLF001
    storage._file.write(b"half a transaction, not committed")  # noqa: SLF001
    storage._file.flush()  # noqa: SLF001

    content = back_up(path, copy, watch, is_forced=False)

    assert content.instance_count == INSTANCES + 1
    storage._file.truncate(content.byte_count)  # noqa: SLF001
    bench.close()
    restored = StoreBench(f"file:{copy}")
    assert restored.request("late") == late
    restored.close()


def test_a_copy_is_read_by_nobody_who_may_not_read_the_file(path: Path) -> None:
    path.chmod(0o600)
    copy = path.with_name("copy.fs")

    back_up(path, copy, watch, is_forced=False)

    assert copy.stat().st_mode & 0o777 == 0o600


def test_what_is_there_already_is_replaced_by_force_only(path: Path) -> None:
    copy = path.with_name("copy.fs")
    copy.write_text("precious")

    for put in (back_up, restore):
        with pytest.raises(Unusable, match="--force"):
            put(path, copy, watch, is_forced=False)
        assert copy.read_text() == "precious"
    back_up(path, copy, watch, is_forced=True)

    assert verify(copy, watch) == verify(path, watch)


def test_a_restored_store_is_the_one_that_was_copied(path: Path) -> None:
    copy = path.with_name("copy.fs")
    content = back_up(path, copy, watch, is_forced=False)
    bench = StoreBench(f"file:{path}", seed=1)
    bench.format(INSTANCES + 1)
    bench.request("late")
    bench.close()

    assert restore(copy, path, watch, is_forced=True) == content

    bench = StoreBench(f"file:{path}")
    assert {it.title for it in bench.ask(Cloud.roots)} == {
        f"root {number}" for number in range(INSTANCES)
    }
    bench.close()


def test_nothing_is_restored_over_a_file_in_use(path: Path) -> None:
    copy = path.with_name("copy.fs")
    back_up(path, copy, watch, is_forced=False)
    bench = StoreBench(f"file:{path}")

    with pytest.raises(Unusable, match="is in use; stop its master"):
        restore(copy, path, watch, is_forced=True)

    assert bench.request("root 0")
    bench.close()


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("put", [back_up, restore])
def test_what_is_interrupted_leaves_what_was_there(
    path: Path, put: Callable[..., Content]
) -> None:
    other = path.with_name("other.fs")
    fill(other, 3)
    before = other.read_bytes()
    calls = 0

    def interrupt(last: int) -> Callable[[int, int], None]:
        def count(_done: int, _total: int) -> None:
            nonlocal calls
            calls += 1
            if calls == last:
                raise Interrupted

        return count

    for last in range(1, 5):
        calls = 0
        try:
            put(path, other, interrupt(last), is_forced=True)
        except Interrupted:
            assert other.read_bytes() == before
        assert not list(path.parent.glob("*.part*"))

    assert verify(other, watch) == verify(path, watch)


def cut(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


def rot_in_the_middle(content: bytes) -> bytes:
    """A flipped bit in the length of a transaction."""
    middle = content.index(b"root 10")
    return content[: middle - 700] + b"\xff" * 600 + content[middle - 100 :]


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (cut, "after its last whole transaction"),
        (rot_in_the_middle, "cannot be read|damaged|not the file of a store|flaws"),
        (lambda _: b"", "it is empty"),
        (lambda it: it[:4], "it is empty"),
        (lambda _: b"a text", "is not the file of a store"),
    ],
)
def test_a_damaged_backup_is_said_in_a_sentence(
    path: Path, damage: Callable[[bytes], bytes], sentence: str
) -> None:
    damaged = path.with_name("damaged.fs")
    damaged.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()

    with pytest.raises(Unusable, match=sentence):
        verify(damaged, watch)
    with pytest.raises(Unusable, match=sentence):
        restore(damaged, path, watch, is_forced=True)

    assert path.read_bytes() == before


def test_a_file_that_is_missing_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="cannot be opened"):
        verify(tmp_path / "missing.fs", watch)


def forget_the_title(stored: Any) -> None:
    del stored.roots[next(iter(stored.roots))]


def offer_twice(stored: Any) -> None:
    stored.computers[COMPUTER_ID].offers[()].free[("slappart", 1)] = "slappart1"


def move_into_a_busy_partition(stored: Any) -> None:
    instance = next(it for it in stored.instances.values())
    key = a_partition_key(0 if "part0" not in str(instance.fields) else 1)
    instance.fields = {
        **instance.fields,
        "partition": {
            "computer_id": key.computer_id,
            "partition_id": key.partition_id,
        },
    }


def lose_an_instance(stored: Any) -> None:
    del stored.instances[next(iter(stored.instances))]


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (forget_the_title, "not the root of its title"),
        (offer_twice, "the free partitions of COMP-1 are not the listed ones"),
        (move_into_a_busy_partition, "is used twice"),
        (lose_an_instance, "do not agree|do not fit together"),
    ],
)
def test_a_backup_whose_records_do_not_fit_together_is_refused(
    path: Path, harm: Callable[[Any], None], sentence: str
) -> None:
    bench = StoreBench(f"file:{path}")
    bench.decide(lambda cloud, _: harm(cloud._stored))  # noqa: SLF001 - to do harm
    bench.store.close()

    with pytest.raises(Unusable, match=sentence):
        verify(path, watch)


def test_a_file_of_something_else_is_no_state_of_a_master(path: Path) -> None:
    bench = StoreBench(f"file:{path}")

    def harm(cloud: Cloud, _: int) -> None:
        root = cloud._stored._p_jar.root()  # noqa: SLF001 - to do harm
        root["other"] = PersistentMapping()
        del root["slapcluster"]

    bench.decide(harm)
    bench.store.close()

    with pytest.raises(Unusable, match="holds no state of a master"):
        verify(path, watch)
