"""What one database of a storage node has, when it is all that is left."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess  # noqa: TID251 - somebody else has to hold the database
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from ZODB.FileStorage import FileStorage

from replication.neo.surviving import (
    SurvivingState,
    copy_database,
    is_database,
    open_copy,
)
from replication.survivor import NotSurvived, Reach, Survivor, judge
from replication.transfer import write_file
from tests.unit.master_cluster.benches import StoreBench
from tests.unit.replication.left_databases import (
    EPOCH,
    STORAGE_ID,
    build_database,
    outdate,
)

INSTANCES = 6

HOLD = """\
import sqlite3, sys
held = sqlite3.connect(sys.argv[1])
held.execute("PRAGMA journal_mode = WAL")
held.execute("SELECT COUNT(*) FROM trans").fetchone()
print("held", flush=True)
sys.stdin.read()
"""


def a_survivor(
    cells: dict[int, int | None], partition_count: int = 3, **others: int
) -> Survivor:
    return Survivor("cloud", STORAGE_ID, EPOCH, partition_count, cells, 100, **others)


@pytest.mark.parametrize(
    ("survivor", "expected"),
    [
        (a_survivor({0: None, 1: None, 2: None}), Reach(100, is_whole=True)),
        # What is packed does not matter where all is readable.
        (
            a_survivor({0: None, 1: None, 2: None}, packed_tid=99),
            Reach(100, is_whole=True),
        ),
        (a_survivor({0: None, 1: 80, 2: 90}), Reach(80, is_whole=False)),
        (a_survivor({0: None, 1: 80, 2: 90}, packed_tid=80), Reach(80, is_whole=False)),
        # The table may be newer than anything that was committed here.
        (a_survivor({0: 120, 1: 130, 2: 140}), Reach(100, is_whole=False)),
    ],
)
def test_it_reaches_to_what_all_its_cells_have(
    survivor: Survivor, expected: Reach
) -> None:
    assert judge(survivor) == expected


@pytest.mark.parametrize(
    ("survivor", "told"),
    [
        (a_survivor({}, partition_count=0), "never had anything"),
        (a_survivor({0: None, 2: None}), "has 2 of 3 cells"),
        (a_survivor({0: None, 1: 0, 2: None}), "was being filled"),
        (
            a_survivor({0: None, 1: 80, 2: None}, packed_tid=81),
            "was behind, and packed",
        ),
    ],
)
def test_what_has_no_whole_state_is_refused(survivor: Survivor, told: str) -> None:
    with pytest.raises(NotSurvived, match=told):
        judge(survivor)


def test_the_region_is_that_of_the_storage_node() -> None:
    assert a_survivor({0: None}).region == 2


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("state") / "state.fs"
    bench = StoreBench(f"file:{path}")
    bench.format(INSTANCES)
    for number in range(INSTANCES):
        bench.request(f"root {number}")
    bench.close()
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "database.sqlite"


def tids(file: Path) -> list[bytes]:
    with closing(FileStorage(str(file), read_only=True)) as storage:
        return [it.tid for it in storage.iterator()]


def exported(path: Path, into: Path) -> tuple[SurvivingState, list[bytes]]:
    """Write what a database has into a new file; return its transactions."""
    into.mkdir()
    copy_database(path, into / "copy.sqlite")
    state = open_copy(into / "copy.sqlite")
    with closing(state.storage):
        write_file(state.storage, into / "state.fs", watch)
        assert state.storage.later_count >= 0
    return state, tids(into / "state.fs")


def watch(done: int, total: int) -> None:
    assert done <= total


def digests(directory: Path) -> dict[str, str]:
    return {
        it.name: hashlib.sha256(it.read_bytes()).hexdigest()
        for it in directory.iterdir()
        if it.is_file()
    }


def test_a_readable_one_gives_the_very_file(
    file: Path, path: Path, tmp_path: Path
) -> None:
    build_database(file, path).close()
    before = digests(tmp_path)

    state, _ = exported(path, tmp_path / "into")

    assert (tmp_path / "into/state.fs").read_bytes() == file.read_bytes()
    assert state.reach.is_whole
    assert (state.survivor.neo_cluster, state.survivor.epoch) == ("cloud", EPOCH)
    # Neither it nor what stands beside it was touched.
    assert digests(tmp_path) == before
    assert is_database(path)
    assert not is_database(file)


def test_what_was_locked_is_committed_and_what_was_only_voted_is_not(
    file: Path, path: Path, tmp_path: Path
) -> None:
    build_database(file, path, locked=2, voted=1).close()

    state, found = exported(path, tmp_path / "into")

    assert found == tids(file)[:-1]
    assert (state.survivor.locked_count, state.survivor.voted_count) == (2, 1)


def test_one_that_was_behind_ends_where_it_was_whole(
    file: Path, path: Path, tmp_path: Path
) -> None:
    all_of = tids(file)
    database = build_database(file, path)
    outdate(database, {0: all_of[-2], 2: all_of[-4]})
    database.close()

    state, found = exported(path, tmp_path / "into")

    assert found == all_of[:-3]
    assert not state.reach.is_whole


@pytest.mark.parametrize("held", [(0, 1), ()])
def test_one_without_all_cells_is_refused(
    held: tuple[int, ...], file: Path, path: Path, tmp_path: Path
) -> None:
    build_database(file, path, held=held).close()

    with pytest.raises(NotSurvived, match=f"has {len(held)} of 3 cells"):
        exported(path, tmp_path / "into")


def _no_version(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE config SET value = '2' WHERE name = 'version'")


def _no_table(connection: sqlite3.Connection) -> None:
    connection.execute("DROP TABLE trans")


def _other_content(connection: sqlite3.Connection) -> None:
    connection.execute(
        "UPDATE data SET value = x'00' WHERE id IN (SELECT MIN(id) FROM data)"
    )


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (_no_version, "of version 2"),
        (_no_table, "no database of a storage node"),
        (_other_content, "is not as it was written"),
    ],
)
def test_a_damaged_one_is_refused(
    damage: Callable[[sqlite3.Connection], None],
    told: str,
    file: Path,
    path: Path,
    tmp_path: Path,
) -> None:
    build_database(file, path).close()
    with closing(sqlite3.connect(path)) as connection:
        damage(connection)
        connection.commit()

    with pytest.raises(NotSurvived, match=told):
        exported(path, tmp_path / "into")


def test_one_that_was_cut_is_refused(file: Path, path: Path, tmp_path: Path) -> None:
    build_database(file, path).close()
    path.write_bytes(path.read_bytes()[:20_000])

    with pytest.raises(NotSurvived, match="it is damaged"):
        exported(path, tmp_path / "into")


def test_one_that_somebody_uses_is_refused(
    file: Path, path: Path, tmp_path: Path
) -> None:
    build_database(file, path).close()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"

        with pytest.raises(NotSurvived, match=f"process {holder.pid} uses"):
            exported(path, tmp_path / "into")

        assert holder.stdin is not None
        holder.stdin.close()
