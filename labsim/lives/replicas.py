"""Shell. A life of three replicas in three regions, each of which is lost for a while.

All stand on one memory that others serve: a replica that is cut off from it is told so,
or hears nothing at all. In each region there is a computer with its agent, and who
polls for that computer again and again. In a round a region is cut off, a replica is
lost, or its store alone, or that is there and cannot be read; a replica may be started
again meanwhile, and an agent too. What is wanted of the computers goes on to change
elsewhere.

Whoever polls has an answer every few seconds, as long as any replica is there for them;
learns soon what was changed, as long as one that knows is; and time goes back for no
agent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from traceback import format_exception
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from ZODB.DB import DB  # type: ignore[import-untyped]

from labsim.checkers import tids
from labsim.checkers.table import Watch
from labsim.checkers.violation import Bounds
from labsim.computers import Computer
from labsim.documents import Documents, Seen, as_told
from labsim.lives.freshness import Away, CutInstance, CutStorage, MasterDatabase
from labsim.lives.masters import PORT, url_of_master
from labsim.models.buildout import BuildoutModel
from labsim.world.threads import wait_for
from labsim.world.world import World
from master_cluster.config import Config
from master_cluster.errors import Misconfigured
from master_cluster.service import build_service
from master_cluster.store.announcing import EVERYTHING
from master_cluster.store.storages import CONNECTIONS_MAX, MemoryStorage
from runtime.ports import ICalendar, TcpAddress
from slap import calls
from slap.errors import SlapError
from slap.model import SoftwareInstallation
from slap.polling import Polled
from slap.replicas import ListedReplica, Replicas
from slapgrid.passes import ExitStatus
from slapgrid.slap_client import SlapClient

REGIONS = ("eu", "us", "asia")
ROUNDS = 5
RESTING_SECONDS = 100.0
"""Who found a replica away asks it again after 90 at most."""

LOST_SECONDS = (12.0, 60.0)
WAIT_SECONDS = 2
PAUSE_SECONDS = 0.5
ANSWER_SECONDS_MAX = 5.0 + WAIT_SECONDS + PAUSE_SECONDS
"""Between two answers of whoever polls again and again, and lets each poll wait."""

RESTART_SECONDS = 1.0
LEARNING_SECONDS_MAX = 12.0
"""From a change to who polls elsewhere: a replica that is lost is left meanwhile."""


class AwayInstance(CutInstance):
    """What a connection stands on; the store of some masters is away."""

    _base: AwayStorage

    def poll_invalidations(self) -> Any:
        if self.master in self._base.cut_off:
            raise Away("nobody there")
        return super().poll_invalidations()

    def load(self, oid: bytes) -> Any:
        held = self._base.held.get(self.master)
        if held is not None:
            wait_for(held)
        return super().load(oid)


class AwayStorage(CutStorage):
    """One memory for several masters, some of which do not reach it.

    ``held`` has those that reach it and read nothing until their Deferred is called.
    """

    def __init__(self, storage: object) -> None:
        super().__init__(storage)
        self.held: dict[str, Deferred[None]] = {}

    def build_instance(self) -> AwayInstance:
        return AwayInstance(self)


def master_of(region: str) -> str:
    return f"master of {region}"


def computer_of(region: str) -> str:
    return f"COMP-{region}"


@define(eq=False)
class Poller:
    """Polls for a computer again and again, and says when it had no answer."""

    world: World
    region: str
    client: SlapClient
    answered_at: float = 0.0
    is_excused: bool = False
    release_urls: set[str] = field(factory=set)
    problems: list[str] = field(factory=list)
    _is_stopping: bool = False

    async def poll_on(self) -> None:
        clock = self.world.host(f"poller of {self.region}").runtime.clock
        while not self._is_stopping:
            try:
                answer = await self.client.poll(computer_of(self.region), WAIT_SECONDS)
            except SlapError:
                await deferLater(clock, PAUSE_SECONDS)
                continue
            self._note()
            if isinstance(answer, Polled):
                self.release_urls = {
                    it.software_release_url for it in answer.computer.installations
                }
            # Whoever is answered at once does not ask at once.
            await deferLater(clock, PAUSE_SECONDS)

    def excuse(self) -> None:
        """From now on until its next answer nothing is promised to it."""
        self.is_excused = True

    def stop(self) -> None:
        self._is_stopping = True

    def _note(self) -> None:
        now = self.world.clock.seconds()
        gap = now - self.answered_at
        if gap > ANSWER_SECONDS_MAX and not self.is_excused and self.answered_at:
            self.problems.append(
                f"{self.region} had no answer for {gap:.1f} s at {now:.1f} s"
            )
        self.answered_at, self.is_excused = now, False


@define(eq=False)
class Life:
    """Three regions, and who wants something of their computers."""

    world: World
    problems: list[str] = field(factory=list)
    entropy: Random = field(init=False)
    _seen: list[Seen] = field(factory=list)
    _storage: AwayStorage | None = None
    _whole: DB | None = None
    _databases: dict[str, MasterDatabase] = field(factory=dict)
    _computers: dict[str, Computer] = field(factory=dict)
    _pollers: dict[str, Poller] = field(factory=dict)
    _change_count: int = 0

    def __attrs_post_init__(self) -> None:
        self.entropy = self.world.entropy("replicas")
        for region in REGIONS:
            for name in (master_of(region), computer_of(region), f"poller of {region}"):
                self.world.host(name, region)
        for region in REGIONS:
            self._boot_master(region)
        self.world.run_for(1)
        for region in REGIONS:
            self._boot_region(region)
        self.world.run_for(RESTING_SECONDS)

    def play(self) -> Iterator[str]:
        """Play all rounds; yield what does not hold."""
        for _ in range(ROUNDS):
            region = self.entropy.choice(REGIONS)
            rounds = (
                *(self._cut_region, self._lose_replica, self._lose_store),
                *(self._return, self._hold_store),
            )
            self.entropy.choice(rounds)(region)
            self.world.run_for(RESTING_SECONDS)
            self._change(REGIONS)
        for poller in self._pollers.values():
            poller.stop()
            yield from poller.problems
        yield from self.problems
        assert self._whole is not None
        watch = Watch(Bounds(), (tids.NAME,))
        for happening in as_told(self._seen, Documents(self._whole)):
            yield from (it.sentence for it in watch.take(happening))
        self.world.run_for(ANSWER_SECONDS_MAX)
        for region in REGIONS:
            self.world.result(self._computers[region].stop())
            self.world.result(self._pollers[region].client.close())
        self.world.finish()

    def _cut_region(self, region: str) -> None:
        """Nobody there reaches anybody elsewhere, nor the store."""
        self.world.sever(region)
        self._change(others_than(region))
        with_store = self._lose(region)
        self._rest_with(region)
        with_store()
        self.world.heal(region)

    def _lose_replica(self, region: str) -> None:
        """Its processes stand still, or end."""
        host = self.world.host(master_of(region))
        if self.entropy.random() < 1 / 2:
            host.pause_processes()
            self._change(REGIONS)
            self._rest()
            host.resume_processes()
        else:
            host.kill()
            self._change(REGIONS)
            self._rest()
            host.boot()

    def _lose_store(self, region: str) -> None:
        """The replica is there for everybody, and knows no more than before."""
        with_store = self._lose(region)
        self._change(REGIONS)
        self._rest_with(region)
        with_store()

    def _return(self, region: str) -> None:
        """An agent sees elsewhere what its own replica does not know; it comes back."""
        with_store = self._lose(region)
        self.world.sever(computer_of(region), master_of(region))
        self._change(REGIONS)
        self.world.run_for(self.entropy.uniform(5, 30))
        others = [master_of(it) for it in others_than(region)]
        self.world.heal(computer_of(region), master_of(region))
        for other in others:
            self.world.sever(computer_of(region), other)
        self._rest_with(region)
        for other in others:
            self.world.heal(computer_of(region), other)
        with_store()

    def _hold_store(self, region: str) -> None:
        """The store is there, and gives the replica nothing, as while a commit hangs.

        It hears of a change, so that its documents have to be read.
        """
        assert self._storage is not None
        assert self._whole is not None
        name = master_of(region)
        self._whole.cacheMinimize()
        self._storage.held[name] = Deferred()
        self._change(REGIONS, asked=others_than(region))
        self._rest()
        self._storage.held.pop(name).callback(None)

    def _lose(self, region: str) -> Callable[[], None]:
        """Cut a replica off from its store; what is returned undoes it.

        The store says that it is away, or nothing at all for a while.
        """
        assert self._storage is not None
        name = master_of(region)
        host = self.world.host(name)
        self._storage.cut_off[name] = self._storage.lastTransaction()
        threads: Any = host.runtime.threads  # the simulated ones
        is_silent = self.entropy.random() < 1 / 2
        if is_silent:
            threads.pause()

        def find() -> None:
            assert self._storage is not None
            self._storage.cut_off.pop(name)
            if is_silent:
                threads.resume()
            self._databases[name].announce(EVERYTHING)

        return find

    def _rest_with(self, region: str) -> None:
        """Wait; the replica may be started again in between, and its agent, too."""
        self._rest()
        if self.entropy.random() < 1 / 2:
            self._restart(master_of(region))
            self._pollers[region].excuse()
        if self.entropy.random() < 1 / 2:
            self._restart(computer_of(region))
        self._rest()

    def _restart(self, name: str) -> None:
        self.world.host(name).kill()
        self.world.run_for(RESTART_SECONDS)
        self.world.host(name).boot()

    def _rest(self) -> None:
        self.world.run_for(self.entropy.uniform(*LOST_SECONDS) / 2)

    def _change(
        self, learning: tuple[str, ...], asked: tuple[str, ...] = REGIONS
    ) -> None:
        """Want another release everywhere; those of some regions learn it soon."""
        self._change_count += 1
        url = f"http://releases.example/{self._change_count}.cfg"
        client = self._person(learning, asked)
        for region in REGIONS:
            supply = calls.supply(SoftwareInstallation(url, computer_of(region)))
            self.world.result(client.perform(supply), 100)
        self.world.result(client.close())
        self.world.run_for(LEARNING_SECONDS_MAX)
        self.problems += [
            f"{it} does not know of {url} at {self.world.clock.seconds():.1f} s"
            for it in learning
            if url not in self._pollers[it].release_urls
        ]

    def _person(self, regions: tuple[str, ...], asked: tuple[str, ...]) -> SlapClient:
        """Somebody in one of these regions, who asks those replicas first."""
        host = self.world.host(f"poller of {self.entropy.choice(regions)}")
        return SlapClient(host.runtime, Replicas(self._urls(asked)))

    def _urls(self, regions: tuple[str, ...]) -> tuple[str, ...]:
        hosts = (self.world.host(master_of(it)) for it in regions)
        return tuple(url_of_master(it) for it in hosts)

    def _boot_master(self, region: str) -> None:
        host = self.world.host(master_of(region))
        config = Config(
            "memory:",
            TcpAddress(host.address, PORT),
            is_loopback_only=False,
            documents_directory="/srv/documents",
            announced=ListedReplica(url_of_master(host), region),
        )
        opening = partial(self._open, master_of(region))
        host.boot(partial(build_service, config, opening=opening))

    def _boot_region(self, region: str) -> None:
        """Begin an agent, and who polls, each of which knows one replica alone."""
        settings = {"region": region, "recheck_seconds": 60.0}
        computer = self._computers[region] = Computer(
            self.world.host(computer_of(region)),
            self._urls(REGIONS[:1]),
            BuildoutModel(5.0, has_promises=False),
            1,
            settings,
            tell=self._seen.append,
        )
        assert self.world.result(computer.format()) is ExitStatus.OK
        computer.boot()
        client = SlapClient(
            self.world.host(f"poller of {region}").runtime,
            Replicas(self._urls(REGIONS[:1])),
            region=region,
        )
        poller = self._pollers[region] = Poller(self.world, region, client)
        Deferred.fromCoroutine(poller.poll_on())

    def _open(self, master: str, _: str, calendar: ICalendar) -> Any:
        if self._storage is None:
            self._storage = AwayStorage(MemoryStorage(calendar))
            self._whole = DB(self._storage, pool_size=3 * CONNECTIONS_MAX)
        if master in self._storage.cut_off:
            raise Misconfigured("no store is reached")
        assert self._whole is not None
        database = MasterDatabase(self._whole, master, self._storage, loses_ends=True)
        self._databases[master] = database
        return database


def others_than(region: str) -> tuple[str, ...]:
    return tuple(it for it in REGIONS if it != region)


def find_problem(seed: int) -> str:
    """Play one life; say what does not hold, ``""`` when all does."""
    try:
        return "\n".join(Life(World(seed)).play())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a problem
        return "".join(format_exception(error))
