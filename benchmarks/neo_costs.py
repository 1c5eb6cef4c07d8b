"""What commits and reads cost in NEO, beside FileStorage and ZEO in the same run.

NEO has two storage nodes with a copy of everything each and two neo_masters, on this
computer: what is compared is the work, not the way to another region. Its variants
have the default journal of SQLite, or no heartbeat.
"""

from __future__ import annotations

import subprocess  # noqa: TID251 - clients, told by lines
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from attrs import define, field, frozen

from benchmarks.result import Figure, Goal, Result
from benchmarks.rivals import HOST, START_SECONDS_MAX, cpu_seconds
from benchmarks.spread import ratios, spread_of
from tests import programs
from tests.interop.stock import neo_environment
from tests.neo_port.test_cluster import HERE, NAME, NeoCluster

ROUND_COUNT = 7
THREADS = (1, 8)
COMMIT_COUNT = 160
"""Of each round, by all threads together: about a second of NEO."""

READ_COUNT = 400
NO_HEARTBEAT_SECONDS = 3600
HEARTBEAT_SECONDS = 8
IDLE_SECONDS = 10

#: A storage node with the journal that SQLite has by itself.
DEFAULT_JOURNAL = """\
#!{python}
import sqlite3, sys
from neo.scripts.neostorage import main
connect = sqlite3.connect
class Connection(sqlite3.Connection):
    def execute(self, query, *args):
        if "journal_mode" in query:
            super().execute("PRAGMA journal_mode = DELETE")
            query = "SELECT 'wal'" # what NEO insists on
        return super().execute(query, *args)
sqlite3.connect = lambda *args, **kw: connect(*args, factory=Connection, **kw)
sys.exit(main())
"""


@frozen
class Cost:
    """Of one operation: seconds, and CPU seconds of the client and of the servers."""

    seconds: float
    cpu_seconds: float


@define
class Store:
    """One of those that are compared, with a client that waits for work."""

    name: str
    pids: tuple[int, ...]
    client: subprocess.Popen[str]
    costs: dict[tuple[str, int], list[Cost]] = field(factory=dict)

    def measure(self, verb: str, threads: int, count: int) -> None:
        begun = self._cpu_seconds()
        seconds, client_cpu = map(float, self._ask(f"{verb} {threads} {count}").split())
        cpu = client_cpu + self._cpu_seconds() - begun
        total = threads * count
        self.costs.setdefault((verb, threads), []).append(
            Cost(seconds / total, cpu / total)
        )

    def rates(self, verb: str, threads: int) -> list[float]:
        return [1 / it.seconds for it in self.costs[verb, threads]]

    def _ask(self, line: str) -> str:
        assert self.client.stdin is not None
        self.client.stdin.write(line + "\n")
        self.client.stdin.flush()
        return self.answer()

    def answer(self) -> str:
        assert self.client.stdout is not None
        line = self.client.stdout.readline()
        assert line, f"the client of {self.name} has ended"
        return line

    def _cpu_seconds(self) -> float:
        return sum(map(cpu_seconds, self.pids))


