"""Supervision by one supervisord per computer, spoken to over its Unix socket."""

from __future__ import annotations

import pwd
import resource
import sys
from collections.abc import Container, Iterable, Mapping
from pathlib import Path

from twisted.internet.task import deferLater
from zope.interface import implementer

from runtime.ports import Exit, IFileTree, Program, Runtime
from slapgrid.convergence.views import LIVE_STATES, ProgramState, ProgramStatus
from slapgrid.environment import clean_environment
from slapgrid.layout import GROUP_DIRECTORY, SUPERVISORD_CONF, group_file
from slapgrid.supervision.calls import UNKNOWN_METHOD, Refused, SupervisordCalls
from slapgrid.supervision.conf import (
    WATCH_SUFFIX,
    WATCHDOG,
    Account,
    ProgramGroup,
    is_readable,
    render_group,
)
from slapgrid.supervision.mending import WatchdogCare
from slapgrid.supervision.own_interface import OwnInterface
from slapgrid.supervision.port import (
    GroupStatus,
    ISupervision,
    ProgramKey,
    SupervisionError,
)
from slapgrid.supervision.stock_interface import StockInterface
from slapgrid.supervision.stopping import STOPPING_POLL_SECONDS, STOPPING_SECONDS_MAX

#: From start to first answer; with 500 group files it takes 2 s.
BOOT_SECONDS_MAX = 30.0
BOOT_POLL_SECONDS = 0.1
#: Three per running program: 500 need 1506, and the usual soft limit is 1024.
FILE_DESCRIPTORS = 16384

#: They get 20 s to end by themselves.
LEFTOVERS_SECONDS_MAX = 60.0
_LEFTOVERS_SHIM = str(Path(__file__).resolve().parents[1] / "shims/leftovers_shim.py")

#: A program in one of these can be told to end.
_UNRESTING = LIVE_STATES | {ProgramState.BACKOFF}

_MAIN = """\
import resource, sys
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, ({descriptors}, hard))
sys.path[:] = {path!r}
from supervisor.supervisord import main
main(sys.argv[1:])
"""


