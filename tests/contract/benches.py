"""One bench for each world; a test of a contract cannot tell which it has."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, TypeVar

from labsim.world.host import Process
from labsim.world.threads import SimulatedThreads
from labsim.world.world import World
from runtime.ports import (
    Exit,
    IProcessRunner,
    IStoreThreads,
    Program,
    Runtime,
)
from runtime.processes import ProcessRunner
from runtime.real import build_runtime
from runtime.threads import StoreThreads
from tests.reactor import ReactorBench

T = TypeVar("T")

TERMINATION_SECONDS = 0.3
"""Real tests do not wait as long as production does."""

Behaviour = Callable[[Process], Coroutine[Any, Any, Exit]]


class RealBench:
    """The ports over this machine."""

    def __init__(self, run: ReactorBench, directory: str) -> None:
        self._run = run
        self.runtime: Runtime = build_runtime(run.reactor)
        self.directory = directory

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        async def with_end() -> T:
            try:
                return await coroutine
            finally:
                await self.runtime.threads.stop()

        return self._run(with_end())

    def shell(self, script: str, behaviour: Behaviour, **fields: Any) -> Program:
        """A program that runs ``script``; ``behaviour`` is its like elsewhere."""
        del behaviour
        return a_shell_program(script, self.directory, **fields)

    def processes(self) -> IProcessRunner:
        return ProcessRunner(self._run.reactor, TERMINATION_SECONDS)

    def threads(self, threads_max: int, calls_max: int) -> IStoreThreads:
        return StoreThreads(self._run.reactor, threads_max, calls_max)


class SimulatedBench:
    """The ports of a host of a simulated world."""

    def __init__(self) -> None:
        self.world = World(seed=1)
        self.host = self.world.host("alone")
        self.runtime: Runtime = self.host.runtime
        self.directory = "/srv"
        self.runtime.file_tree("/").make_directory("srv")

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        result = self.world.result(coroutine)
        self.world.finish()
        return result

    def shell(self, script: str, behaviour: Behaviour, **fields: Any) -> Program:
        """A program that does ``behaviour``, which is what ``script`` would do."""
        program = a_shell_program(script, self.directory, **fields)
        self.host.add_behaviour(
            lambda other: other.argv == program.argv,
            lambda _, process: behaviour(process),
        )
        return program

    def processes(self) -> IProcessRunner:
        return self.runtime.processes

    def threads(self, threads_max: int, calls_max: int) -> IStoreThreads:
        return SimulatedThreads(
            self.runtime.clock, Random(1), lambda _: None, threads_max, calls_max
        )


Bench = RealBench | SimulatedBench


def a_shell_program(script: str, working_directory: str, /, **fields: Any) -> Program:
    defaults = {
        "directory": working_directory,
        "environment": {"PATH": "/usr/bin:/bin"},
    }
    return Program(argv=("/bin/sh", "-c", script), **{**defaults, **fields})
