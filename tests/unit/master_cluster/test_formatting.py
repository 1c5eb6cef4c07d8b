from __future__ import annotations

import pytest
from attrs import evolve

from master_cluster.formatting import (
    CAPABILITY_COUNT_MAX,
    CAPABILITY_LENGTH_MAX,
    PARTITION_COUNT_MAX,
    Formatted,
    decide_format,
)
from master_cluster.records import ComputerRecord, InstanceRecord, PartitionRecord
from slap.errors import BadRequest
from slap.model import ComputerDefinition, NetworkAddress, PartitionDefinition
from tests.builders import a_record, a_route, some_addresses

NOW = 2.0
COMPUTER = ComputerRecord("COMP-1", "::1", "ffff::")


def a_definition(*partition_ids: str) -> ComputerDefinition:
    partitions = tuple(
        PartitionDefinition(it, some_addresses()) for it in partition_ids
    )
    return ComputerDefinition("COMP-1", "::1", "ffff::", partitions)


def free(partition_id: str) -> PartitionRecord:
    return PartitionRecord(partition_id, some_addresses())


def busy(partition_id: str) -> PartitionRecord:
    return evolve(free(partition_id), occupant_guid="SOFTINST-0")


def nobody(instance_guid: str) -> InstanceRecord:
    raise AssertionError(f"{instance_guid} does not change")


def test_a_computer_gets_its_partitions() -> None:
    formatted = decide_format(
        a_definition("slappart0", "slappart1"), None, (), nobody, NOW
    )

    assert formatted == Formatted(COMPUTER, (free("slappart0"), free("slappart1")))


def test_the_same_definition_again_changes_nothing() -> None:
    known = (free("slappart0"), busy("slappart1"))

    formatted = decide_format(
        a_definition("slappart0", "slappart1"), COMPUTER, known, nobody, NOW
    )

    assert formatted == Formatted(COMPUTER)


def test_fewer_partitions_remove_the_free_and_keep_the_busy() -> None:
    known = (free("slappart0"), busy("slappart1"))

    formatted = decide_format(a_definition(), None, known, nobody, NOW)

    assert formatted == Formatted(
        COMPUTER,
        written=(evolve(busy("slappart1"), is_offered=False),),
        removed=(free("slappart0"),),
    )


def test_a_partition_that_comes_back_is_offered_again() -> None:
    known = (evolve(busy("slappart0"), is_offered=False),)

    formatted = decide_format(a_definition("slappart0"), None, known, nobody, NOW)

    assert formatted == Formatted(COMPUTER, (busy("slappart0"),))


def test_an_instance_whose_addresses_change_is_processed_again() -> None:
    other = (NetworkAddress("tap", "::9"),)
    known = (evolve(busy("slappart0"), addresses=other),)

    formatted = decide_format(
        a_definition("slappart0"), None, known, lambda _: a_record(), NOW
    )

    assert formatted == Formatted(
        COMPUTER,
        written=(busy("slappart0"),),
        touched=(evolve(a_record(), timestamp="2000000"),),
    )


def test_an_instance_whose_route_changes_is_processed_again() -> None:
    routed = PartitionDefinition("slappart0", some_addresses(), routes=(a_route(),))
    definition = evolve(a_definition(), partitions=(routed,))

    formatted = decide_format(
        definition, None, (busy("slappart0"),), lambda _: a_record(), NOW
    )

    assert formatted == Formatted(
        COMPUTER,
        written=(evolve(busy("slappart0"), routes=(a_route(),)),),
        touched=(evolve(a_record(), timestamp="2000000"),),
    )


@pytest.mark.parametrize(
    "partition_ids",
    [("slappart0", "slappart0"), tuple(map(str, range(PARTITION_COUNT_MAX + 1)))],
    ids=["twice", "too many"],
)
def test_a_definition_that_cannot_be_is_refused(partition_ids: tuple[str, ...]) -> None:
    with pytest.raises(BadRequest):
        decide_format(a_definition(*partition_ids), None, (), nobody, NOW)


def test_what_an_operator_said_of_a_computer_outlives_its_definitions() -> None:
    known = evolve(COMPUTER, attributes={"region": "eu"})

    formatted = decide_format(a_definition(), known, (), nobody, NOW)

    assert formatted.computer == known


def test_capabilities_are_those_of_the_last_definition_and_touch_nobody() -> None:
    known = (PartitionRecord("slappart0", (), ("gpu",), occupant_guid="SOFTINST-0"),)
    definition = ComputerDefinition(
        "COMP-1", partitions=(PartitionDefinition("slappart0", (), ("ssd", "arm")),)
    )

    formatted = decide_format(definition, COMPUTER, known, nobody, NOW)

    assert formatted == Formatted(
        ComputerRecord("COMP-1"), (evolve(known[0], capabilities=("arm", "ssd")),)
    )


@pytest.mark.parametrize(
    "capabilities",
    [
        tuple(f"{number}" for number in range(CAPABILITY_COUNT_MAX + 1)),
        ("x" * (CAPABILITY_LENGTH_MAX + 1),),
    ],
)
def test_capabilities_have_a_limit(capabilities: tuple[str, ...]) -> None:
    definition = ComputerDefinition(
        "COMP-1", partitions=(PartitionDefinition("slappart0", (), capabilities),)
    )

    with pytest.raises(BadRequest):
        decide_format(definition, None, (), nobody, NOW)
