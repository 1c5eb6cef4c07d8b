"""Driving a supervisord that has no methods of ours, as stock agents start it.

What it can do is coarser: it reads the files of all groups at once, and a group that
changed is replaced as a whole. Groups that did not change are never touched.

1. One ``reloadConfig`` for all groups of a call; it tells what differs from what runs.
2. Programs are stopped one by one and not waited for, so that all end at the same time.
3. What ran in a group before it was replaced, and is in it still, runs again after.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from twisted.internet.task import deferLater

from runtime.ports import Runtime
from slapgrid.convergence.views import LIVE_STATES, ProgramState, ProgramStatus
from slapgrid.supervision.calls import Refused, SupervisordCalls
from slapgrid.supervision.conf import WATCH_SUFFIX, program_name
from slapgrid.supervision.port import GroupStatus
from slapgrid.supervision.stopping import STOPPING_POLL_SECONDS, STOPPING_SECONDS_MAX

_BAD_NAME = 10
_SPAWN_ERROR = 50
_ALREADY_STARTED = 60
_ALREADY_ADDED = 90

Found = Sequence[Mapping[str, object]]


class StockInterface:
    """The methods that every supervisord has."""

    def __init__(self, runtime: Runtime, calls: SupervisordCalls) -> None:
        self._runtime = runtime
        self._calls = calls

    async def observe(self) -> tuple[GroupStatus, ...]:
        """Every group and its programs, in order."""
        groups: defaultdict[str, list[ProgramStatus]] = defaultdict(list)
        for each in await self._processes():
            groups[str(each["group"])].append(_status(each))
        return tuple(
            GroupStatus(name, tuple(sorted(programs, key=lambda it: it.name)))
            for name, programs in sorted(groups.items())
        )

    async def apply(self, paths: Mapping[str, str]) -> Mapping[str, str]:
        """Make these groups what their files say, and wait for what must end first."""
        try:
            answer = await self._calls.call("supervisor.reloadConfig")
        except Refused as refusal:
            return dict.fromkeys(paths, str(refusal))
        assert isinstance(answer, list)
        added, changed, removed = (set(names) & set(paths) for names in answer[0])
        going = sorted(changed | removed)
        ran = await self._live_names(going)
        failures = dict(await self._end(going))
        gone = [name for name in going if name not in failures]
        failures.update(await self._each("removeProcessGroup", gone, {_BAD_NAME}))
        coming = sorted(name for name in added | changed if name not in failures)
        failures.update(await self._each("addProcessGroup", coming, {_ALREADY_ADDED}))
        await self.start([name for name in ran if name.partition(":")[0] in coming])
        return failures

    async def start(self, names: Sequence[str]) -> Mapping[str, str]:
        """Start programs named ``group:process``; the failures by group."""
        refusals = await self._calls.call_each(
            "supervisor.startProcess", [(name, False) for name in names]
        )
        refused = {
            name: refusal
            for name, refusal in zip(names, refusals, strict=True)
            if refusal is not None and refusal.code != _ALREADY_STARTED
        }
        if any(refusal.code == _SPAWN_ERROR for refusal in refused.values()):
            # It is refused alike when a program began and has ended already.
            for each in await self._processes():
                if each["statename"] == ProgramState.EXITED:
                    refused.pop(f"{each['group']}:{each['name']}", None)
        return {
            name.partition(":")[0]: f"{program_name(name.partition(':')[2])}: {refusal}"
            for name, refusal in refused.items()
        }

    async def stop_all(self) -> Collection[str]:
        """Tell all programs to end; those that are not at rest."""
        groups = {str(each["group"]) for each in await self._processes()}
        return await self._tell_to_end(groups)

    async def _end(self, groups: Sequence[str]) -> Mapping[str, str]:
        """Stop all programs of groups; what does not end is a failure."""
        clock = self._runtime.clock
        deadline = clock.seconds() + STOPPING_SECONDS_MAX
        while names := await self._tell_to_end(groups):
            if clock.seconds() > deadline:
                return {
                    name.partition(":")[0]: (
                        f"{program_name(name.partition(':')[2])} does not end"
                    )
                    for name in names
                }
            await deferLater(clock, STOPPING_POLL_SECONDS)
        return {}

    async def _tell_to_end(self, groups: Collection[str]) -> list[str]:
        names = await self._live_names(groups)
        # One that is stopping already refuses, which is as well.
        await self._calls.call_each(
            "supervisor.stopProcess", [(name, False) for name in names]
        )
        return names

    async def _live_names(self, groups: Collection[str]) -> list[str]:
        if not groups:
            return []
        return [
            f"{each['group']}:{each['name']}"
            for each in await self._processes()
            if each["group"] in groups and each["statename"] in LIVE_STATES
        ]

    async def _each(
        self, method: str, groups: Sequence[str], harmless: set[int]
    ) -> Mapping[str, str]:
        refusals = await self._calls.call_each(
            f"supervisor.{method}", [(name,) for name in groups]
        )
        return {
            name: str(refusal)
            for name, refusal in zip(groups, refusals, strict=True)
            if refusal is not None and refusal.code not in harmless
        }

    async def _processes(self) -> Found:
        found = await self._calls.call("supervisor.getAllProcessInfo")
        assert isinstance(found, list)
        return found


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
