"""Core. Which partition a new instance gets, or why it gets none.

An instance of its own goes to a free partition; a shared instance goes to the partition
of its host. Either way each condition of the request excludes some partitions of the
inventory, one condition after the other, and the first of what is left is chosen, in an
explicit order. Nothing is drawn at random: the same inventory gives the same answer.

Spreading is the caller's wish: a ``salt`` replaces the order of names by another one,
as fixed, so that decisions which collided choose apart when they are tried again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from attrs import frozen

from slap.model import InstanceRequest, PartitionKey, RequestedState
from slap.reports import Condition

CARRIED_KEYS = frozenset(
    {
        "fw_authorized_sources",
        "fw_rejected_sources",
        "fw_restricted_access",
        "retention_delay",
    }
)
"""Keys of a filter that are for the node to read, and exclude no partition."""

OWN_CONDITIONS = frozenset({"free", "occupied", "offered"})
"""Conditions that every request has, without asking."""

T = TypeVar("T")

SENTENCE_KEYS_MAX = 5
"""Names of unknown keys in one sentence; a hostile filter may have thousands."""


@frozen
class Offer:
    """The partitions of a computer: the free ones by name, the others by number.

    ``free`` is in the order of ``natural_order``, as the store keeps it.
    ``unoffered_count`` counts the busy ones that are not offered again when free.
    """

    computer_id: str
    free: tuple[str, ...] = ()
    busy_count: int = 0
    unoffered_count: int = 0

    @property
    def partition_count(self) -> int:
        return len(self.free) + self.busy_count + self.unoffered_count

    @property
    def load(self) -> float:
        """The busy share."""
        return 1 - len(self.free) / max(1, self.partition_count)


@frozen
class Host:
    """An instance that may host shared ones."""

    instance_guid: str
    key: PartitionKey
    software_release_url: str
    software_type: str
    requested_state: RequestedState = RequestedState.STARTED

    def is_named(self, name: str) -> bool:
        """Whether ``name`` means this one: its guid, or its partition as slapproxy."""
        key = self.key
        return name in (
            self.instance_guid,
            f"{key.computer_id}-{key.partition_id}",
            key.partition_id,
        )


@frozen
class Inventory:
    """What there is to choose from.

    ``default_computer_id`` is where an instance goes whose request names no computer;
    without a default, it goes anywhere.
    """

    offers: tuple[Offer, ...] = ()
    hosts: tuple[Host, ...] = ()
    default_computer_id: str | None = None


@frozen
class Allocated:
    """The place of a new instance; ``host_guid`` when it is shared."""

    key: PartitionKey
    host_guid: str | None = None


@frozen
class Unallocated:
    """No place: each condition with the number of partitions that it excluded.

    The numbers add up to all partitions, because a partition is counted by the first
    condition that excludes it.
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
    offers, reasons = _offers_that_fit(wanted, inventory)
    if not offers:
        return Unallocated(reasons)
    order = _order(salt)
    chosen = min(offers, key=lambda offer: (offer.load, order(offer.computer_id)))
    partition_id = chosen.free[_draw(salt, len(chosen.free))]
    return Allocated(PartitionKey(chosen.computer_id, partition_id))


def explain(wanted: InstanceRequest, inventory: Inventory) -> tuple[Condition, ...]:
    """Return each condition of a request with the partitions that it excludes now."""
    if wanted.is_shared:
        return _hosts_that_fit(wanted, inventory)[1]
    return _offers_that_fit(wanted, inventory)[1]


def natural_order(name: str) -> tuple[str | int, ...]:
    """Return a key that sorts slappart2 before slappart10."""
    parts = re.split(r"([0-9]+)", name)
    return tuple(int(it) if odd % 2 else it for odd, it in enumerate(parts))


def _order(salt: str) -> Callable[[str], tuple[str | int, ...]]:
    if not salt:
        return natural_order
    return lambda name: (_digest(f"{salt}\0{name}"), name)


def _draw(salt: str, count: int) -> int:
    """Return a place in a sequence: the first one, or the one of a salt."""
    return _digest(salt) % count if salt else 0


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


@frozen
class _Test:
    """A condition: its name, which offers or hosts pass, and what it says."""

    name: str
    passes: Callable[[Any], bool]
    sentence: str


