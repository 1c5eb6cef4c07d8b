"""What a program writes: read by the reactor, kept in part, and logged."""

from __future__ import annotations

import os
from collections.abc import Callable

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.posixbase import PosixReactorBase
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from runtime.ports import Program

# The directory of a log may belong to the program's user: a link is not followed, and
# a pipe does not stall its writer.
LOG_FLAGS = (
    os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
)


class Output:
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
class Descriptor:
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
        # epoll says of a pipe that nobody writes to any more that it hung up, not that
        # it can be read; whoever reads it waits for its end all the same.
        if self.is_open:
            self._on_readable()
        self.close()

    def close(self) -> None:
        if self._descriptor >= 0:
            self._reactor.removeReader(self)
            os.close(self._descriptor)
            self._descriptor = -1
