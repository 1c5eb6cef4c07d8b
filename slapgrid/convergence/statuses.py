"""Core. What a master says of reports, and whether that is what was reported.

A master that was restored from a backup knows an earlier report, or none, of an
instance whose wanted state is the one that was reported of.
"""

from __future__ import annotations

from attrs import evolve

from slap.model import Computer, Partition
from slap.statuses import ERROR, reported_text
from slapgrid.convergence.plans import Verdict

UNTOLD = ""
"""The status of an instance of which a master knows no report."""

TOLD = {it: reported_text(it.value) for it in (Verdict.STARTED, Verdict.STOPPED)}
"""In the words of the reference, which our master has, too; others say nothing."""


def complete_statuses(desired: Computer) -> Computer:
    """Say ``UNTOLD`` in the document of a master that tells of each report.

    One that tells of none would be told the same for ever.
    """
    if all(map(_is_complete, desired.partitions)):
        return desired
    partitions = tuple(map(_completed, desired.partitions))
    return evolve(desired, partitions=partitions)


def is_contradicted(verdict: Verdict, status: str | None) -> bool:
    """Return whether a master says what cannot come of that report."""
    if status is None:
        return False
    if status == UNTOLD or status.startswith(ERROR) != (verdict is Verdict.ERROR):
        return True
    return status in TOLD.values() and status != TOLD.get(verdict)


def _is_complete(partition: Partition) -> bool:
    instance = partition.instance
    return instance is None or instance.access_status is not None


def _completed(partition: Partition) -> Partition:
    instance = partition.instance
    if instance is None or instance.access_status is not None:
        return partition
    return evolve(partition, instance=evolve(instance, access_status=UNTOLD))