def file_descriptors() -> int:
    """As many as wanted, at most as many as this host allows."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY:
        return FILE_DESCRIPTORS
    return min(FILE_DESCRIPTORS, hard)


def _unknown(
    programs: tuple[ProgramKey, ...], known: Container[ProgramKey]
) -> dict[str, str]:
    return {
        key.partition_id: f"{key.program}: no such program"
        for key in programs
        if key not in known
    }


def _process(key: ProgramKey, program: ProgramStatus) -> str:
    """What supervisord calls it."""
    suffix = WATCH_SUFFIX if program.is_watched else ""
    return f"{key.partition_id}:{key.program}{suffix}"


def find_account(uid: int, gid: int) -> Account | None:
    """The account of a user; ``None`` when it has no name, as in some namespaces."""
    try:
        found = pwd.getpwuid(uid)
    except KeyError:
        return None
    return Account(uid, gid, found.pw_name, found.pw_dir)


@implementer(ISupervision)
class Supervisord:
    """The supervisord below an instance root, started when it does not answer.

    One that another agent started is driven as it is: it lacks our methods until it is
    started again.
    """

    def __init__(
        self,
        runtime: Runtime,
        tree: IFileTree,
        *,
        is_started_when_down: bool = True,
        watchdog: str = "",
    ) -> None:
        self._runtime = runtime
        self._tree = tree
        self._is_started_when_down = is_started_when_down
        self._calls = SupervisordCalls(runtime, tree)
        self._own = OwnInterface(runtime, self._calls)
        self._stock = StockInterface(runtime, self._calls)
        self._interface: OwnInterface | StockInterface = self._own
        self._applied: dict[str, bytes] = {}
        self._care = WatchdogCare(runtime, tree, self._calls, watchdog)

    async def observe(self) -> tuple[GroupStatus, ...]:
        try:
            groups = await self._observe()
        except Refused:
            raise
        except SupervisionError:
            await self._boot()
            groups = await self._observe()
        states = {
            each.partition_id: each.programs[0].program_state
            for each in groups
            if each.partition_id == WATCHDOG and each.programs
        }
        is_ours = self._interface is self._own
        await self._care.look(states.get(WATCHDOG), is_ours=is_ours)
        return tuple(each for each in groups if each.partition_id != WATCHDOG)

    def trouble(self) -> str:
        return self._care.trouble

    async def define(self, groups: tuple[ProgramGroup, ...]) -> Mapping[str, str]:
        self._make_directories()
        known = {each.partition_id for each in await self.observe()}
        stale: list[str] = []
        for group in groups:
            name = group.partition_id
            path = group_file(name)
            content = render_group(group).encode() if group.programs else None
            written = self._read(path)
            if content is None:
                self._tree.remove(path)
            elif written != content:
                self._tree.write(path, content, 0o600)
            is_applied = self._applied.get(name) == content and written == content
            if not is_applied or (name in known) != bool(group.programs):
                stale.append(name)
        return await self._apply(stale)

    async def start(self, programs: tuple[ProgramKey, ...]) -> Mapping[str, str]:
        known = await self._programs()
        failures = _unknown(programs, known)
        names = [_process(key, known[key]) for key in programs if key in known]
        if names:
            failures.update(await self._interface.start(names))
        return failures

    async def stop(self, programs: tuple[ProgramKey, ...]) -> Mapping[str, str]:
        known = await self._programs()
        failures = _unknown(programs, known)
        deadline = self._runtime.clock.seconds() + STOPPING_SECONDS_MAX
        told: set[ProgramKey] = set()
        while live := [
            key
            for key in programs
            if key in known
            and known[key].program_state in _UNRESTING
            # Whoever starts it again meanwhile wants it to run.
            and (key not in told or known[key].program_state is ProgramState.STOPPING)
        ]:
            if self._runtime.clock.seconds() > deadline:
                return failures | {
                    key.partition_id: f"{key.program}: does not end" for key in live
                }
            # Every supervisord has this method; one that is stopping refuses it.
            await self._calls.call_each(
                "supervisor.stopProcess",
                [(_process(key, known[key]), False) for key in live],
            )
            told.update(live)
            await self._pause(STOPPING_POLL_SECONDS)
            known = await self._programs()
        return failures

    async def remove(self, partition_ids: tuple[str, ...]) -> Mapping[str, str]:
        for partition_id in partition_ids:
            self._tree.remove(group_file(partition_id))
        await self.observe()
        return await self._apply(partition_ids)

    async def shut_down(self) -> None:
        try:
            await self._observe()
        except SupervisionError:
            return
        deadline = self._runtime.clock.seconds() + STOPPING_SECONDS_MAX
        while await self._interface.stop_all():
            if self._runtime.clock.seconds() > deadline:
                break
            await self._pause(STOPPING_POLL_SECONDS)
        await self._calls.call("supervisor.shutdown")
        while await self._answers():
            if self._runtime.clock.seconds() > deadline:
                raise SupervisionError("supervisord does not end")
            await self._pause(STOPPING_POLL_SECONDS)

    async def _programs(self) -> Mapping[ProgramKey, ProgramStatus]:
        return {
            ProgramKey(group.partition_id, program.name): program
            for group in await self.observe()
            for program in group.programs
        }

    async def _observe(self) -> tuple[GroupStatus, ...]:
        """Every group, in the way that this supervisord understands from now on."""
        try:
            groups = await self._own.observe()
        except Refused as refusal:
            if refusal.code != UNKNOWN_METHOD:
                raise
            groups = await self._stock.observe()
            if self._interface is not self._stock:
                self._runtime.log.info(
                    "supervisord was started by another agent: a group that changes "
                    "is replaced as a whole until it is started again"
                )
            self._interface = self._stock
        else:
            self._interface = self._own
        return groups

    async def _apply(self, partition_ids: Iterable[str]) -> Mapping[str, str]:
        """Let supervisord read these group files until all programs have ended."""
        paths = {each: self._tree.path(group_file(each)) for each in partition_ids}
        if not paths:
            return {}
        contents = {each: self._read(group_file(each)) for each in paths}
        failures = await self._interface.apply(paths)
        for name, content in contents.items():
            if content is None or name in failures:
                self._applied.pop(name, None)
            else:
                self._applied[name] = content
        return failures

    def _make_directories(self) -> None:
        self._tree.make_directory("etc", 0o700)
        self._tree.make_directory(GROUP_DIRECTORY, 0o700)
        self._tree.make_directory("var", 0o755)
        self._tree.make_directory("var/log", 0o700)
        self._tree.make_directory("var/run", 0o700)

    def _read(self, path: str) -> bytes | None:
        try:
            return self._tree.read(path)
        except FileNotFoundError:
            return None

    async def _answers(self) -> bool:
        try:
            await self._calls.call("supervisor.getState")
        except Refused:
            return True  # it shuts down; it is there
        except SupervisionError:
            return False
        return True

    async def _boot(self) -> None:
        if not self._is_started_when_down:
            raise SupervisionError(
                "supervisord does not run and forbid_supervisord_automatic_launch "
                "is set: start it"
            )
        tree = self._tree
        self._make_directories()
        tree.write(SUPERVISORD_CONF, self._care.render_main(), 0o600)
        await self.end_leftovers()
        ended = await self._run()
        if not ended.is_success and self._forget_unreadable():
            ended = await self._run()
        if not ended.is_success:
            output = ended.output.decode(errors="replace").strip()
            raise SupervisionError(f"supervisord does not start: {output}")
        deadline = self._runtime.clock.seconds() + BOOT_SECONDS_MAX
        while not await self._answers():
            if self._runtime.clock.seconds() > deadline:
                raise SupervisionError(
                    f"supervisord does not answer within {BOOT_SECONDS_MAX:g} s"
                )
            await self._pause(BOOT_POLL_SECONDS)

    async def _run(self) -> Exit:
        """Start it; a second one refuses to start on a socket that answers."""
        tree = self._tree
        code = _MAIN.format(
            descriptors=file_descriptors(), path=[entry for entry in sys.path if entry]
        )
        return await self._runtime.processes.run(
            Program(
                (sys.executable, "-I", "-c", code, "-c", tree.path(SUPERVISORD_CONF)),
                directory=tree.root,
                environment=clean_environment(tree.root),
                umask=0o022,
                timeout_seconds=BOOT_SECONDS_MAX,
            )
        )

    def _forget_unreadable(self) -> bool:
        """Remove group files that keep it from starting; say whether there were any.

        Who is without its group is given it again, so one bad block costs one
        partition a restart, and not the computer all of its services.
        """
        damaged = []
        for name in self._tree.list(GROUP_DIRECTORY):
            path = f"{GROUP_DIRECTORY}/{name}"
            try:
                is_damaged = not is_readable(self._tree.read(path))
            except OSError:
                is_damaged = True
            if is_damaged:
                damaged.append(path)
                self._tree.remove(path)
        if damaged:
            self._runtime.log.warn("removed, damaged: {paths}", paths=damaged)  # noqa: G010 - Twisted's name
        return bool(damaged)

    async def end_leftovers(self) -> None:
        """End what a supervisord that was killed left: nobody else could stop it.

        ``SupervisionError`` when it is there and does not answer.
        """
        tree = self._tree
        url = f"unix://{tree.path(self._calls.socket)}"
        argv = (sys.executable, "-I", "-S", _LEFTOVERS_SHIM)
        ended = await self._runtime.processes.run(
            Program(
                (*argv, url, tree.path(SUPERVISORD_CONF)),
                directory=tree.root,
                environment=clean_environment(tree.root),
                timeout_seconds=LEFTOVERS_SECONDS_MAX,
            )
        )
        said = ended.output.decode(errors="replace").strip()
        if not ended.is_success:
            raise SupervisionError(f"supervisord is not started: {said}")
        if said:
            self._runtime.log.warn("{said}", said=said)  # noqa: G010 - Twisted's name

    async def _pause(self, seconds: float) -> None:
        await deferLater(self._runtime.clock, seconds)
