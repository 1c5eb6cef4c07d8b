"""Shell. The directory of a neo_cluster: its description and who works on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from replication.regions import (
    DESCRIPTION_FILE,
    Misdescribed,
    NeoCluster,
    parse_description,
    render_description,
)
from runtime.ports import IFileTree, Runtime
from slapcluster.outcomes import CommandFailed, ExitCode
from slapgrid.layout import SUPERVISORD_SOCKET
from slapgrid.neighbours.lock import hold_directory

PATH_BYTES_MAX = 107 - len("/.12345678") - len(SUPERVISORD_SOCKET)
"""Of the directory of a region: the path of a socket has at most 107 bytes, and
supervisord makes it under a longer name first."""

_PATH = re.compile(r"[A-Za-z0-9/._+@=-]+")
"""supervisord gives a meaning to other signs: ``%``, ``;``, quotes, blanks."""


@frozen
class Place:
    """The directory of a neo_cluster."""

    runtime: Runtime
    path: str

    @property
    def tree(self) -> IFileTree:
        return self.runtime.file_tree(self.path)

    def read(self) -> NeoCluster | None:
        """The neo_cluster that it describes; ``None`` when there is no description."""
        try:
            return parse_description(self.tree.read(DESCRIPTION_FILE))
        except FileNotFoundError:
            return None
        except Misdescribed as error:
            raise CommandFailed(f"{self.path}/{DESCRIPTION_FILE}: {error}.") from error

    def neo_cluster(self) -> NeoCluster:
        """The neo_cluster that it describes; fails when there is none."""
        found = self.read()
        if found is None:
            raise CommandFailed(
                f"{self.path} has no {DESCRIPTION_FILE}: `slapcluster storage create` "
                "makes a neo_cluster."
            )
        return found

    def write(self, neo_cluster: NeoCluster) -> None:
        self.tree.write(DESCRIPTION_FILE, render_description(neo_cluster))

    def make(self) -> None:
        Path(self.path).mkdir(mode=0o750, parents=True, exist_ok=True)

    def region_path(self, region: str) -> str:
        return f"{self.path}/{region}"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Work on it alone; fails when another command does."""
        hold = hold_directory(self.path)
        if hold is None:
            raise CommandFailed(
                f"Another command works on {self.path}; repeat this one when it ended.",
                ExitCode.ANOTHER_RUNS,
            )
        try:
            yield
        finally:
            hold.release()


def place_at(runtime: Runtime, directory: Path) -> Place:
    return Place(runtime, str(directory))


def check_path(path: str, region_names: tuple[str, ...]) -> None:
    """Fail when supervisord could not live at this path."""
    if not _PATH.fullmatch(path):
        raise CommandFailed(
            f"{path!r}: a path for supervisord has letters, digits and /._+@=- alone."
        )
    longest = max(len(f"{path}/{name}".encode()) for name in region_names)
    if longest > PATH_BYTES_MAX:
        raise CommandFailed(
            f"{path}: {longest - PATH_BYTES_MAX} bytes too long for the sockets below."
        )
