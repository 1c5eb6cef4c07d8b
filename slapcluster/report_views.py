"""Core. What computers reported last and before, for people: a table, ends of logs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from slap.reports import ComputerReport, EarlierReport, TreeReport
from slapcluster.instants import show_instant
from slapcluster.tables import Table, fold_left, line

SUBJECT_WIDTH_MAX = 32
"""With the other columns, in 80: the end of an address tells releases apart."""

LOG_LINES_MAX = 10
"""Of each log: the cause stands at its end; JSON has all that is kept."""


class Reported(Protocol):
    """Something that a computer reports on."""

    @property
    def reported_state(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def reported_at(self) -> float | None: ...
    @property
    def earlier(self) -> tuple[EarlierReport, ...]: ...


Subject = tuple[str, Reported]


def subjects_of_computer(report: ComputerReport) -> list[Subject]:
    """Return what a computer reported on: its releases and its instances."""
    releases = [(it.software_release_url, it) for it in report.installations]
    busy = [it for it in report.partitions if it.title]
    return [*releases, *((f"{it.partition_id} {it.title}", it) for it in busy)]


def subjects_of_tree(tree: TreeReport) -> list[Subject]:
    return [(it.title, it) for it in tree.instances]


def reports_table(subjects: Iterable[Subject]) -> Table:
    """Show when something was reported last, and how often it failed of late."""
    return Table(
        ("reported on", "last", "at", "failed"),
        tuple(
            line(
                fold_left(name, SUBJECT_WIDTH_MAX),
                it.reported_state,
                show_instant(it.reported_at),
                _failed(it),
            )
            for name, it in subjects
            if it.reported_at is not None
        ),
        title="Reports",
    )


def log_ends(subjects: Sequence[Subject]) -> str:
    """Return the end of the log of everything that fails now."""
    blocks = [
        f"{name}, error at {show_instant(it.reported_at)}:\n"
        + "\n".join(it.message.rstrip().splitlines()[-LOG_LINES_MAX:])
        for name, it in subjects
        if it.reported_state == "error"
    ]
    return "\n\n".join(blocks)


def _failed(reported: Reported) -> str:
    states = [reported.reported_state, *(it.reported_state for it in reported.earlier)]
    return f"{states.count('error')} of {len(states)}"
