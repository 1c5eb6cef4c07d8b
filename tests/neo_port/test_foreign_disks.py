"""What is not for a neo_cluster of three regions, and comes to one that lives.

A client commits all the time. After all of it nothing acknowledged is missing, and the
copies are equal.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from replication.observation import TableId, encode_table_id
from tests import programs
from tests.neo_port.committer import NAME
from tests.neo_port.faults import digest_of
from tests.neo_port.test_bad_input import folded
from tests.neo_port.test_changing_regions import Operator
from tests.source_tree import TOP
from tests.unit.master_cluster.benches import StoreBench

THREE = ("paris", "lyon", "tokyo")
ENDS_SECONDS_MAX = 30
"""It looks for the primary, which looks at it: a second, on a busy machine more."""

LATER_EPOCH = 9_000
COMMITS = 20


def kill_supervisords(operator: Operator) -> None:
    for pid_file in operator.directory.glob("*/supervisord.pid"):
        pid = int(pid_file.read_text())
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The disk of a storage node of the first region of another neo_cluster.

    Of the same name, with transactions.
    """
    other = Operator(tmp_path_factory.mktemp("other"), Random(2))
    try:
        other.create(THREE)
        with programs.running(other.committer("0"), other.log):
            other.wait_for_more(COMMITS)
        other.do("stop", str(other.directory))
    finally:
        kill_supervisords(other)
    return folded(other.directory / "paris" / "database.sqlite")


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Of the neo_cluster that lives."""
    operator = Operator(tmp_path_factory.mktemp("living"), Random(1))
    try:
        operator.create(THREE)
        with programs.running(operator.committer("0"), operator.log):
            operator.wait_for_more()
            yield operator
            operator.wait_for_more()
        operator.check()
    finally:
        kill_supervisords(operator)


@pytest.fixture(autouse=True)
def it_goes_on(operator: Operator) -> Iterator[None]:
    """By the storage nodes that it had, in the epoch that it had or a later one."""
    before = operator.status()
    yield
    operator.wait_for_more()
    after = operator.status()
    assert after["standing"] == "whole"
    assert after["epoch"] >= before["epoch"]
    of_regions = [
        {it["name"]: it["storage_node_id"] for it in seen["regions"]}
        for seen in (before, after)
    ]
    assert of_regions[0] == of_regions[1]


def storage_argv(
    operator: Operator, database: Path, region: int = 1
) -> tuple[str, ...]:
    ours = str(TOP / "replication" / "neo" / "storage_node.py")
    return (
        *(str(TOP / "bin" / "python"), ours, "--cluster", NAME),
        *("--masters", operator.neo_masters),
        *("--bind", f"127.0.0.1:{programs.free_port()}", "--region", str(region)),
        *("--adapter", "SQLite", "--database", str(database)),
    )


def refusal(operator: Operator, database: Path, region: int = 1) -> str:
    """The last line that a storage node with this disk writes before it ends."""
    argv = storage_argv(operator, database, region)
    ended = programs.run(argv, timeout_seconds=ENDS_SECONDS_MAX)
    assert ended.returncode == 1, ended
    assert "Traceback" not in ended.stderr
    return ended.stderr.strip().splitlines()[-1]


def remembered(database: Path) -> tuple[str, list[tuple[str, str]]]:
    """All that is on a disk: what was committed, the table, the promise."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT name, value FROM config ORDER BY name")
        return digest_of(database), rows.fetchall()


def begin_epoch(database: Path, epoch: int) -> None:
    with closing(sqlite3.connect(database)) as connection:
        for name, number in (
            ("ptid", encode_table_id(TableId(epoch, 0))),
            ("promise", epoch),
        ):
            connection.execute(
                "UPDATE config SET value=? WHERE name=?", (str(number), name)
            )
        connection.commit()


@pytest.mark.parametrize("epoch", [1, LATER_EPOCH])
def test_a_disk_of_another_neo_cluster_is_sent_away_as_it_is(
    operator: Operator, foreign: Path, tmp_path: Path, epoch: int
) -> None:
    """Whether the epoch of its table is below or above: the living one has its own."""
    disk = Path(shutil.copy(foreign, tmp_path))
    begin_epoch(disk, epoch)
    before, living = remembered(disk), operator.status()["epoch"]

    said = refusal(operator, disk)

    assert said == (
        "error: its database has transactions, and it has no cell here: it was removed,"
        " or is of another neo_cluster of that name. Put it aside and start with none"
    )
    assert remembered(disk) == before
    assert operator.status()["epoch"] == living


def test_a_copy_of_the_disk_of_a_living_storage_node_is_sent_away(
    operator: Operator, tmp_path: Path
) -> None:
    database = operator.directory / "paris" / "database.sqlite"
    with (
        closing(sqlite3.connect(database)) as source,
        closing(sqlite3.connect(tmp_path / "copy.sqlite")) as target,
    ):
        source.backup(target)
    before = remembered(tmp_path / "copy.sqlite")
    (number,) = (
        it["storage_node_id"]
        for it in operator.status()["regions"]
        if it["name"] == "paris"
    )

    said = refusal(operator, tmp_path / "copy.sqlite")

    assert said.startswith(f"error: storage node {number} is here already, at ")
    assert said.endswith("Put the copy aside and start with none")
    assert remembered(tmp_path / "copy.sqlite") == before


