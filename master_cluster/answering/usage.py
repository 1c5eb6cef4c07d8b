"""Shell. What computers tell of usage, and what is told of it."""

from __future__ import annotations

from master_cluster.answering.desk import AnswerTable, Desk
from master_cluster.store import decisions
from master_cluster.store.cloud import Cloud
from slap.methods import EXTENSION
from slap.usage import UsageList, UsageReport

LIST_COUNT_MAX = 1000
"""Documents in one answer: some 400 kB of JSON; whoever wants more asks again."""


class UsageAnswers:
    """Methods about usage."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def table(self) -> AnswerTable:
        return {
            "useComputer": self._keep_usage,
            EXTENSION + "usage": self._list_usage,
            EXTENSION + "usage_document": self._report_document,
        }

    async def _keep_usage(self, computer_id: str, usage_document: str) -> None:
        now = self._desk.now()
        await self._desk.decide(
            lambda cloud, _: decisions.keep_usage(
                cloud, computer_id, usage_document, now
            )
        )

    async def _list_usage(
        self, computer_id: str, since: float, after: str
    ) -> UsageList:
        def question(cloud: Cloud) -> UsageList:
            usage = cloud.usage(computer_id)
            documents, next_after = usage.summaries(since, after, LIST_COUNT_MAX)
            return UsageList(computer_id, documents, next_after)

        return await self._desk.ask(question)

    async def _report_document(self, computer_id: str, document_id: str) -> UsageReport:
        def question(cloud: Cloud) -> UsageReport:
            record, summary = cloud.usage(computer_id).document(document_id)
            return UsageReport(computer_id, summary, record.journal, record.document)

        return await self._desk.ask(question)
