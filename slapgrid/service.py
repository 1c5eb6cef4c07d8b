"""The composition of an agent, and the loops that keep a computer as it is wanted."""

from __future__ import annotations

import json
import os
import platform
import pwd
import sys
import sysconfig
from collections.abc import Callable, Coroutine
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from twisted.application.service import IService, Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from runtime.ports import Runtime
from slap.errors import MasterAway, SlapError
from slap.model import Computer
from slap.polling import WAIT_SECONDS_MAX
from slapgrid.config import Config
from slapgrid.convergence.retrying import Effort
from slapgrid.life import AgentLife
from slapgrid.neighbours.lock import Lock, hold_directory
from slapgrid.neighbours.ownership import Ownership
from slapgrid.passes import Agent, PassResult
from slapgrid.platform import Platform
from slapgrid.results import join_results
from slapgrid.software.progress import BuildProgress, ProgressLog
from slapgrid.software.releases import Releases
from slapgrid.standing import Standing
from slapgrid.status import observe_standing
from slapgrid.supervision.conf import Account, Watching
from slapgrid.supervision.port import ISupervision
from slapgrid.supervision.supervisord import Supervisord, find_account

#: What an installation asked for may be there so soon: ask again.
QUICK_POLL_SECONDS = 2.0
#: Agents that were started together must not poll together: +-10 %.
POLL_JITTER = 0.1
#: A master that was away is asked again at least so often.
AWAY_POLL_SECONDS_MAX = 10.0
#: Of that, the least that is waited.
AWAY_SPREAD = 0.2
#: While a master is stale: another one may know more, and it may itself soon.
STALE_POLL_SECONDS = 3.0
#: Between rounds that leave something due at once.
PAUSE_SECONDS_MIN = 0.05
#: Between a change and the next poll: what changes all the time is seen so often.
WATCH_PAUSE_SECONDS = 0.25
#: After a defect of the agent, before it tries again.
DEFECT_SECONDS = 10.0
#: After these the wanted document may have changed.
_NEWS = frozenset({Effort.INSTALL, Effort.REPORT, Effort.DESTROY, Effort.BANG})


def find_user(name: str) -> Account | None:
    """The account of that name."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(found.pw_uid, found.pw_gid, name)


def find_home(uid: int) -> str | None:
    """The home of a user; none without an account."""
    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        return None


def observe_platform() -> Platform:
    """The platform of this process."""
    return Platform(
        uid=os.getuid(),
        gid=os.getgid(),
        python=sys.executable,
        shim_directory=str(Path(__file__).resolve().parent / "shims"),
        find_account=find_account,
        find_user=find_user,
        find_home=find_home,
        multiarch=str(sysconfig.get_config_var("MULTIARCH") or ""),
        os_type=_describe_system(),
        python_version=platform.python_version(),
        agent_version=metadata.version("slapcluster"),
        hold=hold_directory,
    )


def _describe_system() -> str:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    names = (release.get(it, "") for it in ("ID", "VERSION_ID", "NAME"))
    return json.dumps([platform.platform(), *names])


def build_releases(config: Config, runtime: Runtime) -> Releases:
    """The releases of this computer, for commands about them."""
    return Releases(config, runtime, observe_platform())


def describe_watchdog(config: Config) -> Watching:
    """The watchdog of this installation."""
    return Watching(
        sys.executable,
        str(Path(__file__).resolve().parent / "supervision" / "watchdog.py"),
        tuple(entry for entry in sys.path if entry),
        config.master_urls,
        config.computer_id,
        config.master_ca_file,
        config.cert_file,
        config.key_file,
    )


def build_agent(
    config: Config,
    runtime: Runtime,
    notify: Callable[[BuildProgress], None] | None = None,
) -> Agent:
    """The agent of this computer, for one-shot passes."""
    return Agent(
        config,
        runtime,
        observe_platform(),
        Supervisord(
            runtime,
            runtime.file_tree(config.instance_root),
            watchdog=describe_watchdog(config).command(config.instance_root),
            is_started_when_down=config.supervision.is_supervisord_started,
        ),
        notify,
    )


def build_supervision(config: Config, runtime: Runtime) -> Supervisord:
    """The supervisord of this computer as it is: one that is down stays so."""
    tree = runtime.file_tree(config.instance_root)
    return Supervisord(runtime, tree, is_started_when_down=False)


async def look_at(config: Config, runtime: Runtime) -> Standing:
    """How this computer stands."""
    supervision = build_supervision(config, runtime)
    return await observe_standing(config, runtime, observe_platform(), supervision)


def build_service(config: Config, runtime: Runtime) -> IService:
    """The agent of this computer as a service."""
    log = ProgressLog(runtime.clock, runtime.log)
    agent = build_agent(config, runtime, log.show)
    return _build_life(agent, lambda: Ownership(config, runtime))


def build_model_service(
    config: Config, runtime: Runtime, platform: Platform, supervision: ISupervision
) -> IService:
    """The agent of a simulated computer as a service."""
    return _build_life(Agent(config, runtime, platform, supervision), _NoLock)


def _build_life(agent: Agent, take_lock: Callable[[], Lock]) -> IService:
    return AgentLife(agent, take_lock, lambda lock: AgentService(agent, lambda: lock))


class _NoLock:
    """A simulated host runs one agent."""

    def release(self) -> None:
        """Nothing is held."""


class _Nap:
    """A wait that can be cut short."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._timer: IDelayedCall | None = None
        self._waiting: Deferred[None] | None = None
        self._is_awake = False

    async def sleep(self, seconds: float) -> None:
        """Wait so long, or until woken; at once when woken since the last wait."""
        if not self._is_awake:
            self._waiting = Deferred()
            self._timer = self._clock.callLater(seconds, self._end)
            try:
                await self._waiting
            finally:
                if self._timer.active():
                    self._timer.cancel()
                self._waiting = None
        self._is_awake = False

    def wake(self) -> None:
        self._is_awake = True
        self._end()

    def _end(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)


