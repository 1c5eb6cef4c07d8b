"""``slapcluster storage create`` and on, with the programs of NEO: three small regions.

What an operator does with three, and breaks, is in ``tests/neo_port``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess  # noqa: TID251 - what a run gives
from typing import Any

import pytest
from attrs import frozen

from replication.observation import parse_storage_id, region_of
from tests import programs

COMMAND = "from slapcluster.cli import main; main()"
COMMAND_SECONDS_MAX = 120
REGIONS = ("--region", "a", "--region", "b", "--region", "c")


@frozen
class Operator:
    directory: Path

    def try_to(self, verb: str, *options: str) -> CompletedProcess[str]:
        argv = (sys.executable, "-c", COMMAND, "--output", "json", "storage", verb)
        return programs.run(
            (*argv, str(self.directory), *options),
            {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": "/usr/bin:/bin"},
            timeout_seconds=COMMAND_SECONDS_MAX,
        )

    def read(self, verb: str, *options: str, exit_code: int = 0) -> Any:
        done = self.try_to(verb, *options)
        assert done.returncode == exit_code, done.stdout + done.stderr
        return json.loads(done.stdout)

    def refusal(self, verb: str, *options: str) -> str:
        done = self.try_to(verb, *options)
        assert done.returncode == 1, done.stdout + done.stderr
        assert not done.stdout
        return done.stderr


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    operator = Operator(tmp_path / "neo")
    yield operator
    for pid_file in operator.directory.glob("*/supervisord.pid"):
        os.kill(int(pid_file.read_text()), signal.SIGKILL)


def test_a_neo_cluster_is_made_seen_packed_and_stopped(operator: Operator) -> None:
    """And said to be there already, or to be another one, when it is made again."""
    created = operator.read("create", *REGIONS)
    again = operator.read("create", *REGIONS)
    seen = operator.read("status")
    packed = operator.read("pack", "--days", "0")
    other = operator.refusal("create", *REGIONS, "--partitions", "6")
    two = operator.refusal("create", *REGIONS[:4])
    stopped = operator.read("stop")
    down = operator.read("status", exit_code=3)

    assert (created["is_new"], again["is_new"]) == (True, False)
    assert seen["standing"] == "whole"
    assert seen["remarks"] == []
    ids = [it["storage_node_id"] for it in seen["regions"]]
    assert [region_of(parse_storage_id(it)) for it in ids] == [1, 2, 3]
    assert [it["if_lost"] for it in seen["regions"]] == ["goes on"] * 3
    assert sorted(it["verdict"].split()[0] for it in seen["regions"]) == [
        "follows",
        "follows",
        "runs",
    ]
    assert packed["is_done"]
    assert "partitions 12, not 6" in other
    assert "2 regions: an odd number" in two
    assert stopped["stopped"] == ["a", "b", "c"]
    assert down["standing"] == "away"
    assert down["store_uri"] == seen["store_uri"]


def test_what_is_no_directory_of_a_neo_cluster_is_left_alone(
    operator: Operator,
) -> None:
    directory = operator.directory
    missing = operator.refusal("start")
    directory.mkdir()
    (directory / "letter.txt").write_text("mine")
    foreign = operator.refusal("create", *REGIONS)
    (directory / "letter.txt").unlink()
    (directory / "neo_cluster.json").write_text('{"name": "x"}')
    broken = operator.refusal("status")

    assert "storage create` makes a neo_cluster" in missing
    assert "has something else, such as letter.txt" in foreign
    assert "neo_cluster.json: 'partition_count' is missing" in broken
    assert [it.name for it in directory.iterdir()] == ["neo_cluster.json"]


def test_a_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    """A socket of its supervisord would have no room."""
    operator = Operator(tmp_path / ("x" * 100))

    assert "bytes too long for the sockets" in operator.refusal("create", *REGIONS)
    assert not operator.directory.exists()
