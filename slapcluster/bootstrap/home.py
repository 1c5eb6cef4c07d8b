"""Shell. The directory of a bootstrap: what it has done, who signs, what it copied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from posixpath import join

from attrs import Factory, field, frozen

from runtime.ports import IFileTree, Runtime
from slapcluster.bootstrap.logbook import Logbook, parse_logbook, render_logbook
from slapcluster.outcomes import CommandFailed, ExitCode
from slapgrid.neighbours.lock import Lock, hold_directory

LOGBOOK = "logbook.json"
ROOT = "root"
"""The offline directory of the root: an operator carries it away in the end."""

OPERATOR = "operator"
"""The identity directory of the person who bootstraps."""

MINI_MASTER = "mini-master"
"""All of the mini-master: it goes as a whole when it retires."""

IDENTITY = f"{MINI_MASTER}/identity"
STATE_FILE = f"{MINI_MASTER}/state.fs"
DOCUMENTS = f"{MINI_MASTER}/documents"
LOG = f"{MINI_MASTER}/log"
COPY = "state-of-mini-master.fs"
"""The state as it was transferred: the first backup of the cloud."""


@frozen
class Home:
    """The directory at an absolute path, of whoever bootstraps alone.

    ``root_path`` is where the offline root is, when it is not below this.
    ``hold`` locks it, and is ``None`` while another program does.
    """

    runtime: Runtime
    path: str
    root_path: str = ""
    hold: Callable[[str], Lock | None] = hold_directory
    tree: IFileTree = field(
        init=False,
        default=Factory(lambda it: it.runtime.file_tree(it.path), takes_self=True),
    )

    @property
    def root_tree(self) -> IFileTree:
        """The offline directory of the root."""
        return self.runtime.file_tree(self.root_path or self.below(ROOT))

    def below(self, name: str) -> str:
        return join(self.path, name)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have it while another bootstrap may not."""
        self.tree.make_directory("", 0o700)
        hold = self.hold(self.path)
        if hold is None:
            raise CommandFailed(
                f"Another bootstrap or recovery works in {self.path} just now.",
                ExitCode.ANOTHER_RUNS,
            )
        try:
            yield
        finally:
            hold.release()

    def read(self) -> Logbook | None:
        """Return the logbook; ``Otherwise`` when it cannot be gone on with."""
        if self.tree.status(LOGBOOK) is None:
            return None
        return parse_logbook(self.tree.read(LOGBOOK))

    def write(self, logbook: Logbook) -> None:
        self.tree.write(LOGBOOK, render_logbook(logbook), 0o600)
