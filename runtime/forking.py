"""Fork servers on this machine: programs run as forks of one that is prepared.

Theory of operation. The standard input of the server is one end of a socket; each
message on it is a JSON object. This side asks for a fork and passes the descriptor
that the fork shall write to, sends signals to its group, and lets it be reaped:

    {"run": 1, "argv": [...], "directory": ..., "environment": {...}, "umask": 18,
     "uid": null, "gid": null}                  with one descriptor
    {"signal": 1, "number": 15}                 to the group of the fork
    {"reap": 1}                                 after its end

and the server answers ``{"ready": true}`` once it is prepared, ``{"ended": 1,
"status": 0}`` (below 0: the signal) and ``{"refused": 1, "reason": ...}`` when it
cannot fork. The server ends when this side closes the socket, and forks that are
running then go on to their end, as children of an agent that was killed do. A server
that ends takes its forks with it.
"""

from __future__ import annotations

import array
import json
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.posixbase import PosixReactorBase
from zope.interface import implementer

from runtime.children import Child
from runtime.execution import TERMINATION_SECONDS, Execution, execute
from runtime.output import Descriptor, Output
from runtime.ports import (
    Exit,
    ForkRefused,
    ForkServerLost,
    ForkServerUnavailable,
    IForkServer,
    Program,
)

MESSAGE_BYTES_MAX = 128 * 1024
"""Arguments and environment of a program; below what a socket takes at once."""

UNRESPONSIVE_SECONDS = 5.0
"""A fork that gets SIGKILL ends at once: a server that does not tell so is stuck."""

Message = dict[str, Any]


