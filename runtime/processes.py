"""Programs, run to their end on this machine."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.posixbase import PosixReactorBase
from zope.interface import implementer

from runtime.children import Child
from runtime.execution import NOT_STARTED, TERMINATION_SECONDS, execute
from runtime.forking import start_fork_server
from runtime.ports import Exit, IForkServer, IProcessRunner, Program

__all__ = ["NOT_STARTED", "TERMINATION_SECONDS", "ProcessRunner"]


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
        def start(output: int) -> Child:
            return Child(self._reactor, program, output)

        return Deferred.fromCoroutine(
            execute(self._reactor, program, on_output, start, self._termination_seconds)
        )

    def start_fork_server(self, program: Program) -> Deferred[IForkServer]:
        return Deferred.fromCoroutine(
            start_fork_server(self._reactor, program, self._termination_seconds)
        )
