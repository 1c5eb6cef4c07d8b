"""Shell. Where simulated masters keep what they are told, and who hears of commits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, Protocol

from attrs import evolve
from twisted.application.service import IService
from ZODB.DB import DB  # type: ignore[import-untyped]

from labsim.compact_storage import CompactStorage
from labsim.models.neo.client import Away, NeoClient
from labsim.models.neo.kept import KeptStorage
from labsim.models.neo.neo_cluster import NeoCluster
from labsim.models.neo.storage_disk import NO_TID
from labsim.recording import RecordedDatabase, RecordingStorage, Tell
from labsim.restarting import Restarted
from labsim.topology import Topology
from labsim.world.world import World
from master_cluster.config import Config
from master_cluster.errors import Misconfigured
from master_cluster.service import build_service as build_master
from master_cluster.store.announcing import AnnouncingStorage
from master_cluster.store.storages import (
    CACHED_OBJECTS_MAX,
    CONNECTIONS_MAX,
    MemoryStorage,
    Opening,
    database_on,
)
from replication import quorum
from runtime.ports import ICalendar, Runtime

MASTERS_MAX = 20
"""That use one database at once, with as many connections as each would have alone."""


READY_SECONDS_MAX = 60.0
"""A new neo_cluster waits for all of its storage nodes, and starts."""


class Store(Protocol):
    """What the masters of a world stand on."""

    uri: str

    def boot(self) -> None:
        """Begin, and wait until masters may begin."""

    def build_master(self, name: str, config: Config, runtime: Runtime) -> IService:
        """The program of a master, for one life of its host."""

    def is_whole(self) -> bool:
        """Whether nothing is left to be mended."""

    def whole(self) -> DB:
        """A database that has all that was committed, and each version of it."""


class SharedMemory:
    """One memory for all masters of a world, which stays while they come and go.

    It stands beside all hosts: no fault reaches it. Its transaction ids follow the
    calendar of the master that was first.
    """

    uri = "memory:"

    def __init__(self, tell: Tell, seconds: Callable[[], float]) -> None:
        self._tell = tell
        self._seconds = seconds
        self._opened: list[DB] = []

    def boot(self) -> None:
        """It is there when the first master begins."""

    def build_master(self, name: str, config: Config, runtime: Runtime) -> IService:
        return build_master(config, runtime, self.opening(name))

    def is_whole(self) -> bool:
        return True

    def opening(self, master: str) -> Opening:
        """What a master of that name opens its store with."""

        def open_it(uri: str, calendar: ICalendar) -> Any:
            assert uri == self.uri, uri
            if not self._opened:
                self._opened.append(self._open(self.build_storage(calendar)))
            return RecordedDatabase(self._opened[0], master, is_shared=True)

        return open_it

    def whole(self) -> DB:
        """A database that has all that was committed, and each version of it."""
        assert self._opened, "no master has begun"
        return self._opened[0]

    def build_storage(self, calendar: ICalendar) -> MemoryStorage:
        """What all of it stands on."""
        return CompactStorage(calendar)

    def build_recording(self, storage: object) -> RecordingStorage:
        """The same as connections have it, with commits told."""
        return RecordingStorage(storage, self._tell, self._seconds)

    def _open(self, storage: object) -> DB:
        return _shared(DB, self.build_recording(storage))


class _LastingDatabase(DB):  # type: ignore[misc] # ZODB has no types
    """One that all masters of a world use; it lasts when one of them stops."""

    def close(self) -> None:
        """Leave it open: others use it."""


def open_untold_memory() -> Opening:
    """One memory for all masters of a world, whose transactions nobody is told.

    So they keep what they have read, as in production: for figures.
    """
    opened: list[DB] = []

    def open_it(uri: str, calendar: ICalendar) -> DB:
        assert uri == SharedMemory.uri, uri
        if not opened:
            storage = AnnouncingStorage(MemoryStorage(calendar))
            opened.append(_shared(_LastingDatabase, storage))
        return opened[0]

    return open_it


def _shared(database: type[DB], storage: object) -> DB:
    return database(
        storage,
        pool_size=MASTERS_MAX * CONNECTIONS_MAX,
        cache_size=CACHED_OBJECTS_MAX,
    )


class SharedNeo:
    """A neo_cluster on hosts of the world, which its faults reach.

    Clients of lives that are over are kept: to drop what waits in one would let it go
    on.
    """

    uri = "neo:lab@[::1]:2051"

    def __init__(
        self,
        world: World,
        topology: Topology,
        tell: Tell,
        rule: ModuleType = quorum,
    ) -> None:
        self._world = world
        self._tell = tell
        self.neo_cluster = NeoCluster(
            [world.host(name) for name in topology.neo_masters],
            [
                (number, world.host(name))
                for number, region in enumerate(topology.regions, start=1)
                for name in region.storage_nodes
            ],
            # Their own clocks may be wrong.
            lambda it: tell(evolve(it, at=world.clock.seconds())),
            rule,
            stunnel_hosts={
                region.name: world.host(name)
                for region in topology.regions
                for name in region.stunnels
            },
        )
        self._clients: list[NeoClient] = []

    def boot(self) -> None:
        self.neo_cluster.boot()
        self._world.run_until(self.is_whole, READY_SECONDS_MAX)

    def build_master(self, name: str, config: Config, runtime: Runtime) -> IService:
        opening = partial(self._open, name, runtime)
        return Restarted(lambda: build_master(config, runtime, opening), runtime)

    def is_whole(self) -> bool:
        return self.neo_cluster.is_whole()

    def whole(self) -> DB:
        kept = KeptStorage(self.neo_cluster.disks)
        assert kept.lastTransaction() != NO_TID, "no master has begun"
        return DB(AnnouncingStorage(kept))

    def _open(self, master: str, runtime: Runtime, uri: str, _: ICalendar) -> Any:
        assert uri == self.uri, uri
        region = self._world.host(master).region
        client = self.neo_cluster.client(runtime, region=region)
        self._clients.append(client)
        try:
            client.sync()
            database = database_on(client, self._recording)
        except Away as error:
            client.close()
            raise Misconfigured(f"no neo_cluster: {error}") from error
        except BaseException:
            client.close()
            raise
        return RecordedDatabase(database, master, is_shared=False)

    def _recording(self, storage: object) -> RecordingStorage:
        return RecordingStorage(storage, self._tell, self._world.clock.seconds)
