"""Core. Which partition a new instance gets, or why it gets none.

An instance of its own goes to a free partition; a shared instance goes to the partition
of its host. Either way what meets the conditions of the request is ordered, and the
first is chosen. Nothing is drawn at random: the same inventory gives the same answer.

Spreading is the caller's wish: with a ``salt``, the first ``SPREAD_COUNT`` of the least
loaded have another order, as fixed, so that decisions which collided choose apart when
they are tried again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from heapq import merge
from itertools import islice

from attrs import frozen

from master_cluster.conditions import (
    OWN_CONDITIONS,
    Conditions,
    conditions_of,
    explain,
    host_verdict,
)
from master_cluster.inventory import Head, Host, Inventory
from slap.model import InstanceRequest, PartitionKey
from slap.reports import Condition

SPREAD_COUNT = 64
"""Computers among which a salt draws: several times the requests that run at once."""

EXPLAINED_COUNT_MAX = 50
"""Computers and hosts that a refusal counts; ``why`` counts all of them."""


@frozen
class Allocated:
    """The place of a new instance; ``host_guid`` when it is shared."""

    key: PartitionKey
    host_guid: str | None = None


@frozen
class Unallocated:
    """No place: each condition with the number of partitions that it excluded.

    The numbers add up to all partitions that were looked at, because a partition is
    counted by the first condition that excludes it.
    """

    reasons: tuple[Condition, ...]

    @property
    def sentence(self) -> str:
        """The conditions that excluded something, for a person."""
        told = [it for it in self.reasons if it.excluded_count]
        asked = [it for it in self.reasons if it.name not in OWN_CONDITIONS]
        if told or not asked:
            return "; ".join(it.sentence for it in told) or "no partition is free"
        return f"nothing is known where {' and '.join(it.sentence for it in asked)}"


def choose_partition(
    wanted: InstanceRequest, inventory: Inventory, salt: str = ""
) -> Allocated | Unallocated:
    """Choose the place of a new instance: the line that does is ``chosen = min(...)``.

    The order is: the least loaded computer, then names (slappart2 before slappart10).
    """
    if wanted.is_shared:
        return _choose_host(wanted, inventory, salt)
    conditions = conditions_of(wanted, inventory)
    first = list(islice(_heads(conditions, inventory), SPREAD_COUNT if salt else 1))
    if not first:
        return _unallocated(wanted, inventory)
    least_loaded = [it for it in first if it.load_step == first[0].load_step]
    chosen = min(least_loaded, key=lambda it: (_digest(salt, it.computer_id), it))
    free = _free_ids(chosen, inventory)
    partition_id = free[_digest(salt, "") % len(free)]
    return Allocated(PartitionKey(chosen.computer_id, partition_id))


def _heads(conditions: Conditions, inventory: Inventory) -> Iterator[Head]:
    """Yield the offers that fit, the first one first."""
    if conditions.misunderstood:
        return iter(())
    capability = conditions.capability or ""
    if conditions.computer_id is None:
        shelves = inventory.shelves(capability)
        fitting = (it for it in shelves if conditions.fit(it.attributes))
        return merge(*(it.heads() for it in fitting))
    offers = inventory.offers_of(conditions.computer_id)
    return iter(
        sorted(
            it.head
            for it in offers
            if it.free
            and conditions.fit(it.attributes)
            and capability in (it.capabilities or ("",))
        )
    )


def _free_ids(chosen: Head, inventory: Inventory) -> tuple[str, ...]:
    offers = inventory.offers_of(chosen.computer_id)
    (free,) = (it.free for it in offers if it.capabilities == chosen.capabilities)
    assert free, "an offer without a free partition stands on no shelf"
    return free


def _choose_host(
    wanted: InstanceRequest, inventory: Inventory, salt: str
) -> Allocated | Unallocated:
    fits = host_verdict(wanted, inventory)
    first = list(
        islice(filter(fits, _hosts(wanted, inventory)), SPREAD_COUNT if salt else 1)
    )
    if not first:
        return _unallocated(wanted, inventory)
    chosen = min(first, key=lambda it: (_digest(salt, it.instance_guid), it.order))
    return Allocated(chosen.key, chosen.instance_guid)


def _hosts(wanted: InstanceRequest, inventory: Inventory) -> Iterator[Host]:
    """Yield hosts that may fit, the first one first."""
    name = wanted.allocation_filter.get("instance_guid")
    named = None if name is None else inventory.find_host(name)
    if named is not None:
        return iter((named,))
    return iter(inventory.runners(wanted.software_release_url, wanted.software_type))


def _unallocated(wanted: InstanceRequest, inventory: Inventory) -> Unallocated:
    return Unallocated(explain(wanted, inventory, EXPLAINED_COUNT_MAX))


def _digest(salt: str, name: str) -> int:
    """Return a number for a name that only the salt can tell; zero without one."""
    if not salt:
        return 0
    return int.from_bytes(hashlib.sha256(f"{salt}\0{name}".encode()).digest()[:8])
