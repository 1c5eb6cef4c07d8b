"""What passes of the agents cost: ours over hundreds, the stock one over eight.

The stock agent costs the same for each partition, so that few are enough to know it.
CPU is that of the agent with its children; supervisord and the master are not counted.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.cookbook_release import let_stock_agent_use, write_cookbook_release
from benchmarks.result import Figure, Goal, Result
from benchmarks.rivals import Rival, our_master
from benchmarks.spread import ratios, spread_of
from slap import calls
from slap.model import InstanceRequest, SoftwareInstallation
from slapgrid.layout import release_directory
from slapgrid.service import observe_platform
from tests import programs
from tests.interop.stock import stock_environment
from tests.interop.stock_agent import (
    COMPUTER_ID,
    StockComputer,
    as_ordinary_user,
    build_stock_computer,
    write_release,
)

PARTITION_COUNT = 300
FORCED_PARTITION_COUNT = 100
STOCK_PARTITION_COUNT = 8
#: As many as ours, where both are compared pair by pair.
STOCK_ROUND_COUNT = 3
OURS_SECONDS_MAX = 900.0
#: The end of what a program wrote, when it fails.
OUTPUT_CHARACTERS = 4000
MEBIBYTE = 1024**2
MILLISECONDS = 1000

#: The goal for a pass in which nothing is due, and the bound for one in which the
#: promises of a tenth are. The tenth is our choice, since issue 4 gives no share
#: (decision 25); what more of them cost is shown as it is.
IDLE_CPU_SECONDS_MAX = 0.3
DUE_CPU_SECONDS_MAX = 1.0
#: The same: a tenth of the stock agent's.
FORCED_RATIO_MAX = 0.1


def run_forced() -> Result:
    """Everything is installed again: the same release, built once, on two computers."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        home = Path(name)
        ours_home, theirs_home = home / "o", home / "k"
        ours_home.mkdir()
        with our_master(home) as master:
            url = write_cookbook_release(home)
            found = _run_ours(
                "benchmarks.forced_computer",
                *(ours_home, master.port, FORCED_PARTITION_COUNT, url),
            )
            release = ours_home / "s" / release_directory(url)
            let_stock_agent_use(release, observe_platform().shim("buildout_shim"))
            with _stock_computer(theirs_home, master, url, ours_home / "s") as stock:
                theirs = _each(
                    [
                        _pass_cpu_seconds(stock, "instance", "--force")
                        for _ in range(STOCK_ROUND_COUNT)
                    ],
                    STOCK_PARTITION_COUNT,
                )
    ours = _each([cpu for cpu, _, _ in found["forced"]], FORCED_PARTITION_COUNT)
    first = _each([found["first"][0]], FORCED_PARTITION_COUNT)
    return Result(
        "agent_forced",
        (
            Figure("stock agent: forced, each partition", "ms CPU", spread_of(theirs)),
            Figure("ours: forced, each partition", "ms CPU", spread_of(ours)),
            Figure("ours: first, each partition", "ms CPU", spread_of(first)),
            Figure(
                "ours: forced pass, all partitions",
                "s",
                spread_of([seconds for _, _, seconds in found["forced"]]),
            ),
        ),
        (
            Goal(
                "forced / stock agent, each partition",
                spread_of(ratios(ours, theirs)),
                at_most=FORCED_RATIO_MAX,
            ),
        ),
        {
            "partitions of ours": FORCED_PARTITION_COUNT,
            "partitions of the stock agent": STOCK_PARTITION_COUNT,
        },
    )


