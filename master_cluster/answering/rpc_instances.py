"""Shell. The JSON-RPC methods about instances.

What a legacy method does too is done by its answer: this dialect only finds the
instance by its guid, and says the same in other words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from master_cluster.answering.desk import AnswerTable, Desk
from master_cluster.describing import describe_answer
from master_cluster.records import ReportedState
from master_cluster.remembering import Lasting
from master_cluster.requesting import Refused
from master_cluster.store import decisions, descriptions
from master_cluster.store.cloud import Cloud
from slap.errors import NotFound
from slap.method import RPC
from slap.model import (
    Certificate,
    InstanceRequest,
    PartitionKey,
    RequestedInstance,
    RequestedState,
)
from slap.rpc_model import HostedInstance, InstanceDescription

T = TypeVar("T")


class RpcInstanceAnswers:
    """Methods of JSON-RPC about instances; ``legacy`` answers the older methods."""

    def __init__(self, desk: Desk, legacy: AnswerTable) -> None:
        self._desk = desk
        self._legacy = legacy

    def table(self) -> AnswerTable:
        return {
            RPC + "allDocs.v0.instance_node_instance_list": self._list_guests,
            RPC + "allDocs.v0.instance_tree_list": self._list_trees,
            RPC + "get.v0.compute_partition": self._get_occupant,
            RPC + "get.v0.software_instance": self._get_instance,
            RPC + "get.v0.instance_tree": self._get_tree,
            RPC + "get.v0.software_instance_certificate": self._get_certificate,
            RPC + "post.v0.software_instance": self._request_instance,
            RPC + "put.v0.software_instance_bang": self._bang_tree,
            RPC + "put.v0.software_instance_connection_parameter": self._publish,
            RPC + "put.v0.software_instance_error": self._report_error,
            RPC + "put.v0.software_instance_reported_state": self._report_state,
            RPC + "put.v0.software_instance_title": self._rename,
        }

    async def _list_guests(self, instance_guid: str) -> tuple[HostedInstance, ...]:
        return await self._desk.read(descriptions.guests_of_host, instance_guid)

    async def _list_trees(self) -> tuple[str, ...]:
        return await self._desk.ask(descriptions.titles_of_trees)

    async def _get_occupant(self, partition: PartitionKey) -> InstanceDescription:
        return await self._desk.read(descriptions.describe_partition, partition)

    async def _get_instance(self, instance_guid: str) -> InstanceDescription:
        return await self._desk.read(descriptions.describe_guid, instance_guid)

    async def _get_tree(self, title: str) -> InstanceDescription:
        return await self._desk.read(descriptions.describe_tree, title)

    async def _get_certificate(self, instance_guid: str) -> Certificate:
        partition, shared_reference = await self._desk.read(
            descriptions.place_of, instance_guid
        )
        if shared_reference is not None:
            raise NotFound(f"{instance_guid} is shared: its host has a certificate")
        found = await self._legacy["getComputerPartitionCertificate"](
            partition=partition
        )
        assert isinstance(found, Certificate)
        return found

    async def _request_instance(
        self, instance_request: InstanceRequest
    ) -> InstanceDescription:
        answer = await self._legacy["requestComputerPartition"](
            instance_request=instance_request
        )
        if isinstance(answer, Lasting):
            answer = answer.answer
        assert isinstance(answer, RequestedInstance)
        try:
            return await self._get_instance(answer.instance_guid or "")
        except NotFound:
            # A shared instance is gone as soon as its destruction is requested.
            return describe_answer(instance_request, answer)

    async def _bang_tree(self, instance_guid: str, message: str) -> str:
        now = self._desk.now()
        await self._decide_at(
            instance_guid,
            lambda cloud, key, _: decisions.bang_tree(cloud, key, message, now),
        )
        return "Bang handled"

    async def _publish(
        self, instance_guid: str, connection_parameters: Mapping[str, str]
    ) -> str:
        now = self._desk.now()
        await self._decide_at(
            instance_guid,
            lambda cloud, key, reference: decisions.publish_connection(
                cloud, key, connection_parameters, reference, now
            ),
        )
        return "Updated"

    async def _report_error(self, instance_guid: str, message: str) -> str:
        await self._report(instance_guid, ReportedState.ERROR, message)
        return "Reported"

    async def _report_state(
        self, instance_guid: str, reported_state: RequestedState
    ) -> str:
        if reported_state is not RequestedState.DESTROYED:
            await self._report(instance_guid, ReportedState(reported_state.value))
            return "Reported"
        now = self._desk.now()

        def report(cloud: Cloud, key: PartitionKey, reference: str | None) -> str:
            if reference is not None:
                return "Not destroying a shared instance: its host removes it"
            return decisions.report_destroyed(cloud, key, now)

        return await self._decide_at(instance_guid, report)

    async def _rename(self, instance_guid: str, title: str) -> str:
        refused = await self._decide_at(
            instance_guid,
            lambda cloud, key, reference: decisions.rename_instance(
                cloud, key, title, reference
            ),
        )
        if isinstance(refused, Refused):
            raise refused.error
        return "Renamed"

    async def _report(
        self, instance_guid: str, reported_state: ReportedState, message: str = ""
    ) -> None:
        now = self._desk.now()
        await self._decide_at(
            instance_guid,
            lambda cloud, key, reference: decisions.report_instance(
                cloud,
                key,
                reported_state,
                message=message,
                shared_reference=reference,
                now=now,
            ),
        )

    async def _decide_at(
        self,
        instance_guid: str,
        decision: Callable[[Cloud, PartitionKey, str | None], T],
    ) -> T:
        """Commit a decision about the place of an instance."""
        return await self._desk.decide(
            lambda cloud, _: decision(
                cloud, *descriptions.place_of(cloud, instance_guid)
            )
        )
