"""Core. Partitions that a plan left alone, for as long as nothing about them changes.

Most partitions of most plans are as they are wanted. To find that out once more costs
some fifty times what it costs to compare what it was found out from.

1. Only a partition of which nothing failed and nothing is half done is remembered, so
   that what was planned of it follows from the values that are kept, and the time.
2. It counts from the instant of that plan until the first one at which the plan asked
   to be made again. A calendar that was set back makes everything be planned anew.
3. With another memory, or other releases, nothing counts any more.
4. Where a whole plan left all partitions alone, so does the next one of the same
   values: they are compared as one mapping, which is the case of most computers at most
   times.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from slap.model import Computer, Partition
from slapgrid.convergence.draft import Draft
from slapgrid.convergence.retrying import RetryMemory
from slapgrid.convergence.views import LocalPartition, LocalRelease, LocalView

Span = tuple[float, float]
"""From an instant on, and until before another."""

_NEVER: Span = (math.inf, -math.inf)
_UNKNOWN = (None, None, _NEVER)


class Quiet:
    """What the last plans of one computer found quiet."""

    def __init__(self) -> None:
        self._memory = RetryMemory()
        self._releases: Mapping[str, LocalRelease] = {}
        self._supplied: Collection[str] = ()
        self._unsettled: frozenset[str] = frozenset()
        self._desired: Computer | None = None
        self._partitions: tuple[tuple[str, Partition], ...] = ()
        self._notes: dict[str, tuple[Partition, LocalPartition | None, Span]] = {}
        self._left_alone: dict[str, LocalPartition] = {}
        self._span = _NEVER
        """In which all partitions are left alone, when they are those."""

    def begin(
        self,
        desired: Computer,
        observed: LocalView,
        supplied: Collection[str],
        draft: Draft,
    ) -> list[Partition]:
        """The partitions to plan, in order; when the others are due, the draft knows.

        ``supplied`` are the releases that the computer is to have.
        """
        self._learn(desired, observed.releases, supplied, draft.memory)
        now, wake, left = draft.now, math.inf, []
        since, until = self._span
        if since <= now < until and observed.partitions == self._left_alone:
            draft.wake(until)
            return []
        latest = -math.inf
        find, notes = observed.partitions.get, self._notes
        for name, partition in self._partitions:
            known, seen, (since, until) = notes.get(name, _UNKNOWN)
            local = find(name)
            if not since <= now < until:
                left.append(partition)
                continue
            if known is not partition or seen is not local:
                if known != partition or seen != local:
                    left.append(partition)
                    continue
                # The old value would be kept beside an equal one.
                notes[name] = partition, local, (since, until)
            if until < wake:  # noqa: PLR1730 - it is asked of each partition
                wake = until
            if since > latest:  # noqa: PLR1730 - as above
                latest = since
        draft.wake(wake)
        if not left:
            self._left_alone, self._span = dict(observed.partitions), (latest, wake)
        return left

    def note(
        self, partition: Partition, local: LocalPartition | None, span: Span
    ) -> None:
        """Remember for how long a partition has nothing to be done or said of it."""
        name = partition.key.partition_id
        if name not in self._unsettled:
            self._notes[name] = partition, local, span

    def _learn(
        self,
        desired: Computer,
        releases: Mapping[str, LocalRelease],
        supplied: Collection[str],
        memory: RetryMemory,
    ) -> None:
        """Take in what all partitions depend on."""
        if desired is not self._desired:
            self._desired = desired
            self._span = _NEVER
            self._partitions = tuple(
                (each.key.partition_id, each) for each in in_order(desired)
            )
        if memory is not self._memory:
            self._memory = memory
            failed = (key.partition(" ")[2] for key in memory.attempts)
            self._unsettled = frozenset((*failed, *memory.progress))
            self._forget()
        if (supplied, releases) != (self._supplied, self._releases):
            self._supplied, self._releases = supplied, releases
            self._forget()

    def _forget(self) -> None:
        self._notes.clear()
        self._span = _NEVER


def in_order(desired: Computer) -> tuple[Partition, ...]:
    """The partitions of a computer in order of their keys."""
    return tuple(sorted(desired.partitions, key=_key))


def _key(partition: Partition) -> tuple[str, str]:
    # Two texts are compared ten times as fast as two values that hold them.
    return partition.key.computer_id, partition.key.partition_id
