"""A store, or a whole master, in a simulated world, driven step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import copy_context
from types import MappingProxyType
from typing import Any, TypeVar

from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from labsim.world.world import World
from master_cluster.config import Config
from master_cluster.records import ReportedState
from master_cluster.requesting import Refused
from master_cluster.service import build_service
from master_cluster.store import decisions, documents
from master_cluster.store.callers import Caller, enter
from master_cluster.store.cloud import Cloud
from master_cluster.store.storages import Opening
from master_cluster.store.store import Store
from runtime.http_client import HttpClient, HttpReply
from runtime.ports import TcpAddress
from slap.calls import Call, HttpAnswer, decode_answer, encode_call
from slap.model import (
    Computer,
    InstanceRequest,
    Partition,
    PartitionKey,
    RequestedInstance,
)
from tests.builders import COMPUTER_ID, a_computer_definition, an_instance_request
from tests.stores import open_test_database
from tests.unit.master_cluster.invariants import check_cloud

T = TypeVar("T")


def as_caller(caller: Caller, do: Callable[[], T]) -> T:
    """Do something in a context of which this is the caller."""

    def doing() -> T:
        enter(caller)
        return do()

    return copy_context().run(doing)


class StoreBench:
    """A store; each call runs to its end before the next one."""

    def __init__(
        self, uri: str = "memory:", seed: int = 0, opening: Opening = open_test_database
    ) -> None:
        self.world = World(seed)
        self.host = self.world.host("master")
        self.runtime = self.host.runtime
        self.store = Store(opening(uri, self.runtime.calendar), self.runtime)
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

    def send(
        self, wanted: InstanceRequest, *, is_claiming: bool = False
    ) -> RequestedInstance:
        guid = f"SOFTINST-{self.runtime.entropy.getrandbits(96):024x}"
        outcome = self.decide(
            lambda it, attempt: decisions.request_instance(
                it,
                wanted,
                instance_guid=guid,
                default_computer_id=None,
                now=self.now(),
                attempt=attempt,
                is_claiming=is_claiming,
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


class Line(Protocol):
    """A connection to the master, byte by byte."""

    def __init__(self) -> None:
        self.received = b""
        self.is_lost = False

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002
        self.is_lost = True

    def write(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


class WebBench:
    """A whole master in a world, and a client on the same host."""

    def __init__(
        self, seed: int = 0, opening: Opening = open_test_database, **overrides: Any
    ) -> None:
        self.world = World(seed)
        self.host = self.world.host("master")
        self.prepare()
        self.address = TcpAddress("127.0.0.1", 5000)
        fields = {"store_uri": "memory:", "listen": self.address}
        self.service = build_service(
            Config(**{**fields, **overrides}), self.host.runtime, opening
        )
        self.world.result(self.service.startService())
        self._client = HttpClient(self.host.runtime)

    def prepare(self) -> None:
        """Do what is done before a master starts."""

    def close(self) -> None:
        """Stop; what is left on the world is a failure."""
        self.world.result(self._client.close())
        self.world.result(self.service.stopService())
        self.world.finish()

    def perform(self, call: Call) -> object:
        """Send a call; gives its answer or raises the error of the master."""
        wanted = encode_call(call)
        reply = self.send(wanted.verb, wanted.path, wanted.headers, wanted.body)
        answer = HttpAnswer(reply.status, reply.headers, reply.body)
        return decode_answer(call, answer)

    def send(
        self,
        verb: str,
        path: str,
        headers: Mapping[str, str] = MappingProxyType({}),
        body: bytes = b"",
    ) -> HttpReply:
        return self.world.result(
            self._client.send(
                verb,
                f"http://127.0.0.1:{self.address.port}/{path}",
                headers,
                body,
                timeout_seconds=60,
            )
        )

    def connect(self) -> Line:
        endpoint = self.host.runtime.network.client_endpoint(self.address)
        line: Line = self.world.result(endpoint.connect(Factory.forProtocol(Line)))
        return line
