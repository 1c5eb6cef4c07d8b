"""Shell. A life of a simulated neo_cluster under random faults: what happens in it.

Clients count in a few objects while faults come, often in the middle of what the fault
before began. Then all is mended, and all copies have to become whole. In a tunnelled
life regions reach each other through stunnels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from random import Random
from types import ModuleType

from attrs import define, field
from transaction.interfaces import TransientError  # type: ignore[import-untyped]
from twisted.internet.task import deferLater
from ZODB.Connection import TransactionMetaData  # type: ignore[import-untyped]
from ZODB.POSException import ConflictError, POSError  # type: ignore[import-untyped]
from ZODB.utils import p64, u64  # type: ignore[import-untyped]

from labsim import history
from labsim.lives.neo_judging import Commit, Reading, find_problems
from labsim.models.neo.client import NeoClient
from labsim.models.neo.neo_cluster import NeoCluster
from labsim.models.neo.storage_disk import NO_TID, Oid
from labsim.world.host import Host
from labsim.world.threads import run_suspendable, wait_for
from labsim.world.world import World
from master_cluster.store.outages import InDoubt
from replication.observation import StorageId

AIMED_FRACTION = 0.2
AIMS = (-2.5, -0.1)
"""Powers of ten of the seconds between the beginning of an epoch, or of the end of a
transaction, and a fault that is aimed at it: 3 to 800 ms."""

LATENCIES = (-2.5, -0.5)
"""Powers of ten of the seconds that a packet needs on a link, 3 to 300 ms: with links
of one speed all storage nodes would be in the same step."""

COUNTERS = tuple(map(p64, range(1, 9)))
FAULT_SECONDS = 80.0
PAUSES = (-2.0, 0.9)
"""Powers of ten of the seconds between two faults: 10 ms to 8 s. A recovery takes less
than one, and the next fault has to hit its middle."""

OUTAGES = (-1.3, 1.0)
"""The same of how long a fault lasts: 50 ms to 10 s, more than a silence."""

SIGN_COUNT = 4
"""So many commits say that clients are served."""

MENDING_FRACTION = 0.5
"""Before so many faults all is mended, else nothing runs most of the time."""

MENDED_SECONDS_MAX = 90.0
"""Silences, elections and copies, one after the other."""

CLIENT_PAUSE_SECONDS = 0.1
"""The mean between two commits of a client: one is on its way most of the time."""

DAWDLING_FRACTION = 0.5
DAWDLINGS = (-1.5, 0.5)
"""Powers of ten of the seconds that a transaction waits before its vote and its end:
long enough for a storage node to go, and for another one to come back."""

LAYOUTS: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((1, 2, 3), ()),
    ((1, 2, 3), ()),
    ((1, 1, 2, 3), ()),
    ((1, 2, 3), (1, 4)),
    ((1, 2, 3), (1, 2)),
)
"""Regions of the storage nodes: founders, those that an operator may add."""


Fault = Callable[["Life", Random], Callable[[], None] | None]
"""What breaks something; it returns what undoes that, unless it mends itself."""


class Counting(NeoClient):
    """A client whose records are numbers, which nobody resolves."""

    def tryToResolveConflict(self, oid: Oid, *_: object) -> bytes:
        raise ConflictError(oid=oid)


@define(eq=False)
class Life:
    """Everything of one life."""

    seed: int
    rule: ModuleType
    faults: tuple[Fault, ...]
    is_tunnelled: bool = False
    world: World = field(init=False)
    neo_cluster: NeoCluster = field(init=False)
    client_hosts: tuple[Host, ...] = field(init=False)
    stunnel_hosts: Mapping[str, Host] = field(init=False)
    happenings: list[history.Happening] = field(factory=list)
    commits: list[Commit] = field(factory=list)
    readings: list[Reading] = field(factory=list)
    doubt_count: int = 0
    is_ending: bool = False
    idle_count: int = 0
    lost_disk: StorageId | None = None
    _is_breaking: bool = False
    _dice: dict[str, Random] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.world = World(self.seed)
        entropy = self.world.entropy("layout")
        founders, spares = entropy.choice(LAYOUTS)
        masters = [self._host(f"master-{it}", it) for it in (1, 2, 3)]
        storages = [
            (region, self._host(f"storage-{number}", region))
            for number, region in enumerate(founders + spares, start=1)
        ]
        clients = [self._host(f"client-{it}", (it - 1) % 3 + 1) for it in (1, 2, 3, 4)]
        self.client_hosts = tuple(clients)
        regions = sorted({it.region for it in self.world.hosts if it.region})
        self.stunnel_hosts = {
            it: self.world.host(f"stunnel-{it}", it) for it in regions
        }
        self.neo_cluster = NeoCluster(
            masters,
            storages,
            self._tell,
            self.rule,
            len(founders),
            stunnel_hosts=self.stunnel_hosts,
        )
        self._dice["epochs"] = self.world.entropy("epochs")
        for host in self.client_hosts:
            self._dice[host.name] = self.world.entropy(host.name, "dice")

    def _host(self, name: str, region: int) -> Host:
        return self.world.host(name, f"r{region}" if self.is_tunnelled else "")

    def run(self) -> None:
        speeds = self.world.entropy("speeds")
        for one, other in self.pairs():
            if not one.region or one.region != other.region:
                self.world.network.links.set_latency(
                    one.name, other.name, 10 ** speeds.uniform(*LATENCIES)
                )
        self.neo_cluster.boot()
        self.world.run_until(self.neo_cluster.is_whole, MENDED_SECONDS_MAX)
        for number, host in enumerate(self.client_hosts):
            places = self.neo_cluster.places_from(host.region)
            client = Counting(host.runtime, places, self.rule)
            self._later(host, partial(self._count, client, number))
        self.world.run_until(
            lambda: len(self.commits) >= SIGN_COUNT, MENDED_SECONDS_MAX
        )
        self._break()
        self._mend()
        self.world.run_until(self.neo_cluster.is_mended, MENDED_SECONDS_MAX)
        done = len(self.commits)
        self.world.run_until(
            lambda: len(self.commits) > done + SIGN_COUNT, MENDED_SECONDS_MAX
        )
        self.is_ending = True
        self.world.run_until(
            lambda: self.idle_count == len(self.client_hosts), MENDED_SECONDS_MAX
        )
        # The last unlocks are on their way, and committed a second later.
        self.world.run_until(self.neo_cluster.is_mended, MENDED_SECONDS_MAX)
        self.world.run_for(2.0)

    # -- clients

    def _later(self, host: Host, call: Callable[[], None]) -> None:
        pause_seconds = self._dice[host.name].expovariate(1 / CLIENT_PAUSE_SECONDS)
        host.runtime.clock.callLater(pause_seconds, call)

    def _count(self, client: NeoClient, number: int) -> None:
        host = self.client_hosts[number]
        if self.is_ending:
            client.close()
            self.idle_count += 1
            return

        def again(_: object) -> None:
            self._later(host, partial(self._count, client, number))

        run_suspendable(lambda: self._count_once(client, host), again)

    def _count_once(self, client: NeoClient, host: Host) -> None:
        """Add one to a counter, whatever comes of it."""
        began = self.world.clock.seconds()
        transaction = TransactionMetaData(b"", b"", b"")
        try:
            client.sync()
            asof = client.lastTransaction()
            oid = self._dice[host.name].choice(COUNTERS)
            serial, number = NO_TID, 0
            try:
                found = client.loadBefore(oid, p64(u64(asof) + 1))
            except KeyError:
                found = None
            if found is not None:
                serial, number = found[1], u64(found[0])
            self.readings.append(Reading(asof, oid, serial))
            data = p64(number + 1)
            client.tpc_begin(transaction)
            try:
                client.store(oid, serial, data, "", transaction)
                self._dawdle(host)
                client.tpc_vote(transaction)
                self._dawdle(host)
            except BaseException:
                client.tpc_abort(transaction)
                raise
            self._aim(self._dice[host.name])
            tid = client.tpc_finish(transaction)
        except InDoubt:
            self.doubt_count += 1
        except (POSError, TransientError):
            pass
        else:
            ended = self.world.clock.seconds()
            self.commits.append(Commit(began, ended, tid, oid, data))

    def _dawdle(self, host: Host) -> None:
        """Let the neo_cluster change under a transaction."""
        entropy = self._dice[host.name]
        if entropy.random() < DAWDLING_FRACTION:
            seconds = 10 ** entropy.uniform(*DAWDLINGS)
            wait_for(deferLater(host.runtime.clock, seconds))

    # -- faults

    def _break(self) -> None:
        entropy = self.world.entropy("faults")
        clock = self.world.clock
        end = clock.seconds() + FAULT_SECONDS
        self._is_breaking = True
        while clock.seconds() < end:
            self.world.run_for(10 ** entropy.uniform(*PAUSES))
            if entropy.random() < MENDING_FRACTION:
                self._mend()
            self._strike(entropy)
        self._is_breaking = False

    def _strike(self, entropy: Random) -> None:
        undo = entropy.choice(self.faults)(self, entropy)
        if undo is not None:
            outage_seconds = 10 ** entropy.uniform(*OUTAGES)
            self.world.network.life.callLater(outage_seconds, undo)

    def _aim(self, entropy: Random) -> None:
        """Let a fault hit soon after something, or not."""
        if self._is_breaking and entropy.random() < AIMED_FRACTION:

            def strike() -> None:
                if self._is_breaking:
                    self._strike(entropy)

            self.world.network.life.callLater(10 ** entropy.uniform(*AIMS), strike)

    def _tell(self, happening: history.Happening) -> None:
        self.happenings.append(happening)
        self._aim(self._dice["epochs"])

    def _mend(self) -> None:
        for one, other in self.pairs():
            self.world.heal(one.name, other.name)
        for host in self.world.hosts:
            host.resume_processes()
            if not host.is_up:
                host.boot()

    def pairs(self) -> Iterator[tuple[Host, Host]]:
        hosts = self.world.hosts
        for place, one in enumerate(hosts):
            for other in hosts[:place]:
                yield one, other

    def servers(self) -> tuple[Host, ...]:
        """What faults hit; links of a tunnelled life are those of its stunnels."""
        programs = self.neo_cluster.neo_master_hosts + self.neo_cluster.storage_hosts
        return programs + tuple(self.stunnel_hosts.values())

    def waits_for_a_human(self) -> bool:
        return self.neo_cluster.waits_for_a_human(self.lost_disk)

    # -- what must hold

    def problems(self) -> Iterator[str]:
        """Say what does not hold at the end."""
        primary = self.neo_cluster.primary
        assert primary is not None
        disks = self.neo_cluster.disks
        holders = primary.table.holders
        yield from find_problems(disks, holders, self.commits, self.readings)
        whole = next(it for it in disks if it.storage in holders)
        for oid in COUNTERS:
            numbers = [u64(data) for _, data in whole.revisions(oid).known]
            if numbers != list(range(1, len(numbers) + 1)):
                yield f"counted {numbers}"
