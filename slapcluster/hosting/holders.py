"""Core. What a region does until its own storage node alone has its cells.

Each region sees to its own storage node, and to no other. One that lost its database
comes back with nothing and another number, and so does one on another computer: it is
added to the holders, waits until it has all, and has the one that is lost dropped. The
steps are those of ``replication.changing``; here is what they are chosen from.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import asdict, evolve

from replication.answers import READABLE, Answer
from replication.changing import (
    DatabaseKind,
    DatabaseSeen,
    EntrySeen,
    Step,
    View,
    plan_next_step,
    view_storage_nodes,
)
from replication.observation import RegionId, StorageId, region_of
from replication.regions import PORTS, NeoCluster, describe_regions
from replication.sight import say_if_lost
from replication.undertakings import Undertaking
from slapcluster.hosting.planning import has_cells, say_silence
from slapcluster.hosting.wanted import PublishedRegion, WantedRegion

_NO_ADDRESS = "127.0.0.1"
"""Steps are chosen by numbers: nobody goes to an address of a description."""


def lacks_cells(
    wanted: WantedRegion,
    published: Mapping[str, PublishedRegion],
    database: DatabaseSeen,
    answer: Answer | None,
) -> bool:
    """Whether the cells of a region are not those of its own storage node.

    Nobody lacks any before there are some, nor who is asked to wait for them. While
    NEO does not tell, a database says most: one that has something in it has been
    among the holders.
    """
    if wanted.cells.waits or not any(it.is_created for it in published.values()):
        return False
    if answer is None or not has_cells(answer):
        return database.kind is not DatabaseKind.FILLED
    return _holders(wanted.number, answer) != {database.storage}


def choose_step(
    wanted: WantedRegion, database: DatabaseSeen, answer: Answer | None
) -> Step:
    """Return what is next for a region; ``Refused`` when a person has to decide."""
    neo_cluster = _describe(wanted, database, answer)
    told = say_silence(answer)
    if answer is None or told:
        view = View(neo_cluster, False, told, {}, *_NOBODY)  # noqa: FBT003
        return plan_next_step(Undertaking(neo_cluster, neo_cluster), view)
    entry = EntrySeen(
        database,
        is_answering=True,
        # Its agent starts what is not there.
        is_running=True,
        is_stale=False,
        if_lost=say_if_lost(wanted.number, answer),
        progress=_progress(database.storage, answer),
    )
    others = _holders(wanted.number, answer) - {database.storage}
    undertaking = Undertaking(
        neo_cluster,
        neo_cluster,
        coming=(wanted.name,),
        replaced=wanted.name,
        lost=min(others, default=None),
    )
    seen = view_storage_nodes(answer)
    view = View(
        neo_cluster,
        True,  # noqa: FBT003 - it runs
        "",
        {wanted.name: entry},
        **asdict(seen),
    )
    return plan_next_step(undertaking, view)


def _holders(number: RegionId, answer: Answer) -> set[StorageId]:
    return {it.storage for it in answer.cells if region_of(it.storage) == number}


def _describe(
    wanted: WantedRegion, database: DatabaseSeen, answer: Answer | None
) -> NeoCluster:
    """Return the regions with the storage nodes that they have, as far as is known."""
    planned = describe_regions(
        wanted.root.neo_cluster,
        wanted.root.numbers.items(),
        wanted.root.partition_count,
        _NO_ADDRESS,
        iter(PORTS),
    )
    known: dict[RegionId, StorageId] = {}
    for cell in answer.cells if answer else ():
        known[region_of(cell.storage)] = cell.storage
    if database.storage is not None:
        known[wanted.number] = database.storage
    return evolve(
        planned,
        regions=tuple(
            evolve(it, storage_node_id=f"S{known[it.number]}")
            if it.number in known
            else it
            for it in planned.regions
        ),
    )


def _progress(storage: StorageId | None, answer: Answer) -> str:
    own = [it for it in answer.cells if it.storage == storage]
    readable = sum(it.cell_state in READABLE for it in own)
    return f"{readable} of {len(own)} cells are readable"


_NOBODY = (frozenset[StorageId](),) * 4
