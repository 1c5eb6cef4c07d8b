"""Shell. How each method of SLAP is answered.

The table names every method of ``slap.methods``: one without an answer, or an answer
without a method, keeps the master from starting.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from master_cluster.records import ReportedState
from master_cluster.requesting import Refused
from master_cluster.store import decisions, documents
from master_cluster.store.cloud import Cloud
from master_cluster.store.store import Store
from runtime.ports import Runtime
from slap.calls import Call
from slap.methods import METHODS
from slap.model import (
    Certificate,
    Computer,
    ComputerDefinition,
    InstanceRequest,
    Partition,
    PartitionKey,
    RequestedInstance,
    SoftwareInstallation,
)
from slap.reports import AllocationReport, CloudReport, ComputerReport, TreeReport

GUID_BITS = 96
"""Of chance: no two instances of any master ever meet."""

T = TypeVar("T")


class Answers:
    """The methods of SLAP, over a store."""

    def __init__(
        self, store: Store, runtime: Runtime, default_computer_id: str | None
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._default_computer_id = default_computer_id
        self._requests_running = 0
        self._table: Mapping[str, Callable[..., Awaitable[object]]] = {
            "getFullComputerInformation": self._get_computer,
            "getComputerInformation": self._get_computer,
            "registerComputerPartition": self._get_partition,
            "getComputerPartitionCertificate": self._get_certificate,
            "requestComputerPartition": self._request_instance,
            "setComputerPartitionConnectionXml": self._publish_connection,
            "supplySupply": self._supply,
            "buildingSoftwareRelease": self._release_reporter(ReportedState.BUILDING),
            "availableSoftwareRelease": self._release_reporter(ReportedState.AVAILABLE),
            "softwareReleaseError": self._release_reporter(ReportedState.ERROR),
            "destroyedSoftwareRelease": self._report_release_removed,
            "startedComputerPartition": self._instance_reporter(ReportedState.STARTED),
            "stoppedComputerPartition": self._instance_reporter(ReportedState.STOPPED),
            "softwareInstanceError": self._instance_reporter(ReportedState.ERROR),
            "destroyedComputerPartition": self._report_destroyed,
            "softwareInstanceBang": self._bang_tree,
            "computerBang": self._bang_computer,
            "softwareInstanceRename": self._rename_instance,
            "loadComputerConfigurationFromXML": self._define_computer,
            "useComputer": self._keep_usage,
            "updateComputerPartitionRelatedInstanceList": self._check_partition,
            "slapcluster.v0.status": self._report_cloud,
            "slapcluster.v0.computer": self._report_computer,
            "slapcluster.v0.instance_tree": self._report_tree,
            "slapcluster.v0.why": self._report_allocation,
        }
        odd = sorted(set(self._table) ^ set(METHODS))
        assert not odd, f"methods on one side only: {', '.join(odd)}"

    async def answer(self, call: Call) -> object:
        """Return the answer to a call; raises the errors of ``slap``."""
        return await self._table[call.method](**call.arguments)

    async def _get_computer(self, computer_id: str) -> Computer:
        return await self._ask(documents.document_of_computer, computer_id)

    async def _get_partition(self, partition: PartitionKey) -> Partition:
        return await self._ask(documents.document_of_partition, partition)

    async def _get_certificate(self, partition: PartitionKey) -> Certificate:
        await self._ask(Cloud.partition, partition)
        return Certificate("", "")

    async def _request_instance(
        self, instance_request: InstanceRequest
    ) -> RequestedInstance:
        bits = self._runtime.entropy.getrandbits(GUID_BITS)
        instance_guid = f"SOFTINST-{bits:0{GUID_BITS // 4}x}"
        now = self._runtime.calendar.now()
        # Requests that run at once would all want the first free partition: those who
        # find others at work spread from the beginning, as after a conflict.
        crowd = self._requests_running
        self._requests_running += 1
        try:
            outcome = await self._store.decide(
                lambda cloud, attempt: decisions.request_instance(
                    cloud,
                    instance_request,
                    instance_guid=instance_guid,
                    default_computer_id=self._default_computer_id,
                    now=now,
                    attempt=crowd + attempt,
                )
            )
        finally:
            self._requests_running -= 1
        if isinstance(outcome, Refused):
            raise outcome.error
        return outcome

    async def _publish_connection(
        self,
        partition: PartitionKey,
        connection_parameters: Mapping[str, str],
        shared_reference: str | None,
    ) -> None:
        now = self._runtime.calendar.now()
        await self._store.decide(
            lambda cloud, _: decisions.publish_connection(
                cloud, partition, connection_parameters, shared_reference, now
            )
        )

    async def _supply(self, installation: SoftwareInstallation) -> None:
        await self._store.decide(lambda cloud, _: decisions.supply(cloud, installation))

    def _release_reporter(
        self, reported_state: ReportedState
    ) -> Callable[..., Awaitable[object]]:
        async def report(
            software_release_url: str, computer_id: str, error_log: str = ""
        ) -> None:
            now = self._runtime.calendar.now()
            await self._store.decide(
                lambda cloud, _: decisions.report_release(
                    cloud,
                    software_release_url,
                    computer_id,
                    reported_state,
                    message=error_log,
                    now=now,
                )
            )

        return report

    async def _report_release_removed(
        self, software_release_url: str, computer_id: str
    ) -> None:
        await self._store.decide(
            lambda cloud, _: decisions.report_release_removed(
                cloud, software_release_url, computer_id
            )
        )

    def _instance_reporter(
        self, reported_state: ReportedState
    ) -> Callable[..., Awaitable[object]]:
        async def report(
            partition: PartitionKey,
            error_log: str = "",
            shared_reference: str | None = None,
        ) -> None:
            now = self._runtime.calendar.now()
            await self._store.decide(
                lambda cloud, _: decisions.report_instance(
                    cloud,
                    partition,
                    reported_state,
                    message=error_log,
                    shared_reference=shared_reference,
                    now=now,
                )
            )

        return report

    async def _report_destroyed(self, partition: PartitionKey) -> str:
        now = self._runtime.calendar.now()
        return await self._store.decide(
            lambda cloud, _: decisions.report_destroyed(cloud, partition, now)
        )

    async def _bang_tree(self, partition: PartitionKey, message: str) -> None:
        now = self._runtime.calendar.now()
        await self._store.decide(
            lambda cloud, _: decisions.bang_tree(cloud, partition, message, now)
        )

    async def _bang_computer(self, computer_id: str, message: str) -> None:
        now = self._runtime.calendar.now()
        await self._store.decide(
            lambda cloud, _: decisions.bang_computer(cloud, computer_id, message, now)
        )

    async def _rename_instance(
        self, partition: PartitionKey, title: str, shared_reference: str | None
    ) -> None:
        refused = await self._store.decide(
            lambda cloud, _: decisions.rename_instance(
                cloud, partition, title, shared_reference
            )
        )
        if refused is not None:
            raise refused.error

    async def _define_computer(self, definition: ComputerDefinition) -> None:
        now = self._runtime.calendar.now()
        await self._store.decide(
            lambda cloud, _: decisions.define_computer(cloud, definition, now)
        )

    async def _keep_usage(self, computer_id: str, usage_document: str) -> None:
        now = self._runtime.calendar.now()
        await self._store.decide(
            lambda cloud, _: decisions.keep_usage(
                cloud, computer_id, usage_document, now
            )
        )

    async def _check_partition(
        self,
        partition: PartitionKey,
        titles: tuple[str, ...],  # noqa: ARG002 - the tree is known from the requests
    ) -> None:
        await self._ask(Cloud.partition, partition)

    async def _report_cloud(self) -> CloudReport:
        return await self._store.ask(documents.report_of_cloud)

    async def _report_computer(self, computer_id: str) -> ComputerReport:
        return await self._ask(documents.report_of_computer, computer_id)

    async def _report_tree(self, title: str) -> TreeReport:
        return await self._ask(documents.report_of_tree, title)

    async def _report_allocation(self, title: str, root_title: str) -> AllocationReport:
        return await self._store.ask(
            lambda cloud: documents.report_of_allocation(
                cloud, title, root_title, self._default_computer_id
            )
        )

    async def _ask(self, question: Callable[..., T], *arguments: object) -> T:
        return await self._store.ask(lambda cloud: question(cloud, *arguments))
