"""Shell. The last documents of a master, on disk, for when its store is away.

A directory has a file for each computer, and one that says up to when all of them are
good (``Frontier``). What is true at all times, whatever is killed:

1. A document is good up to the transaction as of which it was computed, and, when the
   frontier is of the same life and was written later, up to that of the frontier,
   unless it is excepted there: a frontier excepts each document on disk that was not
   current when the frontier was made.
2. A frontier is only written by a master that has just asked its store.
3. A file that is damaged is none: each names the digest of what it has.

Everything is written by a thread, one file after the other, with pauses; a document
that changes all the time is written as often as its turn comes. Within a bound of bytes
those stay that were written last.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from master_cluster.bodies import Document
from runtime.ports import Runtime, StoreUnavailable
from slap.freshness import UNSEEN, decode_freshness

KEPT_BYTES_MAX = 256 * 1024 * 1024
"""Twice what is kept in memory: documents of some 20,000 busy computers."""

KEPT_COUNT_MAX = 100_000
EXCEPTED_MAX = 5_000
"""Of a frontier; with more of them the one before stays."""

WRITE_PAUSE_SECONDS = 0.02
"""Between two files: fifty a second leave disk and threads to everybody else."""

FRONTIER_SECONDS = 5.0
"""A master that is killed and started again while it is cut off is as far behind."""

FRONTIER_FILE = "frontier.json"
_DOCUMENT = ".document"
FILE_BYTES_MAX = 16 * 1024 * 1024

IsCurrent = Callable[[str, str], bool]
"""Whether the content of that ETag is that of a computer, as of all that was heard."""


@frozen
class Kept:
    """A document of an earlier time; ``good_to`` is the last transaction of that."""

    document: Document
    good_to: bytes


@frozen
class Frontier:
    """``life`` is that of the master which wrote it, ``at`` an instant of the calendar.

    ``number`` counts what that life wrote. ``excepted`` are the names of files.
    """

    life: str
    number: int
    tid: bytes
    at: float
    excepted: frozenset[str] = frozenset()

    def covers(self, name: str, life: str, number: int) -> bool:
        """Whether a file that was written then was current as of this."""
        is_earlier = self.life == life and number < self.number
        return is_earlier and name not in self.excepted


class KeptDocuments:
    """The documents in one directory, which belongs to one master at a time."""

    def __init__(
        self, runtime: Runtime, directory: str, bytes_max: int = KEPT_BYTES_MAX
    ) -> None:
        self._runtime = runtime
        self._tree = runtime.file_tree(directory)
        self._bytes_max = bytes_max
        self._life = f"{runtime.entropy.getrandbits(64):016x}"
        self._number = 0
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._byte_count = 0
        self._saved: dict[str, tuple[str, str]] = {}
        """By name of file: computer and ETag, of what this life has written."""
        self._waiting: OrderedDict[str, Document] = OrderedDict()
        self._frontier: Frontier | None = None
        self._frontier_at = 0.0
        self._timer: IDelayedCall | None = None
        self._writing: Deferred[None] | None = None
        self._is_stopping = False
        self._open()

    @property
    def is_known(self) -> bool:
        """Whether there was a master here that had its store."""
        return self._frontier is not None

    def recall(self, computer_id: str) -> Kept | None:
        """The last document of a computer, as of the clock of this process."""
        name = _name_of(computer_id)
        if name not in self._sizes:
            return None
        try:
            head, packed = self._read(name)
            if head["computer"] != computer_id:
                return None
            good_to, at = decode_freshness(head["tid"]), float(head["at"])
            document = Document(
                str(head["etag"]), packed, int(head["length"]), tid=good_to
            )
            place = head["life"], int(head["number"])
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            self._runtime.log.warn(  # noqa: G010 - Twisted's name
                "the kept document of {id}: {error}", id=computer_id, error=error
            )
            return None
        known = self._frontier
        if known is not None and known.covers(name, *place):
            good_to, at = max(good_to, known.tid), max(at, known.at)
        age_seconds = max(0.0, self._runtime.calendar.now() - at)
        current_at = self._runtime.clock.seconds() - age_seconds
        return Kept(evolve(document, current_at=current_at), good_to)

    def keep(self, computer_id: str, document: Document) -> None:
        """Write a document that was computed just now, when its turn comes."""
        name = _name_of(computer_id)
        if self._saved.get(name) == (computer_id, document.etag):
            self._waiting.pop(computer_id, None)
            return
        self._waiting[computer_id] = document
        self._write_later()

    def advance(
        self, tid: bytes, proven_at: float, is_current: IsCurrent, *, is_now: bool
    ) -> None:
        """Note that all changes up to ``tid`` were heard at ``proven_at``.

        It is noted now and then; at once, and whatever is known, for ``is_now``.
        """
        now = self._runtime.clock.seconds()
        is_due = is_now or now - self._frontier_at >= FRONTIER_SECONDS
        known = self._frontier
        is_new = is_now or known is None or known.life != self._life or known.tid < tid
        if not is_due or not is_new or tid == UNSEEN or self._writing is not None:
            return
        excepted = frozenset(
            name
            for name, (computer_id, etag) in self._saved.items()
            if not is_current(computer_id, etag)
        )
        if len(excepted) > EXCEPTED_MAX:
            return
        self._frontier_at = now
        self._number += 1
        at = self._runtime.calendar.now() - (now - proven_at)
        frontier = Frontier(self._life, self._number, tid, at, excepted)
        self._perform(lambda: self._write_frontier(frontier))

    async def stop(self) -> None:
        """End what is being written."""
        self._is_stopping = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writing is not None:
            await self._writing

    def _open(self) -> None:
        try:
            self._tree.make_directory("", 0o700)
            found = self._tree.entries()
            self._frontier = self._read_frontier()
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            self._runtime.log.warn(  # noqa: G010 - Twisted's name
                "kept documents: {error}", error=error
            )
            found = self._tree.entries() if self._tree.status("") else {}
        oldest_first = sorted(found.items(), key=lambda it: (it[1].modified, it[0]))
        for name, status in oldest_first:
            if name.endswith(_DOCUMENT):
                self._sizes[name] = status.size
                self._byte_count += status.size

    def _read_frontier(self) -> Frontier | None:
        try:
            read = json.loads(self._tree.read(FRONTIER_FILE))
        except FileNotFoundError:
            return None
        content = read["frontier"]
        if read["digest"] != _digest(json.dumps(content).encode()):
            raise ValueError("the frontier is damaged")
        life, number, tid, at, excepted = content
        return Frontier(
            life, int(number), decode_freshness(tid), float(at), frozenset(excepted)
        )

    def _write_frontier(self, it: Frontier) -> None:
        excepted = sorted(it.excepted)
        content = [it.life, it.number, it.tid.hex(), it.at, excepted]
        encoded = json.dumps(content).encode()
        written = {"frontier": content, "digest": _digest(encoded)}
        self._tree.write(FRONTIER_FILE, json.dumps(written).encode(), 0o600)
        self._frontier = it

    def _read(self, name: str) -> tuple[dict[str, Any], bytes]:
        head, _, packed = self._tree.read(name, FILE_BYTES_MAX).partition(b"\n")
        read = json.loads(head)
        if read["digest"] != _digest(packed):
            raise ValueError("it is damaged")
        return read, packed

    def _write_later(self) -> None:
        if self._timer is None and self._writing is None and not self._is_stopping:
            clock = self._runtime.clock
            self._timer = clock.callLater(WRITE_PAUSE_SECONDS, self._write_next)

    def _write_next(self) -> None:
        self._timer = None
        if self._writing is not None or not self._waiting:
            return
        computer_id, document = self._waiting.popitem(last=False)
        at = self._runtime.calendar.now()
        self._perform(lambda: self._write(computer_id, document, at))

    def _write(self, computer_id: str, document: Document, at: float) -> None:
        name = _name_of(computer_id)
        self._number += 1
        head = {
            "computer": computer_id,
            "etag": document.etag,
            "length": document.length,
            "tid": document.tid.hex(),
            "at": at,
            "life": self._life,
            "number": self._number,
            "digest": _digest(document.packed),
        }
        # From here on the file has neither, for certain.
        self._saved.pop(name, None)
        content = json.dumps(head).encode() + b"\n" + document.packed
        self._tree.write(name, content, 0o600)
        self._saved[name] = (computer_id, document.etag)
        self._byte_count += len(content) - self._sizes.pop(name, 0)
        self._sizes[name] = len(content)
        while self._byte_count > self._bytes_max or len(self._sizes) > KEPT_COUNT_MAX:
            dropped, size = self._sizes.popitem(last=False)
            self._saved.pop(dropped, None)
            self._tree.remove(dropped)
            self._byte_count -= size

    def _perform(self, write: Callable[[], None]) -> None:
        writing = self._writing = Deferred.fromCoroutine(self._run(write))
        if writing.called:
            self._writing = None

    async def _run(self, write: Callable[[], None]) -> None:
        def begin() -> Callable[[], None]:
            write()
            return lambda: None

        try:
            await self._runtime.threads.call(begin)
        except (OSError, StoreUnavailable) as error:
            # It is for bad times; what is on disk stays as good as it was.
            self._runtime.log.warn(  # noqa: G010 - Twisted's name
                "a document is not kept: {error}", error=error
            )
        self._writing = None
        if self._waiting:
            self._write_later()


def _name_of(computer_id: str) -> str:
    digest = hashlib.sha256(computer_id.encode(errors="surrogatepass"))
    return digest.hexdigest()[:32] + _DOCUMENT


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
