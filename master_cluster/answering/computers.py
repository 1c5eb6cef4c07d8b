"""Shell. How computers are defined, polled and banged."""

from __future__ import annotations

from collections.abc import Mapping

from master_cluster.answering.desk import AnswerTable, Desk
from master_cluster.store import decisions, documents
from master_cluster.store.giving_up import give_up_computer
from slap.methods import EXTENSION
from slap.model import Computer, ComputerDefinition, Partition, PartitionKey
from slap.reports import ComputerReport, TreeReport


class ComputerAnswers:
    """Methods about computers and partitions."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def table(self) -> AnswerTable:
        return {
            "getFullComputerInformation": self._get_computer,
            "getComputerInformation": self._get_computer,
            "registerComputerPartition": self._get_partition,
            "loadComputerConfigurationFromXML": self._define_computer,
            "computerBang": self._bang_computer,
            EXTENSION + "set_computer_attributes": self._set_attributes,
            EXTENSION + "give_up_computer": self._give_up,
        }

    async def _get_computer(self, computer_id: str) -> Computer:
        return await self._desk.read(documents.document_of_computer, computer_id)

    async def _get_partition(self, partition: PartitionKey) -> Partition:
        return await self._desk.read(documents.document_of_partition, partition)

    async def _define_computer(self, definition: ComputerDefinition) -> None:
        now = self._desk.now()
        await self._desk.decide(
            lambda cloud, _: decisions.define_computer(cloud, definition, now)
        )

    async def _bang_computer(self, computer_id: str, message: str) -> None:
        now = self._desk.now()
        await self._desk.decide(
            lambda cloud, _: decisions.bang_computer(cloud, computer_id, message, now)
        )

    async def _set_attributes(
        self, computer_id: str, attributes: Mapping[str, str]
    ) -> ComputerReport:
        await self._desk.decide(
            lambda cloud, _: decisions.set_attributes(cloud, computer_id, attributes)
        )
        return await self._desk.read(documents.report_of_computer, computer_id)

    async def _give_up(self, computer_id: str) -> TreeReport:
        now, default = self._desk.now(), self._desk.default_computer_id
        return await self._desk.decide(
            lambda cloud, _: give_up_computer(cloud, computer_id, default, now)
        )
