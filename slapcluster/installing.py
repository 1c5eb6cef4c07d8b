"""Shell. Having the agent kept running: by systemd, where that rules the computer."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from runtime.ports import IFileTree, Program, Runtime
from slapcluster.outcomes import CommandFailed
from slapcluster.service_unit import UNIT_DIRECTORY, UNIT_NAME
from slapgrid.environment import clean_environment

SYSTEMD_MARK = "/run/systemd/system"
"""There where systemd rules, as systemd documents."""

SYSTEMCTL_SECONDS_MAX = 180.0
"""Stopping waits for a build to end; then systemd kills."""


@frozen
class Installation:
    """The unit of this computer, or of a system below ``root`` that does not run."""

    runtime: Runtime
    root: str

    async def install(self, unit: str) -> str:
        """Write the unit and have it started; a sentence about what changed."""
        self._check_systemd()
        tree = self._tree()
        content = unit.encode()
        is_changed = _read(tree, UNIT_NAME) != content
        if is_changed:
            tree.make_directory("")
            tree.write(UNIT_NAME, content)
        await self._control("enable", UNIT_NAME)
        if self.root:
            return f"{tree.path(UNIT_NAME)} starts the agent with that system"
        await self._control("daemon-reload")
        # One that runs already with the same unit is left alone.
        await self._control("restart" if is_changed else "start", UNIT_NAME)
        return f"{tree.path(UNIT_NAME)} runs the agent, now and with the computer"

    async def uninstall(self) -> str:
        """Stop the agent and remove the unit; programs of instances run on."""
        self._check_systemd()
        tree = self._tree()
        if _read(tree, UNIT_NAME) is None:
            return "There is no unit: nothing to remove"
        if not self.root:
            await self._control("stop", UNIT_NAME)
        await self._control("disable", UNIT_NAME)
        tree.remove(UNIT_NAME)
        if not self.root:
            await self._control("daemon-reload")
        return f"{tree.path(UNIT_NAME)} is removed, services of instances run on"

    def _tree(self) -> IFileTree:
        return self.runtime.file_tree(f"{self.root}{UNIT_DIRECTORY}")

    def _check_systemd(self) -> None:
        if not self.root and not Path(SYSTEMD_MARK).is_dir():
            raise CommandFailed(
                "systemd does not rule this computer: `install-service --dry-run` "
                "shows a program for another supervisor."
            )

    async def _control(self, *words: str) -> None:
        below = (f"--root={self.root}",) if self.root else ()
        ended = await self.runtime.processes.run(
            Program(
                ("systemctl", *below, *words),
                directory="/",
                environment=clean_environment("/"),
                timeout_seconds=SYSTEMCTL_SECONDS_MAX,
            )
        )
        if not ended.is_success:
            output = ended.output.decode(errors="replace").strip()
            raise CommandFailed(f"systemctl {' '.join(words)} failed: {output}.")


def _read(tree: IFileTree, name: str) -> bytes | None:
    try:
        return tree.read(name)
    except OSError:
        return None
