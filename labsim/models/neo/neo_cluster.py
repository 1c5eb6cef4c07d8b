"""Shell. A neo_cluster on hosts of a world: who stands where, and what is on disks.

``rule`` is what its programs ask: ``replication.quorum``, or a copy of it of which a
test took something out.

It is smaller than NEO: each storage node has all, in one neo_partition, and copies it
in one step. A transaction that meets a younger one gives up, where NEO moves it. An end
that was lost is not looked for, so that it is in doubt more often. There are no packs,
no undo, no backup mode; tids that a program drew and did not use are unknown after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType, ModuleType
from typing import Any

from attrs import evolve
from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure
from ZODB.DB import DB  # type: ignore[import-untyped]

from labsim import history
from labsim.models.neo.client import NeoClient
from labsim.models.neo.neo_master import NeoMaster
from labsim.models.neo.places import NEO_MASTER_PORT, STORAGE_PORT, NeoPlaces
from labsim.models.neo.storage_disk import StorageDisk
from labsim.models.neo.storage_node import StorageNode
from labsim.models.stunnel import Gates
from labsim.world.host import BuildService, Host
from labsim.world.threads import run_suspendable
from master_cluster.store.storages import Opening, database_on
from replication import quorum
from replication.observation import REGION_SPAN, StorageId
from runtime.ports import Runtime, TcpAddress


class NeoCluster:
    """Hosts of neo_masters, and of storage nodes with the number of their region.

    One host may have both. ``founder_count`` of the storage nodes, the first ones, make
    the neo_cluster; an operator adds the others. ``disks`` is what they keep, through
    all their lives. ``stunnel_hosts`` are of regions as the world names them: with them
    programs reach those of other regions through two stunnels.
    """

    neo_master_class: type[NeoMaster] = NeoMaster
    storage_class: type[StorageNode] = StorageNode

    def __init__(
        self,
        neo_master_hosts: Sequence[Host],
        storage_hosts: Sequence[tuple[int, Host]],
        tell: Callable[[history.Happening], None] = lambda _: None,
        rule: ModuleType = quorum,
        founder_count: int | None = None,
        *,
        stunnel_hosts: Mapping[str, Host] = MappingProxyType({}),
    ) -> None:
        self._rule = rule
        self._tell = tell
        self.neo_master_hosts = tuple(neo_master_hosts)
        self.storage_hosts = tuple(host for _, host in storage_hosts)
        self.disks = tuple(
            StorageDisk(region * REGION_SPAN + number)
            for number, (region, _) in enumerate(storage_hosts, start=1)
        )
        places = {
            disk.storage: TcpAddress(host.address, STORAGE_PORT)
            for disk, host in zip(self.disks, self.storage_hosts, strict=True)
        }
        self.places = NeoPlaces(
            tuple(TcpAddress(it.address, NEO_MASTER_PORT) for it in neo_master_hosts),
            places,
            frozenset(list(places)[:founder_count]),
        )
        hosts = (*self.neo_master_hosts, *self.storage_hosts)
        addresses = (*self.places.neo_masters, *places.values())
        self._gates = Gates(
            stunnel_hosts,
            {it: host.region for it, host in zip(addresses, hosts, strict=True)},
        )
        self._neo_masters: dict[int, NeoMaster] = {}
        self._storage_nodes: dict[int, StorageNode] = {}

    def boot(self) -> None:
        """Start all programs; each starts again with its host."""
        self._gates.boot()
        for place, host in enumerate(self.neo_master_hosts):
            host.boot(self._neo_master_builder(place, host))
        for place, host in enumerate(self.storage_hosts):
            host.boot(self._storage_builder(place, host))

    def neo_master(self, place: int) -> NeoMaster:
        """The present or last life of one."""
        return self._neo_masters[place]

    def storage_node(self, place: int) -> StorageNode:
        """The present or last life of one."""
        return self._storage_nodes[place]

    @property
    def primary(self) -> NeoMaster | None:
        """The neo_master that runs in the highest epoch, if any does."""
        running = [
            self._neo_masters[place]
            for place, host in enumerate(self.neo_master_hosts)
            if host.is_up and self._neo_masters[place].is_running
        ]
        return max(running, key=lambda it: it.table.table_id, default=None)

    def primary_place(self) -> int | None:
        """The region of the primary, from zero."""
        primary = self.primary
        return next(
            (place for place, it in self._neo_masters.items() if it is primary), None
        )

    def is_whole(self) -> bool:
        """Whether it runs and each holder has all."""
        primary = self.primary
        return primary is not None and all(
            row.readable == row.holders for row in primary.table.rows
        )

    def is_mended(self) -> bool:
        """Whether it is whole; an operator removes the holders that never came.

        Who was away in the recovery that made it a holder promised nothing, and is
        refused as one that lost its disk.
        """
        primary = self.primary
        if primary is None:
            return False
        unborn = frozenset(
            it.storage
            for it in self.disks
            if it.storage in primary.table.holders and not (it.table or it.promise)
        )
        if unborn:
            primary.change_holders(quorum.Change(removed=unborn))
            return False
        return self.is_whole()

    def waits_for_a_human(self, lost_disk: StorageId | None) -> bool:
        """Whether the disk that was lost alone had all, before another one had."""
        tables = [it.table for it in self.disks if it.table]
        newest = max(tables, key=lambda it: it.table_id)
        return newest.readable == {lost_disk}

    def places_from(self, region: str) -> NeoPlaces:
        """Where a program in a region of the world reaches all others."""
        reached = partial(self._gates.reached, region)
        return evolve(
            self.places,
            neo_masters=tuple(map(reached, self.places.neo_masters)),
            storage_nodes={
                storage: reached(address)
                for storage, address in self.places.storage_nodes.items()
            },
        )

    def client(
        self, runtime: Runtime, *, region: str = "", **options: Any
    ) -> NeoClient:
        return NeoClient(runtime, self.places_from(region), self._rule, **options)

    def opening(self, runtime: Runtime) -> Opening:
        """What a master opens its store with, in a ``StartedSuspendable``."""

        def open_database(uri: str, calendar: object) -> DB:
            del uri, calendar
            return database_on(self.client(runtime))

        return open_database

    def _neo_master_builder(self, place: int, host: Host) -> BuildService:
        def build(runtime: Runtime) -> IService:
            made = self.neo_master_class(
                runtime,
                self.places_from(host.region),
                place,
                host=host.name,
                tell=self._tell,
                rule=self._rule,
            )
            self._neo_masters[place] = made
            return made

        return build

    def _storage_builder(self, place: int, host: Host) -> BuildService:
        def build(runtime: Runtime) -> IService:
            made = self.storage_class(
                runtime, self.places_from(host.region), self.disks[place], self._rule
            )
            self._storage_nodes[place] = made
            return made

        return build


class StartedSuspendable(Service):
    """A service whose start waits for its store, as production's blocks."""

    def __init__(self, started: IService) -> None:
        self._started = started

    def startService(self) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        run_suspendable(self._start, lambda it: it.chainDeferred(done))
        return done

    def stopService(self) -> Deferred[Any]:
        return self._started.stopService()  # type: ignore[no-any-return]

    def _start(self) -> Deferred[Any]:
        try:
            starting: Deferred[Any] = self._started.startService()
        except Exception:  # noqa: BLE001 - told by the Deferred
            return fail(Failure())
        return starting
