"""The life of an agent: what it does at its start, at the computer's and every day.

1. A computer formats itself first. One that was formatted before and cannot be now, as
   without its network, is kept running all the same, and formatting is tried again.
2. The master is told of the partitions when it is there, and again every day: it may
   have lost them.
3. After a start of the computer everything is processed again, since what instances
   set up outside their partitions is gone, and the master is asked to have it so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.application.service import IService, Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from runtime.ports import IFileTree
from slapgrid.layout import BOOT_FILE
from slapgrid.neighbours.lock import Lock
from slapgrid.passes import Agent, ExitStatus, PassResult

#: A master may be starting too: it is asked often at first.
TELL_SECONDS_FIRST = 2.0
#: An address that is missing comes when an operator or a network does.
TELL_SECONDS_MAX = 60.0
#: As stock nodes.
FORMAT_PERIOD_SECONDS = 86400.0
#: Computers that were started together must not all tell together: +-10 %.
FORMAT_JITTER = 0.1
#: As stock nodes say it.
BOOT_MESSAGE = "the computer has started"
_BOOT_ID_BYTES_MAX = 64


class NotFormatted(Exception):
    """The computer cannot be formatted and never was; the sentence says why."""


@implementer(IService)
class AgentLife(Service):
    """The agent's loops, with what comes before them and what comes every day.

    ``NotFormatted`` and ``AlreadyRunning`` are refusals to start. The loops own the
    lock that they are built with.
    """

    def __init__(
        self,
        agent: Agent,
        take_lock: Callable[[], Lock],
        build_loops: Callable[[Lock], IService],
    ) -> None:
        self._agent = agent
        self._runtime = agent.runtime
        self._take_lock = take_lock
        self._build_loops = build_loops
        self._loops: IService | None = None
        self._telling: Deferred[None] | None = None

    def startService(self) -> Deferred[None]:
        super().startService()  # type: ignore[no-untyped-call] # Twisted's
        return Deferred.fromCoroutine(self._start())

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call] # Twisted's
        return Deferred.fromCoroutine(self._stop())

    async def _start(self) -> None:
        lock = self._take_lock()
        try:
            result = await self._format_first()
            is_started = Starts(self._agent).note()
        except BaseException:
            lock.release()
            raise
        self._loops = self._build_loops(lock)
        await maybeDeferred(self._loops.startService)
        self._telling = Deferred.fromCoroutine(
            self._keep_telling(result, is_started=is_started)
        )
        self._telling.addErrback(self._end_telling)

    async def _stop(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
            await self._telling
        if self._loops is not None:
            await maybeDeferred(self._loops.stopService)

    def _end_telling(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            # The loops run on: a computer that is not told of again still works.
            self._runtime.log.failure("the master is told no more", failure)

    async def _keep_telling(self, result: PassResult, *, is_started: bool) -> None:
        clock, entropy = self._runtime.clock, self._runtime.entropy
        delay = TELL_SECONDS_FIRST
        while True:
            if result.exit_status is ExitStatus.OK and is_started:
                result = await self._agent.bang(BOOT_MESSAGE)
                is_started = result.exit_status is not ExitStatus.OK
            if result.exit_status is ExitStatus.OK:
                delay = TELL_SECONDS_FIRST
                jitter = entropy.uniform(1 - FORMAT_JITTER, 1 + FORMAT_JITTER)
                await deferLater(clock, FORMAT_PERIOD_SECONDS * jitter)
            else:
                await deferLater(clock, delay)
                delay = min(2 * delay, TELL_SECONDS_MAX)
            result = await self._format()

    async def _format_first(self) -> PassResult:
        result = await self._format()
        if result.exit_status is ExitStatus.FAILED and not self._was_formatted():
            raise NotFormatted(f"this computer cannot be formatted: {result.reason}")
        return result

    async def _format(self) -> PassResult:
        result = await self._agent.format()
        log = self._runtime.log
        if result.exit_status is ExitStatus.OK:
            log.info("{reason}", reason=result.reason)
        else:
            log.warn(  # noqa: G010 - Twisted's name
                "not formatted yet: {reason}", reason=result.reason
            )
        return result

    def _was_formatted(self) -> bool:
        tree = self._runtime.file_tree(self._agent.config.instance_root)
        return any(
            tree.status(name) is not None
            for name in self._agent.config.format.partition_ids
        )


class Starts:
    """Whether the computer has started since it was asked last."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._tree = agent.runtime.file_tree(agent.config.instance_root)
        self._kernel = agent.runtime.file_tree("/proc/sys/kernel/random")

    def note(self) -> bool:
        """Have everything processed again when it has; not when it never was asked.

        That is written first: who is killed in between does it once more.
        """
        present = _read(self._kernel, "boot_id")
        before = _read(self._tree, BOOT_FILE)
        if not present or present == before:
            return False
        if before:
            self._agent.forget_processed()
        self._tree.make_directory(BOOT_FILE.rpartition("/")[0], 0o700)
        self._tree.write(BOOT_FILE, present, 0o600)
        return bool(before)


def _read(tree: IFileTree, path: str) -> bytes:
    try:
        return tree.read(path, _BOOT_ID_BYTES_MAX)
    except OSError:
        return b""


async def boot(agent: Agent, say: Callable[[str], None]) -> PassResult:
    """Do once what a start of the computer needs, however long its network takes."""
    steps: tuple[Callable[[], Awaitable[PassResult]], ...] = (
        agent.format,
        lambda: agent.bang(BOOT_MESSAGE),
    )
    for step in steps:
        delay = TELL_SECONDS_FIRST
        result = await step()
        while result.exit_status is not ExitStatus.OK:
            say(result.reason)
            await deferLater(agent.runtime.clock, delay)
            delay = min(2 * delay, TELL_SECONDS_MAX)
            result = await step()
    agent.forget_processed()
    return PassResult(ExitStatus.OK, "everything will be processed again")
