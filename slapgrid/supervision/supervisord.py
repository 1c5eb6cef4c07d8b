"""Supervision by one supervisord per computer, spoken to over its Unix socket."""

from __future__ import annotations

import pwd
import resource
import sys
import xmlrpc.client
from collections import defaultdict
from collections.abc import Mapping, Sequence

from twisted.internet.task import deferLater
from zope.interface import implementer

from runtime.http_client import ConnectionFailed, HttpClient
from runtime.ports import IFileTree, Program, Runtime, UnixAddress
from slapgrid.convergence.views import ProgramState, ProgramStatus
from slapgrid.environment import clean_environment
from slapgrid.layout import (
    GROUP_DIRECTORY,
    SUPERVISORD_CONF,
    SUPERVISORD_SOCKET,
    group_file,
)
from slapgrid.supervision.conf import (
    FILE_DESCRIPTORS_MIN,
    STOP_SECONDS_MAX,
    WATCH_SUFFIX,
    Account,
    ProgramGroup,
    program_name,
    render_group,
    render_main,
)
from slapgrid.supervision.port import (
    GroupStatus,
    ISupervision,
    ProgramKey,
    SupervisionError,
)

#: supervisord does one thing at a time; starting 500 programs takes it 8 s.
CALL_SECONDS_MAX = 60.0
#: From start to first answer; with 500 group files it takes 2 s.
BOOT_SECONDS_MAX = 30.0
BOOT_POLL_SECONDS = 0.1
#: SIGKILL comes after STOP_SECONDS_MAX; what is left then does not end at all.
STOPPING_SECONDS_MAX = STOP_SECONDS_MAX + 15.0
STOPPING_POLL_SECONDS = 0.2

_MAIN = """\
import sys
sys.path[:] = {path!r}
from supervisor.supervisord import main
main(sys.argv[1:])
"""


class _Refused(SupervisionError):
    """supervisord answers, and refuses the call."""


