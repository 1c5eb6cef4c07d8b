"""Programs of a simulated host: behaviours in place of executables.

A behaviour is a coroutine that gives the ``Exit`` of the program, with its complete
output; what is kept of it, its log, its time limit and signals are the runner's. A
SIGTERM cancels the coroutine: one that goes on all the same is abandoned when SIGKILL
is due, as if it were no more.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from labsim.world.clock import LifeClock
from labsim.world.files import DiskTree
from runtime.ports import (
    Exit,
    FileKind,
    ForkRefused,
    IForkServer,
    IProcessRunner,
    Program,
)
from runtime.processes import NOT_STARTED, TERMINATION_SECONDS

START_SECONDS_MAX = 0.01
"""The most that starting a program takes."""

Start = Callable[[Program, LifeClock], Coroutine[Any, Any, Exit] | None]
"""Begins the behaviour of a program; ``None`` when there is no such program."""


@implementer(IProcessRunner)
class SimulatedRunner:
    """Runs the behaviours of one life of a host. ``files`` is its whole disk."""

    def __init__(
        self,
        clock: LifeClock,
        entropy: Random,
        files: DiskTree,
        start: Start,
        record: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._entropy = entropy
        self._files = files
        self._start = start
        self._record = record
        self.running: dict[Execution, Program] = {}
        self.fork_servers: dict[SimulatedForkServer, Program] = {}

    def run(
        self, program: Program, on_output: Callable[[bytes], None] | None = None
    ) -> Deferred[Exit]:
        return Deferred.fromCoroutine(self._run(program, on_output))

    def start_fork_server(self, program: Program) -> Deferred[IForkServer]:
        """What is prepared takes no time here: its programs run like any other."""
        server = SimulatedForkServer(self)
        self.fork_servers[server] = program
        return succeed(server)

    async def _run(
        self, program: Program, on_output: Callable[[bytes], None] | None
    ) -> Exit:
        delay_seconds = self._entropy.uniform(0, START_SECONDS_MAX)
        await deferLater(self._clock, delay_seconds)
        life = self._clock.within()
        coroutine = None
        if self._is_directory(program.directory):
            coroutine = self._start(program, life)
        if coroutine is None:
            self._record(f"missing {' '.join(program.argv)}")
            reason = f"{program.argv[0]} cannot be started: it does not exist here\n"
            return _kept(program, Exit(NOT_STARTED, output=reason.encode()))
        self._record(f"start {' '.join(program.argv)}")
        execution = Execution(self._clock, life, program, coroutine)
        self.running[execution] = program
        try:
            ended = await self._end_of(execution)
        finally:
            del self.running[execution]
        self._record(f"end {ended.status} {ended.signal} {' '.join(program.argv)}")
        if program.log_path is not None:
            log = ended.output[: program.log_bytes_max]
            self._files.write(program.log_path.lstrip("/"), log)
        if on_output is not None and ended.output:
            on_output(ended.output)
        return _kept(program, ended)

    async def _end_of(self, execution: Execution) -> Exit:
        try:
            return await execution.ended
        except CancelledError:
            execution.ended = Deferred()
            execution.end()
            try:
                await execution.ended
            except CancelledError:
                execution.ended = Deferred()
                execution.kill()
            raise

    def _is_directory(self, path: str) -> bool:
        status = self._files.status(path.lstrip("/"))
        return status is not None and status.kind is FileKind.DIRECTORY


@implementer(IForkServer)
class SimulatedForkServer:
    """Runs programs by their behaviours; those of one life of a host."""

    def __init__(self, runner: SimulatedRunner) -> None:
        self._runner = runner
        self.is_alive = True

    def run(
        self, program: Program, on_output: Callable[[bytes], None] | None = None
    ) -> Deferred[Exit]:
        if not self.is_alive:
            return fail(ForkRefused("the fork server has ended"))
        return self._runner.run(program, on_output)

    def stop(self) -> Deferred[None]:
        self.is_alive = False
        self._runner.fork_servers.pop(self, None)
        return succeed(None)


class Execution:
    """One running behaviour; ``ended`` gives its exit."""

    def __init__(
        self,
        clock: LifeClock,
        life: LifeClock,
        program: Program,
        coroutine: Coroutine[Any, Any, Exit],
    ) -> None:
        self._clock = clock
        self._life = life
        self._timer: IDelayedCall | None = None
        self._is_timed_out = False
        self._is_ending = False
        self._is_paused = False
        self._is_over = False
        self.ended: Deferred[Exit] = Deferred()
        if program.timeout_seconds is not None:
            self._set_timer(program.timeout_seconds, self._time_out)
        self._running = Deferred.fromCoroutine(coroutine)
        self._running.addCallbacks(self._finish, self._fail)

    def end(self) -> None:
        """SIGTERM, SIGKILL later."""
        if not self._is_over and not self._is_ending:
            self._is_ending = True
            self._set_timer(TERMINATION_SECONDS, self.kill)
            # A signal arrives after the call that sends it.
            self._clock.callLater(0, self._running.cancel)

    def pause(self) -> None:
        """SIGSTOP; a second one changes nothing."""
        if not self._is_paused:
            self._is_paused = True
            self._life.pause()

    def resume(self) -> None:
        """SIGCONT."""
        if self._is_paused:
            self._is_paused = False
            self._life.resume()

    def kill(self) -> None:
        self._finish(Exit(None, signal.SIGKILL))

    def _time_out(self) -> None:
        self._is_timed_out = True
        self.end()

    def _finish(self, ended: Exit) -> None:
        if not self._is_over:
            self._close()
            self.ended.callback(evolve(ended, is_timed_out=self._is_timed_out))

    def _fail(self, reason: Failure) -> None:
        if self._is_over:
            return
        if self._is_ending and reason.check(CancelledError):
            self._finish(Exit(None, signal.SIGTERM))
        else:
            # The behaviour is at fault, not the code that runs it.
            self._close()
            self.ended.errback(reason)

    def _close(self) -> None:
        self._is_over = True
        self._life.end()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _set_timer(self, delay_seconds: float, call: Callable[[], None]) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self._clock.callLater(delay_seconds, call)


def _kept(program: Program, ended: Exit) -> Exit:
    """The exit with the last part of its output."""
    start = max(0, len(ended.output) - program.output_bytes_max)
    return evolve(
        ended, output=ended.output[start:], output_bytes_total=len(ended.output)
    )
