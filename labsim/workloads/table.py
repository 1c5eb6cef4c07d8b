"""Core. All kinds of work, and the operations of a run drawn of them."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from types import MappingProxyType

from labsim.refusals import BadInput, check_known, inside
from labsim.scenario import Scenario
from labsim.topology import Topology
from labsim.workloads import instances, operating, sharing
from labsim.workloads.estate import Estate
from labsim.workloads.kind import Work
from labsim.workloads.operation import OPERATIONS_MAX, Operation

MINUTE_SECONDS = 60.0

REQUESTING = 0.5
"""The part of the first phase within which all is requested; then agents install."""

WORKS: Mapping[str, Work] = MappingProxyType(
    {
        work.verb: work
        for work in (
            instances.REQUEST,
            instances.UPDATE,
            instances.DESTROY,
            instances.ASK,
            sharing.SHARE,
            operating.SUPPLY,
            operating.USE,
            operating.OPERATE,
        )
    }
)


def generate(
    entropy: Random, scenario: Scenario, topology: Topology
) -> tuple[Operation, ...]:
    """Draw what clients ask for until the world is healed, in the order of asking."""
    estate = Estate(entropy, topology, scenario.fleet.partitions)
    beginning = scenario.durations.beginning_seconds * REQUESTING
    rates = {
        verb: getattr(scenario.workload, work.rate) for verb, work in WORKS.items()
    }
    operations: list[Operation | None] = []
    if rates["share"]:
        operations.append(sharing.draw_hall(estate, 0.0))
    count = scenario.fleet.instance_count
    operations += [
        instances.draw_request(estate, beginning * number / count)
        for number in range(count)
    ]
    per_second = sum(rates.values()) / MINUTE_SECONDS
    at = scenario.durations.beginning_seconds
    while per_second:
        at += entropy.expovariate(per_second)
        if at >= scenario.durations.healed_at:
            break
        (verb,) = entropy.choices(tuple(rates), tuple(rates.values()))
        operations.append(WORKS[verb].draw(estate, at))
        if len(operations) > OPERATIONS_MAX:
            raise BadInput(
                f"this workload is more than {OPERATIONS_MAX} calls: make it lighter, "
                "or its time shorter"
            )
    return tuple(each for each in operations if each is not None)


def check_operations(operations: tuple[Operation, ...], topology: Topology) -> None:
    """Refuse work that nobody knows or nobody is there to do."""
    names = topology.names()
    before = 0.0
    for number, operation in enumerate(operations):
        place = f"operation {number}"
        with inside("operations", number):
            check_known(f"{place}: verb", (operation.verb,), WORKS)
            check_known(f"{place}: client", (operation.client,), topology.people)
            if operation.place and operation.place not in names:
                raise BadInput(f"{place}: no host or region {operation.place!r}")
            if operation.at < before:
                raise BadInput(
                    f"{place}: begins at {operation.at:g}, before the one above it at "
                    f"{before:g}: operations stand in the order of their beginnings"
                )
        before = operation.at
