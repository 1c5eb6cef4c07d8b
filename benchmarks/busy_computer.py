"""A computer of many started partitions, and what the passes of our agent cost on it.

Run as a program of its own, by an ordinary user: ``benchmarks.agents`` starts it.
Partitions are written as their installation leaves them; programs, supervision, master
and promises are real.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from benchmarks.rivals import PAGE_BYTES, TICKS_PER_SECOND, Line, a_definition
from runtime.reactor import MonotonicReactor
from runtime.real import build_runtime
from slap import calls
from slap.model import (
    Computer,
    InstanceRequest,
    PartitionInstance,
    SoftwareInstallation,
)
from slapgrid.config import Config, read_config
from slapgrid.instance.remembering import UNSETTLED_SECONDS
from slapgrid.layout import (
    COMPLETED_FILE,
    PROMISE_CACHE_DIRECTORY,
    PROMISE_LOG_DIRECTORY,
    PROMISE_RESULT_DIRECTORY,
    SUPERVISORD_PID,
    TIMESTAMP_FILE,
    release_directory,
)
from slapgrid.passes import Agent, ExitStatus
from slapgrid.service import build_agent

COMPUTER_ID = "COMP-1"
URL = "/srv/release/software.cfg"
ROUND_COUNT = 9
FAR_SECONDS = 86400.0
PLUGIN = """\
import sys
sys.path[0:0] = []
import os
from zope.interface import implementer
from slapos.grid.promise import interface
from slapos.grid.promise.generic import GenericPromise

@implementer(interface.IPromise)
class RunPromise(GenericPromise):
    def __init__(self, config):
        super().__init__(config)
        self.setPeriodicity(minute=2)

    def sense(self):
        path = os.path.join(self.getPartitionFolder(), "etc")
        (self.logger.info if os.path.exists(path) else self.logger.error)("etc")

    def test(self):
        return self._test(result_count=1, failure_amount=1)

    def anomaly(self):
        return self._test(result_count=1, failure_amount=1)
"""
SCRIPTS = {
    "etc/service/sleeper": "#!/bin/sh\nexec sleep 1000000\n",
    "etc/run/once": "#!/bin/sh\nexit 0\n",
    "etc/promise/always": "#!/bin/sh\nexit 0\n",
    "etc/plugin/settings.py": PLUGIN,
}
PROMISES = ("etc/promise/always", "etc/plugin/settings.py")


def used_cpu_seconds() -> float:
    """CPU of this process, of its ended children, and of those that live."""
    mine = resource.getrusage(resource.RUSAGE_SELF)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    living = sum(_ticks(pid) for pid in _descendants(os.getpid()))
    seconds = mine.ru_utime + mine.ru_stime + ended.ru_utime + ended.ru_stime
    return seconds + living / TICKS_PER_SECOND


def resident_bytes(pid: int) -> int:
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * PAGE_BYTES


def _descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield int(child)
            yield from _descendants(int(child))


def _ticks(pid: int) -> int:
    """Of a process and of the children that it waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(int(field) for field in fields[11:15])


