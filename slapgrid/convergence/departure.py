"""Core. How far an instance that is to be destroyed has come on its way out.

The way: its programs stop, its retention passes, the programs of ``etc/prerm`` run to
their end, ``sbin/destroy`` runs, everything is removed. A release from retention is
remembered apart from the partition: what follows removes the files that say how long
to keep it, and a crash in its middle must not begin a retention anew.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

from attrs import frozen

DAY_SECONDS = 86400.0
#: The key of the allocation filter that holds days.
RETENTION_KEY = "retention_delay"
#: A hundred years: more is a mistake, and dates stay within what calendars can say.
RETENTION_DAYS_MAX = 36525.0
#: One line per program.
WAIT_LIST_BYTES_MAX = 64 * 1024
#: Names of programs that ended; more than a partition can have.
RECORD_BYTES_MAX = 1024 * 1024
_LATEST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


class BadRetention(ValueError):
    """Nobody can tell how long to keep an instance; the sentence names the value."""


@frozen
class Retention:
    """How long an instance stays after it was first to be destroyed.

    ``frozen_at`` is when the delay was written, ``until`` the end once it is known.
    """

    delay_days: float
    frozen_at: float
    until: float | None = None


@frozen
class DepartureRecord:
    """What the agent knows was done of a departure, whatever was removed since."""

    is_released: bool = False
    is_hook_done: bool = False
    ended_programs: frozenset[str] = frozenset()


@frozen
class Departure:
    """What stands between an instance and its removal.

    ``removal_programs`` are those of ``etc/prerm``: supervision saw some of them
    running, some ended. ``awaited`` are other programs that run and must end first.
    """

    retention: Retention | None = None
    removal_programs: tuple[str, ...] = ()
    running_programs: frozenset[str] = frozenset()
    ended_programs: frozenset[str] = frozenset()
    awaited: tuple[str, ...] = ()
    record: DepartureRecord = DepartureRecord()


@frozen
class Keep:
    """Nothing is removed now; look again at ``until``, or soon when it is ``None``."""

    reason: str
    until: float | None = None


@frozen
class BeginRetention:
    """Write that the instance stays until then."""

    until: float


@frozen
class RunRemovalPrograms:
    """Remember which programs ended, and start these, which never did."""

    ended: frozenset[str]
    resting: tuple[str, ...]


@frozen
class Remove:
    """Nothing stands in the way of the removal."""


DepartureStep = Keep | BeginRetention | RunRemovalPrograms | Remove


def decide_departure(
    partition_id: str, departure: Departure, now: float
) -> DepartureStep:
    """What to do next about an instance whose programs stopped."""
    record = departure.record
    if not record.is_released:
        held = _decide_retention(partition_id, departure.retention, now)
        if held is not None:
            return held
    if record.is_hook_done:
        return Remove()
    ended = record.ended_programs | departure.ended_programs
    resting = tuple(
        name
        for name in departure.removal_programs
        if name not in ended | departure.running_programs
    )
    if resting or ended != record.ended_programs:
        return RunRemovalPrograms(ended, resting)
    waited = (*sorted(departure.running_programs), *departure.awaited)
    if waited:
        return Keep(f"{partition_id} goes when {', '.join(waited)} has ended")
    return Remove()


def _decide_retention(
    partition_id: str, retention: Retention | None, now: float
) -> Keep | BeginRetention | None:
    if retention is None or retention.delay_days <= 0:
        return None
    # A computer without a battery wakes in 1970: no time has passed before the
    # instance was there, else a calendar that is set right would end its retention.
    now = max(now, retention.frozen_at)
    delay_seconds = retention.delay_days * DAY_SECONDS
    if retention.until is None:
        return BeginRetention(now + delay_seconds)
    if now >= retention.until:
        return None
    reason = (
        f"{partition_id} is kept until {_date(retention.until)}, as its retention "
        f"of {retention.delay_days:g} days asks"
    )
    if retention.until > now + delay_seconds + DAY_SECONDS:
        reason += (
            "; that is later than the retention from now: the calendar was set back. "
            "Remove its .slapos-retention-lock-date to count from now"
        )
    return Keep(reason, retention.until)


def _date(instant: float) -> str:
    return f"{datetime.fromtimestamp(min(instant, _LATEST), UTC):%Y-%m-%d %H:%M} UTC"


def read_retention_days(text: str | None) -> float:
    """The days that a filter asks for; none is 0."""
    if text is None or not text.strip():
        return 0.0
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not 0 <= days <= RETENTION_DAYS_MAX:
        raise BadRetention(
            f"{RETENTION_KEY} must be 0 to {RETENTION_DAYS_MAX:g} days, not "
            f"{text[:40]!r}: request the instance with another one"
        )
    return days


def decode_lock(content: bytes | None) -> float | None:
    """A number of a lock file of stock nodes; ``None`` when it is anything else."""
    try:
        number = float((content or b"").decode("ascii"))
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def decode_wait_list(content: bytes | None, partition_id: str) -> tuple[str, ...]:
    """The programs to wait for, as ``group:process``: only those of this partition."""
    lines = (content or b"").decode(errors="replace").split("\n")
    names = {line.strip() for line in lines}
    return tuple(
        sorted(
            name
            for name in names
            if name.partition(":")[0] == partition_id
            or name.partition(":")[0].startswith(f"{partition_id}-")
        )
    )


def encode_record(instance_guid: str, record: DepartureRecord) -> bytes:
    """A record as JSON, with the instance that it is about."""
    document = {
        "instance": instance_guid,
        "released": record.is_released,
        "hook": record.is_hook_done,
        "ended": sorted(record.ended_programs),
    }
    return json.dumps(document).encode()


def decode_record(content: bytes | None, instance_guid: str) -> DepartureRecord:
    """The record of this instance; an empty one when there is none that is its own."""
    try:
        document = json.loads(content or b"{}")
        if document["instance"] != instance_guid:
            return DepartureRecord()
        return DepartureRecord(
            document["released"] is True,
            document["hook"] is True,
            frozenset(map(str, document["ended"])),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return DepartureRecord()
