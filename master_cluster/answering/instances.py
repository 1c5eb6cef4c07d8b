"""Shell. How instances are requested, and what is reported of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from master_cluster.answering.desk import AnswerTable, Desk
from master_cluster.answering.forwarder import Forwarder
from master_cluster.records import ReportedState
from master_cluster.remembering import Lasting
from master_cluster.requesting import Refused
from master_cluster.store import decisions
from master_cluster.store.callers import present_caller
from master_cluster.store.cloud import Cloud
from master_cluster.store.forwarding_decisions import Sending
from slap.model import InstanceRequest, PartitionKey, RequestedInstance

GUID_BITS = 96
"""Of chance: no two instances of any master ever meet."""


class InstanceAnswers:
    """Methods about instances."""

    def __init__(self, desk: Desk, forwarder: Forwarder | None = None) -> None:
        self._desk = desk
        self._forwarder = forwarder
        self._requests_running = 0

    def table(self) -> AnswerTable:
        return {
            "requestComputerPartition": self._request_instance,
            "setComputerPartitionConnectionXml": self._publish_connection,
            "startedComputerPartition": self._instance_reporter(ReportedState.STARTED),
            "stoppedComputerPartition": self._instance_reporter(ReportedState.STOPPED),
            "softwareInstanceError": self._instance_reporter(ReportedState.ERROR),
            "destroyedComputerPartition": self._report_destroyed,
            "softwareInstanceBang": self._bang_tree,
            "softwareInstanceRename": self._rename_instance,
            "updateComputerPartitionRelatedInstanceList": self._check_partition,
        }

    async def _request_instance(
        self, instance_request: InstanceRequest
    ) -> RequestedInstance | Lasting[RequestedInstance]:
        outlook = self._forwarder.look() if self._forwarder is not None else None
        bits = self._desk.entropy.getrandbits(GUID_BITS)
        instance_guid = f"SOFTINST-{bits:0{GUID_BITS // 4}x}"
        now = self._desk.now()
        is_claiming = present_caller().is_claiming
        # Requests that run at once would all want the first free partition: those who
        # find others at work spread from the beginning, as after a conflict.
        crowd = min(self._requests_running, self._desk.store.decisions_max - 1)
        self._requests_running += 1
        try:
            outcome, stands_on = await self._desk.decide(
                lambda cloud, attempt: (
                    decisions.request_instance(
                        cloud,
                        instance_request,
                        instance_guid=instance_guid,
                        default_computer_id=self._desk.default_computer_id,
                        now=now,
                        attempt=crowd + attempt,
                        is_claiming=is_claiming,
                        outlook=outlook,
                    ),
                    cloud.stands_on(),
                )
            )
        finally:
            self._requests_running -= 1
        if isinstance(outcome, Refused):
            raise outcome.error
        if isinstance(outcome, Sending):
            assert self._forwarder is not None
            return await self._forwarder.forward(outcome)
        return outcome if stands_on is None else Lasting(outcome, stands_on)

    async def _publish_connection(
        self,
        partition: PartitionKey,
        connection_parameters: Mapping[str, str],
        shared_reference: str | None,
    ) -> None:
        now = self._desk.now()
        await self._desk.decide(
            lambda cloud, _: decisions.publish_connection(
                cloud, partition, connection_parameters, shared_reference, now
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
            now = self._desk.now()
            await self._desk.decide(
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
        now = self._desk.now()
        sentence = await self._desk.decide(
            lambda cloud, _: decisions.report_destroyed(cloud, partition, now)
        )
        if self._forwarder is not None:
            self._forwarder.wake()
        return sentence

    async def _bang_tree(self, partition: PartitionKey, message: str) -> None:
        now = self._desk.now()
        await self._desk.decide(
            lambda cloud, _: decisions.bang_tree(cloud, partition, message, now)
        )

    async def _rename_instance(
        self, partition: PartitionKey, title: str, shared_reference: str | None
    ) -> None:
        refused = await self._desk.decide(
            lambda cloud, _: decisions.rename_instance(
                cloud, partition, title, shared_reference
            )
        )
        if refused is not None:
            raise refused.error

    async def _check_partition(
        self,
        partition: PartitionKey,
        titles: tuple[str, ...],  # noqa: ARG002 - the tree is known from the requests
    ) -> None:
        await self._desk.read(Cloud.partition, partition)
