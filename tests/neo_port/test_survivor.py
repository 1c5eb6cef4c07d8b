"""What each database of a real neo_cluster has, after everything was killed at once."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from ZODB.FileStorage import FileStorage

from master_cluster.store.content import Content, verify
from replication.neo.surviving import SurvivingState, copy_database, open_copy
from replication.survivor import NotSurvived
from replication.transfer import write_file
from slapcluster import neo_copies
from tests import programs
from tests.unit.master_cluster.benches import StoreBench

SLAPCLUSTER = str(Path(__file__).parents[2] / "bin" / "slapcluster")
REGIONS = ("paris", "lyon", "tokyo")
SECONDS_MAX = 90
INSTANCES = 20
#: While a region is away, and after it is back.
MORE = 10

# A client of NEO ends its thread by SystemExit, which Python passes over.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)


def tell(*words: str) -> dict[str, str]:
    ended = programs.run(
        (SLAPCLUSTER, "--output", "json", "storage", *words),
        timeout_seconds=SECONDS_MAX,
    )
    assert ended.returncode in {0, 2}, ended.stderr
    answer: dict[str, str] = json.loads(ended.stdout)
    return answer


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "neo"
    yield home
    tell("stop", str(home))


def kill(home: Path, region: str) -> None:
    """End all of a region at once, as a loss of power does."""
    supervisord = int((home / region / "supervisord.pid").read_text())
    os.kill(supervisord, signal.SIGKILL)
    programs.eventually(
        lambda: not _runs(home / region), SECONDS_MAX, f"nothing of {region} runs"
    )


def _runs(directory: Path) -> bool:
    needle = f"{directory}/".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if needle in (entry / "cmdline").read_bytes():
                return True
        except OSError:
            continue
    return False


def watch(done: int, total: int) -> None:
    assert done <= total


def export(home: Path, region: str) -> tuple[SurvivingState, Path]:
    target = home.parent / f"{region}.fs"
    copy = target.with_suffix(".sqlite")
    copy_database(home / region / "database.sqlite", copy)
    state = open_copy(copy)
    with closing(state.storage):
        write_file(state.storage, target, watch)
    return state, target


def tids(path: Path) -> list[bytes]:
    with closing(FileStorage(str(path), read_only=True)) as storage:
        return [it.tid for it in storage.iterator()]


def test_each_of_three_has_all_that_was_acknowledged_to_it(home: Path) -> None:
    regions = [word for name in REGIONS for word in ("--region", name)]
    uri = tell("create", str(home), *regions)["store_uri"]
    bench = StoreBench(uri)
    bench.format(INSTANCES + MORE)
    for number in range(INSTANCES):
        bench.request(f"root {number}")
    with pytest.raises(NotSurvived, match="uses"):
        copy_database(home / "lyon" / "database.sqlite", home.parent / "no.sqlite")
    kill(home, "lyon")
    for number in range(MORE):
        bench.request(f"late {number}")
    bench.close()
    backup = home.parent / "backup.fs"
    content: Content = neo_copies.back_up(uri, backup, watch, is_forced=False)
    for region in ("paris", "tokyo"):
        kill(home, region)

    for region in ("paris", "tokyo"):
        state, target = export(home, region)
        assert state.reach.is_whole
        assert verify(target, watch) == content
        assert target.read_bytes() == backup.read_bytes()

    state, target = export(home, "lyon")
    # It was told by nobody that it is behind.
    assert state.reach.is_whole
    found = tids(target)
    assert found == tids(backup)[: len(found)]
    assert INSTANCES <= verify(target, watch).instance_count < INSTANCES + MORE
