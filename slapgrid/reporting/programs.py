"""The report programs of an instance: each writes what was consumed to a new file."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen
from twisted.internet.defer import DeferredSemaphore

from runtime.ports import IFileTree, Program, Runtime
from slapgrid.environment import clean_environment
from slapgrid.identity import Identity
from slapgrid.layout import REPORT_DIRECTORY, XML_REPORT_DIRECTORY
from slapgrid.software.releases import describe_end
from slapgrid.together import all_of

#: It reads a log or asks a database; a backup it is not.
REPORT_SECONDS_MAX = 300.0
#: At the same time on a computer.
PARALLEL_MAX = 4
#: Of one partition: stock software releases have one.
PROGRAMS_MAX = 20


@frozen
class ReportRun:
    """A program that ran; ``path`` is where it was to write, in the partition."""

    path: str
    failure: str | None = None


@frozen
class ReportPrograms:
    """Runs them, of any partition, as its user."""

    runtime: Runtime
    tickets: DeferredSemaphore

    async def run(self, files: IFileTree, identity: Identity) -> tuple[ReportRun, ...]:
        """Run all of a partition to their end."""
        names = find_programs(files)
        _prepare(files, identity)
        return tuple(await all_of(self._run(files, identity, it) for it in names))

    async def _run(self, files: IFileTree, identity: Identity, name: str) -> ReportRun:
        token = f"{self.runtime.entropy.getrandbits(64):016x}"
        path = f"{XML_REPORT_DIRECTORY}/slapreport.{token}"
        async with self.tickets:
            ended = await self.runtime.processes.run(
                Program(
                    (files.path(f"{REPORT_DIRECTORY}/{name}"), files.path(path)),
                    directory=files.root,
                    environment=clean_environment(files.root),
                    uid=identity.uid,
                    gid=identity.gid,
                    timeout_seconds=REPORT_SECONDS_MAX,
                )
            )
        if ended.is_success:
            return ReportRun(path)
        return ReportRun(path, describe_end(f"{REPORT_DIRECTORY}/{name}", ended))


def find_programs(files: IFileTree) -> tuple[str, ...]:
    """The names of a partition's report programs."""
    try:
        return files.list(REPORT_DIRECTORY)[:PROGRAMS_MAX]
    except (FileNotFoundError, NotADirectoryError):
        return ()


def _prepare(files: IFileTree, identity: Identity) -> None:
    """Let there be a directory in which the partition's user may write."""
    for directory in _above(XML_REPORT_DIRECTORY):
        if files.status(directory) is None:
            files.make_directory(directory, 0o755)
            if identity.uid is not None:
                files.change(directory, uid=identity.uid, gid=identity.gid)


def _above(path: str) -> Iterable[str]:
    names = path.split("/")
    return ("/".join(names[: depth + 1]) for depth in range(len(names)))