def file_descriptors_min() -> int:
    """As many as wanted, at most as many as this host allows."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY:
        return FILE_DESCRIPTORS_MIN
    return min(FILE_DESCRIPTORS_MIN, hard)


def find_account(uid: int, gid: int) -> Account | None:
    """The account of a user; ``None`` when it has no name, as in some namespaces."""
    try:
        return Account(uid, gid, pwd.getpwuid(uid).pw_name)
    except KeyError:
        return None


@implementer(ISupervision)
class Supervisord:
    """The supervisord below an instance root, started when it does not answer."""

    def __init__(
        self, runtime: Runtime, tree: IFileTree, *, is_started_when_down: bool = True
    ) -> None:
        self._runtime = runtime
        self._tree = tree
        self._is_started_when_down = is_started_when_down
        self._http = HttpClient(runtime)

    async def observe(self) -> tuple[GroupStatus, ...]:
        if not await self._answers():
            await self._boot()
        found = await self._call("supervisor.getAllProcessInfo")
        assert isinstance(found, list)
        groups: defaultdict[str, list[ProgramStatus]] = defaultdict(list)
        for each in found:
            groups[str(each["group"])].append(_status(each))
        return tuple(
            GroupStatus(partition_id, tuple(sorted(programs, key=lambda it: it.name)))
            for partition_id, programs in sorted(groups.items())
        )

    async def define(self, groups: tuple[ProgramGroup, ...]) -> Mapping[str, str]:
        self._make_directories()
        for group in groups:
            path = group_file(group.partition_id)
            content = render_group(group).encode()
            if not group.programs:
                self._tree.remove(path)
            elif self._read(path) != content:
                self._tree.write(path, content, 0o600)
        return await self._apply([group.partition_id for group in groups])

    async def start(self, programs: tuple[ProgramKey, ...]) -> Mapping[str, str]:
        known = {
            ProgramKey(group.partition_id, program.name): program
            for group in await self.observe()
            for program in group.programs
        }
        failures = {
            key.partition_id: f"{key.program}: no such program"
            for key in programs
            if key not in known
        }
        names = [
            f"{key.partition_id}:{key.program}"
            + (WATCH_SUFFIX if known[key].is_watched else "")
            for key in programs
            if key in known
        ]
        if names:
            answer = await self._call("slapgrid.start", names)
            assert isinstance(answer, list)
            for name, reason in answer:
                partition_id, _, process_name = str(name).partition(":")
                failures[partition_id] = f"{program_name(process_name)}: {reason}"
        return failures

    async def remove(self, partition_ids: tuple[str, ...]) -> Mapping[str, str]:
        for partition_id in partition_ids:
            self._tree.remove(group_file(partition_id))
        return await self._apply(partition_ids)

    async def shut_down(self) -> None:
        if not await self._answers():
            return
        deadline = self._runtime.clock.seconds() + STOPPING_SECONDS_MAX
        while await self._call("slapgrid.stop_all"):
            if self._runtime.clock.seconds() > deadline:
                break
            await self._pause(STOPPING_POLL_SECONDS)
        await self._call("supervisor.shutdown")
        while await self._answers():
            if self._runtime.clock.seconds() > deadline:
                raise SupervisionError("supervisord does not end")
            await self._pause(STOPPING_POLL_SECONDS)

    async def _apply(self, partition_ids: Sequence[str]) -> Mapping[str, str]:
        """Let supervisord read these group files until all programs have ended."""
        await self.observe()
        paths = {each: self._tree.path(group_file(each)) for each in partition_ids}
        failures: dict[str, str] = {}
        deadline = self._runtime.clock.seconds() + STOPPING_SECONDS_MAX
        while paths:
            try:
                pending = await self._call("slapgrid.apply", list(paths.values()))
            except _Refused as refusal:
                if len(paths) > 1:
                    # One file is at fault: find it, so that the others are applied.
                    for partition_id in paths:
                        failures.update(await self._apply([partition_id]))
                    return failures
                return dict.fromkeys(paths, str(refusal))
            assert isinstance(pending, list)
            if self._runtime.clock.seconds() > deadline:
                for name in map(str, pending):
                    partition_id, _, process_name = name.partition(":")
                    program = program_name(process_name)
                    failures[partition_id] = f"{program} does not end"
                return failures
            waiting = {str(name).partition(":")[0] for name in pending}
            paths = {each: path for each, path in paths.items() if each in waiting}
            if paths:
                await self._pause(STOPPING_POLL_SECONDS)
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
            await self._call("supervisor.getState")
        except _Refused:
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
        main = render_main(tree.root, file_descriptors_min=file_descriptors_min())
        tree.write(SUPERVISORD_CONF, main.encode(), 0o600)
        code = _MAIN.format(path=[entry for entry in sys.path if entry])
        # A second supervisord refuses to start on a socket that answers.
        ended = await self._runtime.processes.run(
            Program(
                (sys.executable, "-I", "-c", code, "-c", tree.path(SUPERVISORD_CONF)),
                directory=tree.root,
                environment=clean_environment(tree.root),
                umask=0o022,
                timeout_seconds=BOOT_SECONDS_MAX,
            )
        )
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

    async def _call(self, method: str, *arguments: object) -> object:
        body = xmlrpc.client.dumps(arguments, method).encode()  # type: ignore[arg-type] # lists and texts
        try:
            reply = await self._http.send(
                "POST",
                "http://127.0.0.1/RPC2",
                {"Content-Type": "text/xml"},
                body,
                timeout_seconds=CALL_SECONDS_MAX,
                address=UnixAddress(self._tree.path(SUPERVISORD_SOCKET)),
            )
        except ConnectionFailed as error:
            raise SupervisionError(f"supervisord does not answer: {error}") from error
        if reply.status != 200:  # noqa: PLR2004 - HTTP
            raise SupervisionError(f"supervisord answers with status {reply.status}")
        try:
            # The socket is ours alone (mode 0700): what comes out of it is trusted.
            (answer,), _ = xmlrpc.client.loads(reply.body)
        except xmlrpc.client.Fault as fault:
            raise _Refused(fault.faultString) from fault
        return answer

    async def _pause(self, seconds: float) -> None:
        await deferLater(self._runtime.clock, seconds)


def _status(found: Mapping[str, object]) -> ProgramStatus:
    process_name = str(found["name"])
    program_state = ProgramState(str(found["statename"]))
    exit_status = found["exitstatus"]
    assert isinstance(exit_status, int)
    return ProgramStatus(
        program_name(process_name),
        process_name.endswith(WATCH_SUFFIX),
        program_state,
        exit_status if program_state is ProgramState.EXITED else None,
    )
