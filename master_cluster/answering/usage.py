"""Shell. What computers tell of usage."""

from __future__ import annotations

from master_cluster.answering.desk import AnswerTable, Desk
from master_cluster.store import decisions


class UsageAnswers:
    """Methods about usage."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def table(self) -> AnswerTable:
        return {
            "useComputer": self._keep_usage,
        }

    async def _keep_usage(self, computer_id: str, usage_document: str) -> None:
        now = self._desk.now()
        await self._desk.decide(
            lambda cloud, _: decisions.keep_usage(
                cloud, computer_id, usage_document, now
            )
        )
