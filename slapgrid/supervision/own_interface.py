"""Driving a supervisord that has our methods: see ``slapgrid.supervision.plugin``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from twisted.internet.task import deferLater

from runtime.ports import Runtime
from slapgrid.convergence.views import ProgramState, ProgramStatus
from slapgrid.supervision.calls import Refused, SupervisordCalls
from slapgrid.supervision.conf import WATCH_SUFFIX, program_name
from slapgrid.supervision.port import GroupStatus
from slapgrid.supervision.stopping import STOPPING_POLL_SECONDS, STOPPING_SECONDS_MAX


class OwnInterface:
    """The methods of our plug-in: single group files, single programs."""

    def __init__(self, runtime: Runtime, calls: SupervisordCalls) -> None:
        self._runtime = runtime
        self._calls = calls

    async def observe(self) -> tuple[GroupStatus, ...]:
        """Every group and its programs, in order."""
        answer = await self._calls.call("slapgrid.observe")
        assert isinstance(answer, str)
        groups: dict[str, list[ProgramStatus]] = {}
        for line in answer.splitlines():
            group, process_name, word, status = line.split("\t")
            program_state = ProgramState(word)
            groups.setdefault(group, []).append(
                ProgramStatus(
                    program_name(process_name),
                    process_name.endswith(WATCH_SUFFIX),
                    program_state,
                    int(status) if program_state is ProgramState.EXITED else None,
                )
            )
        return tuple(
            GroupStatus(name, tuple(sorted(programs, key=lambda it: it.name)))
            for name, programs in sorted(groups.items())
        )

    async def apply(self, paths: Mapping[str, str]) -> Mapping[str, str]:
        """Make these groups what their files say, and wait for what must end first."""
        clock = self._runtime.clock
        failures: dict[str, str] = {}
        deadline = clock.seconds() + STOPPING_SECONDS_MAX
        while paths:
            try:
                pending = await self._calls.call("slapgrid.apply", list(paths.values()))
            except Refused as refusal:
                if len(paths) == 1:
                    return dict.fromkeys(paths, str(refusal))
                # One file is at fault: find it, so that the others are applied.
                for name, path in paths.items():
                    failures.update(await self.apply({name: path}))
                return failures
            assert isinstance(pending, list)
            if clock.seconds() > deadline:
                for name in map(str, pending):
                    group, _, process_name = name.partition(":")
                    failures[group] = f"{program_name(process_name)} does not end"
                return failures
            waiting = {str(name).partition(":")[0] for name in pending}
            paths = {name: path for name, path in paths.items() if name in waiting}
            if paths:
                await deferLater(clock, STOPPING_POLL_SECONDS)
        return failures

    async def start(self, names: Sequence[str]) -> Mapping[str, str]:
        """Start programs named ``group:process``; the failures by group."""
        answer = await self._calls.call("slapgrid.start", list(names))
        assert isinstance(answer, list)
        failures = {}
        for name, reason in answer:
            group, _, process_name = str(name).partition(":")
            failures[group] = f"{program_name(process_name)}: {reason}"
        return failures

    async def stop_all(self) -> Collection[str]:
        """Tell all programs to end; those that are not at rest."""
        answer = await self._calls.call("slapgrid.stop_all")
        assert isinstance(answer, list)
        return [str(name) for name in answer]
