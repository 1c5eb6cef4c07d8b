"""An operator with identity directories on a real disk, in a simulated world."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from attrs import evolve
from click.testing import CliRunner, Result
from twisted.internet.defer import maybeDeferred

from labsim.world.world import World
from runtime.files import DirectoryTree
from runtime.identity_directory import IdentityDirectory
from runtime.ports import Runtime
from slapcluster.cli import cli
from slapcluster.session import Session
from tests.mortal import MortalTree, Patience
from tests.sessions import once

T = TypeVar("T")
DAY = 24 * 3600.0


class Safe:
    """An operator with a directory for each place, and a calendar."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.patience = Patience(1_000_000)
        self.world = World(1)
        self.host = self.world.host("desk")

    def type(self, *words: str) -> Result:
        session = Session(launch=once(self._launch))
        return CliRunner().invoke(cli, words, obj=session)

    def read(self, *words: str) -> Any:
        result = self.type("--output", "json", "authority", *words)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def refused(self, *words: str) -> str:
        result = self.type("authority", *words)
        assert result.exit_code == 1
        return " ".join(result.output.split())

    def directory(self, name: str) -> IdentityDirectory:
        return IdentityDirectory(self._tree(str(self.place / name)))

    def outlooks(self, home: str) -> dict[str, str]:
        result = self.type("--output", "json", "authority", "show", home)
        return {
            it["entry"]["holding"]: it["outlook"] for it in json.loads(result.stdout)
        }

    @property
    def now(self) -> float:
        return self.host.runtime.calendar.now()

    def pass_days(self, days: float) -> None:
        self.host.calendar.step(days * DAY)

    def make_region(self, home: str = "home") -> None:
        """All that an operator types for a region and its replica."""
        self.read("create", "root")
        self.read("request", "region", "lyon", "--home", home)
        self.read("sign", "root", "region", "lyon", f"{home}/region-lyon.csr")
        self.read("install", home, f"{home}/region-lyon.crt")
        self.read("request", "replica", "lyon-1", "--home", home, "--address", "::1")

    def _tree(self, root: str) -> MortalTree:
        return MortalTree(DirectoryTree(root, maybeDeferred), self.patience)

    def on_disk(self, runtime: Runtime) -> Runtime:
        """A runtime whose files are those of this machine."""
        return evolve(runtime, file_tree=self._tree)

    def _launch(self, main: Callable[[Runtime], Coroutine[Any, Any, T]], /) -> T:
        return self.world.result(main(self.on_disk(self.host.runtime)))
