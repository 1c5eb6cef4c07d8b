"""Core. How far the database of one storage node reaches, when it is all that is left.

A storage node with a cell of every neo_partition has every transaction up to some
instant, and none in part. Which instant that is, it knows only of itself:

1. A readable cell has all that was committed while its node was among the others. A
   transaction that it locked was voted by all, so it is committed here too: it may have
   been acknowledged. One that it voted and did not lock is left out.
2. A cell that is out of date has all up to the instant that stands in the table, and
   holes after it, since it is written to while it catches up. So the state ends at the
   least of these instants.
3. What the others acknowledged after they had lost this node is not here, and nothing
   here says whether there was anything.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from replication.observation import RegionId, StorageId, region_of

NEVER = 0
"""The instant of a cell that was never filled."""


class NotSurvived(Exception):
    """There is no state in a database; the sentence says why, and what to do."""


@frozen
class Survivor:
    """What a database says of its storage node.

    ``cells`` are its own, by neo_partition: the id of the transaction up to which one
    is whole, ``None`` when it is readable. ``last_tid`` is the last one that it knows
    as committed, ``packed_tid`` up to where old revisions were forgotten.
    """

    neo_cluster: str
    storage: StorageId
    epoch: int
    partition_count: int
    cells: Mapping[int, int | None]
    last_tid: int
    packed_tid: int = NEVER
    locked_count: int = 0
    voted_count: int = 0

    @property
    def region(self) -> RegionId:
        return region_of(self.storage)


@frozen
class Reach:
    """Up to which transaction a database has a state.

    ``is_whole`` when all its cells were readable; then it has all that it ever knew.
    """

    tid: int
    is_whole: bool


def judge(survivor: Survivor) -> Reach:
    """Return how far it reaches; ``NotSurvived`` when it has no whole state."""
    if not survivor.partition_count or not survivor.last_tid:
        raise NotSurvived(
            "its storage node never had anything: name the database of another region,"
            " or a backup"
        )
    missing = survivor.partition_count - len(survivor.cells)
    if missing:
        raise NotSurvived(
            f"its storage node has {len(survivor.cells)} of"
            f" {survivor.partition_count} cells, and the rest is elsewhere: name the"
            " database of another region, or a backup"
        )
    instants = [it for it in survivor.cells.values() if it is not None]
    if not instants:
        return Reach(survivor.last_tid, is_whole=True)
    tid = min(instants)
    if tid == NEVER:
        raise NotSurvived(
            "its storage node was being filled when it ended, and has a part of the"
            " state: name the database of another region, or a backup"
        )
    if survivor.packed_tid > tid:
        raise NotSurvived(
            "its storage node was behind, and packed what it would have to go back to:"
            " name the database of another region, or a backup"
        )
    return Reach(min(tid, survivor.last_tid), is_whole=False)
