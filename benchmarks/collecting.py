"""What a collection costs: 300 partitions with 1000 processes, real ones.

Run as root the partitions have a user each; otherwise they share one, and a process is
told by its environment, as where agents run without root.
"""

from __future__ import annotations

import os
import signal
import subprocess  # noqa: TID251 - processes to be measured
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.internet.defer import Deferred

from benchmarks.result import Goal, Result
from benchmarks.spread import spread_of
from runtime.ports import Runtime
from runtime.reactor import MonotonicReactor
from runtime.real import build_runtime
from slapgrid.collecting.collector import Collector
from slapgrid.collecting.incidents import Incidents
from slapgrid.config import Config
from slapgrid.format.settings import FormatSettings

PARTITION_COUNT = 300
PROCESS_COUNT = 1000
ROUND_COUNT = 15
FIRST_UID = 20_000
CPU_SECONDS_MAX = 0.5
REST_SECONDS = "600"


def run() -> Result:
    # Users of their own must be able to pass through it.
    with TemporaryDirectory(prefix="collecting-") as home:
        Path(home).chmod(0o755)
        config = _a_config(home)
        with _processes(config.instance_root):
            reactor = MonotonicReactor()
            costs: list[float] = []
            measuring = Deferred.fromCoroutine(
                _measure(config, build_runtime(reactor), costs)
            )
            measuring.addErrback(lambda failure: failure.printTraceback())
            measuring.addBoth(lambda _: reactor.callLater(0, reactor.stop))
            reactor.run()
        ledger = Path(config.instance_root, "var/slapgrid/usage/ledger.json")
        written_bytes = ledger.stat().st_size
    return Result(
        "collecting",
        goals=(
            Goal(
                "CPU seconds of a collection",
                spread_of(costs),
                at_most=CPU_SECONDS_MAX,
            ),
        ),
        facts={
            "partitions": PARTITION_COUNT,
            "processes": PROCESS_COUNT,
            "bytes_written": written_bytes,
        },
    )


def _a_config(home: str) -> Config:
    return Config(
        computer_id="COMP-1",
        master_urls=("http://127.0.0.1:9",),
        software_root=f"{home}/s",
        instance_root=f"{home}/i",
        format=FormatSettings(partition_amount=PARTITION_COUNT),
    )


async def _measure(config: Config, runtime: Runtime, costs: list[float]) -> None:
    incidents = Incidents(config, runtime)
    collector = Collector(config, runtime, incidents, os.getuid())
    await collector.collect()
    for _ in range(ROUND_COUNT):
        begun = time.process_time()
        collected = await collector.collect()
        costs.append(time.process_time() - begun)
        assert collected.latest is not None, collected.reason
        processes = sum(
            levels.get("processes", 0)  # type: ignore[call-overload] # a Measure is a text
            for name, levels in collected.latest.levels.items()
            if name
        )
        assert processes == PROCESS_COUNT, processes


@contextmanager
def _processes(instance_root: str) -> Iterator[None]:
    is_root = os.getuid() == 0
    programs = []
    try:
        for number in range(PROCESS_COUNT):
            index = number % PARTITION_COUNT
            partition = Path(instance_root, f"slappart{index}")
            uid = FIRST_UID + index if is_root else None
            if number < PARTITION_COUNT:
                partition.mkdir(parents=True, mode=0o750)
                if uid is not None:
                    os.chown(partition, uid, uid)
            programs.append(
                subprocess.Popen(
                    ["/bin/sleep", REST_SECONDS],
                    env={
                        "SUPERVISOR_SERVER_URL": f"unix://{instance_root}/sv.sock",
                        "SUPERVISOR_GROUP_NAME": partition.name,
                    },
                    user=uid,
                    group=uid,
                )
            )
        yield
    finally:
        for program in programs:
            program.send_signal(signal.SIGKILL)
            program.wait()
