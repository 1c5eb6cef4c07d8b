"""Core. How a computer is defined, and defined again.

A partition that is no longer defined goes when it is free. A busy one stays, with its
instance, and is not offered again; it goes when it becomes free, and is offered again
when a later definition names it. (The reference proxy deletes busy partitions, with the
instances in them.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import evolve, frozen

from master_cluster.records import ComputerRecord, InstanceRecord, PartitionRecord
from master_cluster.timestamps import next_timestamp
from slap.errors import BadRequest
from slap.model import ComputerDefinition

PARTITION_COUNT_MAX = 10_000
"""Ten times the largest computers known; each is an object in one transaction."""


CAPABILITY_COUNT_MAX = 20
"""Of one partition: allocation finds it under each of them."""

CAPABILITY_LENGTH_MAX = 200
"""They are words; indices hold them."""


@frozen
class Formatted:
    """What changes.

    ``touched`` are the instances whose addresses or routes changed: they are processed
    again.
    """

    computer: ComputerRecord
    written: tuple[PartitionRecord, ...] = ()
    removed: tuple[PartitionRecord, ...] = ()
    touched: tuple[InstanceRecord, ...] = ()


def decide_format(
    definition: ComputerDefinition,
    computer: ComputerRecord | None,
    known: Sequence[PartitionRecord],
    find_instance: Callable[[str], InstanceRecord],
    now: float,
) -> Formatted:
    """Decide what a definition changes; ``computer`` is ``None`` when it is a new one.

    ``find_instance`` gives one by its guid; it is asked for those that change, alone.
    Raises ``BadRequest`` for a definition that contradicts itself.
    """
    old_computer = computer or ComputerRecord(definition.computer_id)
    defined = {it.partition_id: it for it in definition.partitions}
    if len(defined) < len(definition.partitions):
        raise BadRequest("the definition names a partition twice")
    if len(defined) > PARTITION_COUNT_MAX:
        raise BadRequest(f"a computer has at most {PARTITION_COUNT_MAX} partitions")
    before = {it.partition_id: it for it in known}
    written: list[PartitionRecord] = []
    touched: list[InstanceRecord] = []
    for partition_id, wanted in defined.items():
        old = before.get(partition_id) or PartitionRecord(partition_id)
        new = evolve(
            old,
            addresses=wanted.addresses,
            capabilities=_checked(wanted.capabilities),
            is_offered=True,
            routes=wanted.routes,
        )
        if new != old or partition_id not in before:
            written.append(new)
        is_moved = (new.addresses, new.routes) != (old.addresses, old.routes)
        if is_moved and old.occupant_guid is not None:
            occupant = find_instance(old.occupant_guid)
            touched.append(occupant.at(next_timestamp(now, occupant.timestamp)))
    missing = [it for it in known if it.partition_id not in defined]
    written += [
        evolve(it, is_offered=False)
        for it in missing
        if it.occupant_guid is not None and it.is_offered
    ]
    return Formatted(
        evolve(old_computer, address=definition.address, netmask=definition.netmask),
        tuple(written),
        tuple(it for it in missing if it.occupant_guid is None),
        tuple(touched),
    )


def _checked(capabilities: tuple[str, ...]) -> tuple[str, ...]:
    if len(capabilities) > CAPABILITY_COUNT_MAX:
        raise BadRequest(f"a partition has at most {CAPABILITY_COUNT_MAX} capabilities")
    if any(len(it) > CAPABILITY_LENGTH_MAX for it in capabilities):
        raise BadRequest(f"a capability has at most {CAPABILITY_LENGTH_MAX} characters")
    return capabilities
