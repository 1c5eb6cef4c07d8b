"""``slapcluster proxy import``: a state file of ours out of a proxy's database."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from slapcluster.outcomes import ExitCode
from tests.unit.slapcluster.desk import Desk, a_desk

SQL = Path(__file__).parents[1] / "master_cluster" / "reference_databases"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "proxy.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((SQL / "version18.sql").read_text())
    return path


def imported(desk: Desk, database: Path, *options: str):
    return desk.type("proxy", "import", "--slapproxy-database", str(database), *options)


def test_a_dry_run_shows_what_would_be_taken_over(database: Path) -> None:
    with a_desk(has_master=False) as desk:
        result = imported(desk, database, "--dry-run")

    assert result.exit_code == ExitCode.DONE, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "local     5           4     2" in lines
    assert "front_end  first    yes     local/slappart0  started" in lines
    assert "Nothing was written." in result.stderr
    assert [it.name for it in database.parent.iterdir()] == ["proxy.db"]


def test_a_state_is_taken_over_once(database: Path, tmp_path: Path) -> None:
    store = ("--store", f"file:{tmp_path}/state.zodb")
    with a_desk(has_master=False) as desk:
        first, second = (
            desk.read(
                *("proxy", "import", "--slapproxy-database", str(database), *store)
            )
            for _ in range(2)
        )

    assert [first.pop("is_written"), second.pop("is_written")] == [True, False]
    assert first == second
    assert first["computers"][0] == {
        "computer_id": "local",
        "partitions": 5,
        "busy": 4,
        "releases": 2,
    }
    assert first["instances"][0] == {
        "title": "first",
        "root_title": "first",
        "instance_guid": "local-slappart0",
        "is_shared": False,
        "requested_state": "started",
        "partition": {"computer_id": "local", "partition_id": "slappart0"},
    }


def test_a_refusal_names_every_row_and_makes_no_store(
    database: Path, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE partition18 SET timestamp = 'x'")
        connection.commit()
    with a_desk(has_master=False) as desk:
        result = imported(desk, database, "--store", f"file:{tmp_path}/state.zodb")

    assert result.exit_code == ExitCode.FAILED
    assert result.stderr.count("column timestamp: 'x' is no time") == 7
    assert not (tmp_path / "state.zodb").exists()


def test_an_import_to_nowhere_says_what_is_missing(database: Path) -> None:
    with a_desk(has_master=False) as desk:
        result = imported(desk, database)

    assert result.exit_code == ExitCode.FAILED
    assert "--store file:PATH or --dry-run" in result.stderr
    assert json.dumps(result.stdout) == '""'
