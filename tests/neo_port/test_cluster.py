"""A NEO cluster of real processes on the wheel that we build."""

from __future__ import annotations

import signal
import subprocess  # noqa: TID251 - what runs
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from attrs import define, field

from tests import programs
from tests.interop.stock import neo_environment

HERE = Path(__file__).parent
NAME = "probe"
SECONDS_MAX = 60
COMMIT_COUNT = 200

COMMITS = """\
import sys, transaction
from neo.client.Storage import Storage
from ZODB import DB
masters, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
db = DB(Storage(master_nodes=masters, name="probe"))
root = db.open().root()
for number in range(first, first + count):
    root[number] = b"x" * 100
    transaction.commit()
    print(number, flush=True)
print(len(root), flush=True)
db.close()
"""


@define
class Cluster:
    """One neo_master, one admin, two storage nodes with a copy of everything each."""

    home: Path
    bin: Path
    stack: ExitStack
    master: str = field(init=False)
    admin: str = field(init=False)
    storages: list[subprocess.Popen[bytes]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.master, self.admin = (self._address() for _ in range(2))
        self.run("neomaster", self.master, "--replicas", "1", "--partitions", "12")
        self.run("neoadmin", self.admin)
        self.storages = [self.start_storage(number) for number in range(2)]
        programs.eventually(self._is_started, SECONDS_MAX, "the cluster runs")

    @staticmethod
    def _address() -> str:
        return f"127.0.0.1:{programs.free_port()}"

    def run(self, command: str, bind: str, *options: str) -> subprocess.Popen[bytes]:
        argv = (
            *(str(self.bin / command), "--cluster", NAME, "--masters", self.master),
            *("--bind", bind, *options),
        )
        return self.stack.enter_context(
            programs.running(argv, self.home / f"{command}-{bind}.log")
        )

    def start_storage(self, number: int) -> subprocess.Popen[bytes]:
        database = str(self.home / f"{number}.sqlite")
        options = ("--adapter", "SQLite", "--database", database)
        return self.run("neostorage", self._address(), *options)

    def tell(self, *words: str) -> str:
        argv = (str(self.bin / "neoctl"), "--address", self.admin, *words)
        return programs.run(argv, timeout_seconds=SECONDS_MAX).stdout

    def _is_started(self) -> bool:
        if "S2" in self.tell("print", "node"):
            self.tell("start")
        return "RUNNING" in self.tell("print", "cluster")

    def cells(self) -> str:
        """What the partition table says of the cells: U is readable, O is not."""
        lines = self.tell("print", "pt").splitlines()
        return "".join(line.split()[-1] for line in lines if line.startswith("S"))

    def commit(self, first: int, count: int) -> list[str]:
        python = str(self.bin / "python")
        argv = (python, "-c", COMMITS, self.master, str(first), str(count))
        done = programs.run(argv, timeout_seconds=SECONDS_MAX)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with ExitStack() as stack:
        yield Cluster(tmp_path, neo_environment(HERE / "zodb-6.4.txt"), stack)


def test_a_storage_node_that_is_killed_misses_nothing_when_it_is_back(
    cluster: Cluster,
) -> None:
    """Commits go on without it; it replicates, and then the other one is killed."""
    cluster.commit(0, COMMIT_COUNT)
    first, second = cluster.storages
    second.send_signal(signal.SIGKILL)
    programs.eventually(lambda: "O" in cluster.cells(), SECONDS_MAX, "it is missed")

    cluster.commit(COMMIT_COUNT, COMMIT_COUNT)
    cluster.start_storage(1)
    programs.eventually(
        lambda: set(cluster.cells()) == {"U"}, SECONDS_MAX, "it has replicated"
    )
    first.send_signal(signal.SIGKILL)

    assert cluster.commit(2 * COMMIT_COUNT, 1)[-1] == str(2 * COMMIT_COUNT + 1)