async def start_fork_server(
    reactor: PosixReactorBase,
    program: Program,
    termination_seconds: float = TERMINATION_SECONDS,
) -> ForkServer:
    """Start it and wait until it is prepared."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        ours.settimeout(0)
        server = ForkServer(reactor, program, ours, theirs, termination_seconds)
    except (OSError, ValueError) as error:
        ours.close()
        raise ForkServerUnavailable(
            f"{program.argv[0]} cannot be started: {error}"
        ) from error
    finally:
        theirs.close()
    await server.ready
    return server


@implementer(IForkServer)
class ForkServer:
    """A running server. ``program`` bounds its preparation by its time limit."""

    def __init__(
        self,
        reactor: PosixReactorBase,
        program: Program,
        ours: socket.socket,
        theirs: socket.socket,
        termination_seconds: float,
    ) -> None:
        self._reactor = reactor
        self._program = program
        self._socket = ours
        self._termination_seconds = termination_seconds
        self._forks: dict[int, _Fork] = {}
        self._last_number = 0
        self._timer: IDelayedCall | None = None
        self.is_alive = True
        self.ready: Deferred[None] = Deferred(lambda _: self._execution.kill())
        self._gone: list[Deferred[None]] = []
        self._execution = Execution(
            reactor,
            evolve(program, timeout_seconds=None),
            Output(program, None),
            lambda output: Child(reactor, program, output, theirs.fileno()),
            termination_seconds,
        )
        self._execution.ended.addBoth(self._has_ended)
        # The descriptor is the socket's: the reactor closes it.
        self._channel = Descriptor(reactor, os.dup(ours.fileno()), self._receive)
        if program.timeout_seconds is not None:
            self._timer = reactor.callLater(
                program.timeout_seconds, self._execution.kill
            )

    def run(
        self, program: Program, on_output: Callable[[bytes], None] | None = None
    ) -> Deferred[Exit]:
        def start(output: int) -> _Fork:
            return self._fork(program, output)

        return Deferred.fromCoroutine(
            execute(self._reactor, program, on_output, start, self._termination_seconds)
        )

    def stop(self) -> Deferred[None]:
        gone: Deferred[None] = Deferred()
        if not self.is_alive:
            gone.callback(None)
            return gone
        self._gone.append(gone)
        self._execution.end()
        return gone

    def send(self, message: Message, output: int | None = None) -> None:
        """Tell the server; ``OSError`` when it takes nothing."""
        encoded = json.dumps(message).encode()
        if len(encoded) > MESSAGE_BYTES_MAX:
            raise OSError(f"a message has more than {MESSAGE_BYTES_MAX} bytes")
        rights = [] if output is None else [_rights(output)]
        self._socket.sendmsg([encoded], rights)

    def forget(self, number: int) -> None:
        """A fork is over."""
        self._forks.pop(number, None)
        if self.is_alive:
            with suppress(OSError):
                self.send({"reap": number})

    def suspect(self) -> IDelayedCall:
        """A fork was killed: kill the server too if it does not tell so soon."""
        return self._reactor.callLater(UNRESPONSIVE_SECONDS, self._execution.kill)

    def _fork(self, program: Program, output: int) -> _Fork:
        if not self.is_alive:
            raise ForkRefused("the fork server has ended")
        self._last_number += 1
        number = self._last_number
        message = {
            "run": number,
            "argv": program.argv,
            "directory": program.directory,
            "environment": dict(program.environment),
            "umask": program.umask,
            "uid": program.uid,
            "gid": program.gid,
        }
        try:
            self.send(message, output)
        except OSError as error:
            raise ForkRefused(f"the fork server takes nothing: {error}") from error
        fork = self._forks[number] = _Fork(self, number)
        return fork

    def _receive(self) -> None:
        try:
            message, _, _, _ = self._socket.recvmsg(MESSAGE_BYTES_MAX)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            # It has closed its end: it is ending, or it must.
            self._channel.close()
            self._execution.kill()
            return
        self._take(json.loads(message))

    def _take(self, answer: Message) -> None:
        if "ready" in answer:
            if self._timer is not None and self._timer.active():
                self._timer.cancel()
            if not self.ready.called:
                self.ready.callback(None)
        elif "ended" in answer:
            fork = self._forks.get(answer["ended"])
            if fork is not None:
                fork.end(int(answer["status"]))
        elif "refused" in answer:
            fork = self._forks.pop(answer["refused"], None)
            if fork is not None:
                fork.fail(ForkRefused(str(answer["reason"])))

    def _has_ended(self, ended: object) -> None:
        self.is_alive = False
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._channel.close()
        self._socket.close()
        said = ended.output.decode(errors="replace") if isinstance(ended, Exit) else ""
        if not self.ready.called:
            self.ready.errback(ForkServerUnavailable(f"it did not get ready: {said}"))
        for number, fork in tuple(self._forks.items()):
            del self._forks[number]
            fork.fail(ForkServerLost(f"the fork server has ended: {said}"))
        for gone in self._gone:
            gone.callback(None)


class _Fork:
    """A program as a fork of a server."""

    def __init__(self, server: ForkServer, number: int) -> None:
        self._server = server
        self._number = number
        self._status: int | None = None
        self._suspicion: IDelayedCall | None = None

    def watch(
        self, has_ended: Callable[[], None], has_failed: Callable[[Exception], None]
    ) -> None:
        self._has_ended = has_ended
        self._has_failed = has_failed

    def signal_group(self, number: signal.Signals) -> None:
        if not self._server.is_alive:
            return
        with suppress(OSError):
            self._server.send({"signal": self._number, "number": int(number)})
        is_awaited = self._status is None and self._suspicion is None
        if number == signal.SIGKILL and is_awaited:
            self._suspicion = self._server.suspect()

    def reap(self) -> int:
        assert self._status is not None, "only what has ended is reaped"
        self._server.forget(self._number)
        return self._status

    def end(self, status: int) -> None:
        self._status = status
        self._trust()
        self._has_ended()

    def fail(self, error: Exception) -> None:
        self._trust()
        self._has_failed(error)

    def _trust(self) -> None:
        if self._suspicion is not None and self._suspicion.active():
            self._suspicion.cancel()


def _rights(descriptor: int) -> tuple[int, int, bytes]:
    passed = array.array("i", [descriptor]).tobytes()
    return (socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)
