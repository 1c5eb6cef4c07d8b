"""Shell. Runs verbs of ``slapcluster`` at the computers of a cloud, by their commands.

What a command writes beside the JSON of the verb, as a banner of ssh, is passed over.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults

from runtime.ports import Exit, Program, Runtime
from slapcluster.bootstrap.wanted_cloud import WantedComputer
from slapcluster.settling import log_end

ERRANDS_AT_ONCE_MAX = 50
"""Each is a process here, and often an ssh with a connection."""

OUTPUT_BYTES_MAX = 1024 * 1024
"""An examination of a computer that is full of listeners has a hundredth of it."""


@frozen
class Errand:
    """A verb to run at a computer, such as ``examine``, within so many seconds."""

    computer: WantedComputer
    words: tuple[str, ...]
    seconds_max: float

    @property
    def argv(self) -> tuple[str, ...]:
        first, *rest = self.computer.words(*self.words)[len(self.computer.command) :]
        return (*self.computer.command, "--output", "json", first, *rest)


@frozen
class Ran:
    """How it ended: with an answer, or with the sentence of a failure.

    The instants are of the calendar. ``status`` is what the verb ended with.
    """

    begun_at: float
    ended_at: float
    answer: Mapping[str, Any] | None = None
    failure: str = ""
    status: int | None = None


async def run_errand(
    runtime: Runtime,
    errand: Errand,
    on_output: Callable[[bytes], None] | None = None,
) -> Ran:
    """Run one verb to its end."""
    begun_at = runtime.calendar.now()
    # Of whoever types this: ssh finds keys and their agent by it.
    environment = dict(os.environ)  # noqa: TID251 - a composition root
    ended = await runtime.processes.run(
        Program(
            errand.argv,
            directory="/",
            environment=environment,
            timeout_seconds=errand.seconds_max,
            output_bytes_max=OUTPUT_BYTES_MAX,
        ),
        on_output,
    )
    ended_at = runtime.calendar.now()
    answer = find_answer(ended.output.decode(errors="replace"))
    if answer is None:
        return Ran(begun_at, ended_at, None, _failure(errand, ended), ended.status)
    return Ran(begun_at, ended_at, answer, "", ended.status)


async def run_errands(
    runtime: Runtime,
    errands: tuple[Errand, ...],
    show: Callable[[str], None],
) -> dict[str, Ran]:
    """Run all of them, many at once; return how each ended, by title."""
    turns = DeferredSemaphore(ERRANDS_AT_ONCE_MAX)
    ended: dict[str, Ran] = {}

    async def run_one(errand: Errand) -> None:
        ended[errand.computer.title] = await run_errand(runtime, errand)
        waiting = [
            it.computer.title for it in errands if it.computer.title not in ended
        ]
        show(f"{len(ended)} of {len(errands)}; waits for {', '.join(waiting[:3])}")

    def begin(errand: Errand) -> Deferred[None]:
        return Deferred.fromCoroutine(run_one(errand))

    running = [turns.run(begin, it) for it in errands]
    await gatherResults(running, consumeErrors=True)
    return {it.computer.title: ended[it.computer.title] for it in errands}


def find_answer(output: str) -> Mapping[str, Any] | None:
    """Return the object of JSON that stands on lines of its own, if there is one."""
    lines = output.splitlines()
    begins = [number for number, line in enumerate(lines) if line == "{"]
    ends = [number for number, line in enumerate(lines) if line == "}"]
    if not begins or not ends:
        return None
    try:
        found = json.loads("\n".join(lines[begins[0] : ends[-1] + 1]))
    except ValueError:
        return None
    return found if isinstance(found, Mapping) else None


def _failure(errand: Errand, ended: Exit) -> str:
    said = log_end(ended.output.decode(errors="replace")).strip() or "nothing"
    verb = " ".join(errand.words)
    if ended.is_timed_out:
        return (
            f"its command did not end within {errand.seconds_max:g} s; it said: {said}"
        )
    return f"`{verb}` gave no answer (status {ended.status}); it said: {said}"