@implementer(IService)
class AgentService(Service):
    """Loops: one polls, one compares instances often, one keeps software.

    Usage has loops of its own, see ``slapgrid.accounting``, and so has the certificate,
    see ``slapgrid.renewing``, and the relay, see ``slapgrid.relaying``.

    A poll waits at the master for a change, where the master can; else it is repeated.

    Stopping the service leaves all programs of instances running.
    """

    def __init__(self, agent: Agent, take_lock: Callable[[], Lock]) -> None:
        self._agent = agent
        self._take_lock = take_lock
        self._lock: Lock | None = None
        self._clock = agent.runtime.clock
        self._desired: Computer | None = None
        self._poll_at = 0.0
        self._software_at = 0.0
        self._poll_nap = _Nap(self._clock)
        self._instance_nap = _Nap(self._clock)
        self._software_nap = _Nap(self._clock)
        self._loops: list[Deferred[None]] = []

    def startService(self) -> None:
        self._lock = self._take_lock()
        super().startService()  # type: ignore[no-untyped-call] # Twisted's
        self._poll_at = self._clock.seconds()
        own = (self._keep_polling, self._keep_instances, self._keep_software)
        agent = self._agent
        beside = (*agent.accounting.loops, *agent.renewal.loops, *agent.relay.loops)
        for loop in (*own, *beside):
            self._loops.append(self._begin(loop))

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call] # Twisted's
        return Deferred.fromCoroutine(self._stop())

    def poll_soon(self) -> None:
        """Ask the master at the next turn, as after a bang."""
        self._poll_within(0)

    def _begin(self, loop: Callable[[], Coroutine[Any, Any, None]]) -> Deferred[None]:
        running = Deferred.fromCoroutine(self._repeat(loop))
        running.addErrback(lambda failure: failure.trap(CancelledError) and None)
        return running

    async def _repeat(self, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await loop()
            except CancelledError:
                raise
            except Exception:  # noqa: BLE001 - the last boundary
                # A defect met with one partition must not leave all others alone.
                self._agent.runtime.log.failure("a loop of the agent failed")
            await deferLater(self._clock, DEFECT_SECONDS)

    async def _stop(self) -> None:
        loops, self._loops = self._loops, []
        for loop in loops:
            loop.cancel()
        for loop in loops:
            await loop
        await self._agent.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    async def _keep_polling(self) -> None:
        while True:
            if self._clock.seconds() >= self._poll_at:
                await self._poll()
            rest = self._poll_at - self._clock.seconds()
            await self._poll_nap.sleep(max(PAUSE_SECONDS_MIN, rest))

    async def _keep_instances(self) -> None:
        # Until the first poll has ended, whichever way.
        await self._instance_nap.sleep(self._agent.config.poll_seconds)
        while True:
            desired = self._desired
            if desired is None:
                result = await self._agent.keep_running()
            else:
                kept = await self._agent.converge_instances(desired)
                destroyed = await self._agent.converge_destruction(desired)
                result = join_results((kept, destroyed))
            if any(outcome.effort in _NEWS for outcome in result.outcomes):
                self._poll_within(QUICK_POLL_SECONDS)
            await self._instance_nap.sleep(self._rest(result))

    def _rest(self, result: PassResult) -> float:
        config = self._agent.config
        waits = [config.recheck_seconds]
        if result.next_wake is not None:
            waits.append(result.next_wake - self._agent.runtime.calendar.now())
        return max(PAUSE_SECONDS_MIN, min(waits))

    async def _poll(self) -> None:
        config, entropy = self._agent.config, self._agent.runtime.entropy
        period = config.poll_seconds * entropy.uniform(1 - POLL_JITTER, 1 + POLL_JITTER)
        self._poll_at = self._clock.seconds() + period
        try:
            watched = await self._agent.watch(
                min(max(1, round(period)), WAIT_SECONDS_MAX)
            )
        except SlapError as error:
            kind = "away" if isinstance(error, MasterAway) else "refusing"
            self._agent.runtime.log.warn(  # noqa: G010 - Twisted's name
                "the master is {kind}: {error}", kind=kind, error=error
            )
            away_seconds = min(period, AWAY_POLL_SECONDS_MAX)
            # What is away for one agent is away for all: they come back apart.
            drawn = entropy.uniform(AWAY_SPREAD, 1.0)
            self._poll_at = self._clock.seconds() + away_seconds * drawn
            if self._desired is None:
                self._instance_nap.wake()
        else:
            self._take(watched.desired)
            if watched.stale_seconds is not None:
                self._poll_within(STALE_POLL_SECONDS * entropy.uniform(0.5, 1.0))
            elif watched.can_wait:
                self._poll_within(WATCH_PAUSE_SECONDS)

    def _take(self, desired: Computer) -> None:
        """Have both other loops look at a document that is not the one they know."""
        before, self._desired = self._desired, desired
        if before is desired:
            return
        self._instance_nap.wake()
        if before is None or before.installations != desired.installations:
            self._software_within(0)

    def _poll_within(self, seconds: float) -> None:
        self._poll_at = min(self._poll_at, self._clock.seconds() + seconds)
        self._poll_nap.wake()

    async def _keep_software(self) -> None:
        while True:
            now, desired = self._clock.seconds(), self._desired
            if now >= self._software_at:
                # The first document that is polled wakes this loop.
                self._software_at = now + self._agent.config.poll_seconds
                if desired is not None:
                    self._agent.begin_software(desired, partial(self._note, desired))
            rest = self._software_at - self._clock.seconds()
            await self._software_nap.sleep(max(PAUSE_SECONDS_MIN, rest))

    def _note(self, desired: Computer, result: PassResult) -> None:
        """A release that began to converge towards this document has ended."""
        if result.outcomes:
            self.poll_soon()
            # A release that is there now is what an instance may wait for.
            self._instance_nap.wake()
        if result.next_wake is not None:
            self._software_within(result.next_wake - self._agent.runtime.calendar.now())
        if desired is not self._desired:
            self._software_within(0)

    def _software_within(self, seconds: float) -> None:
        self._software_at = min(
            self._software_at, self._clock.seconds() + max(PAUSE_SECONDS_MIN, seconds)
        )
        self._software_nap.wake()
