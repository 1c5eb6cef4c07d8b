"""A NEO cluster that is packed while it is used, and while it breaks."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen

from tests import programs
from tests.interop.stock import neo_environment
from tests.neo_port.test_cluster import HERE, SECONDS_MAX, NeoCluster

CLIENT = HERE / "pack_client.py"
#: Small enough for each run of the tests; ``pack_under_load`` takes any.
SIZE_BYTES = 48 << 20
REVISION_COUNT = 4
#: Many small objects in the small run, so that its pack lasts long enough to be hit.
OBJECT_BYTES = 8 << 10
#: A commit waits for a few steps of a pack, and for the disk.
COMMIT_SECONDS_MAX = 3.0
#: A peer that answers no Ping for 8 seconds is lost.
TURN_SECONDS_MAX = 2.0
FILL_BYTES_PER_SECOND_MIN = 1 << 20
COMMITS_AROUND = 20

PACK_TID = "SELECT CAST(value AS INTEGER) FROM config WHERE name = '_pack_tid'"
#: Revisions that a pack up to that transaction has to delete.
OLD = """\
SELECT COALESCE(SUM(number - 1), 0) FROM (
  SELECT COUNT(*) AS number FROM obj WHERE tid <= ? GROUP BY partition, oid
)"""
UNREFERENCED = "SELECT COUNT(*) FROM data WHERE id NOT IN (SELECT data_id FROM obj)"
REVISIONS = """\
SELECT partition, oid, tid, hex(hash), length(value) FROM obj LEFT JOIN data
ON data_id = id ORDER BY partition, oid, tid"""
EVERYTHING = 2**63 - 1


@frozen
class Figures:
    """What a pack cost those who used the cluster meanwhile."""

    size_bytes: int
    pack_seconds: float
    commits: int
    longest_commit_seconds: float
    longest_turn_seconds: float
    undone: int
    refused: int
    freed_bytes: int


@frozen
class Packed:
    """A cluster that is filled, and clients of it."""

    neo_cluster: NeoCluster
    count: int
    object_bytes: int

    @property
    def databases(self) -> tuple[Path, ...]:
        return tuple(self.neo_cluster.home / f"{it}.sqlite" for it in range(2))

    def argv(self, action: str, *arguments: str) -> tuple[str, ...]:
        python = str(self.neo_cluster.bin / "python")
        return python, str(CLIENT), action, *arguments

    def run(self, action: str, *arguments: str) -> dict[str, Any]:
        masters = self.neo_cluster.master_nodes
        done = programs.run(
            self.argv(action, masters, *arguments),
            timeout_seconds=SECONDS_MAX
            + self.count
            * self.object_bytes
            * REVISION_COUNT
            // FILL_BYTES_PER_SECOND_MIN,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return answers(done.stdout)[-1]

    def fill(self) -> None:
        self.run("fill", str(self.count), str(self.object_bytes), str(REVISION_COUNT))

    def read(self) -> None:
        self.run("read", str(self.count), str(self.object_bytes), str(REVISION_COUNT))

    def pack(self) -> float:
        seconds: float = self.run("pack")["pack_seconds"]
        return seconds

    def table(self) -> str:
        """The partition table with its number: any change counts it up."""
        return self.neo_cluster.tell("print", "pt")

    def check_copies(self) -> None:
        """Equal, by their contents and by what NEO finds itself."""
        # What is unlocked is written with the next commit, a second later at most.
        programs.eventually(self._are_equal, SECONDS_MAX, "both copies are equal")
        self.neo_cluster.tell("check", ":")
        assert set(self.neo_cluster.cells()) == {"U"}

    def _are_equal(self) -> bool:
        first, second = self.databases
        return select(first, REVISIONS) == select(second, REVISIONS) and all(
            select(it, UNREFERENCED) == [(0,)] for it in self.databases
        )

    def old_revisions(self, path: Path) -> int:
        """How many a pack of everything would delete."""
        number: int = select(path, OLD, EVERYTHING)[0][0]
        return number


def answers(text: str) -> list[dict[str, Any]]:
    lines = text.splitlines()
    return [json.loads(it) for it in lines if it.startswith("{") and it.endswith("}")]


def select(path: Path, query: str, *values: Any) -> list[Any]:
    """From a database that a storage node uses: readers disturb nobody."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query, values).fetchall()


@contextmanager
def filled(directory: Path, size_bytes: int, object_bytes: int) -> Iterator[Packed]:
    environment = neo_environment()
    count = size_bytes // object_bytes // REVISION_COUNT
    with ExitStack() as stack:
        packed = Packed(NeoCluster(directory, environment, stack), count, object_bytes)
        packed.fill()
        yield packed


