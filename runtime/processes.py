"""Programs, run to their end on this machine.

Theory of operation. A program is a child in a session of its own. The reactor reads two
descriptors of it: a pipe, which is its stdout and stderr, and a pidfd, which becomes
readable when it has ended. It is reaped then and there, so there are no zombies, no
SIGCHLD and no thread. The result waits for both: the end of the child and the end of
its output. The second may never come, because a daemon of the program may hold the
pipe: it is waited for ``DAEMON_SECONDS``, then closed.

Once the group is being ended, what is left of it when its leader has gone is killed
*before* the leader is reaped: until then nobody else can have its process group id.
"""

from __future__ import annotations

import os
import signal
import subprocess  # noqa: TID251 - the port itself
from collections.abc import Callable
from contextlib import suppress

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.internet.posixbase import PosixReactorBase
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from runtime.ports import Exit, IProcessRunner, Program

NOT_STARTED = 127
"""The status by which a shell says that a program cannot be started."""

TERMINATION_SECONDS = 5.0
"""From SIGTERM to SIGKILL: time to remove a lock and a socket, not to finish work."""

DAEMON_SECONDS = 1.0
"""How long the pipe is read after the program has ended."""

# The directory of a log may belong to the program's user: a link is not followed, and
# a pipe does not stall its writer.
LOG_FLAGS = (
    os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
)

READ_BYTES = 64 * 1024
"""The size of a pipe: one read empties it."""


@implementer(IProcessRunner)
class ProcessRunner:
    """Starts programs as children of this process."""

    def __init__(
        self,
        reactor: PosixReactorBase,
        termination_seconds: float = TERMINATION_SECONDS,
    ) -> None:
        self._reactor = reactor
        self._termination_seconds = termination_seconds

    def run(
        self, program: Program, on_output: Callable[[bytes], None] | None = None
    ) -> Deferred[Exit]:
        return Deferred.fromCoroutine(self._run(program, on_output))

    async def _run(
        self, program: Program, on_output: Callable[[bytes], None] | None
    ) -> Exit:
        try:
            output = _Output(program, on_output)
        except OSError as error:
            return _not_started(program, error)
        try:
            child = _Child(self._reactor, program, output, self._termination_seconds)
        except (OSError, ValueError) as error:
            output.close()
            return _not_started(program, error)
        try:
            return await child.ended
        except CancelledError:
            child.ended = Deferred()
            child.end()
            try:
                await child.ended
            except CancelledError:
                child.ended = Deferred()
                child.kill()
            raise


def _not_started(program: Program, error: Exception) -> Exit:
    output = f"{program.argv[0]} cannot be started: {error}\n".encode()
    return Exit(NOT_STARTED, output=output, output_bytes_total=len(output))


class _Output:
    """Keeps the last part of a program's output, and its beginning in a log."""

    log = Logger()

    def __init__(
        self, program: Program, on_output: Callable[[bytes], None] | None
    ) -> None:
        self._program = program
        self._on_output = on_output
        self._tail = bytearray()
        self.bytes_total = 0
        self._log_file = -1
        if program.log_path is not None:
            self._log_file = os.open(program.log_path, LOG_FLAGS, 0o644)

    def add(self, content: bytes) -> None:
        self._write_log(content)
        self.bytes_total += len(content)
        self._tail += content
        if len(self._tail) > 2 * self._program.output_bytes_max:
            del self._tail[: -self._program.output_bytes_max]
        if self._on_output is not None:
            self._on_output(content)

    def tail(self) -> bytes:
        start = max(0, len(self._tail) - self._program.output_bytes_max)
        return bytes(self._tail[start:])

    def close(self) -> None:
        if self._log_file >= 0:
            os.close(self._log_file)
            self._log_file = -1

    def _write_log(self, content: bytes) -> None:
        if self._log_file < 0:
            return
        room = max(0, self._program.log_bytes_max - self.bytes_total)
        try:
            rest = memoryview(content)[:room]
            while rest:
                rest = rest[os.write(self._log_file, rest) :]
        except OSError as error:
            # A full disk must not stall the program: it goes on without its log.
            self.log.warn(  # noqa: G010 - Twisted's name
                "the log {path} ends early: {error}",
                path=self._program.log_path,
                error=error,
            )
            self.close()


@implementer(IReadDescriptor)
class _Descriptor:
    """A file descriptor that the reactor watches, closed when it is done with."""

    def __init__(
        self,
        reactor: PosixReactorBase,
        descriptor: int,
        on_readable: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._descriptor = descriptor
        self._on_readable = on_readable
        reactor.addReader(self)

    @property
    def is_open(self) -> bool:
        return self._descriptor >= 0

    def fileno(self) -> int:
        return self._descriptor

    def logPrefix(self) -> str:
        return "program"

    def doRead(self) -> None:
        self._on_readable()

    def connectionLost(self, reason: Failure) -> None:  # noqa: ARG002
        self.close()

    def close(self) -> None:
        if self._descriptor >= 0:
            self._reactor.removeReader(self)
            os.close(self._descriptor)
            self._descriptor = -1


class _Child:
    """One running program; ``ended`` gives its exit."""

    def __init__(
        self,
        reactor: PosixReactorBase,
        program: Program,
        output: _Output,
        termination_seconds: float,
    ) -> None:
        self._reactor = reactor
        self._output = output
        self._termination_seconds = termination_seconds
        self._is_timed_out = False
        self._is_ending = False
        self._timer: IDelayedCall | None = None
        self.ended: Deferred[Exit] = Deferred()
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            self._process, lifetime = _start(program, writing)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        os.set_blocking(reading, False)
        self._pipe = _Descriptor(reactor, reading, self._read)
        self._lifetime = _Descriptor(reactor, lifetime, self._has_ended)
        if program.timeout_seconds is not None:
            self._timer = reactor.callLater(program.timeout_seconds, self._time_out)

    def end(self) -> None:
        """SIGTERM to the group, SIGKILL later."""
        if self._lifetime.is_open and not self._is_ending:
            self._is_ending = True
            self._signal(signal.SIGTERM)
            self._set_timer(self._termination_seconds, self.kill)

    def kill(self) -> None:
        if self._lifetime.is_open:
            self._is_ending = True
            self._signal(signal.SIGKILL)

    def _time_out(self) -> None:
        self._is_timed_out = True
        self.end()

    def _signal(self, number: signal.Signals) -> None:
        # A program may have changed its identity or left its group.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

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
            self._signal(signal.SIGKILL)
        self._lifetime.close()
        self._process.wait()
        self._set_timer(DAEMON_SECONDS, self._abandon_pipe)
        self._finish_when_complete()

    def _abandon_pipe(self) -> None:
        self._pipe.close()
        self._finish_when_complete()

    def _finish_when_complete(self) -> None:
        if self._pipe.is_open or self._lifetime.is_open:
            return
        self._cancel_timer()
        self._output.close()
        status = self._process.returncode
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


def _start(program: Program, output: int) -> tuple[subprocess.Popen[bytes], int]:
    """The child and its pidfd."""
    has_identity = program.uid is not None or program.gid is not None
    process = subprocess.Popen(  # noqa: S603 - running programs is the port's purpose
        program.argv,
        cwd=program.directory,
        env=dict(program.environment),
        umask=program.umask,
        user=program.uid,
        group=program.gid,
        extra_groups=[] if has_identity else None,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
    )
    try:
        return process, os.pidfd_open(process.pid)
    except OSError:
        process.kill()
        process.wait()
        raise
