"""Core. What becomes of the instances of a computer that never comes back.

An operator says so, and nobody else can know. The computer offers no partition any
more. Each instance that is to stay keeps its name, its tree and all that was asked of
it, and gets another place, chosen as for a new one; it begins there with nothing. One
that finds none stays where it is, and is looked at again when this is said again. What
was to be destroyed is gone with the computer.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve, frozen

from master_cluster.records import ComputerRecord, InstanceRecord, Report
from master_cluster.timestamps import next_timestamp
from slap.model import ComputerDefinition, InstanceRequest, PartitionKey


@frozen
class Move:
    """An instance as it is at another place, and the shared ones that it hosts."""

    instance: InstanceRecord
    guests: tuple[InstanceRecord, ...] = ()


def define_without_partitions(computer: ComputerRecord) -> ComputerDefinition:
    """Return the definition of a computer that offers nothing."""
    return ComputerDefinition(computer.computer_id, computer.address, computer.netmask)


def ask_again(instance: InstanceRecord) -> InstanceRequest:
    """Return the request that an instance would be placed by if it were a new one."""
    return InstanceRequest(
        instance.title,
        instance.software_release_url,
        instance.software_type,
        instance.parameters,
        instance.allocation_filter,
    )


def decide_move(
    instance: InstanceRecord,
    guests: Sequence[InstanceRecord],
    key: PartitionKey,
    last_timestamp: str,
    now: float,
) -> Move:
    """Return an instance in another partition, of which nothing was heard there yet.

    What it published stays until it publishes something else.
    """
    timestamp = next_timestamp(now, instance.timestamp, last_timestamp)
    moved = evolve(instance, partition=key, report=Report(), timestamp=timestamp)
    return Move(
        moved, tuple(evolve(it, partition=key, report=Report()) for it in guests)
    )
