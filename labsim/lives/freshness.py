"""Shell. A life of two masters, one of which falls behind or stands still, and returns.

The first master is the one that everybody prefers. In a round it is cut off from the
store: what it reads is what was there when that began, and it commits nothing, as in a
region that does not know yet that the others went on without it. Those who ask it find
the other one meanwhile, see there what they have changed, and come back; the agent may
begin anew in between. In other rounds it stands still with a call in its hands, which
its caller gives up and makes at the other one, and it goes on when the caller wants
something else. Time goes back for nobody, and what was acknowledged last is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from random import Random
from traceback import format_exception
from typing import Any

from attrs import define, field
from transaction.interfaces import TransientError  # type: ignore[import-untyped]
from ZODB.Connection import Connection  # type: ignore[import-untyped]
from ZODB.DB import DB  # type: ignore[import-untyped]
from ZODB.utils import p64, u64  # type: ignore[import-untyped]

from labsim.checkers import acknowledged, tids
from labsim.checkers.table import Watch
from labsim.checkers.violation import Bounds
from labsim.computers import Computer
from labsim.documents import Documents, Seen, as_told
from labsim.history import Ending, Outcome
from labsim.lives.masters import PORT, url_of_master
from labsim.models.buildout import BuildoutModel
from labsim.workloads.client import Client
from labsim.workloads.instances import RELEASE
from labsim.workloads.operation import Operation
from labsim.world.world import World
from master_cluster.config import Config
from master_cluster.service import build_service
from master_cluster.store.announcing import (
    EVERYTHING,
    AnnouncingInstance,
    AnnouncingStorage,
    Listener,
)
from master_cluster.store.storages import CONNECTIONS_MAX, MemoryStorage
from runtime.ports import ICalendar, TcpAddress
from slap import calls
from slap.model import RequestedState, SoftwareInstallation
from slap.replicas import Replicas
from slap.reports import TreeReport
from slapgrid.passes import ExitStatus
from slapgrid.slap_client import SlapClient

MASTERS = PREFERRED, OTHER = ("master-0", "master-1")
COMPUTER = "COMP-0"
PERSON = "people-0"
TITLE = "service"

ROUNDS = 6
BUILDING_SECONDS = 10.0
RESTING_SECONDS = 100.0
"""Who found a master away asks it again after 90 at most."""

LEAVING_SECONDS = (90.0, 150.0)
"""A poll that waits gives a silent master up at once, and one comes back in that."""

RETURNING_SECONDS = (5.0, 100.0)

WISHES = (RequestedState.STARTED, RequestedState.STOPPED)
"""In turn: so each is another one than what was there."""

ASKING_SECONDS_MAX = 200.0
"""Each master is waited for 60."""


class Away(TransientError):  # type: ignore[misc] # transaction has no types
    """What a store says that reaches no majority."""


class CutStorage(AnnouncingStorage):
    """One memory for several masters, some of which are cut off from the others.

    ``cut_off`` has the last transaction that each of those knows, by its name.
    """

    def __init__(self, storage: object) -> None:
        super().__init__(storage)
        self.cut_off: dict[str, bytes] = {}

    def build_instance(self) -> CutInstance:
        return CutInstance(self)


class CutInstance(AnnouncingInstance):
    """What one connection stands on, which ``master`` has now."""

    _base: CutStorage
    master = ""

    def poll_invalidations(self) -> Any:
        last = self._base.cut_off.get(self.master)
        if last is None:
            return super().poll_invalidations()
        self.tid, self._start = last, p64(u64(last) + 1)
        return None  # all that the connection has kept may be later

    def tpc_vote(self, transaction: object) -> Any:
        if self.master in self._base.cut_off:
            raise Away("nobody there")
        return self._storage.tpc_vote(transaction)


@define(eq=False)
class MasterDatabase:
    """The database as one master has it; it is its storage, too, to be listened at."""

    _database: DB
    _master: str
    _storage: CutStorage
    _listeners: list[Listener] = field(factory=list)
    loses_ends: bool = False

    def __attrs_post_init__(self) -> None:
        self._storage.listen(self._announce_known)

    @property
    def storage(self) -> MasterDatabase:
        return self

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def announce(self, oids: Any) -> None:
        for listener in self._listeners:
            listener(oids)

    def open(self, manager: object) -> Connection:
        connection = self._database.open(manager)
        # Another master may have filled it.
        connection.cacheMinimize()
        connection._storage.master = self._master  # noqa: SLF001 - ZODB's name
        return connection

    def close(self) -> None:
        """Leave it open: others use it."""

    def _announce_known(self, oids: Any) -> None:
        if self._master not in self._storage.cut_off:
            self.announce(oids)


@define(eq=False)
class Life:
    """Two masters, a computer with its agent, and a person."""

    world: World
    problems: list[str] = field(factory=list)
    entropy: Random = field(init=False)
    _seen: list[Seen] = field(factory=list)
    _storage: CutStorage | None = None
    _whole: DB | None = None
    _databases: dict[str, MasterDatabase] = field(factory=dict)
    _computer: Computer = field(init=False)
    _person: Client = field(init=False)
    _observer: SlapClient = field(init=False)
    _wish_count: int = 0

    def __attrs_post_init__(self) -> None:
        self.entropy = self.world.entropy("freshness")
        for name in MASTERS:
            host = self.world.host(name)
            address = TcpAddress(host.address, PORT)
            config = Config("memory:", address, is_loopback_only=False)
            opening = partial(self._open, name)
            host.boot(partial(build_service, config, opening=opening))
        urls = tuple(url_of_master(self.world.host(it)) for it in MASTERS)
        observer = self.world.host("observer")
        self._observer = SlapClient(observer.runtime, Replicas(urls[1:]))
        person = self.world.host(PERSON)
        self._person = Client(
            person, urls, (), self._seen.append, self.world.entropy(PERSON)
        )
        self._computer = Computer(
            self.world.host(COMPUTER),
            urls,
            BuildoutModel(BUILDING_SECONDS / 2, has_promises=False),
            partition_count=1,
            tell=self._seen.append,
        )
        self.world.run_for(1)
        formatted = self.world.result(self._computer.format())
        assert formatted is ExitStatus.OK
        self._computer.boot()
        supply = calls.supply(SoftwareInstallation(RELEASE, COMPUTER))
        self.world.result(self._observer.perform(supply))
        self.world.run_for(BUILDING_SECONDS)

    def play(self) -> Iterator[str]:
        """Play all rounds; yield what does not hold."""
        self._wish()
        for _ in range(ROUNDS):
            self.world.run_for(RESTING_SECONDS)
            self.entropy.choice((self._fall_behind, self._stand_still))()
            self.world.run_for(RESTING_SECONDS)
            self._look()
        yield from self.problems
        assert self._whole is not None
        watch = Watch(Bounds(), (tids.NAME, acknowledged.NAME))
        for happening in as_told(self._seen, Documents(self._whole)):
            yield from (it.sentence for it in watch.take(happening))
        yield from (it.sentence for it in watch.finish())
        self.world.result(self._computer.stop())
        self.world.result(self._person.close())
        self.world.result(self._observer.close())
        self.world.finish()

    def _fall_behind(self) -> None:
        """Cut the preferred master off from the store, and let all come back to it."""
        assert self._storage is not None
        # Asked for once more it changes nothing, and is answered from memory then.
        self._wish(self._wish_count - 1)
        self._storage.cut_off[PREFERRED] = self._storage.lastTransaction()
        self.world.sever(COMPUTER, PREFERRED)
        self._wish()
        self.world.run_for(self.entropy.uniform(*LEAVING_SECONDS))
        self.world.heal(COMPUTER, PREFERRED)
        if self.entropy.random() < 1 / 2:
            self._computer.host.kill()
            self._computer.host.boot()
        if self.entropy.random() < 1 / 2:
            self._ask(Operation(0, PERSON, "ask", TITLE))
        else:
            # In the bytes that this master granted before.
            self._wish()
        self.world.run_for(self.entropy.uniform(*RETURNING_SECONDS))
        del self._storage.cut_off[PREFERRED]
        self._databases[PREFERRED].announce(EVERYTHING)

    def _stand_still(self) -> None:
        """Let the preferred master make a call when its caller wants something else."""
        master = self.world.host(PREFERRED)
        master.pause_processes()
        self._wish()
        self._wish()
        master.resume_processes()

    def _wish(self, number: int | None = None) -> None:
        """Make the next wish, or one that was made before."""
        if number is None:
            number = self._wish_count
            self._wish_count += 1
        wish = WISHES[number % len(WISHES)]
        self._ask(Operation(0, PERSON, "update", TITLE, wish.value))

    def _ask(self, operation: Operation) -> None:
        outcome, said = self.world.result(
            self._person.ask(operation), ASKING_SECONDS_MAX
        )
        if outcome is not Outcome.ACKNOWLEDGED:
            self.problems.append(f"{operation.verb} is {outcome}: {said}")

    def _look(self) -> None:
        report = self.world.result(self._observer.perform(calls.get_tree_report(TITLE)))
        assert isinstance(report, TreeReport)
        found = report.instances[0].requested_state
        self._seen.append(Ending(self.world.clock.seconds(), TITLE, "", found))

    def _open(self, master: str, _: str, calendar: ICalendar) -> Any:
        if self._storage is None:
            self._storage = CutStorage(MemoryStorage(calendar))
            self._whole = DB(self._storage, pool_size=2 * CONNECTIONS_MAX)
        assert self._whole is not None
        database = MasterDatabase(self._whole, master, self._storage)
        self._databases[master] = database
        return database


def find_problem(seed: int) -> str:
    """Play one life; say what does not hold, ``""`` when all does."""
    try:
        return "\n".join(Life(World(seed)).play())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a problem
        return "".join(format_exception(error))
