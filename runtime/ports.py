"""The ports: what production code may ask of the world.

Two implementations exist of each, ``runtime.real`` and ``labsim.world``; both pass the
tests of ``tests/contract``. Code that takes a ``Runtime`` cannot tell which it has.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import TypeVar

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IReactorTime,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.logger import Logger
from zope.interface import Attribute, Interface

T = TypeVar("T")

OUTPUT_BYTES_MAX = 64 * 1024
"""What is kept of a program's output: enough for the end of a build log."""


@frozen
class TcpAddress:
    """A numeric address and a port; names are never resolved."""

    host: str
    port: int


@frozen
class UnixAddress:
    """A socket of the file system."""

    path: str


Address = TcpAddress | UnixAddress


class INetwork(Interface):
    """Streams between hosts."""

    def client_endpoint(address: Address) -> IStreamClientEndpoint:
        """Where to connect to; a connection has a bound of 30 s to be made."""

    def server_endpoint(address: Address) -> IStreamServerEndpoint:
        """Where to listen."""


class ICalendar(Interface):
    """The wall clock, for dates shown to people; it may step. Timers use the clock."""

    def now() -> float:
        """Seconds since 1970 UTC."""


@frozen
class Program:
    """A program to run to its end.

    ``environment`` is the whole environment, nothing is inherited.
    ``uid`` and ``gid`` change the identity (supplementary groups are dropped) and need
    root. ``timeout_seconds`` bounds the run; then its whole process group is ended.
    ``log_path`` keeps the complete output (truncated first; at most
    ``log_bytes_max`` bytes, the rest is counted and dropped).
    """

    argv: tuple[str, ...]
    directory: str
    environment: Mapping[str, str] = field(default=MappingProxyType({}))
    umask: int = 0o027
    uid: int | None = None
    gid: int | None = None
    timeout_seconds: float | None = None
    output_bytes_max: int = OUTPUT_BYTES_MAX
    log_path: str | None = None
    log_bytes_max: int = 100 * 1024 * 1024


@frozen
class Exit:
    """How a program ended. ``output`` is the last part of stdout and stderr, merged.

    ``status`` is ``None`` when a signal ended it, ``signal`` is ``None`` otherwise.
    """

    status: int | None
    signal: int | None = None
    output: bytes = b""
    output_bytes_total: int = 0
    is_timed_out: bool = False

    @property
    def is_success(self) -> bool:
        return self.status == 0


class IProcessRunner(Interface):
    """Programs. Output is always drained: a program never stalls on a full pipe."""

    def run(
        program: Program, on_output: Callable[[bytes], None] | None = None
    ) -> Deferred[Exit]:
        """Run to the end.

        A program that cannot be started gives status 127 and the reason as output.
        Cancelling ends the whole process group: SIGTERM, after 5 s SIGKILL. Resolves
        when the program has ended and its output is read or its pipe held by a
        daemon of its own for more than 1 s.
        """

    def start_fork_server(program: Program) -> Deferred[IForkServer]:
        """Start a program that forks itself on demand.

        Its standard input is the socket over which it is asked. The time limit is that
        of its preparation; ``ForkServerUnavailable`` when it ends before or is late.
        It dies with this process; so do its forks when it is killed alone.
        """


class ForkServerUnavailable(Exception):
    """No fork server can be had; the sentence says why."""


class ForkRefused(Exception):
    """Nothing was run; the sentence says why."""


class ForkServerLost(Exception):
    """The server ended with its forks: what was run did something or nothing."""


class IForkServer(Interface):
    """A process that has imported what programs need, and becomes them in forks."""

    is_alive = Attribute("whether it can be asked to run something")

    def run(
        program: Program, on_output: Callable[[bytes], None] | None = None
    ) -> Deferred[Exit]:
        """Run to the end, as ``IProcessRunner.run`` does and with all its bounds.

        The interpreter of ``argv`` and its options are those that the server has: what
        follows them is the file to run, which the server must know, and its arguments.
        Fails with ``ForkRefused`` and ``ForkServerLost``.
        """

    def stop() -> Deferred[None]:
        """End it and what it runs; resolves when it has gone."""


class FileKind(Enum):
    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    OTHER = "other"


@frozen
class FileStatus:
    """What lstat says. ``modified`` and ``changed`` are in seconds of the calendar.

    ``changed`` is set by every change of content, mode, owner or name, and nobody can
    set it back: what has equal statuses, of which ``changed`` is some seconds old, is
    unchanged.
    """

    kind: FileKind
    mode: int
    size: int
    modified: float
    uid: int
    gid: int
    changed: float