def run_idle() -> Result:
    """Passes in which nothing is due, or the promises of some or of all partitions."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        home = Path(name)
        with our_master(home) as master:
            with _stock_computer(home / "k", master) as stock:
                # The second of them finds everything as the first has left it.
                _pass_cpu_seconds(stock, "instance")
                theirs = _each(
                    [
                        _pass_cpu_seconds(stock, "instance")
                        for _ in range(STOCK_ROUND_COUNT)
                    ],
                    STOCK_PARTITION_COUNT,
                )
            (home / "o").mkdir()
            ours = _run_ours(
                "benchmarks.busy_computer",
                *(home / "o", master.port, PARTITION_COUNT),
                stock_environment() / "python3",
            )
    none, tenth, half, every = (
        [cpu for cpu, _, _ in ours[kind]] for kind in ("none", "tenth", "half", "all")
    )
    start_cpu_seconds = ours["start"][0]
    each = _each(none, PARTITION_COUNT)
    pairs = ratios(each[: len(theirs)], theirs)
    return Result(
        "agent_idle",
        (
            Figure("stock agent: idle, each partition", "ms CPU", spread_of(theirs)),
            Figure("ours: idle, each partition", "ms CPU", spread_of(each)),
            Figure("ours: promises of half are due", "s CPU", spread_of(half)),
            Figure("ours: promises of all are due", "s CPU", spread_of(every)),
            Figure(
                "supervisord, in an idle pass of ours",
                "s CPU",
                spread_of([cpu for _, cpu, _ in ours["none"]]),
            ),
            Figure(
                "ours: 300 groups defined and started",
                "s CPU",
                spread_of([start_cpu_seconds]),
            ),
        ),
        (
            Goal(
                "ours: nothing is due, s CPU",
                spread_of(none),
                at_most=IDLE_CPU_SECONDS_MAX,
            ),
            Goal(
                "ours: promises of a tenth are due, s CPU",
                spread_of(tenth),
                at_most=DUE_CPU_SECONDS_MAX,
            ),
            Goal("idle / stock agent, each partition", spread_of(pairs)),
        ),
        {
            "partitions": PARTITION_COUNT,
            "agent MiB": ours["agent_bytes"] / MEBIBYTE,
            "agent MiB after promises": ours["agent_bytes_after_promises"] / MEBIBYTE,
            "its warm processes MiB": sum(ours["warm_bytes"]) / MEBIBYTE,
            "supervisord MiB": ours["supervisord_bytes"] / MEBIBYTE,
        },
    )


def _each(cpu_seconds: list[float], partition_count: int) -> list[float]:
    """Milliseconds for each partition."""
    return [it / partition_count * MILLISECONDS for it in cpu_seconds]


@contextmanager
def _stock_computer(
    home: Path, master: Rival, release: str = "", software_root: Path | None = None
) -> Iterator[StockComputer]:
    """A computer on which the stock agent has made instances.

    Of a release that is already there, below ``software_root``, or that it has built.
    """
    home.mkdir()
    url = f"http://127.0.0.1:{master.port}/"
    computer = build_stock_computer(home, url, STOCK_PARTITION_COUNT)
    computer.succeed("node", "format", "--now")
    if software_root is None:
        release = write_release(home)
    else:
        computer.software_root.rmdir()
        computer.software_root.symlink_to(software_root)
    line = master.line()
    line.perform(calls.supply(SoftwareInstallation(release, COMPUTER_ID)))
    for number in range(STOCK_PARTITION_COUNT):
        line.perform(
            calls.request_instance(
                InstanceRequest(
                    f"stock {number}",
                    release,
                    allocation_filter={"computer_guid": COMPUTER_ID},
                )
            )
        )
    line.close()
    try:
        if software_root is None:
            _pass_cpu_seconds(computer, "software")
        _pass_cpu_seconds(computer, "instance")
        results = [*computer.instance_root.glob("*/.slapgrid/promise/result/*")]
        assert len(results) == 2 * STOCK_PARTITION_COUNT, results
        yield computer
    finally:
        computer.end_supervisord()


def _pass_cpu_seconds(computer: StockComputer, kind: str, *argv: str) -> float:
    before = _children_cpu_seconds()
    done = computer.pass_of(kind, *argv)
    assert done.returncode == 0, (done.stdout + done.stderr)[-OUTPUT_CHARACTERS:]
    return _children_cpu_seconds() - before


def _children_cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run_ours(module: str, *arguments: object) -> dict[str, Any]:
    """What a program around our agent has found."""
    argv = as_ordinary_user(sys.executable, "-m", module, *map(str, arguments))
    done = programs.run(argv, timeout_seconds=OURS_SECONDS_MAX)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(found, dict), found
    return found
