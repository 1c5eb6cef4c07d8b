"""A store in a simulated world, driven step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from labsim.world.world import World
from master_cluster.records import ReportedState
from master_cluster.requesting import Refused
from master_cluster.store import decisions, documents
from master_cluster.store.cloud import Cloud
from master_cluster.store.storages import open_database
from master_cluster.store.store import Store
from slap.model import (
    Computer,
    InstanceRequest,
    Partition,
    PartitionKey,
    RequestedInstance,
)
from tests.builders import COMPUTER_ID, a_computer_definition, an_instance_request
from tests.unit.master_cluster.invariants import check_cloud

T = TypeVar("T")


class StoreBench:
    """A store; each call runs to its end before the next one."""

    def __init__(self, uri: str = "memory:", seed: int = 0) -> None:
        self.world = World(seed)
        self.host = self.world.host("master")
        self.runtime = self.host.runtime
        self.store = Store(open_database(uri, self.runtime.calendar), self.runtime)
        self.world.result(self.store.prepare())

    def close(self) -> None:
        """Check everything, and close."""
        self.ask(check_cloud)
        self.store.close()

    def ask(self, question: Callable[[Cloud], T]) -> T:
        return self.world.result(self.store.ask(question))

    def decide(self, decision: Callable[[Cloud, int], T]) -> T:
        return self.world.result(self.store.decide(decision))

    def now(self) -> float:
        return self.runtime.calendar.now()

    def format(self, partitions: int = 3, computer_id: str = COMPUTER_ID) -> None:
        definition = a_computer_definition(partitions, computer_id=computer_id)
        self.decide(lambda it, _: decisions.define_computer(it, definition, self.now()))

    def request(self, title: str = "root", **overrides: Any) -> RequestedInstance:
        """Request an instance; raises the error of a refusal."""
        return self.send(an_instance_request(title=title, **overrides))

    def send(self, wanted: InstanceRequest) -> RequestedInstance:
        guid = f"SOFTINST-{self.runtime.entropy.getrandbits(96):024x}"
        outcome = self.decide(
            lambda it, attempt: decisions.request_instance(
                it,
                wanted,
                instance_guid=guid,
                default_computer_id=None,
                now=self.now(),
                attempt=attempt,
            )
        )
        if isinstance(outcome, Refused):
            raise outcome.error
        return outcome

    def publish(
        self,
        partition: PartitionKey,
        values: dict[str, str],
        shared_reference: str | None = None,
    ) -> None:
        self.decide(
            lambda it, _: decisions.publish_connection(
                it, partition, values, shared_reference, self.now()
            )
        )

    def report(self, partition: PartitionKey, reported: ReportedState) -> None:
        self.decide(
            lambda it, _: decisions.report_instance(
                it, partition, reported, now=self.now()
            )
        )

    def report_destroyed(self, partition: PartitionKey) -> str:
        return self.decide(
            lambda it, _: decisions.report_destroyed(it, partition, self.now())
        )

    def computer(self, computer_id: str = COMPUTER_ID) -> Computer:
        return self.ask(lambda it: documents.document_of_computer(it, computer_id))

    def partition(self, key: PartitionKey) -> Partition:
        return self.ask(lambda it: documents.document_of_partition(it, key))

    def timestamp(self, key: PartitionKey) -> str:
        instance = self.partition(key).instance
        assert instance is not None
        return instance.timestamp
