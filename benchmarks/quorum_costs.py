"""What the quorum costs a commit: NEO with it beside NEO without, by turns.

Both have three storage nodes with a copy of everything each and three neo_masters, on
this computer. What differs is which programs run: those of NEO, or ours on them.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.neo_costs import HEARTBEAT_SECONDS, THREADS, Store, start_client
from benchmarks.result import Figure, Goal, Result
from benchmarks.spread import ratios, spread_of
from tests import programs
from tests.interop.stock import neo_environment
from tests.source_tree import TOP

ROUND_COUNT = 12
COMMIT_COUNT = 160
"""Of each round, by all threads together."""

NAME = "bench"
COPIES = 3
START_SECONDS_MAX = 60
WITH, WITHOUT = "with the quorum", "without"


def run() -> Result:
    with tempfile.TemporaryDirectory(prefix="bench-q-") as name, ExitStack() as stack:
        stores = [_start(it, Path(name) / it, stack) for it in (WITH, WITHOUT)]
        for number in range(ROUND_COUNT):
            for threads in THREADS:
                # Who is first changes, as does what the machine does besides.
                for store in stores if number % 2 else reversed(stores):
                    store.measure("commit", threads, COMMIT_COUNT // threads)
    return _result(*stores)


def _result(ours: Store, theirs: Store) -> Result:
    figures, goals = [], []
    for threads in THREADS:
        clients = f"{threads} client" + ("s" if threads > 1 else "")
        cpu = {
            it.name: [1000 * cost.cpu_seconds for cost in it.costs["commit", threads]]
            for it in (ours, theirs)
        }
        for name, spent in cpu.items():
            figures.append(Figure(f"{name}, {clients}", "ms CPU", spread_of(spent)))
        goals += [
            Goal(
                f"CPU of a commit, {clients}: {WITH} / {WITHOUT}",
                spread_of(ratios(cpu[WITH], cpu[WITHOUT])),
            ),
            Goal(
                f"commit rate, {clients}: {WITH} / {WITHOUT}",
                spread_of(
                    ratios(
                        ours.rates("commit", threads), theirs.rates("commit", threads)
                    ),
                    larger_is_worse=False,
                ),
            ),
        ]
    return Result("quorum", tuple(figures), tuple(goals), {})


def _start(name: str, home: Path, stack: ExitStack) -> Store:
    home.mkdir()
    environment = neo_environment()
    neo_master: tuple[str, ...] = (str(environment / "neomaster"),)
    storage_node: tuple[str, ...] = (str(environment / "neostorage"),)
    if name == WITH:
        python, ours = str(TOP / "bin" / "python"), f"{TOP}/replication/neo"
        neo_master = (python, f"{ours}/neo_master.py")
        storage_node = (python, f"{ours}/storage_node.py")
    masters = [f"127.0.0.1:{programs.free_port()}" for _ in range(COPIES)]
    admin = f"127.0.0.1:{programs.free_port()}"

    def begin(address: str, *argv: str) -> int:
        options = (
            *("--cluster", NAME, "--masters", " ".join(masters)),
            *("--bind", address, "--silence", str(HEARTBEAT_SECONDS)),
        )
        log = home / f"{address}.log"
        return stack.enter_context(programs.running((*argv, *options), log)).pid

    pids = [
        begin(it, *neo_master, "--replicas", "2", "--partitions", "12")
        for it in masters
    ]
    begin(admin, str(environment / "neoadmin"))
    for number in range(1, COPIES + 1):
        region = ("--region", str(number)) if name == WITH else ()
        database = str(home / f"{number}.sqlite")
        options = ("--adapter", "SQLite", "--database", database, *region)
        address = f"127.0.0.1:{programs.free_port()}"
        pids.append(begin(address, *storage_node, *options))
    tell = partial(_tell, str(environment / "neoctl"), admin)

    def is_started() -> bool:
        if tell("print", "node").count("STORAGE") == COPIES:
            tell("start")
        return "RUNNING" in tell("print", "cluster")

    programs.eventually(is_started, START_SECONDS_MAX, name)
    nodes = " ".join(masters)
    client = start_client(stack, "neo", NAME, nodes, str(HEARTBEAT_SECONDS))
    store = Store(name, tuple(pids), client)
    assert store.answer() == "ready\n"
    return store


def _tell(neoctl: str, admin: str, *words: str) -> str:
    argv = (neoctl, "--address", admin, *words)
    return programs.run(argv, timeout_seconds=START_SECONDS_MAX).stdout