@frozen
class DiskSpace:
    """A file system; what is free is so for ordinary users.

    Those that make their files' records as needed have ``file_count_max`` 0.
    """

    total_bytes: int
    free_bytes: int
    file_count_max: int
    file_count_free: int


class IFileTree(Interface):
    """The files below one directory; paths are relative to it, ``..`` is refused.

    Errors are ``OSError`` with their errno (ENOENT, ENOSPC, EACCES ...); a path that
    leaves the tree is a ``ValueError``. Links below the root are never followed, so
    that the owner of a directory cannot lead its reader elsewhere: ENOTDIR on the way,
    ELOOP at the end. After ``write``, ``make_directory``, ``link`` and ``remove`` have
    returned, the change survives a power loss.
    """

    root: str = Attribute("the absolute path of the directory")

    def path(relative: str) -> str:
        """The absolute path, for programs."""

    def subtree(relative: str) -> IFileTree:
        """The same files, rooted lower."""

    def read(relative: str, bytes_max: int = 16 * 1024 * 1024) -> bytes:
        """The whole content; EFBIG when there is more than ``bytes_max``."""

    def write(relative: str, content: bytes, mode: int = 0o644) -> None:
        """Replace the file as a whole: readers and crashes see the old or the new."""

    def make_directory(relative: str, mode: int = 0o755) -> None:
        """Make it and missing parents; an existing one gets ``mode``."""

    def list(relative: str = "") -> tuple[str, ...]:
        """The names in a directory, sorted; without those of unfinished writes."""

    def entries(relative: str = "") -> Mapping[str, FileStatus]:
        """The names in a directory, as ``list`` gives them, each with its status."""

    def status(relative: str) -> FileStatus | None:
        """What stands there, links not followed; ``None`` when nothing does."""

    def change(
        relative: str,
        mode: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
    ) -> None:
        """Change mode or owner."""

    def link(relative: str, target: str) -> None:
        """Make or replace a symbolic link, atomically."""

    def target(relative: str) -> str:
        """Where a symbolic link points, as it was written; EINVAL for anything else."""

    def remove(relative: str) -> None:
        """Remove a file or link, and what an unfinished write of it left behind.

        Nothing happens when it is missing.
        """

    def remove_tree(relative: str) -> Deferred[None]:
        """Remove a directory with all its content, read-only parts included.

        Links are not followed. Nothing happens when it is missing.
        """

    def free_bytes() -> int:
        """What an ordinary user may still write."""

    def space() -> DiskSpace:
        """The file system that the root stands on."""


class StoreUnavailable(Exception):
    """The store takes no more calls now: it is stopping or has too many waiting."""


class IStoreThreads(Interface):
    """The only way to run ZODB code."""

    threads_max: int = Attribute("how many calls run at once; more wait")
    call_count: int = Attribute("calls that were accepted and are not answered")

    def call(begin: Callable[[], Callable[[], T]]) -> Deferred[T]:
        """Run ``begin``, then the function it returned, and give that one's answer.

        ``begin`` opens a snapshot, reads and changes; what it returns commits. The real
        port runs both at once in one of its threads; the simulated one runs the second
        at a later drawn instant, so that overlapping calls meet real conflicts.
        Fails with ``StoreUnavailable`` when too many calls wait, and after ``stop``.
        Both functions run in the caller's context (``contextvars``).
        """

    def tell(callback: Callable[[], None]) -> None:
        """Have ``callback`` called where the callers live; from any thread.

        Callbacks are called in the order of the tells of each thread. One that is told
        by a running call is called before that call's answer is given: whoever has the
        answer acts in a world that knows what the call told.
        """

    def stop() -> Deferred[None]:
        """Finish the calls that were accepted; refuse new ones."""


class IKeys(Interface):
    """What must not be guessed: it comes from nowhere else.

    ``entropy`` is for identifiers and delays, never for these.
    """

    def new_private_key() -> str:
        """A new private key on the curve P-256, as PEM (PKCS #8, not encrypted)."""

    def new_token() -> str:
        """A new secret of 256 bits, in hexadecimal: it never looks like an option."""


@frozen
class Runtime:
    """A host: everything that production code may ask of the world."""

    clock: IReactorTime
    calendar: ICalendar
    network: INetwork
    processes: IProcessRunner
    threads: IStoreThreads
    entropy: random.Random
    keys: IKeys
    log: Logger
    file_tree: Callable[[str], IFileTree]
    """The tree rooted at an absolute path."""
