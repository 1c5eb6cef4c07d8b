"""Shell. Removes what a plan says, in its order."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from attrs import define

from runtime.ports import IFileTree, Program, Runtime
from slapcluster.installing import Installation
from slapcluster.outcomes import CommandFailed, ExitCode
from slapcluster.pausing import pause
from slapcluster.service_unit import STOP_SECONDS
from slapcluster.uninstalling.observing import Found, observe
from slapcluster.uninstalling.planning import (
    ASIDE_SUFFIX,
    Kind,
    Plan,
    Removal,
    plan_uninstallation,
)
from slapgrid.environment import clean_environment
from slapgrid.grants.firewall import TABLE
from slapgrid.layout import LOCK_FILE
from slapgrid.neighbours.lock import AlreadyRunning, find_owner
from slapgrid.neighbours.ownership import Ownership
from slapgrid.service import build_supervision
from slapgrid.supervision.port import SupervisionError

LOOK_SECONDS = 0.2
"""Between two looks whether an agent has ended."""

PROGRAM_SECONDS_MAX = 60.0
"""Of `ip` and `nft`, which take some milliseconds."""

Show = Callable[[str], None]


async def foresee(runtime: Runtime, settings: Path) -> Plan:
    """Return what would be removed; nothing is changed."""
    found = await observe(runtime, settings)
    plan = Plan() if found is None else plan_uninstallation(found.present)
    if plan.refusal:
        raise CommandFailed(f"{plan.refusal}.")
    return plan


async def uninstall(runtime: Runtime, settings: Path, show: Show) -> Plan:
    """Remove all that is ours; return what that was.

    Killed anywhere, or failed, it is gone on with by the same call.
    """
    found = await observe(runtime, settings)
    if found is None:
        return Plan()
    plan = plan_uninstallation(found.present)
    if plan.refusal:
        raise CommandFailed(f"{plan.refusal}.")
    work = _Work(runtime, found, show)
    stopping = {Kind.UNIT, Kind.AGENT}
    for it in plan.removals:
        if it.kind in stopping:
            await work.do(it)
    hold = work.hold()
    try:
        work.set_aside()
        # Until now an agent may have made more of it.
        again = await observe(runtime, settings)
        assert again is not None
        for it in plan_uninstallation(again.present).removals:
            if it.kind not in stopping:
                await work.do(it)
    finally:
        if hold is not None:
            hold.release()
    return plan


@define(eq=False)
class _Work:
    """The removals of one computer."""

    runtime: Runtime
    found: Found
    show: Show

    async def do(self, removal: Removal) -> None:
        self.show(f"{removal.kind}: {removal.what}")
        path = removal.what
        match removal.kind:
            case Kind.UNIT:
                await Installation(self.runtime, "").uninstall()
            case Kind.AGENT:
                await self._end_agent()
            case Kind.PROGRAMS:
                await self._end_programs()
            case Kind.FIREWALL:
                # It may be gone already, and deleting nothing is an error.
                words = f"add table inet {TABLE}; delete table inet {TABLE}"
                await self._run(("nft", words))
            case Kind.NETWORK:
                await self._run(("ip", *path.split()))
            case Kind.DIRECTORY:
                tree, name = self._place(path)
                await tree.remove_tree(name)
            case Kind.FILE:
                tree, name = self._place(path)
                tree.remove(name)
            case Kind.EMPTY_DIRECTORY:
                _remove_empty(path)
            case Kind.SETTINGS:
                self._remove_settings()

    def hold(self) -> Ownership | None:
        """Keep agents away; where there is no instance root none can work."""
        config = self.found.config
        if not self.found.present.has_mark:
            return None
        try:
            return Ownership(config, self.runtime)
        except AlreadyRunning as error:
            sentence = f"{error}"
            raise CommandFailed(
                f"{sentence[:1].upper()}{sentence[1:]}, and what starts it again.",
                ExitCode.ANOTHER_RUNS,
            ) from error

    def set_aside(self) -> None:
        """Have settings that no agent finds."""
        path = self.found.path
        if not self.found.present.is_aside:
            path.rename(path.with_name(path.name + ASIDE_SUFFIX))
            _write_out(path.parent)

    async def _end_agent(self) -> None:
        """Have the agent end as when its program is stopped, within its bound."""
        lock = f"{self.found.config.instance_root}/{LOCK_FILE}"
        clock = self.runtime.clock
        deadline = clock.seconds() + STOP_SECONDS
        pid = find_owner(lock)
        if pid is None:
            return
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        while find_owner(lock) == pid:
            if clock.seconds() > deadline:
                raise CommandFailed(
                    f"The agent (process {pid}) does not end within {STOP_SECONDS} s:"
                    " look what it does, end it, and repeat this."
                )
            await pause(clock, LOOK_SECONDS)

    async def _end_programs(self) -> None:
        supervision = build_supervision(self.found.config, self.runtime)
        try:
            await supervision.shut_down()
            await supervision.end_leftovers()
        except SupervisionError as error:
            raise CommandFailed(f"{error}.") from error

    async def _run(self, argv: tuple[str, ...]) -> None:
        ended = await self.runtime.processes.run(
            Program(
                argv,
                directory="/",
                environment=clean_environment("/"),
                timeout_seconds=PROGRAM_SECONDS_MAX,
            )
        )
        if not ended.is_success:
            said = ended.output.decode(errors="replace").strip()
            raise CommandFailed(f"`{' '.join(argv)}`: {said}.")

    def _place(self, path: str) -> tuple[IFileTree, str]:
        directory, _, name = path.rpartition("/")
        return self.runtime.file_tree(directory or "/"), name

    def _remove_settings(self) -> None:
        path = self.found.path
        aside = path if self.found.present.is_aside else None
        aside = aside or path.with_name(path.name + ASIDE_SUFFIX)
        aside.unlink(missing_ok=True)
        _write_out(aside.parent)
        _remove_empty(str(aside.parent))


def _remove_empty(directory: str) -> None:
    """Remove a directory, unless somebody else has something in it."""
    with suppress(OSError):
        Path(directory).rmdir()


def _write_out(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def describe(plan: Plan) -> Mapping[str, object]:
    """Return a plan as JSON has it."""
    return {
        "removals": [{"kind": it.kind.value, "what": it.what} for it in plan.removals],
        "left": list(plan.left),
    }
