"""Shell. The agent as a program, and its passes one at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twisted.application.service import IService, Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from zope.interface import implementer

from runtime.ports import Runtime
from slapcluster.outcomes import CommandFailed
from slapcluster.pausing import pause
from slapcluster.printing import print_note
from slapcluster.running import serve
from slapcluster.session import Launch
from slapgrid.config import Config, find_unknown_keys, read_config
from slapgrid.lock import AlreadyRunning, InstanceRootLock
from slapgrid.passes import Agent, ExitStatus, PassResult
from slapgrid.service import build_agent, build_service, take_lock
from slapgrid.settings import ConfigError
from slapgrid.software.progress import BuildProgress

TELL_SECONDS = 2.0
"""Between two tries to tell a master of the partitions: it may be starting too."""


def run_agent(config_path: Path, *, is_debug: bool) -> None:
    """Format and keep this computer until told to stop."""
    config = _read(config_path)
    serve(lambda runtime: FormattingAgent(config, runtime), is_debug=is_debug)


def run_pass(
    launch: Launch, config_path: Path, method: str, show: Callable[[str], None]
) -> PassResult:
    """Run one pass; ``method`` is that of ``slapgrid.passes.Agent``."""
    config = _read(config_path)

    def notify(progress: BuildProgress) -> None:
        show(f"{progress.software_release_url}: {progress.step}")

    async def main(runtime: Runtime) -> PassResult:
        lock = _take_lock(config)
        agent = build_agent(config, runtime, notify)
        try:
            result: PassResult = await getattr(agent, method)()
            return result
        finally:
            await agent.close()
            lock.release()

    return launch(main)


@implementer(IService)
class FormattingAgent(Service):
    """The agent of a computer that formats itself first.

    Without a master it starts all the same: known instances are kept running, and the
    master is told of the partitions when it is there.
    """

    def __init__(self, config: Config, runtime: Runtime) -> None:
        self._runtime = runtime
        self._formatting = build_agent(config, runtime)
        self._agent = build_service(config, runtime)
        self._telling: Deferred[None] | None = None

    def startService(self) -> Deferred[None]:
        super().startService()  # type: ignore[no-untyped-call] # Twisted's
        return Deferred.fromCoroutine(self._start())

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call] # Twisted's
        return Deferred.fromCoroutine(self._stop())

    async def _start(self) -> None:
        is_told = await _format(self._formatting)
        try:
            await maybeDeferred(self._agent.startService)
        except AlreadyRunning as error:
            raise CommandFailed(f"{error}.") from error
        if not is_told:
            self._telling = Deferred.fromCoroutine(self._tell())
            self._telling.addErrback(lambda failure: failure.trap(CancelledError))

    async def _tell(self) -> None:
        is_told = False
        while not is_told:
            await pause(self._runtime.clock, TELL_SECONDS)
            is_told = await _format(self._formatting)

    async def _stop(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
            await self._telling
        await maybeDeferred(self._agent.stopService)
        await self._formatting.close()


async def _format(agent: Agent) -> bool:
    """Format; return whether the master was told."""
    result = await agent.format()
    if result.exit_status is ExitStatus.FAILED:
        raise CommandFailed(f"This computer cannot be formatted: {result.reason}.")
    agent.runtime.log.info("{reason}", reason=result.reason)
    return result.exit_status is ExitStatus.OK


def _take_lock(config: Config) -> InstanceRootLock:
    try:
        return take_lock(config)
    except AlreadyRunning as error:
        raise CommandFailed(f"{error}.") from error


def _read(config_path: Path) -> Config:
    text = config_path.read_text("utf-8")
    try:
        config = read_config(text)
        unknown = find_unknown_keys(text)
    except ConfigError as error:
        raise CommandFailed(f"{config_path}: {error}.") from error
    if unknown:
        print_note(f"{config_path}: nobody reads {', '.join(unknown)}.")
    return config
