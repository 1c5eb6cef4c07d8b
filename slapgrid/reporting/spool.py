"""The spool: documents on disk between who made them and the master.

Theory of operation. Every step leaves something from which the next life goes on:

1. A **claim** is a copy of a report under a name that its file, date and content make.
   It is written before the report is removed, so a report that is there again after a
   power loss becomes the same claim.
2. The claims of a **batch** are sealed as one document, ``outgoing/BATCH.xml``. From
   then on the batch is nothing but a leftover: it is removed before anything else is
   claimed, and before its document may leave.
3. An **outgoing** document never changes. It is removed when the master has it; what
   is killed between both sends the same bytes again, which our master takes once.
4. What nobody can take is **refused**: kept with the reason, for a person, up to a
   bound. Beyond it a report stays where it is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from attrs import frozen

from runtime.ports import FileStatus, IFileTree
from slap.errors import MalformedDocument
from slapgrid.layout import USAGE_CLAIMS, USAGE_OUTGOING, USAGE_REFUSED
from slapgrid.reporting.merging import (
    REPORT_BYTES_MAX,
    Consumed,
    Weight,
    claimed_partition,
    merge,
    name_claim,
    name_journal,
    read_consumption,
    weigh,
)

#: A person looks at some; a disk holds these.
REFUSED_COUNT_MAX = 1000
#: A day of an hourly report of each partition, cut off for a month.
OUTGOING_COUNT_MAX = 20_000
#: What masters read.
DOCUMENT_BYTES_MAX = 4 * 1024 * 1024


class SourceRefused(Exception):
    """A report stays where it is; the sentence says why."""


@frozen
class Source:
    """A report as it was found: a path in the tree, and what it holds."""

    path: str
    status: FileStatus
    content: bytes


@frozen
class Spool:
    """The spool of an instance root."""

    tree: IFileTree
    entropy: random.Random

    async def clean(self) -> None:
        """Remove the batches that were sealed by a life that was killed then."""
        for batch in self._names(USAGE_CLAIMS):
            if self.tree.status(_outgoing(batch)) is not None:
                await self.tree.remove_tree(f"{USAGE_CLAIMS}/{batch}")

    def open_batch(self, now: float) -> str:
        """The batch that takes claims; call ``clean`` first."""
        for batch in self._names(USAGE_CLAIMS):
            return batch
        return f"{max(0, round(now)):010d}-{self.entropy.getrandbits(64):016x}"

    def claim(self, batch: str, partition_id: str, source: Source) -> None:
        """Take a valid report of a partition; ``SourceRefused`` if that fails."""
        name = name_claim(
            partition_id, source.path, source.status.modified, source.content
        )
        self._move(source, f"{USAGE_CLAIMS}/{batch}/{name}")

    def take_journal(self, source: Source) -> None:
        """Take a valid document that is sent as it is; errors as of ``claim``."""
        self._move(source, f"{USAGE_OUTGOING}/{name_journal(source.content)}")

    def refuse(self, owner: str, source: Source, reason: str) -> None:
        """Keep a report that nobody can take; errors as of ``claim``."""
        if len(self._names(USAGE_REFUSED)) >= 2 * REFUSED_COUNT_MAX:
            raise SourceRefused(
                f"{source.path} stays, since {USAGE_REFUSED} is full: look at it"
            )
        name = name_claim(owner, source.path, source.status.modified, source.content)
        self.tree.make_directory(USAGE_REFUSED, 0o700)
        self.tree.write(f"{USAGE_REFUSED}/{name}.reason", f"{reason}\n".encode(), 0o600)
        self._move(source, f"{USAGE_REFUSED}/{name}")

    def weigh(self, batch: str) -> Weight:
        """What the claims of a batch will take of its document."""
        return sum(
            (weigh(each.movements) for each in self._claims(batch)), start=Weight()
        )

    async def seal(self, batch: str, computer_id: str, now: float) -> bool:
        """Make one document of a batch; ``False`` when it has no claims."""
        consumed = tuple(self._claims(batch))
        if consumed:
            document = merge(consumed, computer_id, now, batch)
            self.tree.make_directory(USAGE_OUTGOING, 0o700)
            self.tree.write(_outgoing(batch), document.encode(), 0o600)
            await self.clean()
        return bool(consumed)

    def outgoing(self) -> tuple[str, ...]:
        """The documents that may leave, those of batches by age first."""
        waiting = set(self._names(USAGE_CLAIMS))
        return tuple(
            name
            for name in self._names(USAGE_OUTGOING)
            if name.removesuffix(".xml") not in waiting
        )

    def read(self, name: str) -> str:
        """An outgoing document."""
        path = f"{USAGE_OUTGOING}/{name}"
        return self.tree.read(path, DOCUMENT_BYTES_MAX).decode()

    def delivered(self, name: str) -> None:
        """The master has it."""
        self.tree.remove(f"{USAGE_OUTGOING}/{name}")

    def keep_aside(self, name: str, reason: str) -> None:
        """The master refuses it: others shall not wait for it.

        However many there are: it was claimed already, so it has no other place.
        """
        content = self.tree.read(f"{USAGE_OUTGOING}/{name}", DOCUMENT_BYTES_MAX)
        self.tree.make_directory(USAGE_REFUSED, 0o700)
        self.tree.write(f"{USAGE_REFUSED}/{name}.reason", f"{reason}\n".encode(), 0o600)
        self.tree.write(f"{USAGE_REFUSED}/{name}", content, 0o600)
        self.tree.remove(f"{USAGE_OUTGOING}/{name}")

    def refused_count(self) -> int:
        """How many documents and reports wait for a person."""
        names = self._names(USAGE_REFUSED)
        return sum(1 for name in names if not name.endswith(".reason"))

    def _move(self, source: Source, target: str) -> None:
        """Copy, then remove; the copy goes again if the original cannot.

        A copy, because the other side may stand on another disk and its writer may
        still hold the file open.
        """
        if len(self._names(USAGE_OUTGOING)) >= OUTGOING_COUNT_MAX:
            raise SourceRefused(f"{source.path} stays: the master takes none")
        self.tree.make_directory(target.rpartition("/")[0], 0o700)
        self.tree.write(target, source.content, 0o600)
        is_moved = False
        try:
            if find_source(self.tree, source.path) == source:
                self.tree.remove(source.path)
                is_moved = True
        except OSError as error:
            raise SourceRefused(f"{source.path} cannot be removed: {error}") from error
        finally:
            if not is_moved:
                self.tree.remove(target)
        if not is_moved:
            raise SourceRefused(f"{source.path} is being written")

    def _claims(self, batch: str) -> Iterator[Consumed]:
        for name in self._names(f"{USAGE_CLAIMS}/{batch}"):
            path = f"{USAGE_CLAIMS}/{batch}/{name}"
            try:
                movements = read_consumption(self.tree.read(path, REPORT_BYTES_MAX))
            except MalformedDocument:
                # Not ours: only what was read well is claimed.
                continue
            yield Consumed(claimed_partition(name), movements)

    def _names(self, directory: str) -> tuple[str, ...]:
        return _list(self.tree.list, directory)


def find_source(tree: IFileTree, path: str) -> Source:
    """Read a report; ``SourceRefused`` when it is no file that can be one."""
    status = tree.status(path)
    try:
        content = tree.read(path, REPORT_BYTES_MAX)
    except OSError as error:
        raise SourceRefused(f"{path} cannot be read: {error}") from error
    if status is None:
        raise SourceRefused(f"{path} has gone")
    return Source(path, status, content)


def _outgoing(batch: str) -> str:
    return f"{USAGE_OUTGOING}/{batch}.xml"


def _list(list_names: Callable[[str], tuple[str, ...]], path: str) -> tuple[str, ...]:
    try:
        return list_names(path)
    except (FileNotFoundError, NotADirectoryError):
        return ()
