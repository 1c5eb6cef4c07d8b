"""The contract of a neo_cluster, on the model: see ``tests.neo_port.test_contract``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import transaction
from attrs import define, field
from BTrees.LOBTree import LOBTree
from twisted.internet.task import deferLater
from ZODB.DB import DB

from labsim.models.neo.neo_cluster import NeoCluster
from labsim.world.host import Host
from labsim.world.threads import run_suspendable, wait_for
from labsim.world.world import World
from master_cluster.store.storages import database_on
from tests.contract.neo_contract import REGIONS, SCENARIOS

PAUSE_SECONDS = 0.05
READ_SECONDS_MAX = 60.0


@define(eq=False)
class ModelClient:
    """As ``tests/neo_port/committer.py``, over the model's storage."""

    bench: ModelBench
    region: int
    key: str
    backwards_count: int = 0
    is_over: bool = False
    _rows: list[tuple[float, int]] = field(factory=list)

    def acknowledged(self) -> list[tuple[float, int]]:
        return self._rows

    def missing(self) -> int | None:
        last = self._rows[-1][1]

        def read(root: Any) -> int | None:
            numbers = root[self.key]
            return next((it for it in range(last + 1) if it not in numbers), None)

        return self.bench.told_by(partial(self.bench.once, self.region, read))

    def commit_for_ever(self) -> None:
        database = self.bench.database(self.region)
        number, tid = 0, b""
        while not self.is_over:

            def write(root: Any, number: int = number) -> None:
                if self.key not in root:
                    root[self.key] = LOBTree()
                if number and number - 1 not in root[self.key]:
                    self.backwards_count += 1
                root[self.key][number] = "x"

            if self.bench.is_done(database, write):
                self._rows.append((self.bench.now(), number))
                before, tid = tid, database.storage.lastTransaction()
                self.backwards_count += tid <= before
                number += 1
            self.bench.pause(self.region)
        database.close()


class ModelBench:
    """Three regions of three hosts each: a neo_master, a storage node, clients.

    Tunnelled, each has a stunnel more, through which it reaches the others.
    """

    def __init__(self, seed: int, *, is_tunnelled: bool = False) -> None:
        self.world = World(seed)
        self._is_tunnelled = is_tunnelled
        tunnelled = REGIONS if is_tunnelled else ()
        self.neo_cluster = NeoCluster(
            [self._host("master", it) for it in REGIONS],
            [(it, self._host("storage", it)) for it in REGIONS],
            stunnel_hosts={f"r{it}": self._host("stunnel", it) for it in tunnelled},
        )
        self.neo_cluster.boot()
        self._clients: list[ModelClient] = []
        self.wait_until(self.is_whole, READ_SECONDS_MAX, "three regions")

    def now(self) -> float:
        return self.world.clock.seconds()

    def rest(self, seconds: float) -> None:
        self.world.run_for(seconds)

    def wait_until(
        self, condition: Callable[[], object], seconds_max: float, what: str
    ) -> None:
        del what
        self.world.run_until(condition, seconds_max)

    def begin_client(self, region: int, key: str) -> ModelClient:
        client = ModelClient(self, region, key)
        self._clients.append(client)
        run_suspendable(client.commit_for_ever, lambda _: self._clients.remove(client))
        return client

    def end_clients(self) -> None:
        for client in self._clients:
            client.is_over = True
        self.wait_until(lambda: not self._clients, READ_SECONDS_MAX, "clients end")

    def count_together(self, key: str, times: int) -> int:
        def count(region: int) -> None:
            database = self.database(region)
            done = 0
            while done < times:
                done += self.is_done(database, add)
            database.close()

        def add(root: Any) -> None:
            root[key] = root.get(key, 0) + 1

        ended: list[None] = []
        for region in (1, 2):
            run_suspendable(partial(count, region), ended.append)
        self.wait_until(lambda: len(ended) == 2, READ_SECONDS_MAX, "counted")
        counted = self.told_by(partial(self.once, 3, lambda root: root[key]))
        assert isinstance(counted, int)
        return counted

    def primary_region(self) -> int | None:
        place = self.neo_cluster.primary_place()
        return None if place is None else REGIONS[place]

    def kill(self, region: int, *, neo_master: bool, storage_node: bool) -> None:
        for host in self._hosts(region, neo_master, storage_node):
            host.kill()

    def start(self, region: int, *, neo_master: bool, storage_node: bool) -> None:
        for host in self._hosts(region, neo_master, storage_node):
            host.boot()

    def cut_off(self, region: int) -> None:
        for own, other in self._pairs(region):
            self.world.sever(own, other)

    def join(self, region: int) -> None:
        for own, other in self._pairs(region):
            self.world.heal(own, other)

    def is_whole(self) -> bool:
        return self.neo_cluster.is_whole()

    def are_copies_equal(self) -> bool:
        first, *others = self.neo_cluster.disks
        return all(it.committed == first.committed for it in others)

    def _host(self, kind: str, region: int) -> Host:
        name = f"r{region}" if self._is_tunnelled else ""
        return self.world.host(f"{kind}-{region}", name)

    # -- clients

    def database(self, region: int) -> DB:
        """Open one, however long that takes; inside of ``run_suspendable``."""
        host = self._host("client", region)
        client = self.neo_cluster.client(host.runtime, region=host.region)
        while True:
            try:
                return database_on(client)
            except Exception:  # noqa: BLE001 - it is away, or another one makes it
                self.pause(region)

    def is_done(self, database: DB, work: Callable[[Any], object]) -> bool:
        """Whether work on the root of a database was done and acknowledged."""
        try:
            self._do(database, work)
        except Exception:  # noqa: BLE001 - whatever it is, it is made again
            return False
        return True

    def once(self, region: int, work: Callable[[Any], Any]) -> Any:
        database = self.database(region)
        try:
            return self._do(database, work)
        finally:
            database.close()

    def told_by(self, call: Callable[[], Any]) -> Any:
        told: list[Any] = []
        run_suspendable(call, told.append)
        self.wait_until(lambda: told, READ_SECONDS_MAX, "an answer")
        return told[0]

    def pause(self, region: int) -> None:
        clock = self.world.host(f"client-{region}").runtime.clock
        wait_for(deferLater(clock, PAUSE_SECONDS))

    def _do(self, database: DB, work: Callable[[Any], Any]) -> Any:
        manager = transaction.TransactionManager(explicit=True)
        connection = database.open(manager)
        try:
            manager.begin()
            try:
                answer = work(connection.root())
                manager.commit()
            except BaseException:
                manager.abort()
                raise
        finally:
            connection.close()
        return answer

    def _hosts(self, region: int, neo_master: bool, storage_node: bool) -> list[Any]:
        place = REGIONS.index(region)
        found = [self.neo_cluster.neo_master_hosts[place]] if neo_master else []
        return found + ([self.neo_cluster.storage_hosts[place]] if storage_node else [])

    def _pairs(self, region: int) -> list[tuple[str, str]]:
        names = [host.name for host in self.world.hosts]
        own = [name for name in names if name.endswith(f"-{region}")]
        return [(one, other) for one in own for other in names if other not in own]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_model_does_what_neo_does(name: str) -> None:
    SCENARIOS[name](ModelBench(seed=1))


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_does_the_same_behind_stunnels(name: str) -> None:
    SCENARIOS[name](ModelBench(seed=1, is_tunnelled=True))