def test_a_disk_of_another_region_is_refused(
    operator: Operator, foreign: Path, tmp_path: Path
) -> None:
    disk = Path(shutil.copy(foreign, tmp_path))
    before = remembered(disk)

    assert refusal(operator, disk, region=2) == (
        "error: the database is of region 1, not of 2"
    )
    assert remembered(disk) == before


NO_OSLO = "there is no region 'oslo'; there are paris, lyon, tokyo"
WRONG = {
    "start DIRECTORY --region oslo": NO_OSLO,
    "stop DIRECTORY --region oslo": NO_OSLO,
    "replace DIRECTORY --region oslo": NO_OSLO,
    "region add DIRECTORY paris nice": "there is a region paris already",
    "region add DIRECTORY nice nice": "the region nice is there twice",
    "region add DIRECTORY NICE rome": "'NICE' is no name of a region",
    "region remove DIRECTORY paris oslo": NO_OSLO,
    "region remove DIRECTORY paris lyon": "an odd number is needed, 3 to 9",
    "region move DIRECTORY oslo rome": NO_OSLO,
    "region move DIRECTORY paris lyon": "there is a region lyon already",
    "create DIRECTORY --region paris --region lyon": "2 regions: an odd number",
    "create DIRECTORY --name lab --region paris --region lyon --region nice": (
        "has another neo_cluster: regions paris lyon tokyo, not paris lyon nice"
    ),
}


def test_a_command_that_names_wrong_regions_changes_nothing(operator: Operator) -> None:
    description = operator.directory / "neo_cluster.json"
    before, epoch = description.read_text(), operator.status()["epoch"]

    for words, sentence in WRONG.items():
        filled = words.replace("DIRECTORY", str(operator.directory))
        refused = operator.try_to(*filled.split())
        assert refused.returncode == 1, refused.stdout + refused.stderr
        assert sentence in " ".join(refused.stderr.split())

    assert description.read_text() == before
    assert operator.status()["epoch"] == epoch


def test_a_restore_over_it_is_refused(operator: Operator, tmp_path: Path) -> None:
    path = tmp_path / "state.fs"
    bench = StoreBench(f"file:{path}")
    bench.format(3)
    bench.close()
    uri = operator.status()["store_uri"]

    for options in ((), ("--force",), ("--dry-run",)):
        refused = operator.try_to("restore", str(path), uri, *options)

        said = " ".join(refused.stderr.split())
        assert refused.returncode == 1, refused.stdout + refused.stderr
        assert "create another one by `slapcluster storage create`" in said


def verdict(operator: Operator, name: str) -> str:
    (found,) = (it for it in operator.status()["regions"] if it["name"] == name)
    return str(found["verdict"])


def test_a_minority_is_not_started_by_anybody(
    operator: Operator, foreign: Path, tmp_path: Path
) -> None:
    """Not by an operator, nor by a disk that is no copy; then the others come."""
    directory = str(operator.directory)
    epoch = operator.status()["epoch"]
    for name in ("lyon", "tokyo"):
        operator.do("stop", directory, "--region", name)
    (admin_node,) = (
        it["admin_node"] for it in operator.status()["regions"] if it["name"] == "paris"
    )
    waits = "regions paris of paris, lyon, tokyo: 2 are needed"
    programs.eventually(
        lambda: waits in verdict(operator, "paris"), ENDS_SECONDS_MAX, "it waits"
    )

    by_neoctl = programs.run(
        (str(TOP / "bin" / "neoctl"), "--address", admin_node, "start"),
        timeout_seconds=ENDS_SECONDS_MAX,
    )
    by_command = operator.try_to("start", directory, "--region", "paris")
    disk = Path(shutil.copy(foreign, tmp_path))
    begin_epoch(disk, LATER_EPOCH)
    before = remembered(disk)
    with programs.running(storage_argv(operator, disk), tmp_path / "foreign.log"):
        programs.eventually(
            lambda: "stop them if they are of another" in verdict(operator, "paris"),
            *(ENDS_SECONDS_MAX, "the foreign disk is seen"),
        )

    assert by_neoctl.returncode != 0
    # NEO knows the numbers of regions alone.
    assert "it starts by itself; it waits: regions [1] of [1, 2, 3]: 2 are" in (
        by_neoctl.stdout + by_neoctl.stderr
    )
    assert by_command.returncode == 3, by_command
    assert "starts by itself as soon as a majority" in by_command.stdout
    assert remembered(disk) == before
    # The first of them finds that the other one is still away.
    operator.try_to("start", directory, "--region", "lyon")
    operator.try_to("start", directory, "--region", "tokyo")
    programs.eventually(
        lambda: operator.status()["standing"] == "whole",
        *(ENDS_SECONDS_MAX, "all copies"),
    )
    assert epoch < operator.status()["epoch"] < LATER_EPOCH
