"""Shell. Links that stay in force: stunnel kept running, files applied, keys renewed.

1. One stunnel runs for a home. One that an earlier life left running is kept, with its
   connections.
2. The file of links and what it names are looked at all the time; what changed is
   applied, and all of it once a day.
3. What cannot be applied changes nothing. The log says it once, and it is tried again.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred

from runtime.ports import Program, Runtime
from slapcluster.outcomes import CommandFailed, ExitCode, judge
from slapcluster.pausing import pause
from slapgrid.environment import clean_environment
from slapgrid.neighbours.lock import DirectoryHold, hold_directory
from stunnel_conf.applying import Applied, IStunnel
from stunnel_conf.rendering import CONFIGURATION

RUN_DIRECTORY = "run"
"""Below the home: whoever holds it runs there, while `link apply` is for anybody."""

LOOK_SECONDS = 2.0
"""A look at files of three hundred peers costs a millisecond."""

DAY_SECONDS = 86400.0
"""Certificates come to their end without any file changing."""

RETRY_SECONDS = 60.0
"""What cannot be applied may be due to something that is no file, as a taken port."""

BEGIN_SECONDS_MAX = 10.0
"""Until stunnel has written its pid; it takes a tenth of a second."""

BEGIN_LOOK_SECONDS = 0.05

END_SECONDS_MAX = 5.0
"""After SIGTERM; stunnel ends at once."""

RESTART_SECONDS = 1.0
"""After the first end; twice as long each time, up to ``RETRY_SECONDS``."""

HEALTHY_SECONDS = 60.0
"""Who ran so long begins anew without a delay that grew."""

Stamp = tuple[tuple[int, ...] | None, ...]


class ILinks(Protocol):
    """What is to be in force: ``linking.FileOfLinks``."""

    def files(self) -> Sequence[Path]:
        """Return what it was read from last, and first of all itself."""

    async def apply(self) -> Applied:
        """Bring it into force, in a home that the caller holds; ``CommandFailed``."""


class IStunnelProcess(IStunnel, Protocol):
    """A stunnel as a process: ``process.StunnelProcess``."""

    def find(self) -> int | None: ...
    def signal(self, number: signal.Signals) -> None: ...


class LinkRun(Service):
    """Keeps the links of a file in force from ``startService`` to ``stopService``.

    Starting fails with ``CommandFailed`` when the links cannot be applied, and were
    never before. ``loops`` run beside it, each without end.
    """

    def __init__(
        self,
        runtime: Runtime,
        links: ILinks,
        home: Path,
        stunnel: IStunnelProcess,
        *,
        program: str = "stunnel",
        loops: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
    ) -> None:
        self._runtime = runtime
        self._links = links
        self._home = home
        self._stunnel = stunnel
        self._argv = (program, str(home / CONFIGURATION))
        self._loops = loops
        self._running: list[Deferred[None]] = []
        self._hold: DirectoryHold | None = None
        self._child: Deferred[None] | None = None
        self._begun_at = 0.0
        self._failure_count = 0
        self._applied_stamp: Stamp = ()
        self._apply_at = 0.0
        self._complaint = ""

    def startService(self) -> Deferred[None]:
        super().startService()  # type: ignore[no-untyped-call] # Twisted's
        return Deferred.fromCoroutine(self._start())

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call] # Twisted's
        return Deferred.fromCoroutine(self._stop())

    async def _start(self) -> None:
        place = self._home / RUN_DIRECTORY
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._hold = hold_directory(str(place))
        if self._hold is None:
            raise CommandFailed(
                f"Another `link run` has {self._home}.", ExitCode.ANOTHER_RUNS
            )
        try:
            await self._begin()
        except BaseException:
            await self._stop()
            raise
        for loop in (self._keep_running, self._keep_applying, *self._loops):
            running = Deferred.fromCoroutine(loop())
            running.addErrback(self._note_end)
            self._running.append(running)

    async def _stop(self) -> None:
        running, self._running = self._running, []
        for it in running:
            it.cancel()
        for it in running:
            await it
        if self._hold is None:
            return
        child, self._child = self._child, None
        if child is not None:
            child.cancel()
            await child
        await self._end_adopted()
        self._hold.release()
        self._hold = None

    def _note_end(self, failure: Any) -> None:
        if not failure.check(CancelledError):
            self._runtime.log.failure("a part of `link run` ended", failure)

    async def _keep_running(self) -> None:
        """Have stunnel run: begin it again whenever it has ended."""
        clock = self._runtime.clock
        while True:
            while self._stunnel.pid() is not None:
                await pause(clock, LOOK_SECONDS)
            if clock.seconds() - self._begun_at > HEALTHY_SECONDS:
                self._failure_count = 0
            delay = min(RESTART_SECONDS * 2.0**self._failure_count, RETRY_SECONDS)
            self._failure_count = min(self._failure_count + 1, 16)
            reasons = "; ".join(self._stunnel.journal().reasons)
            self._runtime.log.warn(  # noqa: G010 - Twisted's name
                "stunnel does not run; it is begun in {delay:g} s{reasons}",
                delay=delay,
                reasons=f": {reasons}" if reasons else "",
            )
            await pause(clock, delay)
            try:
                await self._begin()
            except (CommandFailed, OSError) as error:
                self._complain(error)

    async def _begin(self) -> None:
        """Have stunnel run with what is to be in force, or with what was last.

        Nobody else applies anything between its start and its pid: who finds no pid
        removes the log of one that is gone.
        """
        clock = self._runtime.clock
        self._begun_at = clock.seconds()
        with self._holding():
            found = self._stunnel.find()
            if found is None:
                await self._apply_before_start()
                self._child = self._spawn()
            deadline = clock.seconds() + BEGIN_SECONDS_MAX
            while self._stunnel.pid() is None and clock.seconds() < deadline:
                if found is None and self._child is None:
                    return
                await pause(clock, BEGIN_LOOK_SECONDS)
        if found is not None:
            self._runtime.log.info("stunnel runs already: process {pid}", pid=found)

    async def _apply_before_start(self) -> None:
        try:
            await self._apply()
        except (CommandFailed, OSError) as error:
            if not (self._home / CONFIGURATION).exists():
                raise
            self._complain(error)

    def _spawn(self) -> Deferred[None]:
        home = str(self._home)
        program = Program(self._argv, home, clean_environment(home))
        return Deferred.fromCoroutine(self._run_child(program)).addErrback(
            self._note_end
        )

    async def _run_child(self, program: Program) -> None:
        try:
            ended = await self._runtime.processes.run(program)
        finally:
            self._child = None
        said = ended.output.decode(errors="replace").strip()
        if said:
            self._runtime.log.warn("stunnel: {said}", said=said)  # noqa: G010

    async def _end_adopted(self) -> None:
        """End a stunnel that an earlier life began: it is no child of this process."""
        clock = self._runtime.clock
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = clock.seconds() + END_SECONDS_MAX
            self._stunnel.signal(number)
            while self._stunnel.find() is not None and clock.seconds() < deadline:
                await pause(clock, BEGIN_LOOK_SECONDS)

    async def _keep_applying(self) -> None:
        clock = self._runtime.clock
        while True:
            await pause(clock, LOOK_SECONDS)
            is_due = clock.seconds() >= self._apply_at
            if not is_due and self._stamp() == self._applied_stamp:
                continue
            if self._stunnel.pid() is None:
                # It begins with what is to be in force then.
                continue
            try:
                with self._holding():
                    await self._apply()
            except (CommandFailed, OSError) as error:
                self._complain(error)

    async def _apply(self) -> None:
        """Apply, and know when to do so again; the home is held."""
        self._applied_stamp = self._stamp()
        self._apply_at = self._runtime.clock.seconds() + RETRY_SECONDS
        applied = await self._links.apply()
        # What it names now may have changed since: then it is applied once more.
        self._apply_at += DAY_SECONDS - RETRY_SECONDS
        if self._complaint or applied.is_changed or not applied.is_running:
            entries = ", ".join(f"{k} at {v}" for k, v in applied.entries.items())
            self._runtime.log.info(
                "the links are in force{entries}",
                entries=f"; reached are {entries}" if entries else "",
            )
        self._complaint = ""
        for warning in applied.warnings:
            self._runtime.log.warn("{warning}", warning=warning)  # noqa: G010

    def _complain(self, error: Exception) -> None:
        sentence = judge(error).sentence
        if sentence != self._complaint:
            self._complaint = sentence
            self._runtime.log.warn(  # noqa: G010 - Twisted's name
                "the links are not applied: {sentence}", sentence=sentence
            )

    @contextmanager
    def _holding(self) -> Iterator[None]:
        hold = hold_directory(str(self._home))
        if hold is None:
            raise CommandFailed(
                f"Another run changes {self._home} just now.", ExitCode.ANOTHER_RUNS
            )
        try:
            yield
        finally:
            hold.release()

    def _stamp(self) -> Stamp:
        return tuple(_stamp_of(it) for it in self._links.files())


def _stamp_of(file: Path) -> tuple[int, ...] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
