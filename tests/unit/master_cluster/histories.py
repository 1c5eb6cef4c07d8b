"""Histories: what clients of several masters ask at nearly the same time.

A history is data, drawn by hypothesis and shrunk by it. While it runs, each committed
transaction is compared with all that were committed before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from labsim.world.world import World
from master_cluster.records import InstanceRecord, ReportedState
from master_cluster.requesting import Refused
from master_cluster.store import decisions
from master_cluster.store.cloud import Cloud
from master_cluster.store.storages import open_database
from master_cluster.store.store import Store
from slap.errors import SlapError
from slap.model import (
    InstanceRequest,
    PartitionKey,
    RequestedInstance,
    RequestedState,
)
from tests.builders import (
    a_computer_definition,
    an_installation,
    an_instance_request,
)
from tests.unit.master_cluster.invariants import check_cloud

MASTERS = 3

Records = Mapping[str, InstanceRecord]
Decision = Callable[[Cloud, int], Any]


@frozen
class Step:
    """One call: ``delay_ms`` after the one before it, at one of the masters.

    ``title`` names a root, ``other`` a child of it or its next title, ``count`` the
    partitions of a format, the parameters of a request or what is published.
    """

    verb: str
    title: str
    other: str
    count: int
    master: int
    delay_ms: int


def histories() -> SearchStrategy[list[Step]]:
    """Draw what is asked; titles and partitions are few, so that calls collide."""
    steps = st.builds(
        Step,
        verb=st.sampled_from(sorted(VERBS)),
        title=st.sampled_from("abc"),
        other=st.sampled_from("axy"),
        count=st.integers(0, 4),
        master=st.integers(0, MASTERS - 1),
        delay_ms=st.sampled_from([0, 0, 0, 10, 30, 200]),
    )
    return st.lists(steps, min_size=2, max_size=24)


class Run:
    """One history, in a world of its own.

    ``alive`` is what exists by all transactions that were acknowledged so far, in the
    order of their commits; ``places`` what clients remember, right or not.
    """

    def __init__(self, seed: int) -> None:
        self.world = World(seed, has_permuted_ties=True)
        runtimes = [self.world.host(f"master-{it}").runtime for it in range(MASTERS)]
        database = open_database("memory:", runtimes[0].calendar)
        self.stores = [Store(database, runtime) for runtime in runtimes]
        self.last_tid: Callable[[], bytes] = database.storage.lastTransaction
        self.alive: dict[str, InstanceRecord] = {}
        self.places: dict[str, PartitionKey] = {}
        self.asked: dict[object, InstanceRequest] = {}
        self._guids: set[str] = set()
        self._timestamps: dict[PartitionKey, int] = {}
        self._entropy = self.world.host("clients").runtime.entropy
        self._now = runtimes[0].calendar.now
        self.world.result(self.stores[0].prepare())

    def play(self, steps: list[Step]) -> None:
        """Run the steps, overlapping as their delays say, and judge what is left."""
        self.world.result(self._play(steps), limit_seconds=600)
        for wanted in self.asked.values():
            self._repeat(wanted)
        for store in self.stores:
            assert self.world.result(store.ask(records_of)) == self.alive
            self.world.result(store.ask(check_cloud))
        self.stores[0].close()

    async def _play(self, steps: list[Step]) -> None:
        clock = self.world.host("clients").runtime.clock
        running = []
        for step in steps:
            if step.delay_ms:
                await deferLater(clock, step.delay_ms / 1000)
            running.append(Deferred.fromCoroutine(self._perform(step)))
        await gatherResults(running, consumeErrors=True)

    async def _perform(self, step: Step) -> None:
        try:
            await VERBS[step.verb](self, step)
        except SlapError:
            return

    async def send(self, wanted: InstanceRequest, master: int = 0) -> object:
        """Request an instance; the answer tells of one that the transaction saw."""
        self.asked[wanted.title, wanted.requester] = wanted
        guid = f"SOFTINST-{self._entropy.getrandbits(96):024x}"
        now = self._now()
        answer, seen = await self.decide(
            master,
            lambda cloud, attempt: decisions.request_instance(
                cloud,
                wanted,
                instance_guid=guid,
                default_computer_id=None,
                now=now,
                attempt=attempt,
            ),
        )
        if isinstance(answer, RequestedInstance):
            assert answer.instance_guid is not None
            known = seen[answer.instance_guid]
            assert (known.partition, known.title) == (answer.key, wanted.title)
            assert (known.requester_guid is None) == (wanted.requester is None)
            if wanted.requester is None:
                self.places[wanted.title] = answer.key
        else:
            assert isinstance(answer, Refused)
        return answer

    async def decide(self, master: int, decision: Decision) -> tuple[object, Records]:
        """Run a decision at a master, and judge what its transaction did.

        Gives the answer, and what existed before or after it: a shared instance goes
        at once.
        """

        def watched(cloud: Cloud, attempt: int) -> tuple[object, Records, Records]:
            before = records_of(cloud)
            answer = decision(cloud, attempt)
            return answer, before, records_of(cloud)

        answer, before, after = await self.stores[master].decide(watched)
        self._judge(before, after)
        return answer, {**before, **after}

    def _judge(self, before: Records, after: Records) -> None:
        """Compare a committed transaction with those before it.

        What it changed it had read as it was committed last, and timestamps grow, also
        from one occupant of a partition to the next.
        """
        for guid in before.keys() - after.keys():
            assert self.alive.pop(guid) == before[guid], "a removal overlooked a change"
        for guid, record in after.items():
            if guid not in before:
                self._judge_new(record)
            elif record != before[guid]:
                assert self.alive[guid] == before[guid], "a change was lost"
                assert int(record.timestamp) >= int(before[guid].timestamp)
                self.alive[guid] = record
        for record in after.values():
            if not record.is_shared:
                key = record.partition
                latest = max(int(record.timestamp), self._timestamps.get(key, 0))
                self._timestamps[key] = latest

    def _judge_new(self, record: InstanceRecord) -> None:
        assert record.instance_guid not in self._guids
        self._guids.add(record.instance_guid)
        tree = None if record.is_root else record.root_guid
        for other in self.alive.values():
            other_tree = None if other.is_root else other.root_guid
            assert (other_tree, other.title) != (tree, record.title), "two of one title"
            if not record.is_shared and not other.is_shared:
                assert other.partition != record.partition, "a partition is used twice"
        if not record.is_shared:
            last = self._timestamps.get(record.partition, 0)
            assert int(record.timestamp) > last, "the next occupant looks like the last"
        self.alive[record.instance_guid] = record

    def _repeat(self, wanted: InstanceRequest) -> None:
        """What is asked a third time is answered as the second time, with no write."""

        def ask() -> object:
            try:
                answer = self.world.result(self.send(wanted))
            except SlapError as error:
                return type(error), error.sentence
            if isinstance(answer, Refused):
                return type(answer.error), answer.error.sentence, answer.reasons
            return answer

        ask()
        second, tid = ask(), self.last_tid()
        assert (ask(), self.last_tid()) == (second, tid)


def records_of(cloud: Cloud) -> Records:
    return {it.instance_guid: it for it in cloud.instances()}


def _wanted(step: Step, **overrides: Any) -> InstanceRequest:
    fields = {"title": step.title, "parameters": {"v": str(step.count % 2)}}
    return an_instance_request(**{**fields, **overrides})


async def _request(run: Run, step: Step) -> None:
    await run.send(_wanted(step), step.master)


async def _request_shared(run: Run, step: Step) -> None:
    await run.send(_wanted(step, title="shared", is_shared=True), step.master)


async def _request_child(run: Run, step: Step) -> None:
    if step.title in run.places:
        wanted = _wanted(
            step,
            title=step.other,
            requester=run.places[step.title],
            is_shared=step.count == 0,
        )
        await run.send(wanted, step.master)


async def _stop(run: Run, step: Step) -> None:
    await run.send(_wanted(step, requested_state=RequestedState.STOPPED), step.master)


async def _destroy(run: Run, step: Step) -> None:
    wanted = _wanted(step, requested_state=RequestedState.DESTROYED)
    await run.send(wanted, step.master)


async def _report_destroyed(run: Run, step: Step) -> None:
    await _at_place(run, step, decisions.report_destroyed)


async def _destroy_wholly(run: Run, step: Step) -> None:
    await _destroy(run, step)
    await _report_destroyed(run, step)


async def _report_started(run: Run, step: Step) -> None:
    await _at_place(
        run,
        step,
        lambda cloud, key, now: decisions.report_instance(
            cloud, key, ReportedState.STARTED, now=now
        ),
    )


async def _publish(run: Run, step: Step) -> None:
    await _at_place(
        run,
        step,
        lambda cloud, key, now: decisions.publish_connection(
            cloud, key, {"v": str(step.count)}, None, now
        ),
    )


async def _bang(run: Run, step: Step) -> None:
    await _at_place(
        run, step, lambda cloud, key, now: decisions.bang_tree(cloud, key, "", now)
    )


async def _rename(run: Run, step: Step) -> None:
    await _at_place(
        run,
        step,
        lambda cloud, key, _: decisions.rename_instance(cloud, key, step.other, None),
    )


async def _at_place(
    run: Run, step: Step, decision: Callable[[Cloud, PartitionKey, float], object]
) -> None:
    key = run.places.get(step.title)
    if key is not None:
        now = run.world.host("clients").runtime.calendar.now()
        await run.decide(step.master, lambda cloud, _: decision(cloud, key, now))


async def _format(run: Run, step: Step) -> None:
    definition = a_computer_definition(step.count, computer_id=f"COMP-{step.other}")
    now = run.world.host("clients").runtime.calendar.now()
    await run.decide(
        step.master, lambda cloud, _: decisions.define_computer(cloud, definition, now)
    )


async def _supply(run: Run, step: Step) -> None:
    wanted = an_installation(computer_id=f"COMP-{step.other}")
    await run.decide(step.master, lambda cloud, _: decisions.supply(cloud, wanted))


VERBS: Mapping[str, Callable[[Run, Step], Any]] = {
    "request": _request,
    "request a shared one": _request_shared,
    "request a child": _request_child,
    "stop": _stop,
    "destroy": _destroy,
    "report destroyed": _report_destroyed,
    "destroy wholly": _destroy_wholly,
    "report started": _report_started,
    "publish": _publish,
    "bang": _bang,
    "rename": _rename,
    "format": _format,
    "supply": _supply,
}
