"""Shell. What a person does in a cloud of play: commands, visits, a kill."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from runtime.ports import Exit, Runtime
from slapcluster.outcomes import CommandFailed
from slapcluster.pausing import pause
from slapcluster.play.cloud import run_inside
from slapcluster.play.places import Record

T = TypeVar("T")

COMMAND_SECONDS_MAX = 120
"""A step has its own bound; this one ends a command that hangs."""

VISIT_SECONDS_MAX = 20

POLL_SECONDS = 0.1

SHOWN_LENGTH_MAX = 60

_FETCH = (
    "import sys, urllib.request as r;"
    "o = r.build_opener(r.ProxyHandler({}));"
    "sys.stdout.write(o.open(sys.argv[1], timeout=5).read().decode())"
)


class Visitor:
    """Uses a cloud from inside, by the same commands as a person.

    With a region, on the computer of it, as the user of that.
    """

    def __init__(self, runtime: Runtime, record: Record, region: str = "") -> None:
        self._runtime = runtime
        self._record = record
        self._region = region

    async def slapcluster(
        self, *arguments: str, timeout_seconds: float = COMMAND_SECONDS_MAX
    ) -> Any:
        """Run a command of ours; give the JSON that it writes."""
        argv = ("slapcluster", "--output", "json", *arguments)
        output = await self.run(argv, timeout_seconds)
        return json.loads(output)

    async def fetch(self, url: str) -> str:
        """Visit a page over the network of the cloud."""
        return await self.run(("python", "-I", "-c", _FETCH, url), VISIT_SECONDS_MAX)

    async def run(
        self, argv: tuple[str, ...], timeout_seconds: float = VISIT_SECONDS_MAX
    ) -> str:
        """Run any program inside; give its output."""
        ended = await run_inside(
            self._runtime, self._record, argv, timeout_seconds, region=self._region
        )
        output = ended.output.decode(errors="replace")
        if not ended.is_success:
            raise CommandFailed(f"`{' '.join(argv)}` {_describe(ended)}:\n{output}")
        return output

    async def supervisor(self, conf: str, *arguments: str) -> str:
        """Ask a supervisord inside; ``conf`` is below the place."""
        path = f"{self._record.place}/{conf}"
        return await self.run(("supervisorctl", "-c", path, *arguments))

    async def agent_pid(self) -> int:
        """Return the process of the agent, as numbered inside."""
        return int(await self.supervisor("etc/supervisord.conf", "pid", "agent"))

    async def kill(self, pid: int) -> None:
        """SIGKILL, by the user of the cloud."""
        await self.run(("sh", "-c", f"kill -9 {pid}"))

    def file(self, relative: str) -> Path:
        """Return a file of the cloud, seen from outside."""
        return Path(self._record.place, relative)

    async def until(
        self, look: Callable[[], Awaitable[T]], is_there: Callable[[T], bool]
    ) -> T:
        """Look again and again; the bound of the step ends it."""
        while True:
            try:
                seen = await look()
            except CommandFailed:
                # A program that restarts is away for an instant.
                await pause(self._runtime.clock, POLL_SECONDS)
                continue
            if is_there(seen):
                return seen
            await pause(self._runtime.clock, POLL_SECONDS)

    async def until_true(self, is_there: Callable[[], bool]) -> None:
        while not is_there():
            await pause(self._runtime.clock, POLL_SECONDS / 10)


def _describe(ended: Exit) -> str:
    if ended.is_timed_out:
        return "did not end in time"
    if ended.signal is not None:
        return f"was ended by signal {ended.signal}"
    return f"failed with {ended.status}"


def first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:SHOWN_LENGTH_MAX]
