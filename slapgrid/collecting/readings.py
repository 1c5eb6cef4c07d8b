"""Core. Two readings of the kernel's counters, and what was consumed between them.

Theory of operation. The kernel only counts up, from the boot or from the start of a
process. What was consumed is the difference of two readings:

1. Before the first reading ever nothing was consumed. After another boot, everything
   that the counters hold was: they began at nothing. Tallies go on.
2. A counter that is new, or went down, began again at nothing. A process that is new
   and started before the earlier reading was overlooked by it: it begins here.
3. When a process ends, what it used moves to the parent that waits for it. So what a
   process that is gone had used before is taken from the growth of what its nearest
   living ancestor has of its children, never from what that one used itself. Nothing
   counts twice. What a process used between its last reading and its end is lost when
   nobody of its partition waits for it, as when supervisord does: at most one period.
4. The time between two readings is that of the boot, which no clock step changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from attrs import evolve, field, frozen

from slapgrid.collecting.kernel_files import TICKS_PER_SECOND
from slapgrid.collecting.measures import Measure

#: The subject of what belongs to the computer as a whole; no partition is named so.
COMPUTER = ""

Amounts = Mapping[str, Mapping[Measure, float]]
"""Of each subject, so much of a measure."""
Counters = Mapping[tuple[str, Measure], float]

#: A reading takes less: a process may start after its turn and before its end.
START_SECONDS_MAX = 5.0
#: Processes that forget whose they are stand a few steps below one that knows.
DEPTH_MAX = 32


@frozen
class ProcessReading:
    """A process of a partition, as one reading found it."""

    pid: int
    started_ticks: int
    parent: int
    partition_id: str
    own_ticks: int = 0
    children_ticks: int = 0
    read_bytes: int = 0
    written_bytes: int = 0

    @property
    def key(self) -> tuple[int, int]:
        """No other process of this boot has it."""
        return self.pid, self.started_ticks


@frozen
class Reading:
    """All counters at one instant of a boot.

    ``tallies`` are counted on disk: another boot does not begin them again.
    """

    boot_id: str
    uptime_seconds: float
    processes: tuple[ProcessReading, ...] = ()
    counters: Counters = field(default=MappingProxyType({}))
    tallies: Counters = field(default=MappingProxyType({}))


@frozen
class Consumption:
    """What was consumed in the last ``elapsed_seconds``."""

    elapsed_seconds: float = 0.0
    amounts: Amounts = field(default=MappingProxyType({}))


def compare(before: Reading | None, after: Reading) -> Consumption:
    """What was consumed between two readings."""
    if before is None:
        return Consumption()
    if before.boot_id != after.boot_id:
        before = Reading(after.boot_id, 0.0, tallies=before.tallies)
    amounts: defaultdict[str, dict[Measure, float]] = defaultdict(dict)
    counters = {**after.counters, **after.tallies}
    known = {**before.counters, **before.tallies}
    for (subject, measure), count in sorted(counters.items()):
        amounts[subject][measure] = _growth(known.get((subject, measure), 0.0), count)
    for partition_id, used in _of_processes(before, after.processes).items():
        amounts[partition_id].update(used)
    return Consumption(
        max(0.0, after.uptime_seconds - before.uptime_seconds),
        MappingProxyType(
            {name: MappingProxyType(dict(used)) for name, used in amounts.items()}
        ),
    )


def adopt(processes: Iterable[ProcessReading]) -> tuple[ProcessReading, ...]:
    """Those of a partition, each child of one with its parent; the others left out."""
    by_pid = {process.pid: process for process in processes}
    adopted = []
    for process in by_pid.values():
        ancestor: ProcessReading | None = process
        for _ in range(DEPTH_MAX):
            if ancestor is None or ancestor.partition_id:
                break
            ancestor = by_pid.get(ancestor.parent)
        if ancestor is not None and ancestor.partition_id:
            adopted.append(evolve(process, partition_id=ancestor.partition_id))
    return tuple(adopted)


def _growth(before: float, after: float) -> float:
    return after - before if after >= before else after


def _of_processes(
    before: Reading, after: Iterable[ProcessReading]
) -> Mapping[str, Mapping[Measure, float]]:
    earlier = {process.key: process for process in before.processes}
    begun_ticks = (before.uptime_seconds - START_SECONDS_MAX) * TICKS_PER_SECOND
    living = {process.key for process in after}
    ended = _ended_below(earlier, living)
    sums: defaultdict[str, list[float]] = defaultdict(lambda: [0, 0, 0])
    for process in after:
        known = earlier.get(process.key)
        if known is None:
            is_new = process.started_ticks >= begun_ticks
            known = _begun(process) if is_new else process
        gone = ended.get(process.key, [0, 0, 0])
        ticks = process.own_ticks - known.own_ticks
        ticks += max(0, process.children_ticks - known.children_ticks - int(gone[0]))
        total = sums[process.partition_id]
        total[0] += ticks
        total[1] += max(0, process.read_bytes - known.read_bytes - gone[1])
        total[2] += max(0, process.written_bytes - known.written_bytes - gone[2])
    return {
        partition_id: {
            Measure.CPU_SECONDS: ticks / TICKS_PER_SECOND,
            Measure.READ_BYTES: read,
            Measure.WRITTEN_BYTES: written,
        }
        for partition_id, (ticks, read, written) in sums.items()
    }


def _begun(process: ProcessReading) -> ProcessReading:
    return evolve(process, own_ticks=0, children_ticks=0, read_bytes=0, written_bytes=0)


def _ended_below(
    earlier: Mapping[tuple[int, int], ProcessReading], living: set[tuple[int, int]]
) -> Mapping[tuple[int, int], list[float]]:
    """What the processes that ended had used, by the ancestor that may have it now."""
    by_pid = {process.pid: process for process in earlier.values()}
    ended: defaultdict[tuple[int, int], list[float]] = defaultdict(lambda: [0, 0, 0])
    for process in earlier.values():
        if process.key in living:
            continue
        ancestor = by_pid.get(process.parent)
        # No way up is longer than there are processes: a circle would be a lie.
        for _ in by_pid:
            if ancestor is None or ancestor.key in living:
                break
            ancestor = by_pid.get(ancestor.parent)
        if ancestor is not None and ancestor.partition_id == process.partition_id:
            gone = ended[ancestor.key]
            gone[0] += process.own_ticks + process.children_ticks
            gone[1] += process.read_bytes
            gone[2] += process.written_bytes
    return ended
