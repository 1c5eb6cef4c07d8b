"""Core. What collecting keeps on disk: one file of what is open, one for each day.

The open file holds the last reading and the days together, so that both change in one
write: a power loss between two collections neither loses nor repeats anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any

from attrs import field, frozen

from slapgrid.collecting.days import Day, Days
from slapgrid.collecting.measures import Measure
from slapgrid.collecting.readings import (
    Amounts,
    Counters,
    ProcessReading,
    Reading,
)

#: Another shape of the files gets another number.
FORMAT = 1


class RecordRefused(ValueError):
    """A file of collecting cannot be read; the sentence says why."""


@frozen
class DiskFigure:
    """What a partition took when it was last measured; unknown when that failed."""

    used_bytes: int | None
    measured_at: float


@frozen
class Latest:
    """The last collection, for people: rates are over its ``elapsed_seconds``."""

    at: float = 0.0
    elapsed_seconds: float = 0.0
    amounts: Amounts = field(default=MappingProxyType({}))
    levels: Amounts = field(default=MappingProxyType({}))
    facts: Mapping[str, Any] = field(default=MappingProxyType({}))


@frozen
class Ledger:
    """All that is open.

    ``unwritten`` are sealed days whose document is not there yet; ``bangs`` the date of
    each partition's last bang that was counted.
    """

    reading: Reading | None = None
    days: Days = field(default=MappingProxyType({}))
    unwritten: tuple[str, ...] = ()
    bangs: Mapping[str, float] = field(default=MappingProxyType({}))
    disks: Mapping[str, DiskFigure] = field(default=MappingProxyType({}))
    latest: Latest = field(default=Latest())


def encode_ledger(ledger: Ledger) -> bytes:
    """Write what is open as JSON."""
    reading = ledger.reading
    document = {
        "format": FORMAT,
        "reading": None if reading is None else _reading_document(reading),
        "days": [_day_document(day) for day in ledger.days.values()],
        "unwritten": list(ledger.unwritten),
        "bangs": dict(ledger.bangs),
        "disks": {
            name: [figure.used_bytes, figure.measured_at]
            for name, figure in ledger.disks.items()
        },
        "latest": {
            "at": ledger.latest.at,
            "elapsed_seconds": ledger.latest.elapsed_seconds,
            "amounts": _amounts_document(ledger.latest.amounts),
            "levels": _amounts_document(ledger.latest.levels),
            "facts": dict(ledger.latest.facts),
        },
    }
    return _encode(document)


def decode_ledger(content: bytes) -> Ledger:
    """Read what is open; ``RecordRefused`` when it is none of ours."""
    try:
        document = _decode(content)
        days = [_read_day(each) for each in document["days"]]
        latest = document["latest"]
        return Ledger(
            _read_reading(document["reading"]),
            MappingProxyType({day.date: day for day in days}),
            tuple(map(str, document["unwritten"])),
            MappingProxyType(
                {str(name): float(at) for name, at in document["bangs"].items()}
            ),
            MappingProxyType(
                {
                    str(name): DiskFigure(
                        None if used is None else int(used), float(at)
                    )
                    for name, (used, at) in document["disks"].items()
                }
            ),
            Latest(
                float(latest["at"]),
                float(latest["elapsed_seconds"]),
                _read_amounts(latest["amounts"]),
                _read_amounts(latest["levels"]),
                MappingProxyType(dict(latest["facts"])),
            ),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RecordRefused(f"not a ledger of usage: {error!r}") from error


def encode_day(day: Day) -> bytes:
    """Write a sealed day as JSON; the same day gives the same bytes."""
    return _encode({"format": FORMAT, **_day_document(day)})


def decode_day(content: bytes) -> Day:
    """Read a sealed day; ``RecordRefused`` when it is none of ours."""
    try:
        return _read_day(_decode(content))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RecordRefused(f"not a day of usage: {error!r}") from error


def _encode(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def _decode(content: bytes) -> Mapping[str, Any]:
    document = json.loads(content)
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']!r}")
    assert isinstance(document, dict), "only those have a format"
    return document


def _reading_document(reading: Reading) -> Mapping[str, Any]:
    return {
        "boot_id": reading.boot_id,
        "uptime_seconds": reading.uptime_seconds,
        "processes": [
            [
                process.pid,
                process.started_ticks,
                process.parent,
                process.partition_id,
                process.own_ticks,
                process.children_ticks,
                process.read_bytes,
                process.written_bytes,
            ]
            for process in reading.processes
        ],
        "counters": _counters_document(reading.counters),
        "tallies": _counters_document(reading.tallies),
    }


def _read_reading(document: Mapping[str, Any] | None) -> Reading | None:
    if document is None:
        return None
    return Reading(
        str(document["boot_id"]),
        float(document["uptime_seconds"]),
        tuple(ProcessReading(*fields) for fields in document["processes"]),
        _read_counters(document["counters"]),
        _read_counters(document["tallies"]),
    )


def _counters_document(counters: Counters) -> list[list[str | float]]:
    return [
        [subject, str(measure), count]
        for (subject, measure), count in sorted(counters.items())
    ]


def _read_counters(rows: Iterable[tuple[str, str, float]]) -> Counters:
    return MappingProxyType(
        {
            (str(subject), Measure(measure)): float(count)
            for subject, measure, count in rows
        }
    )


def _day_document(day: Day) -> Mapping[str, Any]:
    return {
        "date": day.date,
        "elapsed_seconds": day.elapsed_seconds,
        "amounts": _amounts_document(day.amounts),
        "levels": _amounts_document(day.levels),
        "level_seconds": _amounts_document(day.level_seconds),
        "peaks": _amounts_document(day.peaks),
    }


def _read_day(document: Mapping[str, Any]) -> Day:
    return Day(
        str(document["date"]),
        float(document["elapsed_seconds"]),
        _read_amounts(document["amounts"]),
        _read_amounts(document["levels"]),
        _read_amounts(document["level_seconds"]),
        _read_amounts(document["peaks"]),
    )


def _amounts_document(amounts: Amounts) -> Mapping[str, Mapping[str, float]]:
    return {
        subject: {str(measure): value for measure, value in measures.items()}
        for subject, measures in amounts.items()
    }


def _read_amounts(document: Mapping[str, Mapping[str, float]]) -> Amounts:
    amounts: dict[str, Mapping[Measure, float]] = {}
    for subject, measures in document.items():
        values: dict[Measure, float] = {}
        for name, value in measures.items():
            # A later version may have measured more.
            with suppress(ValueError):
                values[Measure(name)] = float(value)
        amounts[subject] = MappingProxyType(values)
    return MappingProxyType(amounts)


def encode_tallies(tallies: Counters) -> bytes:
    """Write the tallies of incidents as JSON."""
    return _encode({"format": FORMAT, "tallies": _counters_document(tallies)})


def decode_tallies(content: bytes) -> Counters:
    """Read the tallies of incidents; ``RecordRefused`` when it is none of ours."""
    try:
        return _read_counters(_decode(content)["tallies"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RecordRefused(f"no tallies of incidents: {error!r}") from error
