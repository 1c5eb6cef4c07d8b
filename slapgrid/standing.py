"""Core. How a computer stands, as values: what ``status`` shows."""

from __future__ import annotations

from attrs import frozen

from runtime.holdings import CalendarEntry
from slapgrid.convergence.retrying import Effort
from slapgrid.convergence.views import ProgramStatus, PromiseView


@frozen
class LastPass:
    """The last pass of a kind; ``ended_at`` is an instant of the calendar."""

    kind: str
    ended_at: float
    exit_status: int
    reason: str


@frozen
class PartitionStanding:
    """A partition; ``error`` is the end of why it could not be processed."""

    partition_id: str
    release_directory: str
    is_formatted: bool
    is_processed: bool
    processed_at: float
    programs: tuple[ProgramStatus, ...]
    promises: tuple[PromiseView, ...]
    error: str


@frozen
class ReleaseStanding:
    """A release on disk; it is complete when it was built and reported."""

    software_release_url: str
    directory: str
    is_completed: bool


@frozen
class Retry:
    """Something that failed and is tried again; instants are of the calendar."""

    effort: Effort
    name: str
    failure_count: int
    tried_at: float
    due_at: float
    message: str


@frozen
class Standing:
    """All of it. Processes are ``None`` when none runs; ``supervision`` says why not.

    ``watchdog`` is the state of that program, empty when there is none. There are
    ``certificates`` where ``node join`` made an ``identity_directory``.
    """

    computer_id: str
    master_urls: tuple[str, ...]
    agent: int | None
    stock_agent: int | None
    supervision: str
    watchdog: str
    partitions: tuple[PartitionStanding, ...]
    releases: tuple[ReleaseStanding, ...]
    retries: tuple[Retry, ...]
    last_passes: tuple[LastPass, ...]
    identity_directory: str
    certificates: tuple[CalendarEntry, ...]
    observed_at: float
