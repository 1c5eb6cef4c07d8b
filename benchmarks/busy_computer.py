"""A computer of many started partitions, and what the passes of our agent cost on it.

Run as a program of its own, by an ordinary user: ``benchmarks.agents`` starts it.
Partitions are written as their installation leaves them; programs, supervision, master
and promises are real.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from attrs import define, frozen
from twisted.internet.task import deferLater

from benchmarks.agent_costs import (
    computer_settings,
    descendants,
    print_findings,
    read_costs,
    resident_bytes,
    supervisord_pid,
)
from benchmarks.cookbook_release import render_plugin
from benchmarks.rivals import Line, a_definition
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
    TIMESTAMP_FILE,
    release_directory,
)
from slapgrid.passes import Agent, ExitStatus

COMPUTER_ID = "COMP-1"
URL = "/srv/release/software.cfg"
ROUND_COUNT = 9
DUE_ROUND_COUNT = 6
ALL_DUE_ROUND_COUNT = 3
FAR_SECONDS = 86400.0
SCRIPTS = {
    "etc/service/sleeper": "#!/bin/sh\nexec sleep 1000000\n",
    "etc/run/once": "#!/bin/sh\nexit 0\n",
    "etc/promise/always": "#!/bin/sh\nexit 0\n",
}
PROMISES = ("etc/promise/always", "etc/plugin/settings.py")


@define
class BusyComputer:
    """``python`` is the interpreter of its one release."""

    home: Path
    master_port: int
    partition_count: int
    python: str

    @property
    def config(self) -> Config:
        return read_config(self._settings)

    @property
    def _settings(self) -> str:
        return computer_settings(
            COMPUTER_ID, self.home, self.master_port, self.partition_count
        )

    def prepare(self) -> None:
        """Tell the master of the computer and of its instances, and build nothing."""
        (self.home / "slapos.cfg").write_text(self._settings)
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
        scripts = {**SCRIPTS, PROMISES[1]: render_plugin()}
        for name, content in scripts.items():
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


@frozen
class Measuring:
    """The costs of passes over a computer that is prepared."""

    computer: BusyComputer

    async def measure(self, agent: Agent) -> dict[str, object]:
        """The start of everything, then passes in which nothing is due, or promises."""
        before = read_costs(agent)
        first = await agent.instance_pass()
        assert first.exit_status is ExitStatus.OK, first
        found: dict[str, object] = {"start": read_costs(agent).since(before)}
        await self._settle(agent)
        found["none"] = [await self._cost(agent, 0) for _ in range(ROUND_COUNT)]
        found["agent_bytes"] = resident_bytes(os.getpid())
        # The first ones start the warm processes.
        await self._make_due(agent, 1)
        await agent.instance_pass()
        count = self.computer.partition_count
        for kind, part in (("tenth", 10), ("half", 2)):
            found[kind] = [
                await self._due_cost(agent, count // part)
                for _ in range(DUE_ROUND_COUNT)
            ]
        found["all"] = [
            await self._due_cost(agent, count) for _ in range(ALL_DUE_ROUND_COUNT)
        ]
        found["agent_bytes_after_promises"] = resident_bytes(os.getpid())
        found["warm_bytes"] = [resident_bytes(it) for it in descendants(os.getpid())]
        found["supervisord_bytes"] = resident_bytes(supervisord_pid(agent))
        return found

    async def _settle(self, agent: Agent) -> None:
        """What changed just now is not remembered; a pass a minute later finds it so.

        What a first pass learns is learnt.
        """
        await deferLater(agent.runtime.clock, UNSETTLED_SECONDS + 1)
        again = await agent.instance_pass()
        assert again.outcomes == (), again

    async def _due_cost(self, agent: Agent, due_count: int) -> list[float]:
        await self._make_due(agent, due_count)
        return await self._cost(agent, due_count)

    async def _make_due(self, agent: Agent, due_count: int) -> None:
        """Have the promises of so many partitions be due, those of all others not."""
        for number in range(self.computer.partition_count):
            due_seconds = -1.0 if number < due_count else FAR_SECONDS
            self.computer.settle(f"slappart{number}", due_seconds)
        await deferLater(agent.runtime.clock, UNSETTLED_SECONDS + 1)

    async def _cost(self, agent: Agent, due_count: int) -> list[float]:
        """CPU of the agent and of supervisord in one pass, and how long it took."""
        before = read_costs(agent)
        result = await agent.instance_pass()
        after = read_costs(agent)
        assert result.exit_status is ExitStatus.OK, result
        assert len(result.outcomes) == due_count, result
        return after.since(before)


def main(home: str, port: str, count: str, python: str) -> None:
    """Prepare, measure, print the figures as JSON."""
    computer = BusyComputer(Path(home), int(port), int(count), python)
    computer.prepare()
    print_findings(computer.config, Measuring(computer).measure)


if __name__ == "__main__":
    main(*sys.argv[1:])
