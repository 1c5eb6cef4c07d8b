"""Supervision without supervisord: programs run by the runtime of a host.

It passes the contract tests of the real one. It outlives the agent of its host, as
supervisord does, when the same object is given to the next one; another object over the
same files knows the same groups, all at rest, as after a crash of supervisord.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import define, field
from twisted.internet.defer import Deferred
from zope.interface import implementer

from runtime.ports import Exit, IFileTree, Program, Runtime
from slapgrid.convergence.views import LIVE_STATES, ProgramState, ProgramStatus
from slapgrid.environment import clean_environment
from slapgrid.layout import GROUP_DIRECTORY, ProgramKind, group_file
from slapgrid.supervision.conf import (
    ProgramDefinition,
    ProgramGroup,
    is_readable,
    render_group,
)
from slapgrid.supervision.port import GroupStatus, ISupervision, ProgramKey


@define
class _ModelProgram:
    group: ProgramGroup
    definition: ProgramDefinition
    program_state: ProgramState = ProgramState.STOPPED
    exit_status: int | None = None
    running: Deferred[Exit] | None = None
    ended: list[Deferred[None]] = field(factory=list)

    def is_like(self, other: _ModelProgram) -> bool:
        mine = (self.definition, self.group.directory)
        return mine == (other.definition, other.group.directory)

    def status(self) -> ProgramStatus:
        return ProgramStatus(
            self.definition.name,
            self.definition.is_watched,
            self.program_state,
            self.exit_status,
        )

    def start(self, runtime: Runtime) -> None:
        if self.program_state in LIVE_STATES:
            return
        directory = self.group.directory
        self.program_state, self.exit_status = ProgramState.RUNNING, None
        self.running = runtime.processes.run(
            Program(
                tuple(self.definition.command.split())
                or (f"{directory}/{self.definition.kind}/{self.definition.name}",),
                directory,
                clean_environment(directory),
            )
        )
        self.running.addCallbacks(self._exited, self._cancelled)

    def stop(self) -> Deferred[None]:
        """Resolves when the program has ended."""
        stopped: Deferred[None] = Deferred()
        if self.running is None:
            stopped.callback(None)
            return stopped
        self.ended.append(stopped)
        if self.program_state is not ProgramState.STOPPING:
            self.program_state = ProgramState.STOPPING
            self.running.cancel()
        return stopped

    def _exited(self, ended: Exit) -> None:
        self._settle(ProgramState.EXITED, ended.status)

    def _cancelled(self, failure: object) -> None:
        del failure  # only stop() cancels
        self._settle(ProgramState.STOPPED, None)

    def _settle(self, program_state: ProgramState, status: int | None) -> None:
        self.running = None
        self.program_state, self.exit_status = program_state, status
        ended, self.ended = self.ended, []
        for each in ended:
            each.callback(None)


_PROGRAM = re.compile(
    r"^directory=(.*)\ncommand=(.*)\nprocess_name=(.*)$", re.MULTILINE
)


def _read_program(directory: str, command: str, process_name: str) -> ProgramDefinition:
    for kind in ProgramKind:
        prefix = f"{directory}/{kind}/"
        if command.startswith(prefix):
            return ProgramDefinition(command.removeprefix(prefix), kind)
    return ProgramDefinition(process_name, ProgramKind.RUN, command)


def _read_groups(tree: IFileTree) -> tuple[ProgramGroup, ...]:
    if tree.status("") is None or tree.status(GROUP_DIRECTORY) is None:
        return ()
    groups = []
    for name in tree.list(GROUP_DIRECTORY):
        path = f"{GROUP_DIRECTORY}/{name}"
        content = tree.read(path)
        if not is_readable(content):
            tree.remove(path)
            continue
        text = content.decode()
        found = _PROGRAM.findall(text)
        programs = tuple(_read_program(*each) for each in found)
        partition_id = name.removesuffix(".conf")
        groups.append(ProgramGroup(partition_id, found[0][0], programs))
    return tuple(groups)


@implementer(ISupervision)
class SupervisordModel:
    """The programs of one host, in memory."""

    def __init__(self, runtime: Runtime, tree: IFileTree) -> None:
        self._runtime = runtime
        self._tree = tree
        self._groups: dict[str, dict[str, _ModelProgram]] = {}
        for group in _read_groups(tree):
            self._groups[group.partition_id] = {
                each.name: _ModelProgram(group, each) for each in group.programs
            }

    async def observe(self) -> tuple[GroupStatus, ...]:
        return tuple(
            GroupStatus(
                partition_id,
                tuple(program.status() for _, program in sorted(programs.items())),
            )
            for partition_id, programs in sorted(self._groups.items())
        )

    async def define(self, groups: tuple[ProgramGroup, ...]) -> Mapping[str, str]:
        for group in groups:
            if not group.programs:
                await self.remove((group.partition_id,))
                continue
            self._tree.make_directory(GROUP_DIRECTORY, 0o700)
            path = group_file(group.partition_id)
            self._tree.write(path, render_group(group).encode(), 0o600)
            known = self._groups.setdefault(group.partition_id, {})
            wanted = {
                definition.name: _ModelProgram(group, definition)
                for definition in group.programs
            }
            gone = [
                name
                for name, program in known.items()
                if name not in wanted or not program.is_like(wanted[name])
            ]
            for stopped in [known[name].stop() for name in gone]:
                await stopped
            for name in gone:
                del known[name]
            for name, program in wanted.items():
                known.setdefault(name, program)
        return {}

    async def start(self, programs: tuple[ProgramKey, ...]) -> Mapping[str, str]:
        failures = {}
        for key in programs:
            program = self._groups.get(key.partition_id, {}).get(key.program)
            if program is None:
                failures[key.partition_id] = f"{key.program}: no such program"
            elif program.program_state is ProgramState.STOPPING:
                failures[key.partition_id] = f"{key.program}: it is still stopping"
            else:
                program.start(self._runtime)
        return failures

    async def stop(self, programs: tuple[ProgramKey, ...]) -> Mapping[str, str]:
        failures = {}
        stopping = []
        for key in programs:
            program = self._groups.get(key.partition_id, {}).get(key.program)
            if program is None:
                failures[key.partition_id] = f"{key.program}: no such program"
            else:
                stopping.append(program.stop())
        for stopped in stopping:
            await stopped
        return failures

    async def remove(self, partition_ids: tuple[str, ...]) -> Mapping[str, str]:
        for partition_id in partition_ids:
            self._tree.remove(group_file(partition_id))
        removed = [
            program
            for partition_id in partition_ids
            for program in self._groups.get(partition_id, {}).values()
        ]
        for stopped in [program.stop() for program in removed]:
            await stopped
        for partition_id in partition_ids:
            self._groups.pop(partition_id, None)
        return {}

    def trouble(self) -> str:
        return ""

    async def shut_down(self) -> None:
        for programs in self._groups.values():
            for stopped in [program.stop() for program in programs.values()]:
                await stopped
