"""Core. What the agent sees on its own computer, as values.

A ``LocalView`` is taken once per round; decisions never look at the world again.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from attrs import field, frozen

from slapgrid.convergence.departure import Departure


class ProgramState(StrEnum):
    """The words of supervisord."""

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    BACKOFF = "BACKOFF"
    STOPPING = "STOPPING"
    EXITED = "EXITED"
    FATAL = "FATAL"
    UNKNOWN = "UNKNOWN"


#: A program in one of these is there, or on its way.
LIVE_STATES = frozenset(
    {ProgramState.STARTING, ProgramState.RUNNING, ProgramState.STOPPING}
)
#: A program in one of these ran and ended by itself.
ENDED_STATES = frozenset(
    {ProgramState.EXITED, ProgramState.FATAL, ProgramState.BACKOFF}
)


@frozen
class ProgramStatus:
    """A program of a partition; a watched one should never end."""

    name: str
    is_watched: bool
    program_state: ProgramState
    exit_status: int | None = None

    @property
    def has_ended(self) -> bool:
        return self.program_state in ENDED_STATES


@frozen
class PromiseView:
    """A promise and its last result; instants are of the calendar.

    ``is_checked`` when it wants to be checked between deployments. ``anomaly_at`` is
    when the last check began, if it found an anomaly that may bang.
    """

    name: str
    due_at: float = 0.0
    failure: str | None = None
    is_checked: bool = True
    anomaly_at: float | None = None


def describe_failure(title: str, message: str) -> str:
    """What users read of a promise that fails."""
    return f"Promise {title!r} failed with output: {message}"


@frozen
class BangMark:
    """The deployment that a partition banged for last, and when."""

    timestamp: str
    at: float


def _no_groups() -> Mapping[str, tuple[ProgramStatus, ...]]:
    return MappingProxyType({})


@frozen
class LocalPartition:
    """A partition as it is on disk and under supervision.

    ``programs`` is ``None`` when supervision knows no group of this partition.
    ``has_content`` ignores what ``format`` wrote; ``has_remains`` is content that says
    that an instance was processed here. ``side_groups`` are the programs of its other
    groups, ``<partition_id>-...``. ``departure`` is there when the instance is to be
    destroyed and its programs stopped. ``grant_refusal`` says what the instance asks of
    its computer in vain; redirections are due when they are not yet as it asks.
    """

    partition_id: str
    is_formatted: bool = True
    has_content: bool = False
    has_remains: bool = False
    has_programs: bool = False
    timestamp: str | None = None
    processed_at: float = 0.0
    programs: tuple[ProgramStatus, ...] | None = None
    promises: tuple[PromiseView, ...] = ()
    side_groups: Mapping[str, tuple[ProgramStatus, ...]] = field(factory=_no_groups)
    departure: Departure | None = None
    grant_refusal: str | None = None
    has_redirections: bool = False
    are_redirections_due: bool = False
    bang_mark: BangMark | None = None


@frozen
class LocalRelease:
    """A release as it is on disk.

    ``users`` are partitions whose files name it; they are looked for only when the
    release may be removed. ``has_absence`` when it is marked as unsupplied,
    ``is_upload_due`` when the binary cache is to get it.
    """

    software_release_url: str
    is_present: bool = False
    is_completed: bool = False
    periodicity_seconds: float | None = None
    users: tuple[str, ...] = ()
    has_absence: bool = False
    is_upload_due: bool = False


@frozen
class Absence:
    """For how long a release was seen to be supplied no more, and when last."""

    seconds: float
    seen_at: float


@frozen
class UnsuppliedRelease:
    """A release on disk that the wanted document does not name.

    ``directory`` is its name in the software root; the URL is what its profile says,
    for people. ``users`` is ``None`` where nobody looked for them.
    """

    directory: str
    software_release_url: str = ""
    absence: Absence | None = None
    users: tuple[str, ...] | None = None


def _no_partitions() -> Mapping[str, LocalPartition]:
    return MappingProxyType({})


def _no_releases() -> Mapping[str, LocalRelease]:
    return MappingProxyType({})


@frozen
class LocalView:
    """Everything that the agent sees at one instant, by id and by URL."""

    partitions: Mapping[str, LocalPartition] = field(factory=_no_partitions)
    releases: Mapping[str, LocalRelease] = field(factory=_no_releases)
    unsupplied: tuple[UnsuppliedRelease, ...] = ()
    is_space_short: bool = False
