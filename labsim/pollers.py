"""Shell. Computers that poll and plan as agents do, with partitions that are values.

The agent of production reads a thousand files to see a computer of a hundred
partitions, so a run of a thousand such computers spends its time in simulated disks. A
poller has the half of an agent that a fleet loads its master with:

1. Its polls are those of production: ``slap.polling`` writes and reads them, replicas
   are chosen by ``slap.replicas``, the master answers by its own page of polls. They
   are conditional, and each comes a period after the last; they do not wait.
2. After every poll ``plan_instances`` plans, as an agent does, from the document, from
   what is there and from what is remembered. What is planned is done at once and
   without fault, and then planned again until nothing is left.
3. It reports to the master over HTTP, as agents do.

What is not there: files, builds, supervision, promises that fail, usage. So a poller
finds what goes wrong between computers and masters, and never what goes wrong on a
disk: scenarios run whole agents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Protocol, cast

from attrs import define, evolve, field, frozen
from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from zope.interface import implementer

from labsim.world.network import HostNetwork, Network
from runtime.http_client import BODY_BYTES_MAX
from runtime.ports import Runtime, TcpAddress
from slap import calls
from slap.calls import HttpAnswer, HttpCall
from slap.errors import MasterAway, SlapError
from slap.freshness import freshness_headers, freshness_of
from slap.model import Computer, Partition, PartitionKey, RequestedState
from slap.packing import ACCEPTED, unpack
from slap.polling import Polled, Unchanged, decode_poll, encode_poll
from slap.replicas import Answered, Failed, Replicas, absorb, choose
from slapgrid.convergence import retrying
from slapgrid.convergence.destruction import has_departures, plan_destruction
from slapgrid.convergence.instances import plan_instances
from slapgrid.convergence.plans import (
    Action,
    CheckPromises,
    CleanPartition,
    DestroyInstance,
    InstallInstance,
    RecordProcessed,
    Report,
    ResumePrograms,
    ReviveProgram,
    RunPromises,
    StartPrograms,
    StopPrograms,
    Verdict,
    wanted_stamp,
)
from slapgrid.convergence.quiet import Quiet
from slapgrid.convergence.retrying import Outcome, Reported, RetryMemory
from slapgrid.convergence.views import (
    LocalPartition,
    LocalRelease,
    LocalView,
    ProgramState,
    ProgramStatus,
)
from slapgrid.service import POLL_JITTER
from slapgrid.slap_client import SlapClient

HEAD_BYTES = 300
"""Of a conditional poll, and of an answer that nothing changed."""

ROUNDS_MAX = 20
"""Five stages bring a partition from nothing to reported; more never end."""

STARTED = RequestedState.STARTED
RUNNING = (
    ProgramStatus("service", is_watched=True, program_state=ProgramState.RUNNING),
)

Heard = Callable[[Polled | Unchanged | None], None]
"""Called with the answer to a poll, ``None`` when no master gave one."""


@frozen
class MasterPlace:
    """Where a master listens, as a caller and as the world call it."""

    url: str
    host: str
    address: TcpAddress


@define
class Counts:
    """What pollers have done: answered polls, documents that came by them, plans."""

    polls: int = 0
    documents: int = 0
    plans: int = 0
    actions: int = 0

    def copy(self) -> Counts:
        return evolve(self)


@define
class Kept:
    """What a computer has on its disk: it is there again after a crash."""

    counts: Counts
    decoded: Polled | None = None
    """The last document, for who hears the same content again; it is on no disk."""

    partitions: dict[str, LocalPartition] = field(factory=dict)
    memory: RetryMemory = field(factory=RetryMemory)

    def is_processed(self, partition: Partition) -> bool:
        """Whether the instance in a partition is installed as it is wanted now."""
        local = self.partitions[partition.key.partition_id]
        instance = partition.instance
        return instance is not None and local.timestamp == instance.timestamp

    def settle(self, desired: Computer, now: float) -> None:
        """Be as a computer is that has long been what a document wants."""
        reported = {}
        for partition in desired.partitions:
            name, instance = partition.key.partition_id, partition.instance
            self.partitions[name] = local = LocalPartition(name)
            if instance is None or partition.requested_state is not STARTED:
                continue
            self.partitions[name] = evolve(
                local,
                has_content=True,
                has_remains=True,
                has_programs=True,
                timestamp=instance.timestamp,
                processed_at=now,
                programs=RUNNING,
            )
            stamp = Report(name, wanted_stamp(partition), Verdict.STARTED).stamp
            reported[name] = Reported(stamp, now)
        self.memory = RetryMemory(reported=reported)


class Asking(Protocol):
    """A way to poll, for one life of a host."""

    def poll(self, hear: Heard) -> None:
        """Ask for the document, unless it is the one that was heard last."""


class HttpAsking:
    """Polls by the client of agents: real bytes over simulated connections."""

    def __init__(self, client: SlapClient, computer_id: str) -> None:
        self._client = client
        self._computer_id = computer_id

    def poll(self, hear: Heard) -> None:
        Deferred.fromCoroutine(self._poll(hear))

    async def _poll(self, hear: Heard) -> None:
        try:
            hear(await self._client.poll(self._computer_id))
        except SlapError:
            hear(None)


class MessageAsking:
    """Polls by one packet each way: all of a poll but HTTP's bytes and connections.

    The master's page of polls is asked as ``twisted.web`` would. What is lost is
    noticed at the next poll, which goes to another master. After a crash the whole
    document comes; whoever has decoded the same content before does not decode it
    again. What ``client`` has seen polls have seen, too.
    """

    def __init__(
        self,
        runtime: Runtime,
        computer_id: str,
        masters: tuple[MasterPlace, ...],
        kept: Kept,
        client: SlapClient,
    ) -> None:
        self._runtime = runtime
        self._client = client
        self._computer_id = computer_id
        self._kept = kept
        network = cast("HostNetwork", runtime.network)
        self._network, self._host = network.network, network.name
        self._masters = {it.url: it for it in masters}
        self._replicas = Replicas(tuple(self._masters))
        self._polled_etag: str | None = None
        self._unanswered: str | None = None
        self._poll_count = 0

    def poll(self, hear: Heard) -> None:
        if self._unanswered is not None:
            self._absorb(Failed(self._unanswered))
        url = choose(self._replicas, self._runtime.clock.seconds())
        etag = self._polled_etag
        wanted = encode_poll(self._computer_id, etag)
        freshness = freshness_headers(self._client.seen)
        wanted = evolve(wanted, headers={**wanted.headers, **freshness})
        self._unanswered = url
        self._poll_count += 1
        number = self._poll_count
        master = self._masters[url]

        def come_back(answer: HttpAnswer) -> None:
            if number == self._poll_count:
                self._hear(url, etag, answer, hear)

        self._network.send(
            self._network.way(self._host, master.host),
            HEAD_BYTES,
            _answer,
            self._network,
            master,
            wanted,
            self._host,
            come_back,
        )

    def _hear(
        self, url: str, etag: str | None, answer: HttpAnswer, hear: Heard
    ) -> None:
        self._unanswered = None
        self._client.seen = max(self._client.seen, freshness_of(answer.headers))
        try:
            polled = self._decode(etag, answer)
        except SlapError as error:
            is_away = isinstance(error, MasterAway)
            self._absorb(Failed(url) if is_away else Answered(url))
            hear(None)
            return
        self._absorb(Answered(url))
        if isinstance(polled, Polled):
            self._polled_etag = polled.etag
        hear(polled)

    def _decode(self, etag: str | None, answer: HttpAnswer) -> Polled | Unchanged:
        decoded = self._kept.decoded
        is_known = decoded is not None and answer.headers.get("ETag") == decoded.etag
        if decoded is not None and is_known and answer.status == HTTPStatus.OK:
            return decoded
        polled = decode_poll(self._computer_id, etag, unpack(answer, BODY_BYTES_MAX))
        if isinstance(polled, Polled):
            self._kept.decoded = polled
        return polled

    def _absorb(self, outcome: Answered | Failed) -> None:
        now = self._runtime.clock.seconds()
        self._replicas = absorb(self._replicas, outcome, now)


def _answer(
    network: Network,
    master: MasterPlace,
    wanted: HttpCall,
    caller: str,
    come_back: Callable[[HttpAnswer], None],
) -> None:
    """Have the page of polls of a master answer, if the master listens."""
    listener = network.find_listener(master.host, master.address)
    if listener is None:
        return
    method = wanted.path.partition("?")[0]
    page = cast("Resource", listener.factory.resource.children[method.encode()])  # type: ignore[attr-defined]

    def send(answer: HttpAnswer) -> None:
        way = network.way(master.host, caller)
        network.send(way, HEAD_BYTES + len(answer.body), come_back, answer)

    page.render(_MessageRequest(wanted, send))


class _MessageRequest:
    """A request as far as the page of polls uses it."""

    def __init__(self, wanted: HttpCall, send: Callable[[HttpAnswer], None]) -> None:
        self.method = wanted.verb.encode()
        self.uri = f"/{wanted.path}".encode()
        self.responseHeaders = self
        self._wanted = {name.lower(): it for name, it in wanted.headers.items()}
        self._send = send
        self._status = 200
        self._head: dict[str, str] = {}
        self._body = b""

    def getHeader(self, name: str) -> str | None:
        if name == "accept-encoding":
            return ACCEPTED
        return self._wanted.get(name.lower())

    def setRawHeaders(self, name: bytes, values: list[bytes]) -> None:
        self._head[name.decode()] = values[0].decode()

    def setResponseCode(self, code: int, message: bytes | None = None) -> None:
        del message
        self._status = code

    def notifyFinish(self) -> Deferred[None]:
        """A packet is not broken off."""
        return Deferred()

    def write(self, content: bytes) -> None:
        self._body += content

    def finish(self) -> None:
        self._send(HttpAnswer(self._status, self._head, self._body))


@implementer(IService)
class Poller(Service):
    """One computer, from a start of its host to a crash or the end.

    The first document that it ever has finds it as it is wanted.
    """

    def __init__(
        self,
        runtime: Runtime,
        computer_id: str,
        kept: Kept,
        masters: tuple[MasterPlace, ...],
        period_seconds: float,
        *,
        has_http: bool,
    ) -> None:
        self._runtime = runtime
        self._computer_id = computer_id
        self._kept = kept
        self._period_seconds = period_seconds
        urls = tuple(it.url for it in masters)
        self._client = SlapClient(runtime, Replicas(urls))
        self._asking: Asking = (
            HttpAsking(self._client, computer_id)
            if has_http
            else MessageAsking(runtime, computer_id, masters, kept, self._client)
        )
        self._desired: Computer | None = None
        self._releases: Mapping[str, LocalRelease] = {}
        self._has_departures = False
        self._quiet = Quiet()
        self._reporting: dict[str, Report] = {}

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call] # Twisted's
        # Agents that were started together must not poll together.
        begin = self._runtime.entropy.uniform(0, self._period_seconds)
        self._timer = self._runtime.clock.callLater(begin, self._poll)

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call] # Twisted's
        self._timer.cancel()
        return Deferred.fromCoroutine(self._client.close())

    def _poll(self) -> None:
        jitter = self._runtime.entropy.uniform(1 - POLL_JITTER, 1 + POLL_JITTER)
        self._timer = self._runtime.clock.callLater(
            self._period_seconds * jitter, self._poll
        )
        self.poll_now()

    def poll_now(self) -> None:
        """Poll beside the polls of each period, as in a storm."""
        self._asking.poll(self._hear)

    def _hear(self, answer: Polled | Unchanged | None) -> None:
        if not self.running or answer is None:
            return
        counts = self._kept.counts
        counts.polls += 1
        if isinstance(answer, Polled):
            counts.documents += 1
            self._take(answer.computer)
        if self._desired is not None:
            self._converge(self._desired)

    def _take(self, desired: Computer) -> None:
        self._desired = desired
        self._has_departures = has_departures(desired)
        urls = {it.software_release_url for it in desired.installations}
        self._releases = MappingProxyType(
            {
                url: LocalRelease(url, is_present=True, is_completed=True)
                for url in sorted(urls)
            }
        )
        names = [it.key.partition_id for it in desired.partitions]
        if not self._kept.partitions:
            self._kept.settle(desired, self._runtime.calendar.now())
        self._kept.memory = retrying.retain(self._kept.memory, names)

    def _converge(self, desired: Computer) -> None:
        """Plan and do, until nothing is left to do now."""
        kept, now = self._kept, self._runtime.calendar.now()
        view = LocalView(kept.partitions, self._releases)
        for _ in range(ROUNDS_MAX):
            kept.counts.plans += 1
            plan = plan_instances(desired, view, kept.memory, now, self._quiet)
            actions = plan.actions
            if not actions and self._has_departures:
                actions = plan_destruction(desired, view, kept.memory, now).actions
            done = [self._perform(it, now) for it in actions]
            if not any(done):
                return
        raise AssertionError(f"{self._computer_id} never comes to rest")

    def _perform(self, action: Action, now: float) -> bool:
        """Do what is planned; ``False`` for what has to be waited for."""
        self._kept.counts.actions += 1
        if isinstance(action, Report):
            if self._reporting.get(action.name) != action:
                self._reporting[action.name] = action
                Deferred.fromCoroutine(self._report(action))
            return False
        partitions, name = self._kept.partitions, action.name
        partitions[name] = _performed(action, partitions[name], now)
        self._remember(action.ended(), now)
        return True

    def _remember(self, outcome: Outcome, now: float) -> None:
        self._kept.memory = retrying.absorb(self._kept.memory, outcome, now)

    async def _report(self, report: Report) -> None:
        key = PartitionKey(self._computer_id, report.partition_id)
        failure = None
        try:
            await self._client.perform(_REPORTS[report.verdict](key))
        except SlapError as error:
            failure = str(error)
        self._reporting.pop(report.name, None)
        self._remember(report.ended(failure), self._runtime.calendar.now())


_REPORTS: Mapping[Verdict, Callable[[PartitionKey], calls.Call]] = MappingProxyType(
    {
        Verdict.STARTED: calls.report_started,
        Verdict.STOPPED: calls.report_stopped,
        Verdict.DESTROYED: calls.report_destroyed,
        Verdict.ERROR: lambda key: calls.report_instance_error(key, "as planned"),
    }
)


def _performed(action: Action, local: LocalPartition, now: float) -> LocalPartition:
    """A partition after something was done in it."""
    match action:
        case InstallInstance():
            return evolve(
                local,
                has_content=True,
                has_remains=True,
                has_programs=True,
                timestamp=None,
            )
        case StartPrograms() | ResumePrograms() | ReviveProgram():
            return evolve(local, programs=RUNNING)
        case StopPrograms():
            return evolve(local, programs=None)
        case RunPromises() | CheckPromises():
            return local
        case RecordProcessed(_, _, timestamp):
            return evolve(local, timestamp=timestamp, processed_at=now)
        case DestroyInstance() | CleanPartition():
            return LocalPartition(local.partition_id)
    raise AssertionError(f"a poller cannot {action!r}")
