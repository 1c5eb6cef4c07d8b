"""Backups of a neo_cluster of real processes, and what is restored into one."""

from __future__ import annotations

import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from attrs import evolve
from persistent.mapping import PersistentMapping
from transaction import TransactionManager
from ZODB.Connection import TransactionMetaData
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage
from ZODB.utils import p64

from master_cluster.store.backup import back_up
from master_cluster.store.cloud import Cloud
from master_cluster.store.content import verify
from master_cluster.store.neo_client import NeoStorage
from master_cluster.store.neo_uri import parse_neo_uri
from replication.transfer import NotCopied, fill, write_file
from slapcluster import neo_copies
from tests import programs
from tests.neo_port.test_cluster import NAME, SECONDS_MAX, NeoCluster
from tests.unit.master_cluster.benches import StoreBench
from tests.unit.slapcluster.desk import Desk

HERE = Path(__file__).parent
BIN = HERE.parents[1] / "bin"
REQUESTER = HERE / "requester.py"
INSTANCES = 30
#: A master requests as many as it can until the last backup is made.
PARTITIONS = 400
BACKUPS = 4
#: Requests from one backup to the next.
BETWEEN = 20
KILLS = 6

# A client of NEO ends its thread by SystemExit, which Python passes over.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def make(tmp_path: Path, stack: ExitStack) -> Callable[[str], NeoCluster]:
    """Make a fresh neo_cluster of that name."""

    def make_now(name: str) -> NeoCluster:
        (tmp_path / name).mkdir()
        return NeoCluster(tmp_path / name, BIN, stack)

    return make_now


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A backup of a file with revisions of its objects, that was packed in between."""
    path = tmp_path / "state.fs"
    request_all(f"file:{path}", INSTANCES)
    bench = StoreBench(f"file:{path}", seed=1)
    bench.format(2 * INSTANCES)
    bench.store._database.pack()  # noqa: SLF001 - no master does it by itself
    for number in range(INSTANCES // 2):
        bench.request(f"after the pack {number}")
    bench.close()
    copy = tmp_path / "copy.fs"
    back_up(path, copy, watch, is_forced=False)
    return copy


def uri_of(neo_cluster: NeoCluster) -> str:
    return f"neo:{NAME}@{neo_cluster.master_nodes.replace(' ', ',')}"


def storage_of(neo_cluster: NeoCluster) -> NeoStorage:
    return NeoStorage(parse_neo_uri(uri_of(neo_cluster)))


def watch(done: int, total: int) -> None:
    assert 0 <= done <= total


def request_all(uri: str, count: int) -> None:
    bench = StoreBench(uri)
    bench.format(count + 1)
    for number in range(count):
        bench.request(f"root {number}")
    bench.close()


def history(storage: Any) -> list[tuple[Any, ...]]:
    """All that a storage has ever been told, and has not forgotten."""
    return [
        (
            *(it.tid, it.user, it.description, it.extension),
            sorted((record.oid, record.tid, record.data) for record in it),
        )
        for it in storage.iterator()
    ]


def history_of_file(path: Path) -> list[tuple[Any, ...]]:
    with closing(FileStorage(str(path), read_only=True)) as storage:
        return history(storage)


def history_of(neo_cluster: NeoCluster) -> list[tuple[Any, ...]]:
    with closing(storage_of(neo_cluster)) as storage:
        return history(storage)


def command(*arguments: str) -> tuple[str, ...]:
    return str(BIN / "slapcluster"), "--output", "json", "storage", *arguments


def test_a_file_goes_into_a_neo_cluster_and_comes_back_the_same(
    make: Callable[[str], NeoCluster], copy: Path, tmp_path: Path
) -> None:
    """By the commands, with every transaction, its id and its objects."""
    desk, uri, back = Desk(has_master=False), uri_of(make("a")), tmp_path / "back.fs"

    would = desk.read("storage", "restore", str(copy), uri, "--dry-run")
    restored = desk.read("storage", "restore", str(copy), uri)
    made = desk.read("storage", "backup", uri, str(back))
    verified = desk.read("storage", "verify", str(back), "--digest", made["digest"])

    assert (would["lost"], would["is_done"]) == (None, False)
    assert (restored["lost"], restored["is_done"]) == (None, True)
    assert restored["content"] == would["content"] == made == verified
    assert history_of_file(back) == history_of_file(copy)
    assert back.stat().st_mode & 0o777 == 0o600
    assert [it.name for it in tmp_path.glob("back*")] == ["back.fs"]
    for store in (uri, f"file:{back}"):
        bench = StoreBench(store, seed=4)
        bench.request("later")
        bench.close()


def test_a_backup_has_what_was_acknowledged_before_it_and_nothing_in_part(
    make: Callable[[str], NeoCluster], tmp_path: Path
) -> None:
    """While a master commits as fast as it can, and a neo_master is killed."""
    neo_cluster = make("a")
    uri, log = uri_of(neo_cluster), tmp_path / "requester.log"
    argv = (sys.executable, str(REQUESTER), uri, str(PARTITIONS))
    with programs.running(argv, log, {"PYTHONPATH": ":".join(sys.path)}):
        for number in range(BACKUPS):
            eventually_says(log, number * BETWEEN)
            said = acknowledged(log)
            copy = tmp_path / f"copy-{number}.fs"
            if number == BACKUPS - 1:
                neo_cluster.primary().send_signal(signal.SIGKILL)
            content = neo_copies.back_up(uri, copy, watch, is_forced=False)
            assert_has(copy, said)
            assert content.instance_count >= len(said)
    whole = history_of(neo_cluster)
    for number in range(BACKUPS):
        part = history_of_file(tmp_path / f"copy-{number}.fs")
        assert part == whole[: len(part)]


def acknowledged(log: Path) -> list[str]:
    lines = log.read_text().splitlines()
    return [it for it in lines if it.startswith("acknowledged ")]


def eventually_says(log: Path, count: int) -> None:
    programs.eventually(
        lambda: len(acknowledged(log)) > count, SECONDS_MAX, "requests are answered"
    )


def assert_has(copy: Path, titles: list[str]) -> None:
    """Requested again, each is the one that is there: none is new."""
    again = copy.with_suffix(".again")
    again.write_bytes(copy.read_bytes())
    bench = StoreBench(f"file:{again}", seed=3)
    count = len(bench.ask(Cloud.roots))
    for title in titles:
        bench.request(title)
    assert len(bench.ask(Cloud.roots)) == count
    bench.close()


def test_a_backup_of_a_packed_neo_cluster_loads_every_object(
    make: Callable[[str], NeoCluster], tmp_path: Path
) -> None:
    """Old revisions are gone, and their transactions are empty."""
    neo_cluster = make("a")
    uri = uri_of(neo_cluster)
    request_all(uri, INSTANCES)
    before = neo_copies.back_up(uri, tmp_path / "before.fs", watch, is_forced=False)
    pack(neo_cluster)

    after = neo_copies.back_up(uri, tmp_path / "after.fs", watch, is_forced=False)

    assert evolve(before, byte_count=after.byte_count) == after
    assert after.byte_count < before.byte_count
    empty = [it for it in history_of_file(tmp_path / "after.fs") if not it[-1]]
    assert empty
    other = make("b")
    neo_copies.restore(tmp_path / "after.fs", uri_of(other), watch, is_dry=False)
    assert history_of(other) == history_of_file(tmp_path / "after.fs")


def pack(neo_cluster: NeoCluster) -> None:
    """Forget all that is not present."""
    with closing(storage_of(neo_cluster)) as storage:
        storage.pack(time.time(), None)  # noqa: TID251 - NEO follows the clock


def test_a_pack_that_overtakes_a_backup_is_found(
    make: Callable[[str], NeoCluster], tmp_path: Path
) -> None:
    """Objects change after it has begun, and what they were then is packed."""
    neo_cluster = make("a")
    uri = uri_of(neo_cluster)
    request_all(uri, INSTANCES)

    class OvertakenStorage(NeoStorage):
        def iterator(self, *bounds: bytes) -> Iterator[Any]:
            for number, record in enumerate(super().iterator(*bounds)):
                if number == INSTANCES // 2:
                    bench = StoreBench(uri, seed=1)
                    bench.request("meanwhile")
                    bench.store.close()
                    pack(neo_cluster)
                yield record

    with (
        closing(OvertakenStorage(parse_neo_uri(uri))) as storage,
        pytest.raises(NotCopied, match="back up again after the pack"),
    ):
        write_file(storage, tmp_path / "overtaken.fs", watch)

    neo_copies.back_up(uri, tmp_path / "again.fs", watch, is_forced=False)


def test_undone_creations_are_copied(
    make: Callable[[str], NeoCluster], tmp_path: Path
) -> None:
    """And an object that was undone to what it was before."""
    neo_cluster, other = make("a"), make("b")
    manager = TransactionManager()
    database = DB(storage_of(neo_cluster))
    root = database.open(manager).root()
    for number in range(3):
        root["changed"] = number
        root[number] = PersistentMapping()
        manager.commit()
    # The last one by itself, then the one before and that again.
    for depth in (0, 2, 0):
        (undone,) = database.undoLog(depth, depth + 1)
        database.undo(undone["id"], manager.get())
        manager.commit()
    database.close()
    path = tmp_path / "undone.fs"

    with closing(storage_of(neo_cluster)) as storage:
        write_file(storage, path, watch)
    written = history_of_file(path)
    with (
        closing(FileStorage(str(path), read_only=True)) as file,
        closing(storage_of(other)) as storage,
    ):
        fill(file, storage, len(written), watch)

    assert written == history_of(neo_cluster) == history_of(other)
    assert any(content is None for it in written for _, _, content in it[-1])


def test_a_living_neo_cluster_is_refused_and_loses_nothing(
    make: Callable[[str], NeoCluster], copy: Path
) -> None:
    """Whatever is asked for; the sentence says what to do instead."""
    neo_cluster = make("a")
    uri, desk = uri_of(neo_cluster), Desk(has_master=False)
    request_all(uri, INSTANCES)
    before = history_of(neo_cluster)

    for options in ((), ("--force",), ("--dry-run",)):
        refused = desk.type("storage", "restore", str(copy), uri, *options)

        assert refused.exit_code == 1
        assert "create another one by `slapcluster storage create`" in said(refused)
    assert history_of(neo_cluster) == before


def said(result: Any) -> str:
    return " ".join(result.stderr.split())


def test_a_restore_that_is_killed_is_repeated(
    make: Callable[[str], NeoCluster], copy: Path, tmp_path: Path
) -> None:
    """At drawn instants; it goes on from what is there, until all is."""
    neo_cluster = make("a")
    uri, entropy = uri_of(neo_cluster), Random(KILLS)
    expected, lengths = history_of_file(copy), [0]
    for number in range(KILLS):
        log = tmp_path / f"restore-{number}.log"
        with programs.running(command("restore", str(copy), uri), log) as restoring:
            wait_until_it_has(neo_cluster, lengths[-1] + entropy.randint(0, 8))
            restoring.send_signal(signal.SIGKILL)
            restoring.wait()
        present = history_of(neo_cluster)
        assert present == expected[: len(present)]
        lengths.append(len(present))
    assert 0 < lengths[1] < lengths[-1] < len(expected)

    content = neo_copies.restore(copy, uri, watch, is_dry=False)

    assert content == verify(copy, watch)
    assert history_of(neo_cluster) == expected
    # And once more, though there is nothing left to do.
    assert neo_copies.restore(copy, uri, watch, is_dry=False) == content


def wait_until_it_has(neo_cluster: NeoCluster, count: int) -> None:
    """So many transactions, by what the first storage node has written."""
    path = neo_cluster.home / "0.sqlite"

    def look() -> bool:
        with closing(sqlite3.connect(path)) as connection:
            ((number,),) = connection.execute("SELECT COUNT(*) FROM trans")
            return bool(number >= count)

    programs.eventually(look, SECONDS_MAX, f"{count} transactions")


def test_two_restores_at_once_do_the_same(
    make: Callable[[str], NeoCluster], copy: Path, tmp_path: Path
) -> None:
    """Each goes on from what the other one did; no neo_master ends of it."""
    neo_cluster = make("a")
    argv = command("restore", str(copy), uri_of(neo_cluster))
    logs = [tmp_path / f"restore-{number}.log" for number in range(2)]
    with (
        programs.running(argv, logs[0]) as one,
        programs.running(argv, logs[1]) as other,
    ):
        codes = [it.wait(SECONDS_MAX) for it in (one, other)]

    # One that meets the other one three times in a row says so and ends.
    assert 0 in codes, logs
    assert history_of(neo_cluster) == history_of_file(copy)
    assert all(it.poll() is None for it in neo_cluster.neo_masters.values())


def test_a_restore_survives_the_loss_of_a_neo_master(
    make: Callable[[str], NeoCluster], copy: Path, tmp_path: Path
) -> None:
    neo_cluster = make("a")
    log = tmp_path / "restore.log"
    argv = command("restore", str(copy), uri_of(neo_cluster))
    with programs.running(argv, log) as restoring:
        wait_until_it_has(neo_cluster, INSTANCES // 2)
        neo_cluster.primary().send_signal(signal.SIGKILL)
        assert restoring.wait(SECONDS_MAX) == 0, log.read_text()

    assert history_of(neo_cluster) == history_of_file(copy)


def test_a_master_that_moves_in_meanwhile_ends_the_restore(
    make: Callable[[str], NeoCluster], copy: Path, tmp_path: Path
) -> None:
    """What it wrote stays, and nothing comes after it."""
    neo_cluster = make("a")
    log = tmp_path / "restore.log"
    argv = command("restore", str(copy), uri_of(neo_cluster))
    with programs.running(argv, log) as restoring:
        wait_until_it_has(neo_cluster, INSTANCES // 2)
        with closing(storage_of(neo_cluster)) as storage:
            # A master that sees half of a state does as it likes.
            written = TransactionMetaData()
            storage.tpc_begin(written)
            storage.store(p64(1 << 40), None, b"lived in", "", written)
            storage.tpc_vote(written)
            moved_in = storage.tpc_finish(written)
        assert restoring.wait(SECONDS_MAX) == 1

    assert "create another one by" in log.read_text().replace("\n", " ")
    assert history_of(neo_cluster)[-1][0] == moved_in
    assert all(it.poll() is None for it in neo_cluster.neo_masters.values())


def test_a_backup_that_is_killed_leaves_no_file_of_its_name(
    make: Callable[[str], NeoCluster], tmp_path: Path
) -> None:
    neo_cluster, target = make("a"), tmp_path / "target.fs"
    uri = uri_of(neo_cluster)
    request_all(uri, INSTANCES)
    with programs.running(
        command("backup", uri, str(target)), tmp_path / "backup.log"
    ) as making:
        programs.eventually(
            lambda: [it for it in tmp_path.glob("*.part") if it.stat().st_size],
            *(SECONDS_MAX, "it writes"),
        )
        making.send_signal(signal.SIGKILL)
        making.wait()
    assert not target.exists()

    neo_copies.back_up(uri, target, watch, is_forced=False)

    assert history_of_file(target) == history_of(neo_cluster)
