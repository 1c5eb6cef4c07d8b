"""Shell. Runs a coroutine on the real reactor until it ends or somebody interrupts.

The only module of the command line that holds the reactor; a process runs one once.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, Generic, TypeVar

from twisted.application.service import IService
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.posixbase import PosixReactorBase
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
)

from runtime.logs import LineFile, LineObserver, render_json, render_text
from runtime.ports import Runtime
from runtime.real import WallClock, build_runtime, install_reactor

T = TypeVar("T")

Main = Callable[[Runtime], Coroutine[Any, Any, T]]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What cancels a command. SIGHUP too: a closed terminal leaves no cloud behind."""

OWN_LOG = "slapcluster"
"""The namespace of ``Runtime.log``."""

STOP_SECONDS_MAX = 60.0
"""How long a cancelled command may tidy up; a second signal ends it at once."""


def launch(main: Main[T]) -> T:
    """Run ``main`` and return its result, or raise what it raised.

    A signal cancels it; when it has tidied up, ``KeyboardInterrupt`` (SIGINT) or
    ``SystemExit`` with 128 + the signal is raised.
    """
    reactor = install_reactor()
    launched = _Launch(reactor, main(build_runtime(reactor)))
    reactor.callWhenRunning(launched.begin)
    reactor.run()
    return launched.result()


class _Launch(Generic[T]):
    """One coroutine and the signals that arrive while it runs."""

    def __init__(
        self, reactor: PosixReactorBase, coroutine: Coroutine[Any, Any, T]
    ) -> None:
        self._reactor = reactor
        self._coroutine = coroutine
        self._running: Deferred[None] | None = None
        self._results: list[T] = []
        self._errors: list[BaseException] = []
        self._received: list[int] = []

    def begin(self) -> None:
        for number in SIGNALS:
            # What nohup ignores stays ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)
        self._running = Deferred.fromCoroutine(self._run())

    def result(self) -> T:
        if self._results:
            return self._results[0]
        if not self._errors:
            raise _interruption(self._received[-1])
        error = self._errors[0]
        if self._received and isinstance(error, CancelledError):
            raise _interruption(self._received[0])
        raise error

    async def _run(self) -> None:
        try:
            self._results.append(await self._coroutine)
        except BaseException as error:  # noqa: BLE001 - raised again by launch()
            self._errors.append(error)
        self._reactor.stop()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._reactor.callFromThread(self._interrupt, number)

    def _interrupt(self, number: int) -> None:
        self._received.append(number)
        if self._running is None or len(self._received) > 1:
            self._reactor.stop()
            return
        self._reactor.callLater(STOP_SECONDS_MAX, self._reactor.stop)
        self._running.cancel()


def _interruption(number: int) -> BaseException:
    if number == signal.SIGINT:
        return KeyboardInterrupt()
    return SystemExit(128 + number)


def serve(
    build: Callable[[Runtime], IService],
    *,
    is_debug: bool = False,
    is_log_json: bool = False,
) -> None:
    """Run a program until SIGTERM, which is its ordinary end, or Ctrl-C."""
    log_to_stderr(is_debug=is_debug, is_json=is_log_json)

    async def main(runtime: Runtime) -> None:
        service = build(runtime)
        # Ours may refuse to start (a port in use); then the program ends and says so.
        await maybeDeferred(service.startService)
        try:
            await Deferred()
        finally:
            await maybeDeferred(service.stopService)

    try:
        launch(main)
    except SystemExit as ending:
        if ending.code != 128 + signal.SIGTERM:
            raise


def log_to_stderr(*, is_debug: bool, is_json: bool = False) -> None:
    """Send the log of this process to standard error, as text or one JSON a line."""
    log_to(sys.stderr.fileno(), is_debug=is_debug, is_json=is_json)


def log_to(descriptor: int, *, is_debug: bool, is_json: bool = False) -> None:
    """Send the log of this process to an open file, which stays open.

    Of Twisted itself only warnings, unless ``is_debug``: each connection is two lines.
    """
    levels = LogLevelFilterPredicate(LogLevel.debug if is_debug else LogLevel.warn)
    if not is_debug:
        levels.setLogLevelForNamespace(OWN_LOG, LogLevel.info)
    render = render_json if is_json else render_text
    lines = LineObserver(WallClock(), render, LineFile(descriptor).write)
    observer = FilteringLogObserver(lines, [levels])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
