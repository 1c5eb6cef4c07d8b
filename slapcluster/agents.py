"""Shell. The agent as a program, and its passes one at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from zope.interface import implementer

from runtime.ports import Runtime
from slapcluster.agent_options import PassOptions
from slapcluster.outcomes import CommandFailed, ExitCode
from slapcluster.printing import print_note
from slapcluster.running import log_to, log_to_stderr, serve
from slapcluster.session import Launch
from slapgrid.config import NO_OVERRIDES, Config, find_unknown_keys, read_config
from slapgrid.life import NotFormatted, boot
from slapgrid.neighbours.lock import AlreadyRunning
from slapgrid.neighbours.ownership import Ownership
from slapgrid.passes import Agent, PassResult
from slapgrid.service import build_agent, build_service, look_at
from slapgrid.settings import ConfigError
from slapgrid.software.progress import BuildProgress
from slapgrid.standing import Standing


def run_agent(
    config_path: Path,
    overrides: Mapping[str, str] = NO_OVERRIDES,
    *,
    is_debug: bool,
) -> None:
    """Format and keep this computer until told to stop."""
    config = read_settings(config_path, overrides)
    serve(lambda runtime: _Program(build_service(config, runtime)), is_debug=is_debug)


def run_pass(
    launch: Launch,
    config_path: Path,
    perform: Callable[[Agent, Callable[[str], None]], Awaitable[PassResult]],
    show: Callable[..., None],
    options: PassOptions,
) -> PassResult:
    """Run one pass while no other agent works."""
    config = read_settings(config_path, options.settings)

    def notify(progress: BuildProgress) -> None:
        show(
            f"{progress.software_release_url}: {progress.sentence}",
            progress.part_number,
            progress.part_count,
        )

    async def main(runtime: Runtime) -> PassResult:
        lock = None if options.is_dry_run else _own(config, runtime)
        agent = build_agent(config, runtime, notify)
        try:
            return await perform(agent, show)
        finally:
            await agent.close()
            if lock is not None:
                lock.release()

    with ExitStack() as stack:
        if options.log_path is not None:
            log = stack.enter_context(Path(options.log_path).open("ab", buffering=0))
            log_to(log.fileno(), is_debug=options.is_verbose)
        elif options.is_verbose:
            log_to_stderr(is_debug=False)
        return launch(main)


def look(launch: Launch, config_path: Path) -> Standing:
    """How the computer stands; starts and changes nothing."""
    config = read_settings(config_path)
    return launch(lambda runtime: look_at(config, runtime))


def perform_method(
    method: str,
    *arguments: object,
    **named: object,
) -> Awaitable[PassResult]:
    """Run a verb: the last two arguments are the agent and where to say progress."""
    *rest, agent, show = arguments
    assert isinstance(agent, Agent)
    assert callable(show)
    if method == "boot":
        return boot(agent, show)
    performing: Awaitable[PassResult] = getattr(agent, method)(*rest, **named)
    return performing


@implementer(IService)
class _Program(Service):
    """The agent's service, whose refusals to start are sentences and exit codes."""

    def __init__(self, service: IService) -> None:
        self._service = service

    def startService(self) -> Deferred[None]:
        super().startService()  # type: ignore[no-untyped-call] # Twisted's
        return Deferred.fromCoroutine(self._start())

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call] # Twisted's
        stopping: Deferred[None] = maybeDeferred(self._service.stopService)
        return stopping

    async def _start(self) -> None:
        try:
            await maybeDeferred(self._service.startService)
        except AlreadyRunning as error:
            raise _another_runs(error) from error
        except NotFormatted as error:
            raise CommandFailed(f"{_sentence(error)}.") from error


def _own(config: Config, runtime: Runtime) -> Ownership:
    try:
        return Ownership(config, runtime)
    except AlreadyRunning as error:
        raise _another_runs(error) from error


def _another_runs(error: AlreadyRunning) -> CommandFailed:
    return CommandFailed(f"{_sentence(error)}.", ExitCode.ANOTHER_RUNS)


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]


def read_settings(
    config_path: Path, overrides: Mapping[str, str] = NO_OVERRIDES
) -> Config:
    """The settings of a computer; a note names keys that nobody reads."""
    text = config_path.read_text("utf-8")
    try:
        config = read_config(text, overrides)
        unknown = find_unknown_keys(text)
    except ConfigError as error:
        raise CommandFailed(f"{config_path}: {error}.") from error
    if unknown:
        print_note(f"{config_path}: nobody reads {', '.join(unknown)}.")
    return config
