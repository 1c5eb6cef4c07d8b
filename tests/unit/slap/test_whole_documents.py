"""Documents with every optional word in them, which drawn values seldom have."""

from __future__ import annotations

from attrs import evolve

from slap import xml_codec
from slap.model import ComputerDefinition, PartitionDefinition
from tests.builders import (
    a_computer_definition,
    a_partition,
    a_shared_instance,
    an_instance,
    some_addresses,
)


def test_what_few_instances_have_survives() -> None:
    instance = evolve(
        an_instance(),
        allocation_filter={"region": "lille"},
        access_status="#access it runs",
        shared_instances=(evolve(a_shared_instance(), timestamp=7),),
    )
    partition = evolve(a_partition(), instance=instance)

    document = xml_codec.encode_partition(partition)

    assert xml_codec.decode_partition(document) == partition


def test_what_few_partitions_can_do_survives() -> None:
    definition: ComputerDefinition = evolve(
        a_computer_definition(),
        partitions=(
            PartitionDefinition("slappart0", some_addresses(), ("gpu", "kvm")),
        ),
    )

    document = xml_codec.encode_definition(definition)

    assert xml_codec.decode_definition(document) == definition
