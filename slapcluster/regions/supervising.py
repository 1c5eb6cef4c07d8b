"""Shell. The supervisord of one region: started, asked, told, ended."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path

from attrs import Factory, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout

from replication.neo import program
from replication.neo.neoctl import python_environment
from replication.programs import (
    SUPERVISORD_CONF,
    SUPERVISORD_LOG,
    SUPERVISORD_PID,
    Launcher,
    render_supervisord,
)
from replication.regions import NeoCluster, ProgramKind, Region
from replication.sight import HungProcess, ProgramSeen, SupervisordSeen
from runtime.ports import Program, Runtime
from slapcluster.outcomes import CommandFailed
from slapcluster.pausing import pause
from slapcluster.play.namespaces import scheduling_letter, start_ticks
from slapgrid.environment import clean_environment
from slapgrid.layout import SUPERVISORD_SOCKET
from slapgrid.supervision.calls import Refused, SupervisordCalls
from slapgrid.supervision.port import SupervisionError

BOOT_SECONDS_MAX = 30.0
"""From start to first answer, on a loaded machine."""

CALL_SECONDS_MAX = 20.0
"""Stopping a program takes at most 10 s; more is a supervisord that is stopped."""

LOOK_SECONDS_MAX = 5.0
"""It answers from memory."""

END_SECONDS_MAX = 20.0
"""From the wish to the end of the process; it has nothing left to stop then."""

POLL_SECONDS = 0.1

LAUNCHER = Launcher(sys.executable, str(Path(program.__file__).resolve()))


@frozen
class RegionSupervisor:
    """The supervisord of a region, which may run or not; ``path`` is the region's."""

    runtime: Runtime
    name: str
    path: str
    calls: SupervisordCalls = field(
        init=False,
        default=Factory(
            lambda it: SupervisordCalls(it.runtime, it.runtime.file_tree(it.path)),
            takes_self=True,
        ),
    )

    async def look(self) -> SupervisordSeen | None:
        """What it runs; ``None`` when none answers."""
        try:
            pid = await self._call("supervisor.getPID", LOOK_SECONDS_MAX)
            listed = await self._call("supervisor.getAllProcessInfo", LOOK_SECONDS_MAX)
        except SupervisionError:
            return None
        assert isinstance(pid, int)
        assert isinstance(listed, list)
        found = {str(it["name"]): it for it in listed}
        return SupervisordSeen(
            pid, tuple(_program(kind, found.get(kind.value)) for kind in ProgramKind)
        )

    async def boot(self, neo_cluster: NeoCluster, region: Region) -> None:
        """Start it with all programs of the region."""
        await self._until_gone(self._left_pid())
        self.runtime.file_tree(self.path).make_directory("log", 0o750)
        self._write_conf(neo_cluster, region)
        module = ("-P", "-m", "supervisor.supervisord")
        ended = await self.runtime.processes.run(
            Program(
                (sys.executable, *module, "-c", f"{self.path}/{SUPERVISORD_CONF}"),
                directory=self.path,
                environment=clean_environment(self.path, python_environment()),
                timeout_seconds=BOOT_SECONDS_MAX,
            )
        )
        if not ended.is_success:
            said = ended.output.decode(errors="replace").strip()
            raise CommandFailed(f"supervisord of {self.name} does not start: {said}.")
        deadline = self.runtime.clock.seconds() + BOOT_SECONDS_MAX
        while await self.look() is None:
            if self.runtime.clock.seconds() > deadline:
                raise CommandFailed(
                    f"supervisord of {self.name} does not answer within "
                    f"{BOOT_SECONDS_MAX:g} s; {self.path}/{SUPERVISORD_LOG} says why."
                )
            await pause(self.runtime.clock, POLL_SECONDS)

    def _write_conf(self, neo_cluster: NeoCluster, region: Region) -> None:
        conf = self._conf(neo_cluster, region)
        self.runtime.file_tree(self.path).write(SUPERVISORD_CONF, conf, 0o640)

    def _conf(self, neo_cluster: NeoCluster, region: Region) -> bytes:
        return render_supervisord(
            neo_cluster, region, self.path, SUPERVISORD_SOCKET, LAUNCHER
        ).encode()

    async def is_stale(self, neo_cluster: NeoCluster, region: Region) -> bool:
        """Whether its programs were started otherwise than they would be now."""
        written = self.runtime.file_tree(self.path).read(SUPERVISORD_CONF)
        if written != self._conf(neo_cluster, region):
            return True
        added, changed, removed = await self._reload()
        return bool(added or changed or removed)

    async def renew(self, neo_cluster: NeoCluster, region: Region) -> None:
        """Have its programs run as they would be started now."""
        self._write_conf(neo_cluster, region)
        added, changed, _ = await self._reload()
        # The primary has to be there to notice that the storage node leaves.
        for name in sorted(changed, reverse=True):
            await self.stop_program(ProgramKind(name))
            await self._tell("supervisor.removeProcessGroup", name)
        await self._add({*added, *changed})

    async def _add(self, names: Collection[str]) -> None:
        for kind in ProgramKind:
            if kind.value in names:
                await self._tell("supervisor.addProcessGroup", kind.value)

    async def _reload(self) -> tuple[list[str], list[str], list[str]]:
        """The programs that its file adds, changes and removes."""
        told = await self._tell("supervisor.reloadConfig")
        assert isinstance(told, list)
        added, changed, removed = told[0]
        return added, changed, removed

    async def start_programs(self) -> None:
        """Start what does not run; what does is left alone."""
        # A command that was killed may have taken one out, to start it anew.
        added, _, _ = await self._reload()
        await self._add(added)
        await self._tell("supervisor.startAllProcesses", False)  # noqa: FBT003 - of its protocol

    async def stop_program(self, kind: ProgramKind) -> None:
        """Have a program end, and wait until it did; one that has ended stays so."""
        seen = await self.look()
        if seen is None or not any(
            it.kind is kind and it.process_state not in {"STOPPED", "EXITED", "FATAL"}
            for it in seen.programs
        ):
            return
        try:
            await self._tell("supervisor.stopProcess", kind.value)
        except Refused:
            # It ended by itself meanwhile.
            return

    async def end(self) -> None:
        """Have it stop what still runs and end; nothing happens when it has."""
        seen = await self.look()
        pid = seen.pid if seen else self._left_pid()
        if seen is not None:
            await self._tell("supervisor.shutdown")
        await self._until_gone(pid)

    def _left_pid(self) -> int | None:
        """The process of one that still runs and may be beyond answering."""
        try:
            pid = int(Path(self.path, SUPERVISORD_PID).read_text("ascii"))
            command_line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        conf = f"{self.path}/{SUPERVISORD_CONF}".encode()
        return pid if conf in command_line.split(b"\0") else None

    def find_hung(self) -> HungProcess | None:
        """The process of a supervisord that did not answer, if there is one."""
        pid = self._left_pid()
        if pid is None:
            return None
        letter = scheduling_letter(pid)
        return HungProcess(pid, is_stopped=letter == "T", is_waiting=letter == "D")

    async def _until_gone(self, pid: int | None) -> None:
        """Wait for one that is ending: it removes its socket last."""
        if pid is None:
            return
        ticks = start_ticks(pid)
        deadline = self.runtime.clock.seconds() + END_SECONDS_MAX
        while ticks is not None and start_ticks(pid) == ticks:
            if self.runtime.clock.seconds() > deadline:
                raise CommandFailed(
                    f"supervisord of {self.name} (process {pid}) neither answers nor "
                    f"ends: `kill -9 {pid}` ends it and its programs, then repeat."
                )
            await pause(self.runtime.clock, POLL_SECONDS)

    async def _tell(self, method: str, *arguments: object) -> object:
        try:
            return await self._call(method, CALL_SECONDS_MAX, *arguments)
        except Refused:
            raise
        except SupervisionError as error:
            raise CommandFailed(f"supervisord of {self.name}: {error}.") from error

    async def _call(
        self, method: str, seconds_max: float, *arguments: object
    ) -> object:
        calling = Deferred.fromCoroutine(self.calls.call(method, *arguments))
        calling.addTimeout(seconds_max, self.runtime.clock)
        try:
            return await calling
        except DeferredTimeout as error:
            sentence = f"no answer within {seconds_max:g} s"
            raise SupervisionError(sentence) from error


def _program(kind: ProgramKind, told: dict[str, object] | None) -> ProgramSeen:
    if told is None:
        return ProgramSeen(kind, "STOPPED", said="it is being started anew")
    process_state = str(told["statename"])
    pid = told["pid"] if isinstance(told["pid"], int) and told["pid"] else None
    is_running = process_state in {"RUNNING", "STARTING"}
    said = "" if is_running else str(told["spawnerr"] or told["description"])
    letter = scheduling_letter(pid) if pid else ""
    return ProgramSeen(
        kind,
        process_state,
        pid,
        said,
        is_stopped=letter == "T",
        is_waiting=letter == "D",
    )