def run() -> Result:
    """Measure all of them by turns."""
    with tempfile.TemporaryDirectory(prefix="bench-neo-") as name, ExitStack() as stack:
        home = Path(name)
        stores = [make(home, stack) for make in STORES]
        idle = [_idle_cpu(it) for it in stores]
        for _ in range(ROUND_COUNT):
            for threads in THREADS:
                for store in stores:
                    store.measure("commit", threads, COMMIT_COUNT // threads)
                for store in stores:
                    store.measure("read", threads, READ_COUNT // threads)
        return _result(stores, idle)


def _idle_cpu(store: Store) -> float:
    """CPU of the servers in a second without any work, in parts of a core."""
    begun = sum(map(cpu_seconds, store.pids))
    if store.pids:
        _rest()
    return (sum(map(cpu_seconds, store.pids)) - begun) / IDLE_SECONDS


def _rest() -> None:
    programs.run(["sleep", str(IDLE_SECONDS)])


def _result(stores: list[Store], idle: list[float]) -> Result:
    figures, goals = [], []
    by_name = {it.name: it for it in stores}
    for verb in ("commit", "read"):
        for threads in THREADS:
            clients = f"{threads} client" + ("s" if threads > 1 else "")
            for store in stores:
                rates = store.rates(verb, threads)
                cpu = [1000 * it.cpu_seconds for it in store.costs[verb, threads]]
                what = f"{store.name}: {verb}, {clients}"
                figures += [
                    Figure(what, "per second", spread_of(rates, larger_is_worse=False)),
                    Figure(what, "ms CPU", spread_of(cpu)),
                ]
            for ours, theirs in PAIRS:
                ratio = ratios(
                    by_name[ours].rates(verb, threads),
                    by_name[theirs].rates(verb, threads),
                )
                goals.append(
                    Goal(
                        f"{verb} rate, {clients}: {ours} / {theirs}",
                        spread_of(ratio, larger_is_worse=False),
                    )
                )
    facts = {
        f"idle, {store.name}, parts of a core": share
        for store, share in zip(stores, idle, strict=True)
        if store.pids
    }
    return Result("neo", tuple(figures), tuple(goals), facts)


def start_client(stack: ExitStack, *store: str) -> subprocess.Popen[str]:
    python = str(neo_environment() / "python")
    if store[0] == "zeo":
        python = sys.executable
    client = stack.enter_context(
        subprocess.Popen(
            [python, "-m", "benchmarks.neo_client", *store],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=HERE.parents[1],
        )
    )
    # Its input ends before it is waited for.
    stack.callback(lambda: client.stdin and client.stdin.close())
    return client


def _ready(store: Store) -> Store:
    assert store.answer() == "ready\n"
    return store


def _file(home: Path, stack: ExitStack) -> Store:
    client = start_client(stack, "file", str(home / "file.fs"))
    return _ready(Store("FileStorage", (), client))


def _zeo(home: Path, stack: ExitStack) -> Store:
    port = programs.free_port(HOST)
    argv = [sys.executable, "-m", "ZEO.runzeo", "-a", f"{HOST}:{port}"]
    argv += ["-f", str(home / "zeo.fs")]
    server = stack.enter_context(programs.running(argv, home / "zeo.log"))
    programs.eventually(
        lambda: programs.is_listening(HOST, port), START_SECONDS_MAX, "ZEO"
    )
    return _ready(
        Store("ZEO", (server.pid,), start_client(stack, "zeo", HOST, str(port)))
    )


def _neo(name: str, silence: int, *, has_wal: bool = True) -> Maker:
    def make(home: Path, stack: ExitStack) -> Store:
        own = home / name.replace(" ", "-")
        own.mkdir()
        environment = neo_environment()
        binaries = environment if has_wal else _with_default_journal(own, environment)
        neo = NeoCluster(own, binaries, stack, options=("--silence", str(silence)))
        pids = tuple(it.pid for it in (*neo.neo_masters.values(), *neo.storages))
        client = start_client(stack, "neo", NAME, neo.master_nodes, str(silence))
        return _ready(Store(name, pids, client))

    return make


def _with_default_journal(home: Path, environment: Path) -> Path:
    binaries = home / "bin"
    binaries.mkdir()
    for command in ("neomaster", "neoadmin", "neoctl", "python"):
        (binaries / command).symlink_to(environment / command)
    script = binaries / "neostorage"
    script.write_text(DEFAULT_JOURNAL.format(python=environment / "python"))
    script.chmod(0o755)
    return binaries


Maker = Callable[[Path, ExitStack], Store]

STORES: tuple[Maker, ...] = (
    _file,
    _zeo,
    _neo("NEO", HEARTBEAT_SECONDS),
    _neo("NEO without heartbeat", NO_HEARTBEAT_SECONDS),
    _neo("NEO with the default journal", HEARTBEAT_SECONDS, has_wal=False),
)
PAIRS = (
    ("NEO", "FileStorage"),
    ("NEO", "ZEO"),
    ("NEO", "NEO with the default journal"),
    ("NEO", "NEO without heartbeat"),
)
