"""Storage nodes are replaced, regions added, removed, moved, under a client.

Each command is killed at drawn instants and repeated until it is done.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from subprocess import CompletedProcess  # noqa: TID251 - what a run gives
from typing import Any

import pytest
from attrs import define, field

from tests import programs
from tests.neo_port.committer import NAME
from tests.neo_port.faults import COMMITTER, SILENCE_SECONDS, digest_of

COMMAND = "from slapcluster.cli import main; main()"
COMMAND_SECONDS_MAX = 240
EQUAL_SECONDS_MAX = 30
GOES_ON_SECONDS_MAX = 60
KILLS = 6
KILLED_AFTER_SECONDS = (0.6, 7.0)
"""It begins to work after half a second, and some steps take five."""

FIVE = ("paris", "lyon", "tokyo", "nice", "rome")


@define
class Operator:
    """Somebody who works on a neo_cluster while a client commits all the time."""

    home: Path
    entropy: Random
    neo_masters: str = ""
    log: Path = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.log = self.home / "committer.log"

    @property
    def directory(self) -> Path:
        return self.home / "neo"

    def try_to(self, *words: str, kill_after: float = 0.0) -> CompletedProcess[str]:
        argv = (sys.executable, "-c", COMMAND, "--output", "json", "storage", *words)
        if kill_after:
            argv = ("timeout", "-s", "KILL", str(kill_after), *argv)
        return programs.run(
            argv,
            {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": "/usr/bin:/bin"},
            timeout_seconds=COMMAND_SECONDS_MAX,
        )

    def do(self, *words: str) -> Any:
        done = self.try_to(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def kill_and_repeat(self, *words: str) -> Any:
        """Kill it at drawn instants, then let it come to its end."""
        for _ in range(KILLS):
            seconds = round(self.entropy.uniform(*KILLED_AFTER_SECONDS), 1)
            killed = self.try_to(*words, kill_after=seconds)
            assert killed.returncode in {0, -signal.SIGKILL, 137}, killed.stderr
        return self.do(*words)

    def status(self) -> Any:
        return json.loads(self.try_to("status", str(self.directory)).stdout)

    def create(self, names: tuple[str, ...]) -> None:
        regions = [word for it in names for word in ("--region", it)]
        seen = self.do("create", str(self.directory), "--name", NAME, *regions)
        self.neo_masters = seen["store_uri"].partition("@")[2].replace(",", " ")

    def committer(self, word: str) -> tuple[str, ...]:
        options = (self.neo_masters, str(SILENCE_SECONDS), "", "", "numbers")
        return (sys.executable, str(COMMITTER), *options, word)

    def acknowledged(self) -> int:
        rows = map(str.split, self.log.read_text().splitlines())
        return sum(row[:1] == ["acknowledged"] and len(row) == 3 for row in rows)

    def wait_for_more(self, count: int = 20) -> None:
        known = self.acknowledged()
        programs.eventually(
            lambda: self.acknowledged() >= known + count,
            GOES_ON_SECONDS_MAX,
            "commits go on",
        )

    def check(self) -> None:
        """Nothing acknowledged is missing, all copies are equal, all of it runs."""
        seen = self.status()
        assert (seen["standing"], seen["remarks"]) == ("whole", [])
        neo_masters = seen["store_uri"].partition("@")[2].replace(",", " ")
        acknowledged = self.acknowledged()
        self.neo_masters = neo_masters
        done = programs.run(self.committer("read"), timeout_seconds=GOES_ON_SECONDS_MAX)
        _, count, missing = done.stdout.split()
        assert missing == "None"
        assert "backwards" not in self.log.read_text()
        assert int(count) >= acknowledged
        databases = [
            self.directory / it["name"] / "database.sqlite" for it in seen["regions"]
        ]
        programs.eventually(
            lambda: len(set(map(digest_of, databases))) == 1,
            EQUAL_SECONDS_MAX,
            "equal copies",
        )


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    operator = Operator(tmp_path, Random(1))
    yield operator
    for pid_file in operator.directory.glob("*/supervisord.pid"):
        pid = int(pid_file.read_text())
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, signal.SIGKILL)


def lose_a_disk(operator: Operator) -> None:
    """Below its storage node, which does not know it yet."""
    for path in (operator.directory / "paris").glob("database.sqlite*"):
        path.unlink()


CASES = {
    "replace": (3, ("replace", "--region", "paris"), {"paris", "lyon", "tokyo"}),
    "add": (3, ("region add", "nice", "rome"), set(FIVE)),
    "remove": (5, ("region remove", "paris", "rome"), {"lyon", "tokyo", "nice"}),
    "move": (3, ("region move", "lyon", "oslo"), {"paris", "oslo", "tokyo"}),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_killed_is_repeated_under_a_client(
    name: str, operator: Operator
) -> None:
    count, (verb, *options), names = CASES[name]
    operator.create(FIVE[:count])
    before = {it["storage_node_id"] for it in operator.status()["regions"]}
    words = (*verb.split(), str(operator.directory), *options)
    with programs.running(operator.committer("0"), operator.log):
        operator.wait_for_more()
        if name == "replace":
            lose_a_disk(operator)
        operator.kill_and_repeat(*words)
        operator.wait_for_more()
        again = operator.do(*words)
        operator.wait_for_more()

    operator.check()
    seen = operator.status()["regions"]
    after = {it["storage_node_id"] for it in seen}
    assert again["steps"] == []
    assert {it["name"] for it in seen} == names
    assert all(it["if_lost"] == "goes on" for it in seen)
    #: How many storage nodes came.
    assert len(after - before) == {"replace": 1, "add": 2, "remove": 0, "move": 1}[name]
