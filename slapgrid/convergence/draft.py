"""Core. A plan in the making: what is due, what waits, what is worth a report."""

from __future__ import annotations

import math
from collections import Counter

from attrs import define, field

from slap.model import Partition, PartitionInstance
from slapgrid.convergence.plans import (
    Action,
    Plan,
    Report,
    ReportSoftware,
    Verdict,
    wanted_stamp,
)
from slapgrid.convergence.retrying import (
    DEPARTURE_EFFORTS,
    Attempt,
    Effort,
    RetryMemory,
)
from slapgrid.convergence.statuses import is_contradicted

#: A master that still asks for what was acknowledged is told again so often.
REPORT_AGAIN_SECONDS = 60.0
#: Sentences about single partitions in ``Plan.reason``; the log is read by people.
REASON_SENTENCES_MAX = 8


@define
class Draft:
    """A plan in the making."""

    memory: RetryMemory
    now: float
    actions: list[Action] = field(factory=list)
    sentences: list[str] = field(factory=list)
    wakes: list[float] = field(factory=list)
    failing: list[str] = field(factory=list)

    @property
    def word_count(self) -> int:
        """How much was said until now, of whatever partition."""
        return len(self.actions) + len(self.sentences) + len(self.failing)

    def add(self, action: Action) -> bool:
        """Take the action, or note when its delay ends."""
        due_at = self.memory.due_at(action.effort, action.name, action.stamp, self.now)
        if due_at > self.now:
            self.wakes.append(due_at)
            return False
        self.actions.append(action)
        return True

    def wake(self, at: float) -> None:
        """Have another plan made then, if that is an instant to come."""
        if self.now < at < math.inf:
            self.wakes.append(at)

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def failure(self, effort: Effort, name: str, stamp: str = "") -> Attempt | None:
        return self.memory.attempt(effort, name, stamp)

    def departure_failure(self, partition_id: str) -> str | None:
        """Why the instance has not left the partition, if something failed."""
        found = [self.failure(each, partition_id) for each in sorted(DEPARTURE_EFFORTS)]
        return next((each.message for each in found if each is not None), None)

    def bound(self, kind: type[Action], count_max: int) -> None:
        """Keep at most so many actions of a kind; the rest is for the next plan."""
        count = 0
        kept: list[Action] = []
        for action in self.actions:
            count += isinstance(action, kind)
            if isinstance(action, kind) and count > count_max:
                self.wakes.append(self.now)
            else:
                kept.append(action)
        self.actions = kept

    def report_software(self, url: str, verdict: Verdict, message: str = "") -> None:
        """Report what the master has not acknowledged yet."""
        action = ReportSoftware(url, verdict, message)
        last = self.memory.reported.get(url)
        if last is None or last.text != action.stamp:
            self.add(action)
        elif verdict is Verdict.DESTROYED:
            self._report_again(action, last.at)

    def report(
        self,
        partition: Partition,
        instance: PartitionInstance,
        verdict: Verdict,
        message: str = "",
    ) -> None:
        """Report what the master has not acknowledged, or what it contradicts."""
        stamp = wanted_stamp(partition)
        action = Report(partition.key.partition_id, stamp, verdict, message)
        last = self.memory.reported.get(action.name)
        if last is None or last.text != action.stamp:
            self.add(action)
        elif verdict is Verdict.DESTROYED or is_contradicted(
            verdict, instance.access_status
        ):
            self._report_again(action, last.at)

    def _report_again(self, action: Action, reported_at: float) -> None:
        if 0 <= self.now - reported_at < REPORT_AGAIN_SECONDS:
            self.wake(reported_at + REPORT_AGAIN_SECONDS)
        else:
            self.add(action)

    def finished(self) -> Plan:
        reason = _counted(self.actions)
        shown = self.sentences[:REASON_SENTENCES_MAX]
        if len(self.sentences) > len(shown):
            shown.append(f"and {len(self.sentences) - len(shown)} more")
        return Plan(
            tuple(self.actions),
            "; ".join([reason, *shown]),
            min(self.wakes, default=None),
            tuple(self.failing),
        )


def _counted(actions: list[Action]) -> str:
    if not actions:
        return "nothing to do"
    counts = Counter(str(action.effort) for action in actions)
    return ", ".join(f"{effort} {count}" for effort, count in counts.items())
