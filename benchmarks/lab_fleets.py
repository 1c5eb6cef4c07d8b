"""How fast a fleet of the laboratory lives: 1,000 computers of 100 partitions.

Every poll runs production's plan and its conditional path, once a minute for each
computer, while faults come and go and somebody changes an instance now and then. "Real
time" is simulated seconds for each second of CPU of the whole process, masters
included: what one core does that has nothing else to do. Beside it is the rate of a
bare ``heapq`` loop, taken in turns, to know the machine by.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path

import transaction  # type: ignore[import-untyped]

from benchmarks.bare_world import bare_loop_rate
from benchmarks.polls import RELEASE_URL
from benchmarks.result import Figure, Goal, Result
from benchmarks.rivals import a_definition
from benchmarks.spread import Spread, ratios, spread_of
from labsim.faults.package import FaultProfile
from labsim.polling_fleet import STORE, PollingFleet
from labsim.topology import Topology, build_topology
from master_cluster.records import ReportedState
from master_cluster.store import decisions
from master_cluster.store.cloud import Cloud
from master_cluster.store.schema import StoredCloud
from master_cluster.store.storages import Opening
from runtime.ports import ICalendar
from slap.model import InstanceRequest, RequestedInstance, SoftwareInstallation

COMPUTER_COUNT = 1_000
PARTITION_COUNT = 100
REGION_COUNT = 10
MASTER_COUNT = 3
UPDATES_PER_MINUTE = 1.0
"""Each costs as much as hundreds of polls: a document of a hundred partitions is made
and read again for the change, and for the report that it is done."""

FAULTS = FaultProfile(("cut", "crash", "region cut", "poll storm"), 60.0)
"""Those of the scenario ``dense``, as often."""

PERIOD_SECONDS = 60.0
WARMING_SECONDS = 150.0
"""All have polled their first document, and some have been asked again.

Before that each master has made each document: one that takes over from another for the
first time makes hundreds, which is a matter of minutes in a life of months.
"""

ROUND_SECONDS = 120.0
ROUND_COUNT = 6
COMPUTERS_PER_TRANSACTION = 50
MEBIBYTE = 1024**2

LEAST_BY_MESSAGES = 200
LEAST_BY_HTTP = 60
MOST_MEBIBYTES = 2048
"""Of issue 7; its wishes are 1,000 and 100 times real time."""


def run_messages() -> Result:
    """Polls are one packet each way."""
    return _measure("lab_polls", LEAST_BY_MESSAGES, has_http=False)


def run_http() -> Result:
    """Polls are bytes of HTTP, written and read by production at both ends."""
    return _measure("lab_polls_http", LEAST_BY_HTTP, has_http=True)


def _measure(name: str, least: float, *, has_http: bool) -> Result:
    began = time.process_time()
    topology = build_topology(REGION_COUNT, MASTER_COUNT, COMPUTER_COUNT, 0)
    fleet = PollingFleet(
        0,
        topology,
        lambda opening, calendar: fill(topology, opening, calendar),
        period_seconds=PERIOD_SECONDS,
        has_http=has_http,
    )
    fleet.warm()
    fleet.world.run_for(WARMING_SECONDS)
    building_seconds = time.process_time() - began
    fault_count = fleet.begin_faults(FAULTS, ROUND_COUNT * ROUND_SECONDS)
    fleet.begin_updates(UPDATES_PER_MINUTE)
    times, walls, polls, loops = [], [], [], []
    for number in range(ROUND_COUNT):
        loops.append(bare_loop_rate(number))
        before = fleet.counts.polls
        spent, passed = _cpu_and_wall(lambda: fleet.world.run_for(ROUND_SECONDS))
        times.append(ROUND_SECONDS / spent)
        walls.append(ROUND_SECONDS / passed)
        polls.append((fleet.counts.polls - before) / spent)
    return Result(
        name,
        (
            Figure("bare heapq loop", "events/s", _rate(loops)),
            Figure("polls with a plan", "polls/s", _rate(polls)),
            Figure("simulated time by the clock on the wall", "s/s", _rate(walls)),
        ),
        (
            Goal("real time", _rate(times), at_least=least),
            Goal("polls / bare loop", _rate(ratios(polls, loops))),
            Goal("MiB", spread_of([peak_mebibytes()]), at_most=MOST_MEBIBYTES),
        ),
        {
            "computers": COMPUTER_COUNT,
            "partitions of each": PARTITION_COUNT,
            "faults": fault_count,
            "polls": fleet.counts.polls,
            "plans": fleet.counts.plans,
            "documents": fleet.counts.documents,
            "actions": fleet.counts.actions,
            "building, s CPU": building_seconds,
        },
    )


def _rate(figures: list[float]) -> Spread:
    return spread_of(figures, larger_is_worse=False)


def _cpu_and_wall(work: Callable[[], object]) -> tuple[float, float]:
    gc.collect()
    gc.freeze()
    before = time.process_time(), time.perf_counter()
    work()
    spent, passed = time.process_time() - before[0], time.perf_counter() - before[1]
    gc.unfreeze()
    return spent, passed


def peak_mebibytes() -> float:
    """The most that this process has had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / MEBIBYTE


def fill(
    topology: Topology,
    opening: Opening,
    calendar: ICalendar,
    partition_count: int = PARTITION_COUNT,
) -> tuple[InstanceRequest, ...]:
    """Make a store by the decisions of the master: half of all partitions are busy.

    All that is wanted is reported as done.
    """
    database = opening(STORE, calendar)
    manager = transaction.TransactionManager(explicit=True)
    connection = database.open(manager)
    manager.begin()
    connection.root()["slapcluster"] = StoredCloud()
    manager.commit()
    requests: list[InstanceRequest] = []
    manager.begin()
    for number, computer_id in enumerate(topology.computers):
        cloud = Cloud(connection.root()["slapcluster"])
        requests += _occupy(cloud, computer_id, partition_count, calendar.now())
        if number % COMPUTERS_PER_TRANSACTION == 0:
            manager.commit()
            connection.cacheMinimize()
            manager.begin()
    manager.commit()
    connection.close()
    return tuple(requests)


def _occupy(
    cloud: Cloud, computer_id: str, partition_count: int, now: float
) -> list[InstanceRequest]:
    decisions.define_computer(cloud, a_definition(computer_id, partition_count), now)
    decisions.supply(cloud, SoftwareInstallation(RELEASE_URL, computer_id))
    requests = [
        InstanceRequest(
            f"{computer_id} instance {number}",
            RELEASE_URL,
            parameters={"greeting": "hello"},
            allocation_filter={"computer_guid": computer_id},
        )
        for number in range(partition_count // 2)
    ]
    for number, wanted in enumerate(requests):
        granted = decisions.request_instance(
            cloud,
            wanted,
            instance_guid=f"SOFTINST-{computer_id}-{number}",
            default_computer_id=None,
            now=now,
        )
        assert isinstance(granted, RequestedInstance), granted
        decisions.report_instance(cloud, granted.key, ReportedState.STARTED, now=now)
    return requests
