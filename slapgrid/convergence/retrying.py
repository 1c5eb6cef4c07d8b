"""Core. What the agent remembers between rounds: failures, progress, what was reported.

The memory is a value, saved to disk by the shell after each round, so that a restart
neither forgets a delay nor repeats a report. Losing it costs only time: everything it
holds is found again by doing the work once more.

1. An effort that failed waits, twice as long each time, between the two bounds of its
   ``Backoff``. Another stamp (the wanted thing changed) starts over at once.
2. Instants are of the calendar, since they outlive the process. One that lies in the
   future means that the calendar was set back: the effort is then due.
3. ``progress`` says how far a partition or release went towards its stamp; it ends when
   the last step is written on disk, where every agent sees it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import TypeVar

from attrs import evolve, field, frozen

V = TypeVar("V")

#: A program that ran this long since its last revival is healthy again.
REVIVAL_MEMORY_SECONDS = 300.0
#: From so many revivals on, a program that keeps ending is an error.
REVIVALS_MAX = 3
#: Longest failure kept: what is reported to the master.
FAILURE_CHARACTERS_MAX = 16 * 1024
#: Doubling stops here, far above every bound, so that it never overflows.
DOUBLINGS_MAX = 32


class Effort(StrEnum):
    """The kinds of things the agent does."""

    BUILD = "build"
    RECORD_BUILT = "record-built"
    REMOVE = "remove"
    NOTE_ABSENCE = "note-absence"
    UPLOAD = "upload"
    INSTALL = "install"
    START = "start"
    STOP = "stop"
    REVIVE = "revive"
    REDIRECT = "redirect"
    PROVE = "prove"
    CHECK = "check"
    BANG = "bang"
    RECORD = "record"
    REPORT = "report"
    RETAIN = "retain"
    RETIRE = "retire"
    DESTROY = "destroy"
    CLEAN = "clean"


#: The efforts by which an instance that stopped leaves its partition.
DEPARTURE_EFFORTS = frozenset({Effort.RETAIN, Effort.RETIRE, Effort.DESTROY})


class Stage(IntEnum):
    """How far a stamp got; each includes the ones before."""

    BUILT = 1
    INSTALLED = 2
    STARTED = 3
    PROVED = 4


@frozen
class Backoff:
    """The bounds of a delay that doubles."""

    first_seconds: float
    seconds_max: float

    def delay_seconds(self, failure_count: int) -> float:
        """How long to wait after so many failures in a row."""
        if failure_count <= 0:
            return 0.0
        doublings = min(failure_count - 1, DOUBLINGS_MAX)
        return min(self.first_seconds * 2.0**doublings, self.seconds_max)


#: Costly efforts wait longer; a promise of a service that boots is asked often.
BACKOFFS: Mapping[Effort, Backoff] = MappingProxyType(
    {
        Effort.BUILD: Backoff(10, 3600),
        Effort.RECORD_BUILT: Backoff(5, 300),
        Effort.REMOVE: Backoff(10, 3600),
        Effort.NOTE_ABSENCE: Backoff(10, 3600),
        Effort.UPLOAD: Backoff(60, 6 * 3600),
        Effort.INSTALL: Backoff(5, 600),
        Effort.START: Backoff(2, 120),
        Effort.STOP: Backoff(2, 60),
        Effort.REVIVE: Backoff(1, 60),
        Effort.REDIRECT: Backoff(2, 120),
        Effort.PROVE: Backoff(1, 60),
        Effort.CHECK: Backoff(1, 60),
        Effort.BANG: Backoff(2, 300),
        Effort.RECORD: Backoff(5, 300),
        Effort.REPORT: Backoff(2, 300),
        Effort.RETAIN: Backoff(5, 600),
        Effort.RETIRE: Backoff(5, 600),
        Effort.DESTROY: Backoff(5, 600),
        Effort.CLEAN: Backoff(10, 600),
    }
)


@frozen
class Outcome:
    """How one action ended; ``failure`` is ``None`` when it did what it says."""

    effort: Effort
    name: str
    stamp: str = ""
    failure: str | None = None


@frozen
class Attempt:
    """Failures in a row of one effort towards one stamp."""

    failure_count: int
    tried_at: float
    stamp: str = ""
    message: str = ""


@frozen
class Progress:
    """How far a stamp got; ``at`` is when its first stage was reached."""

    stamp: str
    stage: Stage
    at: float


@frozen
class Reported:
    """What the master acknowledged last about a name."""

    text: str
    at: float


def _sorted_mapping(value: Mapping[str, V]) -> Mapping[str, V]:
    return MappingProxyType(dict(sorted(value.items())))


def _sorted_attempts(value: Mapping[str, Attempt]) -> Mapping[str, Attempt]:
    return _sorted_mapping(value)


def _sorted_progress(value: Mapping[str, Progress]) -> Mapping[str, Progress]:
    return _sorted_mapping(value)


def _sorted_reports(value: Mapping[str, Reported]) -> Mapping[str, Reported]:
    return _sorted_mapping(value)


def _no_attempts() -> Mapping[str, Attempt]:
    return MappingProxyType({})


def _no_progress() -> Mapping[str, Progress]:
    return MappingProxyType({})


def _no_reports() -> Mapping[str, Reported]:
    return MappingProxyType({})


@frozen
class RetryMemory:
    """All of it. ``attempts`` is keyed by ``attempt_key``, the others by name."""

    attempts: Mapping[str, Attempt] = field(
        factory=_no_attempts, converter=_sorted_attempts
    )
    progress: Mapping[str, Progress] = field(
        factory=_no_progress, converter=_sorted_progress
    )
    reported: Mapping[str, Reported] = field(
        factory=_no_reports, converter=_sorted_reports
    )

    def attempt(self, effort: Effort, name: str, stamp: str = "") -> Attempt | None:
        """The failures of an effort, when they were about this stamp."""
        found = self.attempts.get(attempt_key(effort, name))
        return found if found is not None and found.stamp == stamp else None

    def due_at(self, effort: Effort, name: str, stamp: str, now: float) -> float:
        """When the effort may be made; an instant up to ``now`` means at once."""
        found = self.attempt(effort, name, stamp)
        if found is None or now < found.tried_at:
            return now
        return found.tried_at + BACKOFFS[effort].delay_seconds(found.failure_count)

    def stage(self, name: str, stamp: str) -> Stage | None:
        """How far this stamp got; ``None`` when nothing was done towards it."""
        found = self.progress.get(name)
        return found.stage if found is not None and found.stamp == stamp else None


def attempt_key(effort: Effort, name: str) -> str:
    """The key of an effort about a name in ``RetryMemory.attempts``."""
    return f"{effort} {name}"


def digest(text: str) -> str:
    """A short stand-in for a text that only needs to be compared."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