def _offers_that_fit(
    wanted: InstanceRequest, inventory: Inventory
) -> tuple[tuple[Offer, ...], tuple[Condition, ...]]:
    offers, reasons = _sift(
        inventory.offers,
        [*_computer_tests(wanted, inventory), *_unknown_key_tests(wanted)],
        lambda it: it.partition_count,
    )
    unoffered = sum(it.unoffered_count for it in offers)
    busy = sum(it.busy_count for it in offers)
    reasons += (
        _condition("offered", unoffered, "the computer still defines the partition"),
        _condition("free", busy, "the partition is free"),
    )
    return tuple(it for it in offers if it.free), reasons


def _choose_host(
    wanted: InstanceRequest, inventory: Inventory, salt: str
) -> Allocated | Unallocated:
    hosts, reasons = _hosts_that_fit(wanted, inventory)
    if not hosts:
        return Unallocated(reasons)
    order = _order(salt)
    chosen = min(
        hosts,
        key=lambda it: (order(it.key.computer_id), order(it.key.partition_id)),
    )
    return Allocated(chosen.key, chosen.instance_guid)


def _hosts_that_fit(
    wanted: InstanceRequest, inventory: Inventory
) -> tuple[tuple[Host, ...], tuple[Condition, ...]]:
    free = sum(len(it.free) for it in inventory.offers)
    url, kind = wanted.software_release_url, wanted.software_type
    wanted_guid = wanted.allocation_filter.get("instance_guid")
    tests = [
        _Test(
            "software_release",
            lambda it: it.software_release_url == url,
            f"the host runs {url}",
        ),
        _Test(
            "software_type",
            lambda it: it.software_type == kind,
            f"the host is of software type {kind!r}",
        ),
        *_computer_tests(wanted, inventory),
        *_unknown_key_tests(wanted),
        _Test(
            "host_state",
            lambda it: it.requested_state is not RequestedState.DESTROYED,
            "the host is not being destroyed",
        ),
    ]
    if wanted_guid is not None:
        tests.insert(
            0,
            _Test(
                "instance_guid",
                lambda it: it.is_named(wanted_guid),
                f"the host is {wanted_guid}",
            ),
        )
    occupied = _condition("occupied", free, "the partition is busy with a host")
    hosts, reasons = _sift(inventory.hosts, tests, lambda _: 1)
    return hosts, (occupied, *reasons)


def _computer_tests(wanted: InstanceRequest, inventory: Inventory) -> list[_Test]:
    computer_id = wanted.allocation_filter.get("computer_guid")
    default = inventory.default_computer_id
    if computer_id is not None:
        sentence = f"the computer is {computer_id}"
    elif default is None or "instance_guid" in wanted.allocation_filter:
        return []
    else:
        computer_id = default
        sentence = f"the computer is {computer_id}, the default one"
    return [
        _Test("computer_guid", lambda it: _computer_id(it) == computer_id, sentence)
    ]


def _computer_id(candidate: Offer | Host) -> str:
    if isinstance(candidate, Offer):
        return candidate.computer_id
    return candidate.key.computer_id


def _unknown_key_tests(wanted: InstanceRequest) -> list[_Test]:
    """A condition that nobody can check is met by no partition."""
    known = CARRIED_KEYS | {"computer_guid"}
    if wanted.is_shared:
        known |= {"instance_guid"}
    unknown = sorted(set(wanted.allocation_filter) - known)
    return [
        _Test(key, lambda _: False, f"the filter key {key!r} is not understood")
        for key in unknown[:SENTENCE_KEYS_MAX]
    ]


def _sift(
    candidates: Sequence[T], tests: Sequence[_Test], weigh: Callable[[T], int]
) -> tuple[tuple[T, ...], tuple[Condition, ...]]:
    reasons: list[Condition] = []
    left = tuple(candidates)
    for test in tests:
        passed = tuple(it for it in left if test.passes(it))
        excluded = sum(map(weigh, left)) - sum(map(weigh, passed))
        reasons.append(_condition(test.name, excluded, test.sentence))
        left = passed
    return left, tuple(reasons)


def _condition(name: str, excluded_count: int, sentence: str) -> Condition:
    if excluded_count:
        plural = "s are" if excluded_count > 1 else " is"
        sentence = f"{sentence}: {excluded_count} partition{plural} excluded"
    return Condition(name, excluded_count, sentence)
