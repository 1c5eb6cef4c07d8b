"""Shell. A life of what two masters of one cloud forward to the master of another one.

Persons, and trees that come and go, want instances of the other cloud, while masters
here are killed and the way there is cut. Whoever has no answer asks again. In the end
the other cloud has what was asked for last, once, and nothing of what has gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from random import Random
from traceback import format_exception

from attrs import define, field
from twisted.internet.defer import Deferred, gatherResults

from labsim.lives.masters import boot_masters, url_of_master
from labsim.lives.rivals import pause
from labsim.world.world import World
from master_cluster.forwarding import MASTER_URL_KEY, Masters, OtherMaster
from slap import calls
from slap.calls import Call
from slap.errors import MasterAway, NotReady, Refusal
from slap.model import (
    ComputerDefinition,
    InstanceRequest,
    PartitionDefinition,
    PartitionKey,
    RequestedInstance,
    RequestedState,
)
from slap.replicas import Replicas
from slap.reports import CloudReport, TreeReport
from slapgrid.slap_client import SlapClient

RELEASE = "http://releases.example/service.cfg"
FAR = "far"
NEAR = ("near-0", "near-1")
COMPUTER = "COMP-0"
"""Here and there is one of this name, with more partitions than are asked for."""

PARTITION_COUNT = 20
TITLE = "one"
"""Of all: who asks for it makes the difference."""

PERSON = "person"
TREES = ("tree-0", "tree-1")
WISHES = (
    RequestedState.STARTED,
    RequestedState.STARTED,
    RequestedState.STOPPED,
    RequestedState.DESTROYED,
)

ROUNDS = 10
CALLS = 3
"""Of each client in a round; then all wait, and it is looked at what there is."""

PAUSE_SECONDS = 0.2
AWAY_SECONDS = 5.0
"""The mean until who has no answer asks again."""

TROUBLE_SECONDS = 60.0
"""The mean; a master waits for another one for 40."""

SETTLED_SECONDS_MAX = 1500.0
"""A master that was away is asked every ten minutes at least."""

LOOK_SECONDS = 60.0
LIFE_SECONDS_MAX = 3600.0


@define(eq=False)
class Life:
    """Two clouds, and who wants something at one of them."""

    world: World
    wanted: dict[str, str] = field(factory=dict)
    """The number of the last wish of each client, of which something is left."""

    _clients: dict[str, SlapClient] = field(factory=dict)
    _number: int = 0

    def __attrs_post_init__(self) -> None:
        far_url = self._url(FAR)
        others = Masters((OtherMaster(far_url, far_url),))
        boot_masters([self.world.host(FAR)])
        boot_masters([self.world.host(it) for it in NEAR], others)
        self.world.run_for(1)
        for names in ((FAR,), NEAR):
            client = self._client(f"operator of {names[0]}", names)
            definition = ComputerDefinition(
                COMPUTER,
                partitions=tuple(
                    PartitionDefinition(f"slappart{it}")
                    for it in range(PARTITION_COUNT)
                ),
            )
            self._perform(client, calls.define_computer(definition))
        for number, name in enumerate((PERSON, *TREES)):
            first = number % len(NEAR)
            self._client(name, NEAR[first:] + NEAR[:first])

    def play(self) -> Iterator[str]:
        """Play all rounds; yield what does not hold."""
        for number in range(ROUNDS):
            working = [
                Deferred.fromCoroutine(self._be_person()),
                *(Deferred.fromCoroutine(self._grow(it)) for it in TREES),
                Deferred.fromCoroutine(self._trouble(number)),
            ]
            self.world.result(gatherResults(working), LIFE_SECONDS_MAX)
            if not self._settle():
                expected, found = sorted(self.wanted.values()), sorted(self._found())
                yield (
                    f"{SETTLED_SECONDS_MAX:g} s after round {number} the other cloud"
                    f" has {found}, and is to have {expected}"
                )
                return
        for client in self._clients.values():
            self.world.result(client.close())
        self.world.finish()

    def _url(self, name: str) -> str:
        return url_of_master(self.world.host(name))

    def _client(self, name: str, masters: tuple[str, ...]) -> SlapClient:
        replicas = Replicas(tuple(map(self._url, masters)))
        client = SlapClient(self.world.host(name).runtime, replicas)
        self._clients[name] = client
        return client

    async def _be_person(self) -> None:
        entropy = self.world.entropy(PERSON, self._number)
        for _ in range(CALLS):
            await pause(self.world.host(PERSON), entropy, PAUSE_SECONDS)
            await self._wish(PERSON, None, entropy)

    async def _grow(self, name: str) -> None:
        """Have a tree, and let it go or not, while it asks for something."""
        entropy = self.world.entropy(name, self._number)
        root = InstanceRequest(name, RELEASE, requested_state=RequestedState.STARTED)
        answer = await self._insist(name, calls.request_instance(root), entropy)
        assert isinstance(answer, RequestedInstance)
        asking = [self._ask_for_child(name, answer.key, entropy)]
        is_leaving = entropy.random() < 1 / 2
        if is_leaving:
            asking.append(self._leave(name, answer.key, entropy))
        await gatherResults(list(map(Deferred.fromCoroutine, asking)))
        if is_leaving:
            self.wanted.pop(name, None)

    async def _ask_for_child(
        self, name: str, place: PartitionKey, entropy: Random
    ) -> None:
        for _ in range(CALLS):
            await pause(self.world.host(name), entropy, PAUSE_SECONDS)
            await self._wish(name, place, entropy)

    async def _leave(self, name: str, place: PartitionKey, entropy: Random) -> None:
        await pause(self.world.host(name), entropy, PAUSE_SECONDS)
        gone = InstanceRequest(name, RELEASE, requested_state=RequestedState.DESTROYED)
        await self._insist(name, calls.request_instance(gone), entropy)
        await self._insist(name, calls.report_destroyed(place), entropy)

    async def _wish(
        self, name: str, requester: PartitionKey | None, entropy: Random
    ) -> None:
        self._number += 1
        number, wish = str(self._number), entropy.choice(WISHES)
        wanted = InstanceRequest(
            TITLE,
            RELEASE,
            parameters={"number": number},
            allocation_filter={MASTER_URL_KEY: self._url(FAR)},
            requested_state=wish,
            requester=requester,
        )
        with suppress(Refusal):
            await self._insist(name, calls.request_instance(wanted), entropy)
            if wish is not RequestedState.DESTROYED:
                self.wanted[name] = number
        if wish is RequestedState.DESTROYED:
            self.wanted.pop(name, None)

    async def _insist(self, name: str, call: Call, entropy: Random) -> object:
        """Ask until there is an answer."""
        while True:
            with suppress(MasterAway, NotReady):
                return await self._clients[name].perform(call)
            await pause(self.world.host(name), entropy, AWAY_SECONDS)

    async def _trouble(self, number: int) -> None:
        """Cut the way there, or kill who is at its ends.

        Not both: what the kernel of a killed master holds back arrives after the cut.
        The other cloud refuses to change by it what was changed since, but makes anew
        what it never had when its removal came.
        """
        entropy, far = self.world.entropy("trouble", number), self.world.host(FAR)
        is_cut, is_away = (entropy.random() < 1 / 2 for _ in range(2))
        await pause(far, entropy, PAUSE_SECONDS)
        if is_cut:
            self.world.sever(NEAR, FAR)
        elif is_away:
            far.kill()
        observer = self.world.host("observer")
        for name in () if is_cut else NEAR:
            await pause(observer, entropy, PAUSE_SECONDS)
            if entropy.random() < 1 / 2:
                self.world.host(name).kill()
                self.world.host(name).boot()
        await pause(observer, entropy, TROUBLE_SECONDS)
        self.world.heal(NEAR, FAR)
        if not far.is_up:
            far.boot()

    def _settle(self) -> bool:
        """Wait until the other cloud has what it is to have; whether it has."""
        limit = self.world.clock.seconds() + SETTLED_SECONDS_MAX
        while sorted(self._found()) != sorted(self.wanted.values()):
            if self.world.clock.seconds() > limit:
                return False
            self.world.run_for(LOOK_SECONDS)
        return True

    def _found(self) -> Iterator[str]:
        """The numbers of what the other cloud is to run or to keep."""
        operator = self._clients[f"operator of {FAR}"]
        report = self._perform(operator, calls.get_cloud_report())
        assert isinstance(report, CloudReport)
        for tree in report.trees:
            if tree.requested_state != RequestedState.DESTROYED.value:
                told = self._perform(operator, calls.get_tree_report(tree.title))
                assert isinstance(told, TreeReport)
                yield told.instances[0].parameters["number"]

    def _perform(self, client: SlapClient, call: Call) -> object:
        return self.world.result(client.perform(call))


def find_problem(seed: int) -> str:
    """Play one life; say what is lost or left behind, ``""`` when nothing is."""
    try:
        return "\n".join(Life(World(seed)).play())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a problem
        return "".join(format_exception(error))
