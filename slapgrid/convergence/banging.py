"""Core. When to bang: ask the master to have an instance tree processed again.

A bang is for a deployment that worked and works no longer: a service died, or a check
of a promise found an anomaly. Of each deployment there is at most one, whoever makes
it, the agent or the watchdog. A deployment is known by the content of ``.timestamp``,
which is only compared: no form of it means anything. What was banged for is kept in the
partition, where stock nodes keep it, once the master has acknowledged.

A service that dies at once would have its tree processed without end, since each bang
makes a deployment: bangs of a partition keep a distance.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from slapgrid.convergence.views import BangMark, PromiseView

#: As often as a stock node passes.
BANG_SECONDS_MIN = 60.0
#: What stock nodes keep when they bang for what was never deployed.
NEVER_DEPLOYED = "0"


@frozen
class Deployment:
    """What was deployed in a partition, and what it was banged for last."""

    timestamp: str | None
    mark: BangMark | None = None

    @property
    def is_banged(self) -> bool:
        """Whether this deployment had its bang.

        What was never deployed has one; the master knows then that it does not work.
        """
        if self.mark is None:
            return False
        return self.timestamp is None or self.mark.timestamp == self.timestamp

    @property
    def next_mark(self) -> str:
        """What to keep once the master has acknowledged."""
        return NEVER_DEPLOYED if self.timestamp is None else self.timestamp

    def due_at(self, now: float, distance_seconds: float = BANG_SECONDS_MIN) -> float:
        """When the partition may bang, if it may; up to ``now`` means at once."""
        if self.mark is None or self.mark.at > now:
            return now
        return self.mark.at + distance_seconds


def find_anomaly(promises: Iterable[PromiseView], deployed_at: float) -> str | None:
    """The first promise that found an anomaly in what is deployed now."""
    found = sorted(
        each.name
        for each in promises
        if each.anomaly_at is not None and each.anomaly_at >= deployed_at
    )
    return found[0] if found else None


def describe_anomaly(title: str) -> str:
    """What the master is told, in the words of stock nodes."""
    return f"Promise {title} is failing"


def describe_ended_program(process_name: str, partition_id: str) -> str:
    """What the master is told of a service that ended."""
    return f"{process_name} process in partition {partition_id} encountered a problem"
