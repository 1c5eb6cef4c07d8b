"""Doing what a plan says.

Neighbouring lines for ``ip`` go to one run of it, which goes on after one that fails:
another format, interrupted or not, may have been faster. What has not come about is in
the next plan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from runtime.ports import Program, Runtime
from slapgrid.environment import clean_environment
from slapgrid.format.actions import (
    Action,
    ChangeNetwork,
    MakeDirectory,
    RunProgram,
    WriteFile,
)
from slapgrid.format.choosing import FormatRefused
from slapgrid.supervision.conf import Account

BATCH_FILE = "var/slapgrid/format.batch"
#: Ten lines for each of 16,000 partitions, at a millisecond each.
BATCH_SECONDS_MAX = 300.0
#: useradd waits 15 s for whoever holds the lock of the accounts.
PROGRAM_SECONDS_MAX = 60.0


class Performing:
    """Performs actions; ``complaint`` is what the last program that failed wrote."""

    def __init__(
        self,
        runtime: Runtime,
        instance_root: str,
        find_user: Callable[[str], Account | None],
    ) -> None:
        self._runtime = runtime
        self._tree = runtime.file_tree(instance_root)
        self._find_user = find_user
        self.complaint = ""

    async def perform(self, actions: Sequence[Action]) -> None:
        """Do everything in order; a failure of the network is in ``complaint``."""
        self.complaint = ""
        for kind, neighbours in groupby(actions, type):
            if kind is ChangeNetwork:
                await self._change_network([str(it) for it in neighbours])
                continue
            for action in neighbours:
                match action:
                    case RunProgram():
                        await self._run(action.argv, PROGRAM_SECONDS_MAX)
                    case MakeDirectory():
                        self._make_directory(action)
                    case WriteFile():
                        directory, _, name = action.path.rpartition("/")
                        self._runtime.file_tree(directory).write(name, action.content)

    async def _change_network(self, sentences: list[str]) -> None:
        lines = [it.removeprefix("ip ") for it in sentences]
        self._tree.make_directory(BATCH_FILE.rpartition("/")[0])
        self._tree.write(BATCH_FILE, "".join(f"{it}\n" for it in lines).encode())
        argv = ("ip", "-force", "-batch", self._tree.path(BATCH_FILE))
        await self._run(argv, BATCH_SECONDS_MAX)
        self._tree.remove(BATCH_FILE)

    async def _run(self, argv: tuple[str, ...], seconds_max: float) -> None:
        ended = await self._runtime.processes.run(
            Program(
                argv,
                directory="/",
                environment=clean_environment("/"),
                timeout_seconds=seconds_max,
            )
        )
        if not ended.is_success:
            said = ended.output.decode(errors="replace").strip()
            self.complaint = f"{argv[0]}: {said or ended.status or ended.signal}"

    def _make_directory(self, wanted: MakeDirectory) -> None:
        # A root may be a link that an operator made; what is below never is.
        is_root = not wanted.partition_id
        parent, _, name = wanted.path.rpartition("/")
        if is_root:
            parent, name = wanted.path, ""
        tree = self._runtime.file_tree(parent)
        tree.make_directory(name, wanted.mode)
        if not wanted.owner:
            return
        owner = self._find_user(wanted.owner)
        if owner is None:
            raise FormatRefused(
                f"the user {wanted.owner} could not be made: {self.complaint}"
            )
        tree.change(name, uid=owner.uid, gid=owner.gid)
