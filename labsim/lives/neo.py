"""A life of a simulated neo_cluster under random faults, and what must hold of it.

``play`` is one life: clients count in a few objects while hosts crash, programs are
killed and links are cut, often in the middle of what the fault before began. Then all
is mended, all copies have to become whole, and what clients were told has to be there.
In a tunnelled life regions reach each other through stunnels, which have faults too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import combinations, pairwise, product
from random import Random
from traceback import format_exception
from types import ModuleType

from attrs import define, field, frozen
from transaction.interfaces import TransientError  # type: ignore[import-untyped]
from twisted.internet.task import deferLater
from ZODB.Connection import TransactionMetaData  # type: ignore[import-untyped]
from ZODB.POSException import ConflictError, POSError  # type: ignore[import-untyped]
from ZODB.utils import p64, u64  # type: ignore[import-untyped]

from labsim import history
from labsim.models.neo.client import NeoClient
from labsim.models.neo.neo_cluster import NeoCluster
from labsim.models.neo.storage_disk import NO_TID, Oid, StorageDisk
from labsim.world.host import Host
from labsim.world.links import Cut
from labsim.world.threads import run_suspendable, wait_for
from labsim.world.world import World, WorldStuck
from master_cluster.store.outages import InDoubt
from replication import quorum
from replication.observation import StorageId, Tid
from replication.quorum import Change

UNREACHED_FRACTION = 0.4
"""A majority of three is left to more than half of the neo_masters."""

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


@frozen
class Verdict:
    """How a life went: ``""`` when all holds, else what does not."""

    seed: int
    sentence: str
    commit_count: int
    doubt_count: int
    epoch_count: int
    digest: str

    def __bool__(self) -> bool:
        return not self.sentence


@frozen
class Commit:
    """One that was acknowledged."""

    began: float
    ended: float
    tid: Tid
    oid: Oid
    data: bytes


@frozen
class Reading:
    """What a client found as of a transaction."""

    asof: Tid
    oid: Oid
    serial: Tid


class Counting(NeoClient):
    """A client whose records are numbers, which nobody resolves."""

    def tryToResolveConflict(self, oid: Oid, *_: object) -> bytes:
        raise ConflictError(oid=oid)


@define(eq=False)
class Life:
    """Everything of one life."""

    seed: int
    rule: ModuleType
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
        self.world.run_until(self._is_mended, MENDED_SECONDS_MAX)
        done = len(self.commits)
        self.world.run_until(
            lambda: len(self.commits) > done + SIGN_COUNT, MENDED_SECONDS_MAX
        )
        self.is_ending = True
        self.world.run_until(
            lambda: self.idle_count == len(self.client_hosts), MENDED_SECONDS_MAX
        )
        # The last unlocks are on their way, and committed a second later.
        self.world.run_until(self._is_mended, MENDED_SECONDS_MAX)
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
        faults = TUNNELLED_FAULTS if self.is_tunnelled else FAULTS
        undo = entropy.choice(faults)(self, entropy)
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

    def _is_mended(self) -> bool:
        """Whether all holders have all; an operator removes those that never came.

        Who was away in the recovery that made it a holder promised nothing, and is
        refused as one that lost its disk.
        """
        primary = self.neo_cluster.primary
        if primary is None:
            return False
        unborn = frozenset(
            it.storage
            for it in self.neo_cluster.disks
            if it.storage in primary.table.holders and not (it.table or it.promise)
        )
        if unborn:
            primary.change_holders(Change(removed=unborn))
            return False
        return self.neo_cluster.is_whole()

    def waits_for_a_human(self) -> bool:
        """Whether the disk that was lost alone had all, before another one had."""
        tables = [it.table for it in self.neo_cluster.disks if it.table]
        newest = max(tables, key=lambda it: it.table_id)
        return newest.readable == {self.lost_disk}

    # -- what must hold

    def problems(self) -> Iterator[str]:
        """Say what does not hold at the end."""
        primary = self.neo_cluster.primary
        assert primary is not None
        holders = primary.table.holders
        disks = [it for it in self.neo_cluster.disks if it.storage in holders]
        for disk in disks[1:]:
            if disk.committed != disks[0].committed:
                yield f"{disks[0].storage} and {disk.storage} differ"
        yield from self._commit_problems(disks[0])
        yield from self._reading_problems(disks[0])

    def _commit_problems(self, disk: StorageDisk) -> Iterator[str]:
        for commit in self.commits:
            kept = disk.committed.get(commit.tid)
            if kept is None or (commit.oid, commit.data) not in kept[1].changes:
                yield f"{commit.tid.hex()} was acknowledged and is lost"
        by_tid = sorted(self.commits, key=lambda it: it.tid)
        for earlier, later in pairwise(by_tid):
            if earlier.tid == later.tid:
                yield f"{later.tid.hex()} was acknowledged twice"
            if earlier.began > later.ended:
                yield f"{later.tid.hex()} is above one that came later"
        for oid in COUNTERS:
            numbers = [u64(data) for _, data in disk.revisions(oid).known]
            if numbers != list(range(1, len(numbers) + 1)):
                yield f"counted {numbers}"

    def _reading_problems(self, disk: StorageDisk) -> Iterator[str]:
        for reading in self.readings:
            found = disk.revisions(reading.oid).before(p64(u64(reading.asof) + 1))
            serial = found[1] if found else NO_TID
            if serial != reading.serial:
                yield f"what was read as of {reading.asof.hex()} is otherwise now"


Fault = Callable[[Life, Random], Callable[[], None] | None]


def _boot(host: Host) -> Callable[[], None]:
    return lambda: None if host.is_up else host.boot()


def crash(life: Life, entropy: Random) -> Callable[[], None] | None:
    host = entropy.choice(life.servers())
    if not host.is_up:
        return None
    host.crash()
    return _boot(host)


def kill(life: Life, entropy: Random) -> Callable[[], None] | None:
    host = entropy.choice(life.servers())
    if not host.is_up:
        return None
    host.kill()
    return _boot(host)


def kill_primary(life: Life, entropy: Random) -> Callable[[], None] | None:
    del entropy
    place = life.neo_cluster.primary_place()
    if place is None:
        return None
    host = life.neo_cluster.neo_master_hosts[place]
    host.kill()
    return _boot(host)


def cut(life: Life, entropy: Random) -> Callable[[], None]:
    one, other = entropy.sample(life.servers(), 2)
    return _cut_between(life, entropy, one, other)


def _cut_between(
    life: Life, entropy: Random, one: Host, other: Host
) -> Callable[[], None]:
    life.world.sever(
        one.name,
        other.name,
        entropy.choice(tuple(Cut)),
        is_one_way=entropy.random() < 1 / 2,
    )
    return lambda: life.world.heal(one.name, other.name)


def cut_off(life: Life, entropy: Random) -> Callable[[], None]:
    """Cut one from all, as a region is."""
    one = entropy.choice(life.servers())
    how = entropy.choice(tuple(Cut))
    others = [it for it in life.world.hosts if it is not one]
    for other in others:
        life.world.sever(one.name, other.name, how)

    def undo() -> None:
        for other in others:
            life.world.heal(one.name, other.name)

    return undo


def change_holders(life: Life, entropy: Random) -> None:
    primary = life.neo_cluster.primary
    spares = [
        it.storage
        for it in life.neo_cluster.disks
        if it.storage not in life.neo_cluster.places.founders
    ]
    if primary is None or not spares:
        return
    holders = primary.table.holders
    chosen = frozenset({entropy.choice([it.storage for it in life.neo_cluster.disks])})
    primary.change_holders(
        Change(removed=chosen) if chosen <= holders else Change(added=chosen)
    )


def scatter(life: Life, entropy: Random) -> Callable[[], None]:
    """Let each neo_master reach some storage nodes alone, and none of the others."""
    neo_cluster = life.neo_cluster
    masters, storages = neo_cluster.neo_master_hosts, neo_cluster.storage_hosts
    pairs = list(combinations(masters, 2))
    pairs += [
        pair
        for pair in product(masters, storages)
        if entropy.random() < UNREACHED_FRACTION
    ]
    for one, other in pairs:
        life.world.sever(one.name, other.name, Cut.REFUSED)

    def undo() -> None:
        for one, other in pairs:
            life.world.heal(one.name, other.name)

    return undo


def lose_disk(life: Life, entropy: Random) -> Callable[[], None] | None:
    """Let a storage node come back empty, once in a life, if another one has all."""
    neo_cluster = life.neo_cluster
    primary = neo_cluster.primary
    place = entropy.randrange(len(neo_cluster.disks))
    host, disk = neo_cluster.storage_hosts[place], neo_cluster.disks[place]
    if life.lost_disk is not None or primary is None or not host.is_up:
        return None
    if len(neo_cluster.places.founders) < len(neo_cluster.disks):
        # With a holder that never came, too, two regions would wait for a human.
        return None
    if not primary.table.readable - {disk.storage}:
        return None
    life.lost_disk = disk.storage
    host.crash()
    disk.wipe()
    return _boot(host)


FAULTS: tuple[Fault, ...] = (
    crash, kill, kill, kill_primary, cut, cut, cut_off, change_holders,
    change_holders, lose_disk, scatter, scatter, scatter, scatter,
)  # fmt: skip


def stop_stunnel(life: Life, entropy: Random) -> Callable[[], None]:
    host = entropy.choice(tuple(life.stunnel_hosts.values()))
    host.pause_processes()
    return host.resume_processes


def kill_stunnel(life: Life, entropy: Random) -> Callable[[], None] | None:
    host = entropy.choice(tuple(life.stunnel_hosts.values()))
    if not host.is_up:
        return None
    host.kill()
    return _boot(host)


def cut_stunnel(life: Life, entropy: Random) -> Callable[[], None]:
    """Cut two regions from each other, or one way between them."""
    one, other = entropy.sample(tuple(life.stunnel_hosts.values()), 2)
    return _cut_between(life, entropy, one, other)


TUNNELLED_FAULTS: tuple[Fault, ...] = (
    crash, kill, kill_primary, cut, cut_off, change_holders, lose_disk,
    stop_stunnel, stop_stunnel, kill_stunnel, kill_stunnel, cut_stunnel, cut_stunnel,
)  # fmt: skip


def play(
    seed: int, rule: ModuleType = quorum, *, is_tunnelled: bool = False
) -> Verdict:
    """Play one life; the verdict says what does not hold."""
    life = Life(seed, rule, is_tunnelled)
    try:
        life.run()
        sentence = next(life.problems(), "")
    except WorldStuck as error:
        sentence = "" if life.waits_for_a_human() else str(error)
    except Exception as error:  # noqa: BLE001 - a changed rule breaks who asks it
        sentence = "".join(format_exception(error))
    return Verdict(
        seed,
        sentence,
        len(life.commits),
        life.doubt_count,
        len(life.happenings),
        life.world.digest(),
    )


def find_problem(seed: int) -> str:
    """Play one life under the rule of this interpreter."""
    return play(seed).sentence
