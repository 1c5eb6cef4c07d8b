"""One running program: its output, its time limit and its end.

Theory of operation. The result waits for two things: the end of the program's leader
and the end of its output. The second may never come, because a daemon of the program
may hold the pipe: it is waited for ``DAEMON_SECONDS``, then closed.

Once the group is being ended, what is left of it when its leader has gone is killed
*before* the leader is reaped: until then nobody else can have its process group id.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.posixbase import PosixReactorBase

from runtime.output import Descriptor, Output
from runtime.ports import Exit, Program

NOT_STARTED = 127
"""The status by which a shell says that a program cannot be started."""

TERMINATION_SECONDS = 5.0
"""From SIGTERM to SIGKILL: time to remove a lock and a socket, not to finish work."""

DAEMON_SECONDS = 1.0
"""How long the pipe is read after the program has ended."""

READ_BYTES = 64 * 1024
"""The size of a pipe: one read empties it."""


class Leader(Protocol):
    """The first process of a program, which leads its group and its session."""

    def watch(
        self, has_ended: Callable[[], None], has_failed: Callable[[Exception], None]
    ) -> None:
        """Tell once of its end, or of why nothing more can be known of it."""

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the whole group; nothing happens when it has gone."""

    def reap(self) -> int:
        """After its end: forget it. The status, below 0 the signal that ended it."""


Start = Callable[[int], Leader]
"""Starts a program that writes to this descriptor."""


async def execute(
    reactor: PosixReactorBase,
    program: Program,
    on_output: Callable[[bytes], None] | None,
    start: Start,
    termination_seconds: float = TERMINATION_SECONDS,
) -> Exit:
    """Run a program to its end, as ``IProcessRunner.run`` says."""
    try:
        output = Output(program, on_output)
    except OSError as error:
        return not_started(program, error)
    try:
        execution = Execution(reactor, program, output, start, termination_seconds)
    except (OSError, ValueError) as error:
        output.close()
        return not_started(program, error)
    except BaseException:
        output.close()
        raise
    return await execution.to_its_end()


def not_started(program: Program, error: Exception) -> Exit:
    """The exit of a program that did not begin."""
    output = f"{program.argv[0]} cannot be started: {error}\n".encode()
    return Exit(NOT_STARTED, output=output, output_bytes_total=len(output))


class Execution:
    """One running program; ``ended`` gives its exit."""

    def __init__(
        self,
        reactor: PosixReactorBase,
        program: Program,
        output: Output,
        start: Start,
        termination_seconds: float,
    ) -> None:
        self._reactor = reactor
        self._output = output
        self._termination_seconds = termination_seconds
        self._is_timed_out = False
        self._is_ending = False
        self._is_running = True
        self._status: int | None = None
        self._timer: IDelayedCall | None = None
        self.ended: Deferred[Exit] = Deferred()
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            self._leader = start(writing)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        os.set_blocking(reading, False)
        self._pipe = Descriptor(reactor, reading, self._read)
        self._leader.watch(self._has_ended, self._has_failed)
        if program.timeout_seconds is not None:
            self._timer = reactor.callLater(program.timeout_seconds, self._time_out)

    async def to_its_end(self) -> Exit:
        """Its exit; cancelling ends it first."""
        try:
            return await self.ended
        except CancelledError:
            self.ended = Deferred()
            self.end()
            try:
                await self.ended
            except CancelledError:
                self.ended = Deferred()
                self.kill()
            raise

    def end(self) -> None:
        """SIGTERM to the group, SIGKILL later."""
        if self._is_running and not self._is_ending:
            self._is_ending = True
            self._leader.signal_group(signal.SIGTERM)
            self._set_timer(self._termination_seconds, self.kill)

    def kill(self) -> None:
        """SIGKILL to the group."""
        if self._is_running:
            self._is_ending = True
            self._leader.signal_group(signal.SIGKILL)

    def output_tail(self) -> bytes:
        """The last part of what it has written so far."""
        return self._output.tail()

    def _time_out(self) -> None:
        self._is_timed_out = True
        self.end()

    def _set_timer(self, delay_seconds: float, call: Callable[[], None]) -> None:
        self._cancel_timer()
        self._timer = self._reactor.callLater(delay_seconds, call)

    def _cancel_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _read(self) -> None:
        try:
            content = os.read(self._pipe.fileno(), READ_BYTES)
        except BlockingIOError:
            return
        if content:
            self._output.add(content)
            return
        self._pipe.close()
        self._finish_when_complete()

    def _has_ended(self) -> None:
        if self._is_ending:
            self._leader.signal_group(signal.SIGKILL)
        self._status = self._leader.reap()
        self._wait_for_output()

    def _has_failed(self, error: Exception) -> None:
        """Nothing more is known of the leader."""
        if self._is_ending:
            # Whatever it was, it was to end, and it is not there any more.
            self._status = -signal.SIGKILL
            self._wait_for_output()
            return
        self._is_running = False
        self._cancel_timer()
        self._pipe.close()
        self._output.close()
        self.ended.errback(error)

    def _wait_for_output(self) -> None:
        self._is_running = False
        self._set_timer(DAEMON_SECONDS, self._abandon_pipe)
        self._finish_when_complete()

    def _abandon_pipe(self) -> None:
        self._pipe.close()
        self._finish_when_complete()

    def _finish_when_complete(self) -> None:
        if self._pipe.is_open or self._is_running:
            return
        self._cancel_timer()
        self._output.close()
        status = self._status
        assert status is not None
        self.ended.callback(
            Exit(
                status=status if status >= 0 else None,
                signal=-status if status < 0 else None,
                output=self._output.tail(),
                output_bytes_total=self._output.bytes_total,
                is_timed_out=self._is_timed_out,
            )
        )
