"""Shell. The JSON-RPC methods about computers and releases.

What a legacy method does too is done by its answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from master_cluster.answering.desk import AnswerTable, Desk
from master_cluster.store import descriptions
from master_cluster.store.cloud import Cloud
from slap.errors import NotFound
from slap.method import RPC
from slap.model import SoftwareInstallation
from slap.rpc_model import ListedInstallation, ListedInstance
from slap.statuses import AccessStatus

_REPORTS = {
    "available": "availableSoftwareRelease",
    "building": "buildingSoftwareRelease",
    "destroyed": "destroyedSoftwareRelease",
}


class RpcComputerAnswers:
    """Methods of JSON-RPC about computers; ``legacy`` answers the older methods."""

    def __init__(self, desk: Desk, legacy: AnswerTable) -> None:
        self._desk = desk
        self._legacy = legacy

    def table(self) -> AnswerTable:
        legacy = self._legacy
        return {
            RPC + "allDocs.v0.compute_node_instance_list": self._list_instances,
            RPC
            + "allDocs.v0.compute_node_software_installation_list": self._list_releases,
            RPC + "allDocs.WIP.compute_node_list": self._list_computers,
            RPC + "get.v0.compute_node_status": self._get_status,
            RPC + "get.v0.hateoas_url": self._get_hateoas_url,
            RPC + "post.v0.compute_node_certificate": legacy[
                "generateComputerCertificate"
            ],
            RPC + "remove.v0.compute_node_certificate": self._saying(
                "revokeComputerCertificate", "Revoked"
            ),
            RPC + "post.v0.compute_node_usage": self._saying("useComputer", "Kept"),
            RPC + "post.v0.software_installation": self._supply,
            RPC + "put.v0.compute_node_bang": self._saying(
                "computerBang", "Bang handled"
            ),
            RPC + "put.v0.compute_node_format": self._saying(
                "loadComputerConfigurationFromXML", "Formatted"
            ),
            RPC + "put.v0.software_installation_error": self._report_error,
            RPC + "put.v0.software_installation_reported_state": self._report_state,
        }

    def _saying(self, method: str, sentence: str) -> Callable[..., Awaitable[str]]:
        """Answer as a legacy method does, and say that it is done."""

        async def answer(**arguments: object) -> str:
            await self._legacy[method](**arguments)
            return sentence

        return answer

    async def _list_instances(self, computer_id: str) -> tuple[ListedInstance, ...]:
        return await self._desk.read(descriptions.instances_of_computer, computer_id)

    async def _list_releases(self, computer_id: str) -> tuple[ListedInstallation, ...]:
        return await self._desk.read(
            descriptions.installations_of_computer, computer_id
        )

    async def _list_computers(self) -> tuple[str, ...]:
        return await self._desk.ask(Cloud.computer_ids)

    async def _get_status(self, computer_id: str) -> str:
        status = await self._legacy["getComputerStatus"](computer_id=computer_id)
        assert isinstance(status, AccessStatus)
        return status.text

    async def _get_hateoas_url(self) -> str:
        # Where it is depends on how the caller reached us: the web layer knows.
        raise NotFound("hateoas is not served here")

    async def _supply(self, installation: SoftwareInstallation) -> str:
        await self._legacy["supplySupply"](installation=installation)
        url, wanted = installation.software_release_url, installation.requested_state
        return f"Supplied {url} to be {wanted.value}"

    async def _report_error(
        self, software_release_url: str, computer_id: str, message: str
    ) -> str:
        await self._legacy["softwareReleaseError"](
            software_release_url=software_release_url,
            computer_id=computer_id,
            error_log=message,
        )
        return "Reported"

    async def _report_state(
        self, software_release_url: str, computer_id: str, reported_state: str
    ) -> str:
        await self._legacy[_REPORTS[reported_state]](
            software_release_url=software_release_url, computer_id=computer_id
        )
        return "Reported"