@define
class BusyComputer:
    """``python`` is the interpreter of its one release."""

    home: Path
    master_port: int
    partition_count: int
    python: str

    @property
    def config(self) -> Config:
        return read_config(self._settings())

    def _settings(self) -> str:
        return f"""\
[slapos]
computer_id = {COMPUTER_ID}
master_url = http://127.0.0.1:{self.master_port}
software_root = {self.home}/s
instance_root = {self.home}/i
software_min_free_space = 1M
instance_min_free_space = 1M
[slapformat]
partition_amount = {self.partition_count}
"""

    def prepare(self) -> None:
        """Tell the master of the computer and of its instances, and build nothing."""
        (self.home / "slapos.cfg").write_text(self._settings())
        line = Line(self.master_port)
        definition = a_definition(COMPUTER_ID, self.partition_count)
        line.perform(calls.define_computer(definition))
        line.perform(calls.supply(SoftwareInstallation(URL, COMPUTER_ID)))
        for number in range(self.partition_count):
            line.perform(
                calls.request_instance(
                    InstanceRequest(
                        f"instance {number}",
                        URL,
                        allocation_filter={"computer_guid": COMPUTER_ID},
                    )
                )
            )
        line.perform(calls.report_available(URL, COMPUTER_ID))
        release = self.home / "s" / release_directory(URL)
        (release / "bin").mkdir(parents=True)
        (release / "bin/buildout").write_text(f"#!{self.python}\n")
        (release / "instance.cfg").write_text("[buildout]\nparts =\n")
        (release / COMPLETED_FILE).write_text("now\n")
        desired = line.perform(calls.get_computer(COMPUTER_ID))
        line.close()
        assert isinstance(desired, Computer), desired
        for partition in desired.partitions:
            assert partition.instance is not None, partition
            self._install(partition.key.partition_id, partition.instance)

    def _install(self, partition_id: str, instance: PartitionInstance) -> None:
        """Write what the installation of an instance leaves."""
        partition = self.home / "i" / partition_id
        partition.mkdir(parents=True)
        partition.chmod(0o750)
        for name, content in SCRIPTS.items():
            path = partition / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            path.chmod(0o700)
        for directory in (
            PROMISE_CACHE_DIRECTORY,
            PROMISE_LOG_DIRECTORY,
            PROMISE_RESULT_DIRECTORY,
        ):
            (partition / directory).mkdir(parents=True)
        (partition / ".slapos-resource").write_text("{}")
        (partition / ".installed.cfg").write_text("[buildout]\n")
        (partition / TIMESTAMP_FILE).write_text(instance.timestamp)
        self.settle(partition_id, FAR_SECONDS)

    def settle(self, partition_id: str, due_seconds: float) -> None:
        """Have the promises of a partition hold, and be due in so many seconds."""
        partition = self.home / "i" / partition_id
        now = os.stat(self.home).st_mtime  # noqa: PTH116 - an instant of long ago
        for path in PROMISES:
            title = Path(path).name.removesuffix(".py")
            result = {
                "title": title,
                "name": Path(path).name,
                "path": str(partition / path),
                "execution-time": 0.05,
                "result": {
                    "type": "Test Result",
                    "failed": False,
                    "date": "2026-11-20T23:47:06+0000",
                    "message": "",
                },
            }
            cache = {
                "is_tested": True,
                "is_anomaly_detected": True,
                "periodicity": 2,
                "next_run_after": now + due_seconds,
                "timestamp": now,
                "module_file": str(partition / path),
                "module_file_mtime": (partition / path).stat().st_mtime,
            }
            (partition / PROMISE_CACHE_DIRECTORY / title).write_text(json.dumps(cache))
            status = partition / PROMISE_RESULT_DIRECTORY / f"{title}.status.json"
            status.write_text(json.dumps(result))

    def supervisord_pid(self) -> int:
        return int((self.home / "i" / SUPERVISORD_PID).read_text())


async def measure(computer: BusyComputer, agent: Agent) -> dict[str, object]:
    """The costs of passes in which nothing is due."""
    clock = agent.runtime.clock
    begun = (used_cpu_seconds(), clock.seconds())
    first = await agent.instance_pass()
    assert first.exit_status is ExitStatus.OK, first
    found: dict[str, object] = {
        "start": [used_cpu_seconds() - begun[0], clock.seconds() - begun[1]]
    }
    # What changed just now is not remembered; an idle computer is idle for longer.
    await deferLater(clock, UNSETTLED_SECONDS + 1)
    again = await agent.instance_pass()
    assert again.outcomes == (), again
    found["none"] = [await _cost(computer, agent) for _ in range(ROUND_COUNT)]
    found["agent_bytes"] = resident_bytes(os.getpid())
    found["supervisord_bytes"] = resident_bytes(computer.supervisord_pid())
    return found


async def _cost(computer: BusyComputer, agent: Agent) -> list[float]:
    """CPU of the agent and of supervisord in one pass, and how long it took."""
    pid = computer.supervisord_pid()
    seconds = agent.runtime.clock.seconds
    before = (used_cpu_seconds(), _ticks(pid) / TICKS_PER_SECOND, seconds())
    result = await agent.instance_pass()
    after = (used_cpu_seconds(), _ticks(pid) / TICKS_PER_SECOND, seconds())
    assert result.exit_status is ExitStatus.OK, result
    assert result.outcomes == (), result
    return [late - early for early, late in zip(before, after, strict=True)]


async def _whole(computer: BusyComputer, reactor: MonotonicReactor) -> object:
    agent = build_agent(computer.config, build_runtime(reactor))
    try:
        return await measure(computer, agent)
    finally:
        await agent._supervision.shut_down()  # noqa: SLF001 - nothing else may end it
        await agent.close()


def main(home: str, port: str, count: str, python: str) -> None:
    """Prepare, measure, print the figures as JSON."""
    reactor = MonotonicReactor()
    computer = BusyComputer(Path(home), int(port), int(count), python)
    computer.prepare()
    ended: list[object] = []

    def begin() -> None:
        running = Deferred.fromCoroutine(_whole(computer, reactor))
        running.addBoth(ended.append)
        running.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    if not isinstance(ended[0], dict):
        raise SystemExit(str(ended[0]))
    print(json.dumps(ended[0]))  # noqa: T201 - its result


if __name__ == "__main__":
    main(*sys.argv[1:])
