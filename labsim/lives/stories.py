"""Shell. Counterexamples of the exploration, played on a simulated neo_cluster.

Each story says in which order messages come and connections break, so that something
acknowledged is lost without one clause of the rule; with it the story ends well, and
what the rule does not allow is left out. The numbers behind those are of drawn ones.
"""

from __future__ import annotations

from collections.abc import Callable
from traceback import format_exception
from types import ModuleType
from typing import Any

from attrs import define, evolve, field, frozen
from transaction.interfaces import TransientError  # type: ignore[import-untyped]
from ZODB.Connection import TransactionMetaData  # type: ignore[import-untyped]
from ZODB.POSException import POSError  # type: ignore[import-untyped]
from ZODB.utils import p64, u64  # type: ignore[import-untyped]

from labsim.lives.directing import (
    DirectedCluster,
    DirectedNeoMaster,
    DirectedStorageNode,
)
from labsim.lives.neo_judging import Commit, Reading, find_problems
from labsim.lives.story_table import STORIES, Story, draw_story
from labsim.models.neo.client import NeoClient
from labsim.models.neo.storage_disk import NO_TID, Oid
from labsim.world.entropy import stream
from labsim.world.links import Cut
from labsim.world.threads import run_suspendable
from labsim.world.world import World, WorldStuck
from master_cluster.store.outages import InDoubt
from replication import quorum
from replication.observation import StorageId, TableId, Tid
from replication.quorum import Change, plan_first_table

FIRST_TABLE = TableId(2, 0)
"""That of creation never ran."""

MASTER_COUNT = 2
LATENCY_SECONDS = 0.001
STEP_SECONDS = 0.1
"""What a step leads to has happened by then: many times across the links."""

GOING_SECONDS_MAX = 4.0
"""Candidates look once a second, and wait one more for who is absent. Who may not go on
does not until then."""

MENDED_SECONDS_MAX = 20.0
"""Elections and copies, one after the other, take four with links that are fast."""


