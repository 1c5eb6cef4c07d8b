"""Hundreds of groups under one supervisord: calls, CPU, memory.

The part that drives supervisord runs as a program of its own, by an ordinary user.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from attrs import define
from twisted.internet.task import deferLater

from benchmarks.agent_costs import resident_bytes, ticks
from benchmarks.result import Figure, Goal, Result
from benchmarks.rivals import TICKS_PER_SECOND
from benchmarks.spread import spread_of
from runtime.ports import Runtime
from slapcluster.running import launch
from slapgrid.layout import SUPERVISORD_PID, ProgramKind
from slapgrid.supervision.conf import ProgramDefinition, ProgramGroup
from slapgrid.supervision.port import ProgramKey
from slapgrid.supervision.supervisord import Supervisord, find_account
from tests import programs
from tests.interop.stock_agent import as_ordinary_user

ADDED_COUNT = 300
RUNNING_COUNT = 500
ROUND_COUNT = 3
SETTLE_SECONDS = 120.0
OURS_SECONDS_MAX = 600.0
KIBIBYTE = 1024
PROGRAM = "sleeper"
SCRIPT = "#!/bin/sh\nexec sleep 1000000\n"


def run() -> Result:
    """Groups added at once, then as many started as a computer may have partitions."""
    found = []
    for _ in range(ROUND_COUNT):
        with tempfile.TemporaryDirectory(prefix="bench-") as home:
            argv = as_ordinary_user(sys.executable, "-m", "benchmarks.groups", home)
            done = programs.run(argv, timeout_seconds=OURS_SECONDS_MAX)
            assert done.returncode == 0, done.stdout + done.stderr
            found.append(json.loads(done.stdout.splitlines()[-1]))

    def figures(name: str) -> list[float]:
        return [each[name] for each in found]

    return Result(
        "supervision_groups",
        (
            Figure("300 groups added", "s", spread_of(figures("added_seconds"))),
            Figure(
                "supervisord: 300 groups added",
                "s CPU",
                spread_of(figures("added_cpu")),
            ),
            Figure(
                "supervisord: 500 programs started",
                "s CPU",
                spread_of(figures("started_cpu")),
            ),
            Figure(
                "supervisord: each group",
                "KiB",
                spread_of([it / KIBIBYTE for it in figures("group_bytes")]),
            ),
            Figure(
                "supervisord: each group with a running program",
                "KiB",
                spread_of([it / KIBIBYTE for it in figures("running_bytes")]),
            ),
        ),
        (
            Goal(
                "calls that add 300 groups",
                spread_of(figures("apply_count")),
                at_most=1,
            ),
            Goal(
                "reloads of the whole configuration",
                spread_of(figures("reload_count")),
                at_most=0,
            ),
            Goal(
                "of 500 programs, RUNNING by getAllProcessInfo",
                spread_of(figures("running_count"), larger_is_worse=False),
                at_least=RUNNING_COUNT,
            ),
        ),
    )


@define
class Groups:
    """Groups of a program each, below one instance root."""

    root: Path
    runtime: Runtime
    supervision: Supervisord
    calls: Counter[str]

    def group(self, number: int) -> ProgramGroup:
        name = f"slappart{number}"
        directory = self.root / name
        path = directory / ProgramKind.SERVICE / PROGRAM
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SCRIPT)
        path.chmod(0o755)
        program = ProgramDefinition(PROGRAM, ProgramKind.SERVICE)
        account = find_account(os.getuid(), os.getgid())
        return ProgramGroup(name, str(directory), (program,), account)

    async def measure(self) -> dict[str, float]:
        """Add some, then the rest, start all, count what runs."""
        groups = tuple(self.group(number) for number in range(RUNNING_COUNT))
        await self.supervision.observe()
        pid = int((self.root / SUPERVISORD_PID).read_text())
        empty_bytes = resident_bytes(pid)
        found: dict[str, float] = {}

        self.calls.clear()
        begun, used = self.runtime.clock.seconds(), ticks(pid)
        failures = await self.supervision.define(groups[:ADDED_COUNT])
        assert not failures, failures
        found["added_seconds"] = self.runtime.clock.seconds() - begun
        found["added_cpu"] = (ticks(pid) - used) / TICKS_PER_SECOND
        found["apply_count"] = self.calls["slapgrid.apply"]
        found["group_bytes"] = (resident_bytes(pid) - empty_bytes) / ADDED_COUNT

        failures = await self.supervision.define(groups)
        assert not failures, failures
        used = ticks(pid)
        keys = tuple(ProgramKey(each.partition_id, PROGRAM) for each in groups)
        failures = await self.supervision.start(keys)
        assert not failures, failures
        found["running_count"] = await self._count_running()
        found["started_cpu"] = (ticks(pid) - used) / TICKS_PER_SECOND
        found["running_bytes"] = (resident_bytes(pid) - empty_bytes) / RUNNING_COUNT
        found["reload_count"] = self.calls["supervisor.reloadConfig"]
        return found

    async def _count_running(self) -> int:
        """As supervisord's own method says; waits for stragglers."""
        deadline = self.runtime.clock.seconds() + SETTLE_SECONDS
        while True:
            answer = await self.supervision._calls.call("supervisor.getAllProcessInfo")  # noqa: SLF001 - the agent never asks it
            assert isinstance(answer, list), answer
            count: int = sum(
                each["statename"] == "RUNNING" and each["pid"] > 0 for each in answer
            )
            if count >= RUNNING_COUNT or self.runtime.clock.seconds() > deadline:
                return count
            await deferLater(self.runtime.clock, 0.2)


def main(home: str) -> None:
    """Measure, print the figures as JSON."""
    root = Path(home, "i")
    root.mkdir()

    async def whole(runtime: Runtime) -> object:
        supervision = Supervisord(runtime, runtime.file_tree(str(root)))
        calls: Counter[str] = Counter()
        call = supervision._calls.call  # noqa: SLF001 - what goes over the wire is counted

        async def counted(method: str, *arguments: object) -> object:
            calls[method] += 1
            return await call(method, *arguments)

        supervision._calls.call = counted  # type: ignore[method-assign] # noqa: SLF001 - the same
        try:
            return await Groups(root, runtime, supervision, calls).measure()
        finally:
            await supervision.shut_down()

    print(json.dumps(launch(whole)))  # noqa: T201 - its result


if __name__ == "__main__":
    main(*sys.argv[1:])
