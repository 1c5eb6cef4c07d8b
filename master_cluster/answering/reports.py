"""Shell. What the master tells a person of its cloud."""

from __future__ import annotations

from master_cluster.answering.desk import AnswerTable, Desk
from master_cluster.store import documents
from slap.methods import EXTENSION
from slap.model import PartitionKey
from slap.reports import AllocationReport, CloudReport, ComputerReport, TreeReport


class ReportAnswers:
    """Our own methods."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def table(self) -> AnswerTable:
        return {
            EXTENSION + "status": self._report_cloud,
            EXTENSION + "computer": self._report_computer,
            EXTENSION + "instance_tree": self._report_tree,
            EXTENSION + "requested": self._report_requested,
            EXTENSION + "why": self._report_allocation,
        }

    async def _report_cloud(self) -> CloudReport:
        return await self._desk.ask(documents.report_of_cloud)

    async def _report_computer(self, computer_id: str) -> ComputerReport:
        return await self._desk.read(documents.report_of_computer, computer_id)

    async def _report_tree(self, title: str) -> TreeReport:
        return await self._desk.read(documents.report_of_tree, title)

    async def _report_requested(self, partition: PartitionKey) -> TreeReport:
        return await self._desk.read(documents.report_of_requested, partition)

    async def _report_allocation(self, title: str, root_title: str) -> AllocationReport:
        return await self._desk.ask(
            lambda cloud: documents.report_of_allocation(
                cloud, title, root_title, self._desk.default_computer_id
            )
        )
