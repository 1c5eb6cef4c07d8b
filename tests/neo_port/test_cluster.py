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
#: A network that no computer has.
NOWHERE = "fd00:dead::"

COMMITS = """\
import sys, transaction
from neo.client.Storage import Storage
from ZODB import DB
masters, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
db = DB(Storage(master_nodes=masters, name="probe", translate=sys.argv[4]))
root = db.open().root()
for number in range(first, first + count):
    root[number] = b"x" * 100
    transaction.commit()
    print(number, flush=True)
print(len(root), flush=True)
db.close()
"""


@define
class NeoCluster:
    """Two neo_masters, an admin, two storage nodes with a copy of everything each.

    ``is_announced``: all nodes know each other by addresses that nobody is bound to.
    """

    home: Path
    bin: Path
    stack: ExitStack
    is_announced: bool = False
    options: tuple[str, ...] = ()
    translations: dict[str, str] = field(factory=dict, init=False)
    master_nodes: str = field(init=False)
    admin: str = field(init=False)
    storages: list[subprocess.Popen[bytes]] = field(init=False)
    neo_masters: dict[str, subprocess.Popen[bytes]] = field(init=False)
    neoadmin: subprocess.Popen[bytes] = field(init=False)
    addresses: tuple[str, ...] = field(init=False)

    def __attrs_post_init__(self) -> None:
        # Nodes are told of each other before they start, as by a configuration.
        first, second, admin, *storages = (self._address(it) for it in range(5))
        self.master_nodes, self.admin = f"{first} {second}", self.reached(admin)
        self.start_neo_masters()
        self.neoadmin = self.run("neoadmin", admin)
        self.addresses = tuple(storages)
        self.storages = [self.start_storage(number) for number in range(2)]
        programs.eventually(self._is_started, SECONDS_MAX, "the cluster runs")

    def _address(self, number: int) -> str:
        """What others know a new node by."""
        bound = f"127.0.0.1:{programs.free_port()}"
        if not self.is_announced:
            return bound
        announced = f"[{NOWHERE}{number + 1}]:2051"
        self.translations[announced] = bound
        return announced

    def reached(self, address: str) -> str:
        return self.translations.get(address, address)

    @property
    def translated(self) -> str:
        return " ".join(f"{a}={b}" for a, b in self.translations.items())

    def run(self, command: str, address: str, *options: str) -> subprocess.Popen[bytes]:
        bound = self.reached(address)
        argv = (
            *(
                str(self.bin / command),
                "--cluster",
                NAME,
                "--masters",
                self.master_nodes,
            ),
            *("--bind", bound, *self.options, *options),
        )
        if self.is_announced:
            argv += ("--announce", address, "--translate", self.translated)
        return self.stack.enter_context(
            programs.running(argv, self.home / f"{command}-{bound}.log")
        )

    def start_neo_masters(self) -> None:
        options = ("--replicas", "1", "--partitions", "12")
        self.neo_masters = {
            it: self.run("neomaster", it, *options) for it in self.master_nodes.split()
        }

    def start_storage(self, number: int) -> subprocess.Popen[bytes]:
        database = str(self.home / f"{number}.sqlite")
        options = ("--adapter", "SQLite", "--database", database)
        return self.run("neostorage", self.addresses[number], *options)

    def tell(self, *words: str) -> str:
        argv = (str(self.bin / "neoctl"), "--address", self.admin, *words)
        return programs.run(argv, timeout_seconds=SECONDS_MAX).stdout

    def _is_started(self) -> bool:
        if "S2" in self.tell("print", "node"):
            self.tell("start")
        return "RUNNING" in self.tell("print", "cluster")

    def primary(self) -> subprocess.Popen[bytes]:
        """The neo_master that was elected."""
        name = self.tell("print", "primary").strip()
        rows = (line.split() for line in self.tell("print", "node").splitlines())
        (address,) = (row[4] for row in rows if row[0] == name)
        return self.neo_masters[address]

    def cells(self) -> str:
        """What the partition table says of the cells: U is readable, O is not."""
        lines = self.tell("print", "pt").splitlines()
        return "".join(line.split()[-1] for line in lines if line.startswith("S"))

    def commit(self, first: int, count: int) -> list[str]:
        python = str(self.bin / "python")
        argv = (python, "-c", COMMITS, self.master_nodes, str(first), str(count))
        argv += (self.translated,)
        done = programs.run(argv, timeout_seconds=SECONDS_MAX)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()


@pytest.fixture(params=["bound", "announced"])
def neo_cluster(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[NeoCluster]:
    """Addresses that nodes are bound to, or announced ones that lead to those."""
    environment = neo_environment()
    with ExitStack() as stack:
        yield NeoCluster(tmp_path, environment, stack, request.param == "announced")


def test_another_neo_master_takes_over_when_the_primary_is_killed(
    neo_cluster: NeoCluster,
) -> None:
    """By itself, since all storage nodes are there; nothing acknowledged is lost."""
    neo_cluster.commit(0, COMMIT_COUNT)

    neo_cluster.primary().send_signal(signal.SIGKILL)

    assert neo_cluster.commit(COMMIT_COUNT, 1)[-1] == str(COMMIT_COUNT + 1)


def test_a_storage_node_that_is_killed_misses_nothing_when_it_is_back(
    neo_cluster: NeoCluster,
) -> None:
    """Commits go on without it; it replicates, and then the other one is killed."""
    neo_cluster.commit(0, COMMIT_COUNT)
    first, second = neo_cluster.storages
    second.send_signal(signal.SIGKILL)
    programs.eventually(lambda: "O" in neo_cluster.cells(), SECONDS_MAX, "it is missed")

    neo_cluster.commit(COMMIT_COUNT, COMMIT_COUNT)
    neo_cluster.start_storage(1)
    programs.eventually(
        lambda: set(neo_cluster.cells()) == {"U"}, SECONDS_MAX, "it has replicated"
    )
    first.send_signal(signal.SIGKILL)

    assert neo_cluster.commit(2 * COMMIT_COUNT, 1)[-1] == str(2 * COMMIT_COUNT + 1)
    known = neo_cluster.tell("print", "node")
    assert (NOWHERE in known) is neo_cluster.is_announced
    assert ("127.0.0.1" in known) is not neo_cluster.is_announced