_STAGE_AFTER: Mapping[Effort, Stage] = MappingProxyType(
    {
        Effort.BUILD: Stage.BUILT,
        Effort.INSTALL: Stage.INSTALLED,
        Effort.START: Stage.STARTED,
        Effort.PROVE: Stage.PROVED,
    }
)
#: These begin a stamp; the later ones only advance one that was begun.
_FIRST_EFFORTS = frozenset({Effort.BUILD, Effort.INSTALL})
#: After these nothing is left to remember of the progress.
_LAST_EFFORTS = frozenset(
    {
        Effort.RECORD,
        Effort.RECORD_BUILT,
        Effort.DESTROY,
        Effort.REMOVE,
        Effort.CLEAN,
    }
)


def absorb(memory: RetryMemory, outcome: Outcome, now: float) -> RetryMemory:
    """Remember how an action ended."""
    memory = evolve(memory, attempts=_absorb_attempt(memory, outcome, now))
    if outcome.failure is not None:
        return memory
    memory = evolve(memory, progress=_absorb_progress(memory, outcome, now))
    reported = dict(memory.reported)
    if outcome.effort is Effort.REPORT:
        reported[outcome.name] = Reported(outcome.stamp, now)
    elif outcome.effort in {Effort.BUILD, Effort.REMOVE}:
        # What was said of an earlier build is not news of this one.
        reported.pop(outcome.name, None)
    return evolve(memory, reported=reported)


