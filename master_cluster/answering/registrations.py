"""Shell. How computers are registered, and what whole trees and masters are asked."""

from __future__ import annotations

from master_cluster.answering.desk import AnswerTable, Desk
from master_cluster.store.addressing import addresses_of_tree
from master_cluster.store.cloud import Cloud
from master_cluster.store.documents import document_of_computer
from master_cluster.store.provisioning import request_computer
from slap.model import Computer, NetworkAddress, PartitionKey


class RegistrationAnswers:
    """Methods about what stands around partitions."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def table(self) -> AnswerTable:
        return {
            "requestComputer": self._register_computer,
            "getHostingSubscriptionIpList": self._get_tree_addresses,
            "getRunId": self._get_run_id,
        }

    async def _register_computer(self, title: str) -> Computer:
        now = self._desk.now()

        def decision(cloud: Cloud, _: int) -> Computer:
            computer_id = request_computer(cloud, title, now)
            return document_of_computer(cloud, computer_id)

        return await self._desk.decide(decision)

    async def _get_tree_addresses(
        self, partition: PartitionKey
    ) -> tuple[NetworkAddress, ...]:
        return await self._desk.read(addresses_of_tree, partition)

    async def _get_run_id(self) -> str:
        return self._desk.run_id
