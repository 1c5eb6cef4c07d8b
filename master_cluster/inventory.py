"""Core. What there is to choose from: offers on shelves, and hosts.

An offer is the partitions of one computer that have the same capabilities. Offers that
no condition can tell apart stand on one shelf, so a decision looks at the labels of
shelves, which are few, and at the first offers of those that fit:

1. A shelf has the attributes of its computers and one capability, or none. An offer
   with a free partition stands on a shelf for each of its capabilities, or on that of
   none when it has none; an offer without a free partition stands on no shelf.
2. On a shelf, offers have one order: load step, name of the computer, capabilities.
3. The load step is coarse: taking a partition seldom moves its offer, so many at once
   seldom write the same shelf. It may lag behind the load for the same reason.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple, Protocol, TypeAlias

from attrs import define, field, frozen

from slap.model import PartitionKey, RequestedState, texts

LOAD_STEP_COUNT = 4
"""A computer of 100 partitions moves on its shelf at every 25th instance."""

NaturalOrder: TypeAlias = str

_NAME_MARK = "\0\0"


def natural_order(name: str) -> NaturalOrder:
    """Return a key that sorts slappart2 before slappart10; no two names share one.

    It is one text, because indices hold many, and each part of a tuple costs them.
    A number is written after the count of its digits, so that texts compare as numbers.
    """
    parts = re.split(r"([0-9]+)", name.replace("\0", "\1"))
    parts[1::2] = [_number(it.lstrip("0")) for it in parts[1::2]]
    return "".join((*parts, _NAME_MARK, name))


def _number(digits: str) -> str:
    return f"\0{len(digits):04d}{digits}"


def load_step_of(free_count: int, partition_count: int) -> int:
    """Return the busy share, in steps from 0 to ``LOAD_STEP_COUNT``."""
    busy_count = partition_count - free_count
    return LOAD_STEP_COUNT * busy_count // max(1, partition_count)


class Head(NamedTuple):
    """An offer on a shelf, as far as the choice among offers goes."""

    load_step: int
    computer_order: NaturalOrder
    capabilities: tuple[str, ...] = ()

    @property
    def computer_id(self) -> str:
        return self.computer_order.partition(_NAME_MARK)[2]


@frozen
class Offer:
    """The partitions of a computer with the same capabilities.

    ``free`` names those that can be given, in natural order; the others are numbers.
    ``unoffered_count`` counts the busy ones that are not offered again when free.
    """

    computer_id: str
    free: tuple[str, ...] = ()
    busy_count: int = 0
    unoffered_count: int = 0
    attributes: Mapping[str, str] = texts()
    capabilities: tuple[str, ...] = ()
    load_step: int = field()

    @load_step.default
    def _load_step(self) -> int:
        return load_step_of(len(self.free), self.partition_count)

    @property
    def partition_count(self) -> int:
        return len(self.free) + self.busy_count + self.unoffered_count

    @property
    def head(self) -> Head:
        return Head(self.load_step, natural_order(self.computer_id), self.capabilities)


@frozen
class Host:
    """An instance that may host shared ones, with what conditions test of its place."""

    instance_guid: str
    key: PartitionKey
    software_release_url: str
    software_type: str
    requested_state: RequestedState = RequestedState.STARTED
    attributes: Mapping[str, str] = texts()
    capabilities: tuple[str, ...] = ()

    @property
    def computer_id(self) -> str:
        return self.key.computer_id

    @property
    def order(self) -> tuple[NaturalOrder, NaturalOrder]:
        """Hosts are chosen by the names of their places."""
        return natural_order(self.key.computer_id), natural_order(self.key.partition_id)

    def is_named(self, name: str) -> bool:
        """Whether ``name`` means this one: its guid, or its partition as slapproxy."""
        key = self.key
        return name in (
            self.instance_guid,
            f"{key.computer_id}-{key.partition_id}",
            key.partition_id,
        )


class Shelf(Protocol):
    """Offers of computers with the same attributes."""

    @property
    def attributes(self) -> Mapping[str, str]: ...

    def heads(self) -> Iterator[Head]:
        """Yield the offers in their order; only what is asked for is looked at."""


class Inventory(Protocol):
    """A frozen view of the partitions and hosts of a cloud.

    ``default_computer_id`` is where an instance goes whose request says nothing about
    its place; without a default, it goes anywhere. ``tree_networks`` are those in which
    the tree of the request has instances already.
    """

    @property
    def default_computer_id(self) -> str | None: ...

    @property
    def tree_networks(self) -> frozenset[str]: ...

    def shelves(self, capability: str) -> Iterable[Shelf]:
        """Return the shelves of a capability, or of none when it is empty."""

    def offers_of(self, computer_id: str) -> Sequence[Offer]:
        """Return the offers of a computer, none when it is not known."""

    def offers(self) -> Iterable[Offer]:
        """Return the offers of all computers; many."""

    def find_host(self, instance_guid: str) -> Host | None:
        """Return a host by its guid."""

    def runners(self, software_release_url: str, software_type: str) -> Iterable[Host]:
        """Return the hosts of a release and a type, in their order."""

    def hosts(self) -> Iterable[Host]:
        """Return all hosts; many."""


@frozen
class _MemoryShelf:
    attributes: Mapping[str, str]
    sorted_heads: tuple[Head, ...]

    def heads(self) -> Iterator[Head]:
        return iter(self.sorted_heads)


@define(slots=False, frozen=True)
class Stock:
    """An inventory in memory, made of all its offers and hosts."""

    all_offers: tuple[Offer, ...] = ()
    all_hosts: tuple[Host, ...] = ()
    default_computer_id: str | None = None
    tree_networks: frozenset[str] = frozenset()

    def shelves(self, capability: str) -> Sequence[Shelf]:
        return self._shelves.get(capability, ())

    def offers_of(self, computer_id: str) -> Sequence[Offer]:
        return self._offers_by_computer.get(computer_id, ())

    def offers(self) -> Sequence[Offer]:
        return self.all_offers

    def find_host(self, instance_guid: str) -> Host | None:
        found = (it for it in self.all_hosts if it.instance_guid == instance_guid)
        return next(found, None)

    def runners(self, software_release_url: str, software_type: str) -> Sequence[Host]:
        wanted = software_release_url, software_type
        found = (
            it
            for it in self.all_hosts
            if (it.software_release_url, it.software_type) == wanted
        )
        return sorted(found, key=lambda it: it.order)

    def hosts(self) -> Sequence[Host]:
        return self.all_hosts

    @cached_property
    def _offers_by_computer(self) -> Mapping[str, Sequence[Offer]]:
        found: defaultdict[str, list[Offer]] = defaultdict(list)
        for offer in self.all_offers:
            found[offer.computer_id].append(offer)
        return found

    @cached_property
    def _shelves(self) -> Mapping[str, Sequence[Shelf]]:
        labelled: defaultdict[tuple[str, tuple[tuple[str, str], ...]], list[Offer]]
        labelled = defaultdict(list)
        for offer in self.all_offers:
            for capability in (offer.capabilities or ("",)) if offer.free else ():
                labelled[capability, tuple(offer.attributes.items())].append(offer)
        shelves: defaultdict[str, list[Shelf]] = defaultdict(list)
        for (capability, _), offers in labelled.items():
            heads = tuple(sorted(it.head for it in offers))
            shelves[capability].append(_MemoryShelf(offers[0].attributes, heads))
        return shelves
