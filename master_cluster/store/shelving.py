"""Shell. The indices in which allocation finds partitions and hosts.

They say the same as ``inventory`` does of offers, shelves and hosts, in BTrees. An
allocation writes the free partitions of its computer; it writes a shelf only when the
load step of its offer changes, or nothing of it is free any more. Rules, beside those
of ``schema``:

1. The load step of an offer is the one at which it stands on its shelves. Two at once
   that both fall short of the next step leave it there: the next one moves it.
2. Whoever gives or frees a partition relies on its computer. Whoever puts an offer on
   a shelf writes the offer. Whoever makes an offer writes its computer. Whoever changes
   the attributes of a computer writes it, and relies on its offers.
3. An empty tree conflicts with whoever adds to it, so a shelf goes with its last offer,
   and an offer leaves its shelves with its last free partition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from BTrees.OOBTree import OOTreeSet  # type: ignore[import-untyped]

from master_cluster.inventory import (
    Head,
    NaturalOrder,
    Offer,
    load_step_of,
    natural_order,
)
from master_cluster.records import ComputerRecord, InstanceRecord, PartitionRecord
from master_cluster.store.relying import rely_on
from master_cluster.store.schema import (
    StoredCloud,
    StoredComputer,
    StoredOffer,
    StoredShelf,
    hashed,
)

_GUID_MARK = "\0\0\0"


class Shelving:
    """The offers, shelves and hosts of one snapshot."""

    def __init__(self, stored: StoredCloud) -> None:
        self._stored = stored

    # Offers and shelves

    def shelves(self, capability: str) -> Iterator[StoredShelf]:
        """Yield the shelves of a capability, or of none."""
        last = f"{capability}\0~"
        found: Iterator[StoredShelf] = iter(
            self._stored.shelves.values(f"{capability}\0", last)
        )
        return found

    def offers_of(self, computer_id: str) -> tuple[Offer, ...]:
        computer = self._stored.computers.get(computer_id)
        if computer is None:
            return ()
        attributes = computer.read(ComputerRecord).attributes
        return tuple(
            _offer(computer_id, attributes, it) for it in computer.offers.values()
        )

    def offers(self) -> Iterator[Offer]:
        """Yield the offers of all computers; many."""
        for computer_id in self._stored.computers:
            yield from self.offers_of(computer_id)

    def list_partition(
        self,
        computer: StoredComputer,
        old: PartitionRecord | None,
        new: PartitionRecord | None,
    ) -> None:
        """Put a partition where its record belongs; ``settle`` must follow."""
        if old is not None and (new is None or old.capabilities != new.capabilities):
            offer: StoredOffer = computer.offers[old.capabilities]
            offer.partition_count -= 1
            offer.free.pop(natural_order(old.partition_id), None)
            _put(offer.unoffered, old.partition_id, is_in=False)
            old = None
        if new is None:
            return
        offers = computer.offers
        if new.capabilities not in offers:
            offers[new.capabilities] = StoredOffer(new.capabilities)
            computer._p_changed = True  # noqa: SLF001 - the interface of persistent
        offer = offers[new.capabilities]
        if old is None:
            offer.partition_count += 1
        key = natural_order(new.partition_id)
        is_free = new.occupant_guid is None and new.is_offered
        if is_free and key not in offer.free:
            offer.free[key] = new.partition_id
        elif not is_free:
            offer.free.pop(key, None)
        _put(offer.unoffered, new.partition_id, is_in=not new.is_offered)

    def settle(self, computer_id: str, computer: StoredComputer) -> None:
        """Put the offers of a computer on the shelves where they belong now."""
        rely_on(computer)
        record = computer.read(ComputerRecord)
        for capabilities, offer in tuple(computer.offers.items()):
            free_count = len(offer.free)
            step = load_step_of(free_count, offer.partition_count)
            wanted = None if not free_count else (step, dict(record.attributes))
            if wanted != offer.stand:
                order = natural_order(computer_id)
                self._take_off(offer, order)
                if wanted is not None:
                    self._put_on(offer, order, *wanted)
                offer.stand = wanted
            if not offer.partition_count:
                del computer.offers[capabilities]

    def move(self, computer_id: str, computer: StoredComputer) -> None:
        """Do the same for a computer whose attributes changed."""
        for offer in computer.offers.values():
            rely_on(offer)
        self.settle(computer_id, computer)

    def _take_off(self, offer: StoredOffer, order: NaturalOrder) -> None:
        if offer.stand is None:
            return
        step, attributes = offer.stand
        shelves = self._stored.shelves
        for key in _shelf_keys(offer, attributes):
            shelves[key].heads.remove((step, order, offer.capabilities))
            if not shelves[key].heads:
                del shelves[key]

    def _put_on(
        self,
        offer: StoredOffer,
        order: NaturalOrder,
        step: int,
        attributes: Mapping[str, str],
    ) -> None:
        shelves = self._stored.shelves
        for key in _shelf_keys(offer, attributes):
            if key not in shelves:
                shelves[key] = StoredShelf(attributes)
            shelves[key].heads.insert((step, order, offer.capabilities))

    # Hosts

    def runners(self, software_release_url: str, software_type: str) -> Iterator[str]:
        """Yield the guids of the instances of a release and a type, in their order."""
        key = hashed(software_release_url, software_type)
        for order in self._stored.hosts.get(key, ()):
            yield order.rpartition(_GUID_MARK)[2]

    def list_runner(self, record: InstanceRecord) -> None:
        hosts = self._stored.hosts
        key = _runner_key(record)
        if key not in hosts:
            hosts[key] = OOTreeSet()
        hosts[key].insert(_runner_order(record))

    def unlist_runner(self, record: InstanceRecord) -> None:
        hosts = self._stored.hosts
        key = _runner_key(record)
        hosts[key].remove(_runner_order(record))
        if not hosts[key]:
            del hosts[key]


def heads_of(shelf: StoredShelf) -> Iterator[Head]:
    """Yield what stands on a shelf, in its order."""
    return (Head(*it) for it in shelf.heads)


def _offer(
    computer_id: str, attributes: Mapping[str, str], stored: StoredOffer
) -> Offer:
    free = tuple(stored.free.values())
    unoffered_count = len(stored.unoffered)
    return Offer(
        computer_id,
        free,
        stored.partition_count - len(free) - unoffered_count,
        unoffered_count,
        attributes,
        stored.capabilities,
        load_step_of(0, 1) if stored.stand is None else stored.stand[0],
    )


def _shelf_keys(offer: StoredOffer, attributes: Mapping[str, str]) -> tuple[str, ...]:
    label = hashed(*(it for pair in sorted(attributes.items()) for it in pair))
    return tuple(f"{it}\0{label}" for it in offer.capabilities or ("",))


def _runner_key(record: InstanceRecord) -> str:
    return hashed(record.software_release_url, record.software_type)


def _runner_order(record: InstanceRecord) -> str:
    key = record.partition
    place = natural_order(key.computer_id), natural_order(key.partition_id)
    return _GUID_MARK.join((*place, record.instance_guid))


def _put(names: OOTreeSet, name: str, *, is_in: bool) -> None:
    """Make ``name`` be in a set or not, without writing what is so already."""
    if is_in and name not in names:
        names.insert(name)
    elif not is_in and name in names:
        names.remove(name)
