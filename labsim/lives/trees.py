"""Shell. A life of a few trees, on computers of which operators say this and that.

Clients request roots where an attribute is as they like it, and children in the name of
roots; they rename and destroy them, and change attributes, at two masters and at nearly
the same time, while computers report what has gone. When all rest, the store is whole,
computers are told what everybody else is told, and a request finds room exactly where
there is some.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from random import Random
from traceback import format_exception

import transaction  # type: ignore[import-untyped]
from attrs import define, field, frozen
from twisted.internet.defer import Deferred, gatherResults
from ZODB.DB import DB  # type: ignore[import-untyped]

from labsim.lives.masters import boot_masters, url_of_master
from labsim.lives.rivals import pause
from labsim.stores import SharedMemory
from labsim.world.host import Host
from labsim.world.world import World
from master_cluster.store.cloud import Cloud
from master_cluster.store.invariants import find_flaws
from master_cluster.store.schema import ROOT_KEY
from slap import calls
from slap.calls import Call
from slap.errors import NotReady, Refusal
from slap.model import (
    ComputerDefinition,
    InstanceRequest,
    PartitionDefinition,
    PartitionKey,
    RequestedInstance,
    RequestedState,
)
from slap.polling import Polled
from slap.replicas import Replicas
from slap.reports import ComputerReport
from slapgrid.slap_client import SlapClient

RELEASE = "http://releases.example/service.cfg"

MASTERS = ("master-0", "master-1")
REGION = "here"
"""Links within it are short, so that calls overlap the commits of several others."""

PEOPLE = tuple(f"people-{number}" for number in range(6))
TITLES = ("one", "two")
GROUPS = ("east", "west")


@frozen
class Shape:
    """Computers with their partitions, and the calls of each client in a round.

    After each round all wait, and it is looked at what there is.
    """

    computers: Mapping[str, int]
    rounds: int
    calls: int


NARROW = Shape({"COMP-0": 2, "COMP-1": 2}, 24, 4)
"""So few that computers are full, and have room again, many times."""

WIDE = Shape({**NARROW.computers, "COMP-2": 12}, 40, 2)
"""With one about which calls seldom write the same."""

PAUSE_SECONDS = 0.01
"""The mean between two calls of a client: a few transactions."""

CLEARING_SECONDS = 0.02
WAIT_SECONDS = 1
"""Of a poll: it is answered at once when something changes."""

LIFE_SECONDS_MAX = 600.0


@define(eq=False)
class Life:
    """Masters, clients, and computers that have no agents, only their reports."""

    world: World
    shape: Shape
    _database: DB = field(init=False)
    _urls: tuple[str, ...] = ()
    _places: dict[str, PartitionKey] = field(factory=dict)
    _told: dict[str, dict[str, tuple[str, str]]] = field(factory=dict)
    _watchers: dict[str, SlapClient] = field(factory=dict)
    _is_over: bool = False

    def __attrs_post_init__(self) -> None:
        hosts = [self.world.host(it, REGION) for it in MASTERS]
        opening = boot_masters(hosts)
        self._urls = tuple(map(url_of_master, hosts))
        self._database = opening(SharedMemory.uri, hosts[0].calendar)
        self.world.run_for(1)

    def play(self) -> Iterator[str]:
        """Play all rounds; yield what does not hold."""
        person = self._client(self.world.host("observer"), 0)
        for name, count in self.shape.computers.items():
            names = (f"slappart{number}" for number in range(count))
            partitions = tuple(map(PartitionDefinition, names))
            definition = ComputerDefinition(name, partitions=partitions)
            self.world.result(person.perform(calls.define_computer(definition)))
            self._watchers[name] = self._client(self.world.host(name, REGION), 1)
        entropies = {it: self.world.entropy(it, "wishes") for it in PEOPLE}
        clients = {
            it: self._client(self.world.host(it, REGION), number % len(MASTERS))
            for number, it in enumerate(PEOPLE)
        }
        for _ in range(self.shape.rounds):
            self._is_over = False
            clearing = [
                Deferred.fromCoroutine(self._clear(it)) for it in self.shape.computers
            ]
            asking = [
                Deferred.fromCoroutine(self._ask(it, clients[it], entropies[it]))
                for it in PEOPLE
            ]
            self.world.result(gatherResults(asking), LIFE_SECONDS_MAX)
            self._is_over = True
            self.world.result(gatherResults(clearing), LIFE_SECONDS_MAX)
            yield from self._flaws()
            yield from self._misled(person)
            yield from self._misplaced(person)
        for client in (person, *clients.values(), *self._watchers.values()):
            self.world.result(client.close())
        self.world.finish()

    def _flaws(self) -> Iterator[str]:
        """What ``slapcluster storage verify`` says."""
        connection = self._database.open(transaction.TransactionManager())
        try:
            yield from find_flaws(Cloud(connection.root()[ROOT_KEY]))
        finally:
            connection.close()

    def _misled(self, person: SlapClient) -> Iterator[str]:
        """Which computers are told otherwise than everybody else."""
        for name, watcher in self._watchers.items():
            self._take(name, self.world.result(watcher.poll(name)))
            report = self._report(person, name)
            found = {
                it.partition_id: (it.requested_state, it.root_title or "")
                for it in report.partitions
                if it.title is not None
            }
            if self._told[name] != found:
                yield f"{name} is told {self._told[name]}, and there is {found}"

    def _misplaced(self, person: SlapClient) -> Iterator[str]:
        """Whether who asks for a group is given what is free there, and no other."""
        for group in GROUPS:
            reports = {it: self._report(person, it) for it in self.shape.computers}
            own = [
                it
                for it in self.shape.computers
                if reports[it].attributes.get("group") == group
            ]
            has_room = any(
                place.title is None for it in own for place in reports[it].partitions
            )
            wanted = InstanceRequest(
                "probe", RELEASE, allocation_filter={"group": group}
            )
            place: PartitionKey | None = None
            with suppress(Refusal):
                answer = self._perform(person, calls.request_instance(wanted))
                assert isinstance(answer, RequestedInstance)
                place = answer.key
            if (place is not None) != has_room:
                yield f"{group} has room: {has_room}; a request there gets {place}"
            if place is None:
                continue
            if place.computer_id not in own:
                yield f"{place} is none of {group}, where it was asked for"
            gone = InstanceRequest(
                "probe", RELEASE, requested_state=RequestedState.DESTROYED
            )
            self._perform(person, calls.request_instance(gone))
            self._perform(person, calls.report_destroyed(place))

    async def _ask(self, name: str, client: SlapClient, entropy: Random) -> None:
        """Want something again and again; who is refused may be too late."""
        for _ in range(self.shape.calls):
            await pause(self.world.host(name), entropy, PAUSE_SECONDS)
            title = entropy.choice(TITLES)
            with suppress(Refusal, NotReady):
                if entropy.random() < 1 / 2:
                    await self._request(client, title, entropy)
                else:
                    await client.perform(self._draw(title, entropy))

    async def _request(self, client: SlapClient, title: str, entropy: Random) -> None:
        """Request a root; one that is to go is gone at once."""
        wish = entropy.choice((RequestedState.STARTED, RequestedState.DESTROYED))
        wanted = InstanceRequest(
            title,
            RELEASE,
            allocation_filter={"group": entropy.choice(GROUPS)},
            requested_state=wish,
        )
        answer = await client.perform(calls.request_instance(wanted))
        assert isinstance(answer, RequestedInstance)
        self._places[title] = answer.key
        if wish is RequestedState.DESTROYED:
            await client.perform(calls.report_destroyed(answer.key))

    def _draw(self, title: str, entropy: Random) -> Call:
        """What is said of a root, or of a computer when the root is not known."""
        place, kind = self._places.get(title), entropy.randrange(4)
        if kind == 0 or place is None:
            attributes = {"group": entropy.choice(GROUPS)}
            return calls.set_computer_attributes(
                entropy.choice(tuple(self.shape.computers)), attributes
            )
        if kind == 1:
            return calls.rename_instance(place, entropy.choice(TITLES))
        child = entropy.choice(("child", "other child"))
        return calls.request_instance(InstanceRequest(child, RELEASE, requester=place))

    async def _clear(self, name: str) -> None:
        """Report that what is to go has gone, a little later than it is known."""
        entropy, watcher = self.world.entropy(name, "clearing"), self._watchers[name]
        while not self._is_over:
            self._take(name, await watcher.poll(name, WAIT_SECONDS))
            await pause(self.world.host(name), entropy, CLEARING_SECONDS)
            for partition_id, (wish, _) in tuple(self._told[name].items()):
                if wish == RequestedState.DESTROYED.value:
                    key = PartitionKey(name, partition_id)
                    with suppress(Refusal):
                        await watcher.perform(calls.report_destroyed(key))

    def _take(self, name: str, answer: object) -> None:
        if isinstance(answer, Polled):
            self._told[name] = {
                it.key.partition_id: (
                    it.requested_state.value,
                    it.instance.root_title,
                )
                for it in answer.computer.partitions
                if it.instance is not None
            }

    def _client(self, host: Host, first: int) -> SlapClient:
        urls = self._urls[first:] + self._urls[:first]
        return SlapClient(host.runtime, Replicas(urls))

    def _report(self, person: SlapClient, name: str) -> ComputerReport:
        report = self._perform(person, calls.get_computer_report(name))
        assert isinstance(report, ComputerReport)
        return report

    def _perform(self, client: SlapClient, call: Call) -> object:
        return self.world.result(client.perform(call))


def find_problem(seed: int) -> str:
    """Play one life; say what is wrong with its trees, ``""`` when nothing is."""
    shape = NARROW if seed % 2 else WIDE
    try:
        return "\n".join(Life(World(seed), shape).play())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a problem
        return "".join(format_exception(error))