@define(eq=False)
class Stage:
    """A neo_cluster of two neo_masters, a client of each, and who plays on it."""

    story: Story
    rule: ModuleType = quorum
    world: World = field(init=False)
    neo_cluster: DirectedCluster = field(init=False)
    left_out: list[str] = field(factory=list)
    _clients: list[NeoClient] = field(factory=list)
    _commits: list[Commit] = field(factory=list)
    _readings: list[Reading] = field(factory=list)
    _begun: list[int] = field(factory=list)
    _lost_disk: StorageId | None = None
    _transactions: dict[int, tuple[NeoClient, Any]] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        world = self.world = World(0)
        masters = [world.host(f"master-{it}") for it in range(MASTER_COUNT)]
        regions = (*self.story.founders, *self.story.spares)
        self.neo_cluster = DirectedCluster(
            masters,
            [(it, world.host(f"storage-{n}")) for n, it in enumerate(regions)],
            rule=self.rule,
            founder_count=len(self.story.founders),
        )
        clients = [world.host(f"client-{it}") for it in range(MASTER_COUNT)]
        for place, one in enumerate(world.hosts):
            for other in world.hosts[:place]:
                world.network.links.set_latency(one.name, other.name, LATENCY_SECONDS)
        # Each client has its own primary, and candidates do not hear of each other.
        for place, master in enumerate(masters):
            others = [it.name for it in (*masters, *clients)]
            others = [
                it for it in others if it not in {master.name, clients[place].name}
            ]
            world.sever(master.name, others, Cut.REFUSED)

    def play(self) -> None:
        """Play the story, mend all, and wait until all copies are whole."""
        founders = range(len(self.story.founders))
        holders = [self.neo_cluster.disks[it].storage for it in founders]
        table = evolve(plan_first_table(holders, 1), table_id=FIRST_TABLE)
        for place in founders:
            # As if they had been made, and had run since.
            disk = self.neo_cluster.disks[place]
            disk.promise, disk.table = FIRST_TABLE.epoch, table
        self.neo_cluster.boot()
        for place in founders:
            storage = self._storage(place)
            storage.is_held = False
            storage.seek(0)
        self.world.run_until(self.neo_cluster.is_whole, MENDED_SECONDS_MAX)
        self.world.run_for(STEP_SECONDS)
        for place in range(MASTER_COUNT):
            runtime = self.world.host(f"client-{place}").runtime
            self._clients.append(NeoClient(runtime, self.neo_cluster.places, self.rule))
        for place, _ in enumerate(self.neo_cluster.disks):
            self._storage(place).hold()
        for text in self.story.steps:
            verb, *words = text.split()
            is_played = getattr(self, f"_play_{verb}")(*words)
            if is_played:
                self.world.run_for(STEP_SECONDS)
            else:
                self.left_out.append(text)
        self._end()

    def problem(self) -> str:
        """Say what does not hold at the end."""
        primary = self.neo_cluster.primary
        assert primary is not None
        problems = find_problems(
            self.neo_cluster.disks,
            primary.table.holders,
            self._commits,
            self._readings,
        )
        return next(problems, "")

    def waits_for_a_human(self) -> bool:
        return self.neo_cluster.waits_for_a_human(self._lost_disk)

    def _end(self) -> None:
        names = [it.name for it in self.world.hosts]
        for place in range(MASTER_COUNT):
            own = (f"master-{place}", f"client-{place}")
            others = [it for it in names if it not in own and "storage" not in it]
            self.world.heal(f"master-{place}", others)
            # Two that ran at once would run on.
            self._play_stop(f"M{place}")
            self._master(place).is_held = False
        for place, _ in enumerate(self.neo_cluster.disks):
            self._storage(place).release(is_free=True)
        self.world.run_until(self.neo_cluster.is_mended, MENDED_SECONDS_MAX)
        # The last unlocks are on their way, and committed a second later.
        self.world.run_for(2.0)

    def _storage(self, place: int) -> DirectedStorageNode:
        return self.neo_cluster.directed_storage(place)

    def _master(self, place: int) -> DirectedNeoMaster:
        return self.neo_cluster.directed_master(place)

    def _id(self, name: str) -> int:
        return self.neo_cluster.disks[_number(name)].storage

    def _happens(self, predicate: Callable[[], object]) -> bool:
        try:
            self.world.run_until(predicate, GOING_SECONDS_MAX)
        except WorldStuck:
            return False
        return True

    # -- steps: what happens, then to whom; false when it is not possible

    def _play_deliver(self, storage: str) -> bool:
        """The next message is handled."""
        return self._storage(_number(storage)).deliver()

    def _play_leave(self, storage: str) -> bool:
        """A storage node loses its primary, which does not know yet."""
        self._storage(_number(storage)).leave()
        return True

    _play_forget = _play_leave
    """What a lost primary had sent does not arrive."""

    def _play_notice(self, master: str, storage: str) -> bool:
        """A primary knows it too."""
        return self._master(_number(master)).notice(self._id(storage))

    def _play_lose(self, master: str, storage: str) -> bool:
        """A primary loses a storage node that has not heard all that was sent."""
        return self._master(_number(master)).lose(self._id(storage))

    def _play_stop(self, master: str) -> bool:
        """A neo_master is killed, and starts again."""
        host = self.neo_cluster.neo_master_hosts[_number(master)]
        host.kill()
        host.boot()
        return True

    def _play_wipe(self, storage: str) -> bool:
        """A storage node comes back with an empty disk: one of them, once."""
        place = _number(storage)
        host, disk = (
            self.neo_cluster.storage_hosts[place],
            self.neo_cluster.disks[place],
        )
        if self._lost_disk is not None:
            return False
        self._lost_disk = disk.storage
        host.kill()
        disk.wipe()
        host.boot()
        return True

    def _play_connect(self, storage: str, master: str) -> bool:
        """A storage node comes to a running primary."""
        place = _number(master)
        if self._master(place).is_running:
            self._storage(_number(storage)).seek(place)
            self.world.run_for(STEP_SECONDS)
            self._storage(_number(storage)).goal = None
            return True
        return False

    def _play_go(self, master: str, *storages: str) -> bool:
        """A neo_master recovers with storage nodes; ``+`` come, ``-`` are removed."""
        primary = self._master(_number(master))
        names = [it for it in storages if it[0] == "S"]
        change = Change(
            frozenset(self._id(it[1:]) for it in storages if it[0] == "+"),
            frozenset(self._id(it[1:]) for it in storages if it[0] == "-"),
        )
        if primary.is_running or primary.is_deciding:
            return False
        primary.change_holders(None if change == Change() else change)
        for name in names:
            self._storage(_number(name)).seek(_number(master))
        is_going = self._happens(lambda: primary.is_deciding or primary.is_running)
        for name in names:
            storage = self._storage(_number(name))
            storage.goal = None
            if not is_going:
                storage.leave()
        return is_going

    def _play_free(self, *storages: str) -> bool:
        """Storage nodes do at once whatever they are told, from now on."""
        for name in storages:
            self._storage(_number(name)).release()
        return True

    def _play_hold(self, *storages: str) -> bool:
        """They do again what they are told one by one."""
        for name in storages:
            self._storage(_number(name)).hold()
        return True

    def _play_replicate(self, storage: str) -> bool:
        """A storage node copies from one that has all."""
        return self._storage(_number(storage)).copy()

    def _play_begin(self, master: str, transaction: str) -> bool:
        """A transaction begins at a primary, and is voted by all that are there."""
        number = _number(transaction)
        data = TransactionMetaData(b"", b"", b"")
        client = self._client_of(master)
        if client is None or number in self._begun:
            return False
        self._begun.append(number)

        def begin() -> bool:
            try:
                client.tpc_begin(data)
                client.store(_oid(number), NO_TID, p64(1), "", data)
                client.tpc_vote(data)
            except (POSError, TransientError):
                return False
            self._transactions[number] = client, data
            return True

        return self._do(begin)

    def _play_finish(self, transaction: str) -> bool:
        """It gets its tid, and locks are asked for."""
        number = _number(transaction)
        if number not in self._transactions:
            return False
        client, data = self._transactions.pop(number)
        began = self.world.clock.seconds()

        def finish() -> None:
            try:
                tid = client.tpc_finish(data)
            except (InDoubt, POSError, TransientError):
                return
            ended = self.world.clock.seconds()
            self._commits.append(Commit(began, ended, tid, _oid(number), p64(1)))

        run_suspendable(finish, lambda _: None)
        return True

    def _play_read(self, master: str) -> bool:
        """Clients of a primary read all there is, wherever it may be read."""
        client = self._client_of(master)
        if client is None:
            return False

        def read() -> bool:
            try:
                client.sync()
            except (POSError, TransientError):
                return False
            asof = client.lastTransaction()
            before: Tid = p64(u64(asof) + 1)
            for place, disk in enumerate(self.neo_cluster.disks):
                for oid in map(_oid, self.story.transactions):
                    if self._storage(place).serves(client.epoch, oid):
                        found = disk.revisions(oid).before(before)
                        serial = found[1] if found else NO_TID
                        self._readings.append(Reading(asof, oid, serial))
            return True

        return self._do(read)

    def _client_of(self, master: str) -> NeoClient | None:
        """The client of a running primary, once it has come."""
        client, primary = self._clients[_number(master)], self._master(_number(master))
        if not primary.is_running:
            return None
        epoch = primary.table.table_id.epoch
        return client if self._happens(lambda: client.epoch == epoch) else None

    def _do(self, work: Callable[[], bool]) -> bool:
        ended: list[bool] = []
        run_suspendable(work, ended.append)
        return self._happens(lambda: ended) and ended[0]


def _number(name: str) -> int:
    return int(name[1:])


def _oid(number: int) -> Oid:
    oid: Oid = p64(number + 1)
    return oid


@frozen
class Played:
    """``sentence`` is what does not hold; ``left_out`` are steps that nobody could."""

    sentence: str
    left_out: tuple[str, ...]


def play(story: Story, rule: ModuleType = quorum) -> Played:
    stage = Stage(story, rule)
    try:
        stage.play()
        sentence = stage.problem()
    except WorldStuck as error:
        sentence = "" if stage.waits_for_a_human() else str(error)
    except Exception as error:  # noqa: BLE001 - a changed rule breaks who asks it
        sentence = "".join(format_exception(error))
    return Played(sentence, tuple(stage.left_out))


def find_problem(seed: int) -> str:
    """Play a story under the rule of this interpreter: one of the table, or drawn."""
    story = STORIES[seed] if seed < len(STORIES) else draw_story(stream(seed, "story"))
    return play(story).sentence