def _absorb_attempt(
    memory: RetryMemory, outcome: Outcome, now: float
) -> Mapping[str, Attempt]:
    attempts = dict(memory.attempts)
    key = attempt_key(outcome.effort, outcome.name)
    # A revival is no failure of ours, but one after the other must slow down.
    if outcome.failure is None and outcome.effort is not Effort.REVIVE:
        attempts.pop(key, None)
        return attempts
    before = memory.attempt(outcome.effort, outcome.name, outcome.stamp)
    count = 0 if before is None else before.failure_count
    if (
        outcome.effort is Effort.REVIVE
        and before is not None
        and now - before.tried_at > REVIVAL_MEMORY_SECONDS
    ):
        count = 0
    message = (outcome.failure or "")[-FAILURE_CHARACTERS_MAX:]
    attempts[key] = Attempt(count + 1, now, outcome.stamp, message)
    return attempts


def _absorb_progress(
    memory: RetryMemory, outcome: Outcome, now: float
) -> Mapping[str, Progress]:
    progress = dict(memory.progress)
    if outcome.effort in _LAST_EFFORTS:
        progress.pop(outcome.name, None)
    stage = _STAGE_AFTER.get(outcome.effort)
    if stage is None:
        return progress
    before = progress.get(outcome.name)
    if outcome.effort in _FIRST_EFFORTS:
        progress[outcome.name] = Progress(outcome.stamp, stage, now)
    elif before is not None and before.stamp == outcome.stamp:
        # Promises of a processed partition prove nothing about a new stamp.
        progress[outcome.name] = evolve(before, stage=max(stage, before.stage))
    return progress


def waiting_efforts(memory: RetryMemory, now: float) -> frozenset[Effort]:
    """The efforts that failed last time, about any name, and will be made again.

    Reviving is among them while a program keeps ending.
    """
    return frozenset(
        Effort(key.partition(" ")[0])
        for key, attempt in memory.attempts.items()
        if attempt.message or is_reviving_in_vain(attempt, now)
    )


def is_reviving_in_vain(revival: Attempt, now: float) -> bool:
    """Whether a program was revived so often, so recently, that it is an error."""
    return (
        revival.failure_count > REVIVALS_MAX
        and now < revival.tried_at + REVIVAL_MEMORY_SECONDS
    )


def retain(memory: RetryMemory, names: Iterable[str]) -> RetryMemory:
    """Forget every name that is not among these: the memory stays bounded."""
    kept = frozenset(names)
    return RetryMemory(
        {
            key: attempt
            for key, attempt in memory.attempts.items()
            if key.partition(" ")[2] in kept
        },
        {name: value for name, value in memory.progress.items() if name in kept},
        {name: value for name, value in memory.reported.items() if name in kept},
    )


def encode_memory(memory: RetryMemory) -> bytes:
    """Write the memory as JSON."""
    document = {
        "attempts": {
            key: [value.failure_count, value.tried_at, value.stamp, value.message]
            for key, value in memory.attempts.items()
        },
        "progress": {
            name: [value.stamp, int(value.stage), value.at]
            for name, value in memory.progress.items()
        },
        "reported": {
            name: [value.text, value.at] for name, value in memory.reported.items()
        },
    }
    return json.dumps(document, indent=1).encode()


def decode_memory(document: bytes) -> RetryMemory:
    """Read what ``encode_memory`` wrote; ``ValueError`` when it is anything else."""
    try:
        parts = json.loads(document)
        return RetryMemory(
            {
                str(key): Attempt(int(count), float(at), str(stamp), str(message))
                for key, (count, at, stamp, message) in parts["attempts"].items()
            },
            {
                str(name): Progress(str(stamp), Stage(stage), float(at))
                for name, (stamp, stage, at) in parts["progress"].items()
            },
            {
                str(name): Reported(str(text), float(at))
                for name, (text, at) in parts["reported"].items()
            },
        )
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not a retry memory: {error!r}") from error
