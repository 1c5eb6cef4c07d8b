"""Shell. Decisions that hold only while what their asker saw is still so."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from master_cluster.answering.desk import Desk
from master_cluster.store.cloud import Cloud

T = TypeVar("T")


class CheckedDesk(Desk):
    """A desk whose decisions run ``check`` first, in the same transaction.

    What it raises is raised to whoever asked, and nothing is written.
    """

    def __init__(self, desk: Desk, check: Callable[[Cloud], None]) -> None:
        # The same desk in all else: what belongs to the process is shared, not made.
        vars(self).update(vars(desk))
        self._check = check

    async def decide(self, decision: Callable[[Cloud, int], T]) -> T:
        def decide_checked(cloud: Cloud, attempt: int) -> T:
            self._check(cloud)
            return decision(cloud, attempt)

        return await super().decide(decide_checked)