@contextmanager
def background(packed: Packed, log: Path, *argv: str) -> Iterator[None]:
    """A client that is told to stop by a file, and then has to end well."""
    stop = log.with_suffix(".stop")
    with programs.running(packed.argv(*argv, str(stop)), log) as program:
        programs.eventually(lambda: answers(log.read_text()), SECONDS_MAX, "it works")
        yield
        assert program.poll() is None, log.read_text()[-4000:]
        stop.touch()
        assert program.wait(SECONDS_MAX) == 0, log.read_text()[-4000:]


def half_packed(packed: Packed, olds: list[int]) -> str:
    """The number of the storage node that has begun to delete, or nothing."""
    for number, path in enumerate(packed.databases):
        if packed.old_revisions(path) < olds[number]:
            return str(number)
    return ""


def pack_under_load(directory: Path, size_bytes: int, object_bytes: int) -> Figures:
    """Fill a cluster with that many bytes, and pack it while it commits and undoes.

    Raises ``AssertionError`` when a storage node is dropped, when anything that was
    acknowledged is missing, or when the copies differ.
    """
    with filled(directory, size_bytes, object_bytes) as packed:
        neo_cluster = packed.neo_cluster
        commits, pings = directory / "commits.log", directory / "pings.log"
        addresses = " ".join(neo_cluster.addresses)
        with (
            background(packed, pings, "ping", addresses),
            background(packed, commits, "commit", neo_cluster.master_nodes),
        ):
            before = packed.table()
            committed = len(answers(commits.read_text()))

            pack_seconds = packed.pack()

            committed = len(answers(commits.read_text())) - committed
            assert committed > 0
            assert packed.table() == before
        result = answers(commits.read_text())[-1]
        assert result["wrong"] == []
        assert result["number"] > COMMITS_AROUND
        packed.read()
        for path in packed.databases:
            ((pack_tid,),) = select(path, PACK_TID)
            assert select(path, OLD, pack_tid) == [(0,)]
        packed.check_copies()
        (pages,), (page_bytes,) = (
            *select(packed.databases[0], "PRAGMA freelist_count"),
            *select(packed.databases[0], "PRAGMA page_size"),
        )
        turns = answers(pings.read_text())[-1]["turn_seconds"]
        return Figures(
            size_bytes=size_bytes,
            pack_seconds=pack_seconds,
            commits=committed,
            longest_commit_seconds=result["longest_commit_seconds"],
            longest_turn_seconds=max(turns.values()),
            undone=result["undone"],
            refused=result["refused"],
            freed_bytes=pages * page_bytes,
        )


def test_a_pack_under_load_costs_no_storage_node(tmp_path: Path) -> None:
    """Commits are slower meanwhile, and bounded; old revisions are gone after it."""
    figures = pack_under_load(tmp_path, SIZE_BYTES, OBJECT_BYTES)

    print(figures)  # noqa: T201 - the figures, for `pytest -s`
    assert figures.longest_commit_seconds < COMMIT_SECONDS_MAX
    assert figures.longest_turn_seconds < TURN_SECONDS_MAX
    # Three of four revisions.
    assert figures.freed_bytes > SIZE_BYTES // 2
    assert figures.undone > 0


def test_a_storage_node_that_is_killed_while_it_packs_packs_again(
    tmp_path: Path,
) -> None:
    """The other one packs; the pack is answered; nothing that is read is wrong."""
    with filled(tmp_path, SIZE_BYTES, OBJECT_BYTES) as packed:
        neo_cluster = packed.neo_cluster
        olds = [packed.old_revisions(it) for it in packed.databases]
        log = tmp_path / "pack.log"
        masters = neo_cluster.master_nodes
        with programs.running(packed.argv("pack", masters), log) as packer:
            number = int(
                programs.eventually(
                    lambda: half_packed(packed, olds), SECONDS_MAX, "a pack begins"
                )
            )
            neo_cluster.storages[number].send_signal(signal.SIGKILL)
            neo_cluster.storages[number].wait()
            left = packed.old_revisions(packed.databases[number])
            assert 0 < left < olds[number]
            second = programs.run(packed.argv("pack", masters))
            assert "Already packing" in second.stderr
            assert packer.wait(SECONDS_MAX) == 0, log.read_text()
        assert packed.old_revisions(packed.databases[1 - number]) == 0

        neo_cluster.start_storage(number)
        programs.eventually(
            lambda: set(neo_cluster.cells()) == {"U"}, SECONDS_MAX, "it is back"
        )
        packed.read()
        packed.pack()

        packed.read()
        packed.check_copies()
        assert packed.old_revisions(packed.databases[number]) == 0
