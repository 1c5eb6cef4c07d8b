"""How fast partitions are chosen: by the core, and by whole decisions in a store.

Seconds are those of one core's work, whatever else the machine does.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from random import Random

import transaction  # type: ignore[import-untyped]
from attrs import asdict, evolve

from benchmarks.result import Figure, Goal, Result
from benchmarks.rivals import a_definition
from benchmarks.spread import Spread, spread_of
from master_cluster.allocation import Unallocated, choose_partition
from master_cluster.inventory import Offer, Stock
from master_cluster.requesting import Refused
from master_cluster.store import decisions
from master_cluster.store.cloud import Cloud
from master_cluster.store.schema import StoredCloud
from master_cluster.store.storages import open_database
from runtime.real import WallClock
from slap.model import InstanceRequest

COMPUTER_COUNT = 10_000
PARTITION_COUNT = 100
STORED_COMPUTER_COUNT = 2_000
STORED_PARTITION_COUNT = 10
"""A store of a million partitions is that of ``large_store``."""

NETWORKS_PER_REGION = 5
ROUND_COUNT = 9
DECISION_COUNT = 2_000
STORED_DECISION_COUNT = 200
NAMES = tuple(f"slappart{number}" for number in range(PARTITION_COUNT))


def run() -> Result:
    entropy = Random(0)
    stock = _a_stock(entropy)
    shelf_count = len(stock.shelves("")) + len(stock.shelves("gpu"))
    rates = [_core_rate(stock, entropy) for _ in range(ROUND_COUNT)]
    cold_loads, whole_rates = _in_store(entropy)
    return Result(
        "allocation",
        (
            Figure(
                "decisions in a store, committed to memory",
                "per CPU second",
                whole_rates,
            ),
            Figure("objects loaded by a first decision", "objects", cold_loads),
        ),
        (
            Goal(
                "decisions of the core per CPU second",
                spread_of(rates, larger_is_worse=False),
                at_least=1_500,
            ),
        ),
        {
            "computers": COMPUTER_COUNT,
            "partitions": COMPUTER_COUNT * PARTITION_COUNT,
            "shelves": shelf_count,
            "computers_in_store": STORED_COMPUTER_COUNT,
        },
    )


def _a_stock(entropy: Random) -> Stock:
    """Computers of many kinds, a third of each busy, some with special partitions."""
    offers = []
    for number in range(COMPUTER_COUNT):
        busy_count = entropy.randrange(PARTITION_COUNT * 2 // 3)
        offer = Offer(
            f"COMP-{number}", NAMES[busy_count:], busy_count, 0, _attributes(entropy)
        )
        offers.append(offer)
        if not number % 20:
            special = evolve(
                offer, free=("special0", "special1"), capabilities=("gpu",)
            )
            offers.append(special)
    return Stock(tuple(offers), tree_networks=frozenset({"eu-net-0", "eu-net-1"}))


def _attributes(entropy: Random) -> dict[str, str]:
    region = entropy.choice(("eu", "us", "asia", "africa"))
    return {
        "region": region,
        "network_guid": f"{region}-net-{entropy.randrange(NETWORKS_PER_REGION)}",
        "cpu_core": entropy.choice(("4", "8", "16", "32")),
        "memory_size": entropy.choice(("16", "64", "256")),
    }


def _wanted(entropy: Random) -> InstanceRequest:
    filters: tuple[dict[str, str], ...] = (
        {"region": "eu"},
        {"region": "us", "cpu_core": "8"},
        {"network_guid": f"asia-net-{entropy.randrange(NETWORKS_PER_REGION)}"},
        {"cpu_core": "32", "memory_size": "256", "region": "africa"},
        {"capability": "gpu", "region": "eu"},
        {"mode": "unique_by_network", "region": "eu"},
        {"computer_guid": f"COMP-{entropy.randrange(STORED_COMPUTER_COUNT)}"},
    )
    return InstanceRequest(
        f"title {entropy.getrandbits(64)}",
        "http://release.invalid/software.cfg",
        allocation_filter=entropy.choice(filters),
    )


def _core_rate(stock: Stock, entropy: Random) -> float:
    """Every other decision has a salt, as one of those that run at once."""
    wanted = [_wanted(entropy) for _ in range(DECISION_COUNT)]
    refused_count = 0
    before = time.process_time()
    for number, each in enumerate(wanted):
        salt = f"{number}" if number % 2 else ""
        chosen = choose_partition(each, stock, salt)
        refused_count += isinstance(chosen, Unallocated)
    rate = DECISION_COUNT / (time.process_time() - before)
    assert not refused_count
    return rate


def _in_store(entropy: Random) -> tuple[Spread, Spread]:
    clock = WallClock()
    database = open_database("memory:", clock)
    manager = transaction.TransactionManager(explicit=True)
    connection = database.open(manager)
    manager.begin()
    connection.root()["slapcluster"] = StoredCloud()
    manager.commit()
    for start in range(0, STORED_COMPUTER_COUNT, 100):
        manager.begin()
        cloud = Cloud(connection.root()["slapcluster"])
        for number in range(start, start + 100):
            computer_id = f"COMP-{number}"
            definition = a_definition(computer_id, STORED_PARTITION_COUNT)
            decisions.define_computer(cloud, definition, clock.now())
            decisions.set_attributes(cloud, computer_id, _attributes(entropy))
        manager.commit()

    def decide() -> Iterator[bool]:
        for _ in range(STORED_DECISION_COUNT):
            manager.begin()
            outcome = decisions.request_instance(
                Cloud(connection.root()["slapcluster"]),
                evolve(_wanted(entropy), allocation_filter={"region": "eu"}),
                instance_guid=f"SOFTINST-{entropy.getrandbits(96):024x}",
                default_computer_id=None,
                now=clock.now(),
            )
            manager.commit()
            yield not isinstance(outcome, Refused)

    rates, loads = [], []
    for _ in range(ROUND_COUNT):
        connection.cacheMinimize()
        connection.getTransferCounts(clear=True)
        running = decide()
        assert next(running)
        loads.append(float(connection.getTransferCounts()[0]))
        before = time.process_time()
        count = sum(running)
        rates.append(count / (time.process_time() - before))
    connection.close()
    database.close()
    return spread_of(loads), spread_of(rates, larger_is_worse=False)


if __name__ == "__main__":
    print(json.dumps(asdict(run()), indent=2))  # noqa: T201 - this is what it is for
