"""Our agent in a program of its own: what its passes cost, printed as JSON.

``benchmarks.agents`` starts such programs, as an ordinary user.
"""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from attrs import frozen

from benchmarks.rivals import PAGE_BYTES, TICKS_PER_SECOND
from runtime.ports import Runtime
from slapcluster.running import launch
from slapgrid.config import Config
from slapgrid.layout import SUPERVISORD_PID
from slapgrid.passes import Agent
from slapgrid.service import build_agent

Scenario = Callable[[Agent], Awaitable[dict[str, object]]]


def used_cpu_seconds() -> float:
    """CPU of this process, of its ended children, and of those that live."""
    mine = resource.getrusage(resource.RUSAGE_SELF)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    living = sum(ticks(pid) for pid in descendants(os.getpid()))
    seconds = mine.ru_utime + mine.ru_stime + ended.ru_utime + ended.ru_stime
    return seconds + living / TICKS_PER_SECOND


def resident_bytes(pid: int) -> int:
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * PAGE_BYTES


def descendants(pid: int) -> Iterator[int]:
    """The processes that live below this one."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield int(child)
            yield from descendants(int(child))


def ticks(pid: int) -> int:
    """Of a process and of the children that it waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(int(field) for field in fields[11:15])


@frozen
class Reading:
    """What was used up to an instant: by the agent, and by supervisord."""

    agent_cpu_seconds: float
    supervisord_cpu_seconds: float
    seconds: float

    def since(self, before: Reading) -> list[float]:
        return [
            self.agent_cpu_seconds - before.agent_cpu_seconds,
            self.supervisord_cpu_seconds - before.supervisord_cpu_seconds,
            self.seconds - before.seconds,
        ]


def read_costs(agent: Agent) -> Reading:
    """Read them now; a supervisord that does not run yet has used nothing."""
    try:
        of_supervisord = ticks(supervisord_pid(agent)) / TICKS_PER_SECOND
    except FileNotFoundError:
        of_supervisord = 0.0
    return Reading(used_cpu_seconds(), of_supervisord, agent.runtime.clock.seconds())


def supervisord_pid(agent: Agent) -> int:
    return int(Path(agent.config.instance_root, SUPERVISORD_PID).read_text())


def computer_settings(
    computer_id: str, home: Path, master_port: int, partition_count: int
) -> str:
    """The ``slapos.cfg`` of a computer below ``home``."""
    return f"""\
[slapos]
computer_id = {computer_id}
master_url = http://127.0.0.1:{master_port}
software_root = {home}/s
instance_root = {home}/i
software_min_free_space = 1M
instance_min_free_space = 1M
[slapformat]
partition_amount = {partition_count}
"""


def print_findings(config: Config, scenario: Scenario) -> None:
    """Run an agent through the scenario, end its programs, print what was found."""

    async def whole(runtime: Runtime) -> object:
        agent = build_agent(config, runtime)
        try:
            return await scenario(agent)
        finally:
            await agent._supervision.shut_down()  # noqa: SLF001 - nothing else may end it
            await agent.close()

    print(json.dumps(launch(whole)))  # noqa: T201 - its result
