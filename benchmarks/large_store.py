"""A master of 10,000 computers of 100 partitions: its memory, its start, its polls."""

from __future__ import annotations

import tempfile
import time
from http import HTTPStatus
from pathlib import Path
from random import Random

import click
import transaction  # type: ignore[import-untyped]

from benchmarks.polls import RELEASE_URL
from benchmarks.result import Figure, Result
from benchmarks.rivals import Line, Rival, a_definition, our_master
from benchmarks.spread import Spread, spread_of
from master_cluster.store import decisions
from master_cluster.store.cloud import Cloud
from master_cluster.store.schema import StoredCloud
from master_cluster.store.storages import open_database
from runtime.real import WallClock
from slap import calls
from slap.model import InstanceRequest

COMPUTER_COUNT = 10_000
PARTITION_COUNT = 100
BUSY_COMPUTERS = 200
"""So many computers have instances too, as many as a day's polls are asked of."""

BUSY_PARTITIONS = 10
RESTART_COUNT = 3
POLL_COUNT = 1_000
REQUEST_COUNT = 200
COMPUTERS_PER_TRANSACTION = 50
MEBIBYTE = 1024 * 1024


def run() -> Result:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        home = Path(name)
        uri = f"file:{home}/large.zodb"
        began = _now()
        register(uri)
        registered_seconds = _now() - began
        starts, first, again, requests, memory = [], [], [], [], []
        for restart in range(RESTART_COUNT):
            began = _now()
            with our_master(home, uri) as ours:
                _poll(ours.line(), "COMP-7")
                starts.append(_now() - began)
                first.append(_poll_rate(ours))
                again.append(_poll_rate(ours))
                requests.append(_request_rate(ours, restart))
                memory.append(ours.resident_bytes() / MEBIBYTE)
        store_bytes = (home / "large.zodb").stat().st_size
    return Result(
        "large_store",
        (
            Figure("restart to the first poll answered", "s", spread_of(starts)),
            Figure("polls of computers never polled", "per second", _rate(first)),
            Figure("polls of the same ones again", "per second", _rate(again)),
            Figure("new instances, anywhere", "per second", _rate(requests)),
            Figure("resident memory after these", "MiB", spread_of(memory)),
        ),
        facts={
            "computers": COMPUTER_COUNT,
            "partitions": COMPUTER_COUNT * PARTITION_COUNT,
            "instances": BUSY_COMPUTERS * BUSY_PARTITIONS,
            "store_mebibytes": store_bytes / MEBIBYTE,
            "registration_seconds": registered_seconds,
        },
    )


def register(
    uri: str,
    computer_count: int = COMPUTER_COUNT,
    partition_count: int = PARTITION_COUNT,
    busy_computers: int = BUSY_COMPUTERS,
) -> None:
    """Make a store by the decisions of the master, many to a transaction."""
    database = open_database(uri, WallClock())
    manager = transaction.TransactionManager(explicit=True)
    connection = database.open(manager)
    manager.begin()
    connection.root()["slapcluster"] = StoredCloud()
    manager.commit()
    label = f"{computer_count} computers"
    with click.progressbar(range(computer_count), label=label) as numbers:
        manager.begin()
        for number in numbers:
            cloud = Cloud(connection.root()["slapcluster"])
            computer_id = f"COMP-{number}"
            definition = a_definition(computer_id, partition_count)
            decisions.define_computer(cloud, definition, WallClock().now())
            if number % max(1, computer_count // busy_computers) == 0:
                _occupy(cloud, computer_id)
            if number % COMPUTERS_PER_TRANSACTION == 0:
                manager.commit()
                connection.cacheMinimize()
                manager.begin()
        manager.commit()
    connection.close()
    database.close()


def _occupy(cloud: Cloud, computer_id: str) -> None:
    for number in range(BUSY_PARTITIONS):
        wanted = InstanceRequest(
            f"{computer_id} instance {number}",
            RELEASE_URL,
            parameters={"greeting": "hello"},
            allocation_filter={"computer_guid": computer_id},
        )
        decisions.request_instance(
            cloud,
            wanted,
            instance_guid=f"SOFTINST-{computer_id}-{number}",
            default_computer_id=None,
            now=WallClock().now(),
        )


def _poll_rate(ours: Rival) -> float:
    line = ours.line()
    drawn = Random(0).sample(range(COMPUTER_COUNT), POLL_COUNT)
    began = _now()
    for number in drawn:
        _poll(line, f"COMP-{number}")
    line.close()
    return POLL_COUNT / (_now() - began)


def _request_rate(ours: Rival, restart: int) -> float:
    line = ours.line()
    began = _now()
    for number in range(REQUEST_COUNT):
        line.perform(
            calls.request_instance(InstanceRequest(f"{restart} {number}", RELEASE_URL))
        )
    line.close()
    return REQUEST_COUNT / (_now() - began)


def _poll(line: Line, computer_id: str) -> None:
    answer = line.send(calls.encode_call(calls.get_computer(computer_id)))
    assert answer.status == HTTPStatus.OK, answer


def _rate(figures: list[float]) -> Spread:
    return spread_of(figures, larger_is_worse=False)


def _now() -> float:
    return time.perf_counter()
