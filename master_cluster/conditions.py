"""Core. The conditions on the place of an instance, and what each of them excludes.

Conditions are tested in one order: the computer, its attributes in the order of
``ATTRIBUTE_KEYS``, the network, the capability. Attributes are compared as texts, as
the ERP5 master compares the names of its categories: ``cpu_core=8`` asks for a computer
of which the operator said the same, and not for eight cores or more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from attrs import frozen

from master_cluster.inventory import Inventory
from slap.model import InstanceRequest, RequestedState
from slap.placement import ATTRIBUTE_KEYS, CARRIED_KEYS, UNIQUE_BY_NETWORK
from slap.reports import Condition

OWN_CONDITIONS = frozenset({"free", "host_state", "occupied", "offered", "reserved"})
"""Conditions that every request has, without asking."""

SENTENCE_KEYS_MAX = 5
"""Names of unknown keys in one sentence; a hostile filter may have thousands."""

T = TypeVar("T")


@frozen
class Conditions:
    """An allocation filter, understood.

    ``computer_id`` and ``capability`` are ``None`` when any will do. ``misunderstood``
    says in sentences, by key, what nobody can check: no partition meets that.
    """

    computer_id: str | None
    is_default: bool
    attributes: Mapping[str, str]
    capability: str | None
    is_unique_by_network: bool
    host_name: str | None
    misunderstood: Mapping[str, str]
    tree_networks: frozenset[str]

    def fit(self, attributes: Mapping[str, str]) -> bool:
        """Whether a computer of these attributes will do."""
        if not self.attributes.items() <= attributes.items():
            return False
        return not self.is_unique_by_network or self.is_new_network(attributes)

    def is_new_network(self, attributes: Mapping[str, str]) -> bool:
        """Whether the tree has no instance there; an unknown network proves nothing."""
        network = attributes.get("network_guid")
        return network is not None and network not in self.tree_networks


def conditions_of(wanted: InstanceRequest, inventory: Inventory) -> Conditions:
    """Understand the filter of a request.

    The default computer is for requests that say nothing about their place.
    """
    asked = wanted.allocation_filter
    known = {"computer_guid", "capability", "mode", *ATTRIBUTE_KEYS}
    if wanted.is_shared:
        known.add("instance_guid")
    is_default = not known & set(asked) and inventory.default_computer_id is not None
    return Conditions(
        inventory.default_computer_id if is_default else asked.get("computer_guid"),
        is_default,
        {key: asked[key] for key in ATTRIBUTE_KEYS if key in asked},
        asked.get("capability"),
        asked.get("mode") == UNIQUE_BY_NETWORK,
        asked.get("instance_guid") if wanted.is_shared else None,
        _misunderstood(asked, known),
        inventory.tree_networks,
    )


def _misunderstood(asked: Mapping[str, str], known: set[str]) -> dict[str, str]:
    found = {}
    for key, value in asked.items():
        if key in CARRIED_KEYS:
            continue
        if key == "instance_guid" and key not in known:
            found[key] = f"the filter key {key!r} is for shared instances"
        elif key not in known:
            found[key] = f"the filter key {key!r} is not understood"
        elif not value:
            found[key] = f"the filter key {key!r} has no value"
        elif key == "mode" and value != UNIQUE_BY_NETWORK:
            found[key] = f"the mode {value!r} is not understood"
    return dict(islice(found.items(), SENTENCE_KEYS_MAX))


def explain(
    wanted: InstanceRequest, inventory: Inventory, limit: int | None = None
) -> tuple[Condition, ...]:
    """Return each condition of a request with the partitions that it excludes now.

    A partition is counted by the first condition that excludes it. With a ``limit``, so
    many offers and so many hosts are looked at.
    """
    conditions = conditions_of(wanted, inventory)
    if conditions.computer_id is not None and limit is not None:
        offers = tuple(inventory.offers_of(conditions.computer_id))
    else:
        offers = tuple(islice(inventory.offers(), limit))
    if wanted.is_shared:
        free_count = sum(len(it.free) for it in offers)
        occupied = _condition("occupied", free_count, "the partition has a host in it")
        hosts = tuple(islice(inventory.hosts(), limit))
        return occupied, *_sift(hosts, _host_tests(wanted, conditions), lambda _: 1)[1]
    tests = [*_place_tests(conditions), _capability_test(conditions)]
    tests += _misunderstood_tests(conditions)
    left, reasons = _sift(offers, tests, lambda it: it.partition_count)
    unoffered = sum(it.unoffered_count for it in left)
    busy = sum(it.busy_count for it in left)
    return (
        *reasons,
        _condition("offered", unoffered, "the computer still defines the partition"),
        _condition("free", busy, "the partition is free"),
    )


@frozen
class _Test:
    """A condition: its name, which offers or hosts pass, and what it says."""

    name: str
    passes: Callable[[Any], bool]
    sentence: str


def _place_tests(conditions: Conditions) -> list[_Test]:
    tests = []
    computer_id = conditions.computer_id
    if computer_id is not None:
        which = ", the default one" if conditions.is_default else ""
        tests.append(
            _Test(
                "computer_guid",
                lambda it: it.computer_id == computer_id,
                f"the computer is {computer_id}{which}",
            )
        )
    tests += [
        _attribute_test(key, value) for key, value in conditions.attributes.items()
    ]
    if conditions.is_unique_by_network:
        tests.append(
            _Test(
                "mode",
                lambda it: conditions.is_new_network(it.attributes),
                "the network is known and has no other instance of the tree",
            )
        )
    return tests


def _attribute_test(key: str, value: str) -> _Test:
    return _Test(
        key,
        lambda it: it.attributes.get(key) == value,
        f"the {key} of the computer is {value}",
    )


def _capability_test(conditions: Conditions) -> _Test:
    wanted = conditions.capability
    if wanted is None:
        sentence = "the partition is not reserved for who names a capability"
        return _Test("reserved", lambda it: not it.capabilities, sentence)
    return _Test(
        "capability",
        lambda it: wanted in it.capabilities,
        f"the partition has the capability {wanted}",
    )


def _misunderstood_tests(conditions: Conditions) -> list[_Test]:
    """A condition that nobody can check is met by no partition."""
    return [
        _Test(key, lambda _: False, sentence)
        for key, sentence in conditions.misunderstood.items()
    ]


def _host_tests(wanted: InstanceRequest, conditions: Conditions) -> list[_Test]:
    url, kind = wanted.software_release_url, wanted.software_type
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
        *_place_tests(conditions),
    ]
    if conditions.capability is not None:
        tests.append(_capability_test(conditions))
    tests += _misunderstood_tests(conditions)
    name = conditions.host_name
    if name is not None:
        sentence = f"the host is {name}"
        tests.insert(0, _Test("instance_guid", lambda it: it.is_named(name), sentence))
    tests.append(
        _Test(
            "host_state",
            lambda it: it.requested_state is not RequestedState.DESTROYED,
            "the host is not being destroyed",
        )
    )
    return tests


def host_verdict(
    wanted: InstanceRequest, inventory: Inventory
) -> Callable[[Any], bool]:
    """Return the predicate of hosts that meet all conditions of a shared request."""
    tests = _host_tests(wanted, conditions_of(wanted, inventory))
    return lambda host: all(test.passes(host) for test in tests)


def _sift(
    candidates: Iterable[T], tests: Sequence[_Test], weigh: Callable[[T], int]
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
