"""Shell. A life of a few instances that many clients want otherwise, at the same time.

Each asks one of several masters for one of a few titles, in the same bytes as all the
others, while a computer removes what is to go. In the end each title is what one of the
calls that may have been the last has asked for, and no two are in one partition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random
from traceback import format_exception

from attrs import define, field
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from labsim.checkers.acknowledged import NAME
from labsim.checkers.table import CHECKERS
from labsim.checkers.violation import Bounds, Violation
from labsim.history import CallBegan, CallEnded, Ending, Happening, Outcome
from labsim.lives.masters import boot_masters, url_of_master
from labsim.world.host import Host
from labsim.world.world import World
from slap import calls
from slap.errors import MasterAway, NotFound, NotReady, Refusal
from slap.model import (
    ComputerDefinition,
    InstanceRequest,
    PartitionDefinition,
    PartitionKey,
    RequestedInstance,
    RequestedState,
)
from slap.polling import Polled, Unchanged
from slap.replicas import Replicas
from slap.reports import TreeReport
from slapgrid.slap_client import SlapClient

COMPUTER = "COMP-0"
PARTITIONS = tuple(f"slappart{number}" for number in range(6))
RELEASE = "http://releases.example/service.cfg"

MASTERS = ("master-0", "master-1")
WATCHED = 1
"""The master that the computer asks, and whose documents are compared."""

PEOPLE = tuple(f"people-{number}" for number in range(6))
TITLES = ("one", "two", "three")

ROUNDS = 10
CALLS = 5
"""Of each client in a round; then all wait, and it is looked at what there is."""

PAUSE_SECONDS = 0.01
"""The mean between two calls of a client: a few transactions."""

WISHES = (
    RequestedState.STARTED,
    RequestedState.STARTED,
    RequestedState.STOPPED,
    RequestedState.DESTROYED,
)

CLEARING_SECONDS = 0.03
"""The mean between two looks of the computer at what is to go."""

LIFE_SECONDS_MAX = 600.0


@define(eq=False)
class Life:
    """Masters, clients and a computer that has no agent, only its reports."""

    world: World
    history: list[Happening] = field(factory=list)
    places: dict[str, tuple[PartitionKey, str]] = field(factory=dict)
    stale: list[str] = field(factory=list)
    _told: dict[PartitionKey, str] = field(factory=dict)
    _urls: tuple[str, ...] = ()
    _wishes: dict[str, Random] = field(factory=dict)
    _count: int = 0
    _is_over: bool = False

    def __attrs_post_init__(self) -> None:
        hosts = [self.world.host(it) for it in MASTERS]
        boot_masters(hosts)
        self._urls = tuple(map(url_of_master, hosts))
        self._wishes = {name: self.world.entropy(name, "wishes") for name in PEOPLE}
        self.world.run_for(1)

    def play(self) -> None:
        observer = self._client(self.world.host("observer"), 0)
        partitions = tuple(map(PartitionDefinition, PARTITIONS))
        definition = ComputerDefinition(COMPUTER, partitions=partitions)
        self.world.result(observer.perform(calls.define_computer(definition)))
        watcher = self._client(self.world.host("watcher"), WATCHED)
        clearing = Deferred.fromCoroutine(self._clear())
        for _ in range(ROUNDS):
            asking = [
                Deferred.fromCoroutine(self._ask(name, number))
                for number, name in enumerate(PEOPLE)
            ]
            self.world.result(gatherResults(asking), LIFE_SECONDS_MAX)
            for title in TITLES:
                found = self.world.result(self._find(observer, title))
                self.history.append(Ending(self._now(), title, "", found))
            self._compare(self.world.result(watcher.poll(COMPUTER)))
        self._is_over = True
        self.world.result(clearing, LIFE_SECONDS_MAX)
        self.world.result(observer.close())
        self.world.result(watcher.close())

    def _compare(self, answer: Polled | Unchanged) -> None:
        """Note which partitions the computer is told otherwise than everybody else."""
        if isinstance(answer, Polled):
            self._told = {
                it.key: it.requested_state.value for it in answer.computer.partitions
            }
        for title, (key, found) in self.places.items():
            if self._told[key] != found:
                self.stale.append(
                    f"{title} is {found}, and {COMPUTER} is told {self._told[key]}"
                )

    def problems(self) -> Iterator[str]:
        """What does not hold of all that happened."""
        yield from self.stale
        check: Callable[..., tuple[Violation, ...]] = CHECKERS[NAME]
        for violation in check(self.history, Bounds()):
            yield violation.sentence
        wishes = {}
        for it in self.history:
            if isinstance(it, CallBegan):
                wishes[it.client, it.number] = it.wanted
            if not isinstance(it, CallEnded) or it.outcome is Outcome.ACKNOWLEDGED:
                continue
            wish = wishes[it.client, it.number]
            if it.outcome is Outcome.UNKNOWN:
                yield f"nothing is broken, and {it.client} has no answer: {it.answer}"
            elif wish != RequestedState.DESTROYED.value:
                yield f"there is room, and {it.client} is refused: {it.answer}"
        if len({key for key, _ in self.places.values()}) < len(self.places):
            yield f"two are in one partition: {self.places}"

    def _now(self) -> float:
        return self.world.clock.seconds()

    def _client(self, host: Host, first: int) -> SlapClient:
        urls = self._urls[first:] + self._urls[:first]
        return SlapClient(host.runtime, Replicas(urls))

    async def _ask(self, name: str, place: int) -> None:
        """Wish for something again and again."""
        host, entropy = self.world.host(name), self._wishes[name]
        client = self._client(host, place % len(MASTERS))
        for _ in range(CALLS):
            await pause(host, entropy, PAUSE_SECONDS)
            self._count += 1
            number = self._count
            title, wish = entropy.choice(TITLES), entropy.choice(WISHES)
            wanted = InstanceRequest(title, RELEASE, requested_state=wish)
            began = CallBegan(self._now(), name, number, "request", title, wish.value)
            self.history.append(began)
            said = ""
            try:
                answer = await client.perform(calls.request_instance(wanted))
            except (MasterAway, NotReady) as error:
                outcome, said = Outcome.UNKNOWN, str(error)
            except Refusal as error:
                outcome, said = Outcome.REFUSED, error.sentence
            else:
                outcome = Outcome.ACKNOWLEDGED
                assert isinstance(answer, RequestedInstance)
            self.history.append(CallEnded(self._now(), name, number, outcome, said))
        await client.close()

    async def _clear(self) -> None:
        """Report that what is to go has gone, a little later than it is known."""
        host, entropy = self.world.host("computer"), self.world.entropy("clearing")
        client = self._client(host, WATCHED)
        is_last = False
        while not is_last:
            is_last = self._is_over
            document = await client.poll(COMPUTER)
            if isinstance(document, Polled):
                leaving = [
                    it.key
                    for it in document.computer.partitions
                    if it.requested_state is RequestedState.DESTROYED
                ]
            await pause(host, entropy, CLEARING_SECONDS)
            for key in leaving:
                with suppress(NotFound):
                    await client.perform(calls.report_destroyed(key))
        await client.close()

    async def _find(self, client: SlapClient, title: str) -> str:
        try:
            report = await client.perform(calls.get_tree_report(title))
        except NotFound:
            self.places.pop(title, None)
            return RequestedState.DESTROYED.value
        assert isinstance(report, TreeReport)
        (instance,) = report.instances
        wanted = instance.requested_state
        self.places.pop(title, None)
        if wanted != RequestedState.DESTROYED.value:
            again = InstanceRequest(
                title, RELEASE, requested_state=RequestedState(wanted)
            )
            answer = await client.perform(calls.request_instance(again))
            assert isinstance(answer, RequestedInstance)
            self.places[title] = answer.key, wanted
        return wanted


async def pause(host: Host, entropy: Random, mean_seconds: float) -> None:
    seconds = entropy.expovariate(1 / mean_seconds)
    await deferLater(host.runtime.clock, seconds)


def find_problem(seed: int) -> str:
    """Play one life; say what does not hold, ``""`` when all does."""
    try:
        life = Life(World(seed))
        life.play()
        life.world.finish()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a problem
        return "".join(format_exception(error))
    return next(life.problems(), "")
