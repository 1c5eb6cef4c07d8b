"""Core. How the storage nodes of a neo_cluster are replaced, and its regions changed.

What an operator asks for is an ``Undertaking``. ``plan_next_step`` says what to do next
for it, given what is seen. Nothing is remembered between two steps: whoever is killed
is repeated, sees how things are, and goes on.

A step is done, or is not, or was done and nobody knows: so each of them is one that
may be done again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

from attrs import evolve, field, frozen

from replication.answers import PENDING, READABLE, RUNNING, STORAGE, Answer
from replication.observation import REGION_SPAN, RegionId, StorageId, region_of
from replication.regions import NeoCluster
from replication.undertakings import Refused, Undertaking, storage_id


class DatabaseKind(StrEnum):
    """What is where a region has its database."""

    MISSING = "missing"
    #: Nothing was ever stored: that of a new storage node.
    EMPTY = "empty"
    FILLED = "filled"
    DAMAGED = "damaged"


@frozen
class DatabaseSeen:
    """``storage`` is the number that it has, ``None`` before it was drawn."""

    kind: DatabaseKind
    storage: StorageId | None = None
    byte_count: int = 0
    reason: str = ""


@frozen
class EntrySeen:
    """A region of the description.

    ``if_lost`` is ``"goes on"`` when the others do without it. One that is ``stale``
    was started with other neo_masters than are described. ``progress`` says how far
    its storage node has replicated.
    """

    database: DatabaseSeen
    is_answering: bool
    is_running: bool
    is_stale: bool
    if_lost: str
    progress: str = ""


@frozen
class StorageNodesSeen:
    """Storage nodes as an admin node tells of them.

    ``complete`` are those that run and have all, ``pending`` those that wait to be
    added.
    """

    holders: frozenset[StorageId] = frozenset()
    complete: frozenset[StorageId] = frozenset()
    connected: frozenset[StorageId] = frozenset()
    pending: frozenset[StorageId] = frozenset()


def view_storage_nodes(answer: Answer) -> StorageNodesSeen:
    """Return the storage nodes of an answer."""
    known = answer.nodes_of(STORAGE)
    connected = frozenset(it.storage for it in known if it.node_state == RUNNING)
    holders = frozenset(it.storage for it in answer.cells)
    lacking = {it.storage for it in answer.cells if it.cell_state not in READABLE}
    return StorageNodesSeen(
        holders,
        (holders & connected) - lacking,
        connected,
        frozenset(it.storage for it in known if it.node_state == PENDING),
    )


@frozen
class View:
    """All that a step is chosen from.

    ``verdict`` is why it does not run. ``complete`` are storage nodes that run and have
    all, ``pending`` those that wait to be added.
    """

    neo_cluster: NeoCluster
    is_running: bool
    verdict: str
    entries: Mapping[str, EntrySeen]
    holders: frozenset[StorageId]
    complete: frozenset[StorageId]
    connected: frozenset[StorageId]
    pending: frozenset[StorageId]


class Verb(StrEnum):
    """What a step does."""

    DESCRIBE = "describe"
    SET_ASIDE = "set aside"
    DISCARD = "discard"
    START = "start"
    ADD = "add"
    DROP = "drop"
    STOP = "stop"
    RENEW = "renew"
    WAIT = "wait"
    DONE = "done"


@frozen
class Step:
    """What to do next: ``region`` and ``storage`` are what it is done to.

    ``reason`` is what a ``WAIT`` waits for; ``is_replication`` has no bound.
    """

    verb: Verb
    region: str = ""
    storage: StorageId | None = None
    reason: str = ""
    neo_cluster: NeoCluster | None = field(default=None, repr=False)
    is_replication: bool = False


GOES_ON = "goes on"

UNMADE = EntrySeen(
    DatabaseSeen(DatabaseKind.MISSING),
    is_answering=False,
    is_running=False,
    is_stale=False,
    if_lost=GOES_ON,
)
"""A region of which nothing is there."""


def plan_next_step(undertaking: Undertaking, view: View) -> Step:
    """Return what to do next; ``Refused`` when nothing may be done."""
    for step in _steps(undertaking, view):
        return step
    return Step(Verb.DONE)


def _steps(undertaking: Undertaking, view: View) -> Iterator[Step]:
    """What is still to be done, in order: but for the first, as far as is known."""
    is_ending = _names(view.neo_cluster) == _names(undertaking.after)
    is_begun = is_ending or _names(view.neo_cluster) == _names(undertaking.during)
    # Who does not run tells an old table, or none.
    yield from _until_running(view)
    if not is_begun:
        yield Step(Verb.DESCRIBE, neo_cluster=undertaking.during)
    for name in undertaking.coming:
        yield from _have_added(undertaking, view, name)
    for name in undertaking.coming:
        yield from _have_copied(view, name)
    yield from _have_dropped(undertaking, view)
    for name in undertaking.leaving:
        if name in view.entries and view.entries[name].is_answering:
            yield Step(Verb.STOP, name)
    after = _numbered(undertaking, view)
    if view.neo_cluster != after:
        yield Step(Verb.DESCRIBE, neo_cluster=after)
    yield from _have_renewed(after, view)


def _until_running(view: View) -> Iterator[Step]:
    if not view.is_running:
        told = f": {view.verdict}" if view.verdict else ""
        yield Step(Verb.WAIT, reason=f"it does not run{told}")


def _have_added(undertaking: Undertaking, view: View, name: str) -> Iterator[Step]:
    """Have the storage node of a region among the holders."""
    yield from _have_database(undertaking, view, name)
    seen = view.entries[name]
    storage = seen.database.storage
    if not seen.is_running:
        if undertaking.replaced and storage not in view.holders:
            _check_others(view, name)
        yield Step(Verb.START, name)
    if storage is None or storage not in view.connected | view.pending:
        yield Step(Verb.WAIT, name, reason=f"the storage node of {name} comes")
    if storage in view.pending - view.holders:
        yield Step(Verb.ADD, name, storage)
    if storage not in view.holders:
        yield Step(Verb.WAIT, name, reason=f"the storage node of {name} is added")


def _have_database(undertaking: Undertaking, view: View, name: str) -> Iterator[Step]:
    """Have no database in a region but that of a storage node to be, or that is."""
    database = view.entries[name].database
    storage = database.storage
    lost = undertaking.lost if undertaking.replaced == name else None
    if lost and storage and storage in {lost, undertaking.discard}:
        if storage == undertaking.discard:
            _check_others(view, name)
            yield Step(Verb.DISCARD, name, storage, f"{database.byte_count} bytes")
        if storage not in view.complete:
            raise Refused(
                f"region {name} has a database that can be read, of storage node "
                f"S{storage}: start the region, or say `--discard S{storage}`"
            )
    elif database.kind is DatabaseKind.FILLED and storage not in view.holders:
        discarded = f", or say `--discard S{storage}`" if lost else ""
        raise Refused(
            f"the database of region {name} is that of storage node S{storage}, which "
            f"has no cells any more: remove it{discarded}"
        )
    is_removed = database.kind is DatabaseKind.MISSING and lost in view.connected
    if is_removed or database.kind is DatabaseKind.DAMAGED:
        _check_others(view, name)
        yield Step(Verb.SET_ASIDE, name, reason=database.reason or "it is gone")


def _have_copied(view: View, name: str) -> Iterator[Step]:
    seen = view.entries[name]
    if seen.database.storage not in view.complete:
        yield Step(
            Verb.WAIT,
            name,
            seen.database.storage,
            f"{name} replicates: {seen.progress}",
            is_replication=seen.database.storage in view.connected,
        )


def _have_dropped(undertaking: Undertaking, view: View) -> Iterator[Step]:
    """Drop all holders of the regions that change, but for those that came."""
    changed = {
        it.number
        for it in (*undertaking.during.regions, *undertaking.after.regions)
        if it.name in (*undertaking.coming, *undertaking.leaving)
    }
    kept = {view.entries[name].database.storage for name in undertaking.coming}
    for storage in sorted(view.holders - kept):
        if region_of(storage) in changed:
            if not undertaking.coming:
                yield from _until_most_have_all(
                    undertaking.after.region_numbers, view.complete
                )
            yield Step(Verb.DROP, _name_of(view, storage), storage)


def _until_most_have_all(
    staying: frozenset[RegionId], having_all: Iterable[StorageId]
) -> Iterator[Step]:
    complete = {region_of(it) for it in having_all} & staying
    if 2 * len(complete) <= len(staying):
        yield Step(
            Verb.WAIT,
            reason=f"{len(complete)} of the {len(staying)} regions that stay have all:"
            " most of them have to",
        )


def plan_next_drop(leaving: frozenset[RegionId], answer: Answer) -> Step:
    """Return what to do next so that no region of ``leaving`` has cells.

    Most of those that stay must have all before, since from then on they are asked.
    """
    seen = view_storage_nodes(answer)
    staying = frozenset(map(region_of, seen.holders)) - leaving
    for storage in sorted(seen.holders):
        if region_of(storage) in leaving:
            for step in _until_most_have_all(staying, seen.complete):
                return step
            return Step(Verb.DROP, f"S{storage}", storage)
    return Step(Verb.DONE)


def _have_renewed(after: NeoCluster, view: View) -> Iterator[Step]:
    """Have the programs of each region know all neo_masters, one after the other."""
    for region in after.regions:
        seen = view.entries.get(region.name)
        if seen is None or not seen.is_stale:
            continue
        for storage in sorted((view.holders & view.connected) - view.complete):
            yield Step(
                Verb.WAIT,
                region.name,
                storage,
                f"storage node S{storage} of {_name_of(view, storage)} replicates",
                is_replication=True,
            )
        if seen.if_lost != GOES_ON:
            yield Step(
                Verb.WAIT,
                region.name,
                reason=f"{region.name} is started anew when the others go on without "
                f"it: now all of it {seen.if_lost}",
            )
        yield Step(Verb.RENEW, region.name, neo_cluster=after)


def predict(step: Step, view: View) -> View:
    """Return what is seen when a step was done; what is waited for has come."""
    entries = dict(view.entries)
    name, storage = step.region, step.storage
    if step.verb is Verb.DESCRIBE:
        assert step.neo_cluster is not None
        is_other = step.neo_cluster.neo_masters != view.neo_cluster.neo_masters
        view = evolve(view, neo_cluster=step.neo_cluster)
        entries = {
            it.name: evolve(seen, is_stale=seen.is_stale or is_other)
            if (seen := entries.get(it.name, UNMADE)).is_answering
            else seen
            for it in step.neo_cluster.regions
        }
    elif step.verb in {Verb.SET_ASIDE, Verb.DISCARD}:
        gone = {storage, entries[name].database.storage}
        gone |= {storage_id(view.neo_cluster.region(name))} if not storage else set()
        entries[name] = evolve(UNMADE, is_answering=True)
        view = evolve(
            view, connected=view.connected - gone, complete=view.complete - gone
        )
    elif step.verb is Verb.START:
        database = entries[name].database
        if database.storage is None:
            database = DatabaseSeen(
                DatabaseKind.EMPTY, view.neo_cluster.region(name).number * REGION_SPAN
            )
        entries[name] = evolve(
            UNMADE, database=database, is_answering=True, is_running=True
        )
        assert database.storage is not None
        view = evolve(view, pending=view.pending | {database.storage} - view.holders)
    elif step.verb is Verb.ADD:
        assert storage is not None
        view = evolve(
            view,
            holders=view.holders | {storage},
            connected=view.connected | {storage},
            complete=view.complete | {storage},
            pending=view.pending - {storage},
        )
    elif step.verb is Verb.DROP:
        view = evolve(
            view, holders=view.holders - {storage}, complete=view.complete - {storage}
        )
    elif step.verb is Verb.STOP:
        entries[name] = evolve(entries[name], is_answering=False, is_running=False)
    elif step.verb is Verb.RENEW:
        entries[name] = evolve(entries[name], is_stale=False)
    return evolve(view, entries=entries)


def plan_all_steps(undertaking: Undertaking, view: View) -> tuple[Step, ...]:
    """Return the steps that lead to the end when nothing happens meanwhile."""
    steps: list[Step] = []
    step = plan_next_step(undertaking, view)
    while step.verb is not Verb.DONE and step not in steps:
        steps.append(step)
        if step.verb is Verb.WAIT:
            break
        view = predict(step, view)
        step = plan_next_step(undertaking, view)
    return tuple(steps)


def _check_others(view: View, name: str) -> None:
    """Fail when the others cannot do without the storage node of a region."""
    seen = view.entries[name]
    if seen.if_lost != GOES_ON:
        raise Refused(
            f"the database of {name} may be lost when the others go on without it: now "
            f"all of it {seen.if_lost}"
        )


def _numbered(undertaking: Undertaking, view: View) -> NeoCluster:
    """Return the last description with the numbers of those that came."""
    return evolve(
        undertaking.after,
        regions=tuple(
            evolve(it, storage_node_id=f"S{view.entries[it.name].database.storage}")
            if it.name in undertaking.coming
            else it
            for it in undertaking.after.regions
        ),
    )


def _names(neo_cluster: NeoCluster) -> list[str]:
    return sorted(it.name for it in neo_cluster.regions)


def _name_of(view: View, storage: StorageId) -> str:
    number: RegionId = region_of(storage)
    found = (it.name for it in view.neo_cluster.regions if it.number == number)
    return next(found, "")
