"""Core. What the agent measured last, as a table for people and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slapcluster.instants import show_instant
from slapcluster.tables import Table, line
from slapgrid.collecting.measures import INCIDENTS, Measure
from slapgrid.collecting.readings import COMPUTER
from slapgrid.collecting.records import Latest

_UNITS = ("", "K", "M", "G", "T", "P")
_KIBI = 1024.0


def consumption_document(latest: Latest, computer_id: str) -> Mapping[str, Any]:
    """Amounts are those of the last ``elapsed_seconds``, levels those of ``at``."""
    return {
        "computer_id": computer_id,
        "at": latest.at,
        "elapsed_seconds": latest.elapsed_seconds,
        "computer": {**_measures(latest, COMPUTER), **latest.facts},
        "partitions": {
            name: _measures(latest, name) for name in _subjects(latest) if name
        },
    }


def consumption_table(latest: Latest, computer_id: str) -> Table:
    """The computer first; what was not measured is absent."""
    return Table(
        ("of", "cpu %", "memory", "disk", "processes", "in/s", "out/s", "incidents"),
        tuple(_row(latest, name, computer_id) for name in _subjects(latest)),
        title=f"Consumption at {show_instant(latest.at)}",
    )


def show_bytes(count: float | None) -> str:
    """Return a number of bytes in a few characters."""
    if count is None:
        return ""
    for unit in _UNITS:
        if count < _KIBI or unit == _UNITS[-1]:
            return f"{count:.0f}{unit}" if unit == "" else f"{count:.1f}{unit}"
        count /= _KIBI
    raise AssertionError("the last unit is for everything")


def _subjects(latest: Latest) -> list[str]:
    return sorted({COMPUTER, *latest.amounts, *latest.levels}, key=_natural)


def _natural(name: str) -> tuple[int, str]:
    """Put slappart10 behind slappart9."""
    return len(name), name


def _measures(latest: Latest, subject: str) -> dict[str, float]:
    return {
        str(measure): value
        for measures in (
            latest.amounts.get(subject, {}),
            latest.levels.get(subject, {}),
        )
        for measure, value in measures.items()
    }


def _row(latest: Latest, subject: str, computer_id: str) -> tuple[str, ...]:
    amounts = latest.amounts.get(subject, {})
    levels = latest.levels.get(subject, {})
    seconds = latest.elapsed_seconds

    def rate(measure: Measure) -> float | None:
        amount = amounts.get(measure)
        return None if amount is None or seconds <= 0 else amount / seconds

    cpu = rate(Measure.CPU_SECONDS)
    processes = levels.get(Measure.PROCESSES)
    incidents = sum(amounts.get(measure, 0.0) for measure in INCIDENTS)
    return line(
        subject or computer_id,
        None if cpu is None else f"{100 * cpu:.1f}",
        show_bytes(levels.get(Measure.MEMORY_BYTES)),
        show_bytes(levels.get(Measure.DISK_BYTES)),
        None if processes is None else f"{processes:.0f}",
        show_bytes(rate(Measure.RECEIVED_BYTES)),
        show_bytes(rate(Measure.SENT_BYTES)),
        f"{incidents:.0f}" if incidents else None,
    )
