"""Core. What a primary sees of storage nodes, as frozen values.

A storage node is known by the number that NEO gave it. Its region is part of that
number, so that everybody knows the region of a node that is away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import field, frozen

StorageId = int
RegionId = int
Ttid = bytes
"""The id that a transaction has until it is given a ``Tid``."""
Tid = bytes

REGION_SPAN = 100_000
"""Numbers that a region has for its storage nodes, one after the other in its life."""

REGION_ID_MAX = 100
"""NEO's numbers of storage nodes have 24 bits."""

EPOCH_BITS = 24
"""Sixteen million recoveries: half a year of one in each second."""

COUNTER_BITS = 16
"""Changes of a table within an epoch. Who runs out of them begins another epoch."""

EPOCH_MAX = 2**EPOCH_BITS - 1
COUNTER_MAX = 2**COUNTER_BITS - 1


def region_of(storage: StorageId) -> RegionId:
    """Return the region of a storage node; 0 of one that was made without any."""
    return storage // REGION_SPAN


def parse_storage_id(shown: str) -> StorageId:
    """Return the number of a storage node that NEO writes ``S100001``."""
    return int(shown.removeprefix("S"))


@frozen(order=True)
class TableId:
    """When a table was made: later ones are greater."""

    epoch: int
    counter: int


def encode_table_id(table_id: TableId, promise: int = 0) -> int:
    """Return the 8 bytes that NEO has for the id of a table, as a number.

    A promise stands above the epoch. Between a recovery and the next there is none.
    """
    if not 0 <= table_id.epoch <= EPOCH_MAX or not 0 <= promise <= EPOCH_MAX:
        raise ValueError(f"epochs end with {EPOCH_MAX}: restore a backup")
    if not 0 <= table_id.counter <= COUNTER_MAX:
        raise ValueError(f"an epoch has {COUNTER_MAX} changes of a table")
    return (promise << EPOCH_BITS | table_id.epoch) << COUNTER_BITS | table_id.counter


def decode_table_id(number: int) -> tuple[TableId, int]:
    """Return the id of a table, and the promise that came with it or 0."""
    epochs, counter = divmod(number, COUNTER_MAX + 1)
    promise, epoch = divmod(epochs, EPOCH_MAX + 1)
    return TableId(epoch, counter), promise


@frozen
class Row:
    """The storage nodes that have a cell of a neo_partition: all, those readable."""

    holders: frozenset[StorageId]
    readable: frozenset[StorageId]

    @property
    def regions(self) -> frozenset[RegionId]:
        return frozenset(map(region_of, self.holders))


@frozen
class Table:
    """Which storage node has which cells: a row for each neo_partition."""

    table_id: TableId
    rows: tuple[Row, ...]

    @property
    def holders(self) -> frozenset[StorageId]:
        return frozenset().union(*(row.holders for row in self.rows))

    @property
    def readable(self) -> frozenset[StorageId]:
        """Those with a readable cell of anything."""
        return frozenset().union(*(row.readable for row in self.rows))


def build_row(holders: Iterable[StorageId], outdated: Iterable[StorageId] = ()) -> Row:
    known = frozenset(holders)
    return Row(known, known - frozenset(outdated))


@frozen
class Claim:
    """What a storage node said when it came to a candidate.

    ``table`` is ``None`` of a node that never had one. ``unfinished`` has the
    transactions that it voted and did not commit, each with its tid when it is locked
    or stands in the stored verdict; it is empty before it was asked for.
    """

    storage: StorageId
    promise: int
    table: Table | None
    unfinished: Mapping[Ttid, Tid | None] = field(factory=dict)

    @property
    def epoch(self) -> int:
        return self.table.table_id.epoch if self.table else 0
