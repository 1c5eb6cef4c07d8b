"""Shell. What the master says of what it last heard."""

from __future__ import annotations

from master_cluster.answering.desk import AnswerTable, Desk
from master_cluster.contacts import Contact
from master_cluster.statuses import (
    status_of_computer,
    status_of_installation,
    status_of_instance,
)
from master_cluster.store.cloud import Cloud
from slap.errors import NotFound
from slap.model import PartitionKey
from slap.statuses import AccessStatus


class StatusAnswers:
    """Methods about the last contacts and reports."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def table(self) -> AnswerTable:
        return {
            "getComputerStatus": self._get_computer_status,
            "getComputerPartitionStatus": self._get_instance_status,
            "getSoftwareInstallationStatus": self._get_installation_status,
        }

    async def _get_computer_status(self, computer_id: str) -> AccessStatus:
        await self._desk.read(Cloud.computer, computer_id)
        return status_of_computer(self._contact(computer_id))

    async def _get_instance_status(self, partition: PartitionKey) -> AccessStatus:
        instance = await self._desk.read(Cloud.occupant, partition)
        return status_of_instance(instance, self._contact(partition.computer_id))

    async def _get_installation_status(
        self, software_release_url: str, computer_id: str
    ) -> AccessStatus:
        installation = await self._desk.read(
            Cloud.installation, software_release_url, computer_id
        )
        if installation is None:
            raise NotFound(f"{software_release_url} is not supplied to {computer_id}")
        return status_of_installation(installation, self._contact(computer_id))

    def _contact(self, computer_id: str) -> Contact:
        return self._desk.contacts.contact(computer_id, self._desk.now())
