"""Core. Whether the programs of a region may be started anew, for what is asked of it.

Its root gives legs one after the other, and knows nothing of what died since. So a
region looks itself, at the instant: while it is needed for a majority, or would have no
way to a storage node that has cells, it goes on with what it has, and its next pass
looks again.
"""

from __future__ import annotations

from collections.abc import Collection

from replication.answers import READABLE, RUNNING, STORAGE, Answer, CellSeen
from replication.observation import RegionId, region_of
from slapcluster.hosting.planning import InForce, say_silence
from slapcluster.hosting.wanted import WantedRegion


def obstacle_to_restart(
    in_force: InForce | None,
    wanted: WantedRegion,
    release_url: str,
    settled: str,
    answer: Answer | None,
) -> str:
    """Say why a region goes on with what it has; ``""`` if it need not.

    ``settled`` is the leg in which its promises were last seen kept. One that is in
    the middle of a leg is not relied on by anybody: it may be taken back at any time.
    """
    if in_force is None or not in_force.admin_node or not in_force.own.is_created:
        return ""
    unknown = _unknown(in_force, wanted, answer)
    is_new = in_force.published.keys() != wanted.root.numbers.keys()
    if unknown:
        return unknown
    if in_force.leg != settled or (in_force.release_url == release_url and not is_new):
        return ""
    return _need(in_force, wanted, answer)


def _unknown(in_force: InForce, wanted: WantedRegion, answer: Answer | None) -> str:
    """Say whom the region would have to reach, and has no way to."""
    known = {*in_force.published, *wanted.others, wanted.name}
    missing = [it for it in wanted.root.names if it not in known]
    if missing:
        return f"{', '.join(missing)} has not published yet"
    if answer is None or answer.failure:
        return ""
    numbers = {region_of(it.storage) for it in answer.cells}
    strangers = sorted(numbers - {*wanted.root.numbers.values()})
    told = ", ".join(f"region {it}" for it in strangers)
    return f"{told} has cells, and is none of those it is to know" if told else ""


def _need(in_force: InForce, wanted: WantedRegion, answer: Answer | None) -> str:
    """Say why the others could not go on without it."""
    silence = say_silence(answer)
    if answer is None or silence:
        return f"nobody knows who else has everything: {silence}"
    lacking = _lacking(answer, in_force.number)
    if not lacking:
        return ""
    names = {number: name for name, number in wanted.root.numbers.items()}
    told = ", ".join(names.get(it, f"region {it}") for it in sorted(lacking))
    return f"{told} has not everything just now, so {in_force.name} is needed"


def _lacking(answer: Answer, own: RegionId) -> Collection[RegionId]:
    """Return the other regions that lack something, when too many do."""
    there = {
        it.node_id
        for it in answer.nodes_of(STORAGE)
        if it.node_state == RUNNING and region_of(it.storage) != own
    }
    lacking: set[RegionId] = set()
    is_needed = False
    for row in answer.rows:
        regions = {region_of(it.storage) for it in row}
        whole = {it for it in regions if _has_all(it, row, there)}
        lacking |= regions - whole - {own}
        is_needed = is_needed or 2 * len(whole) <= len(regions)
    return lacking if is_needed else ()


def _has_all(
    region: RegionId, row: Collection[CellSeen], there: Collection[str]
) -> bool:
    own = [it for it in row if region_of(it.storage) == region]
    return all(it.cell_state in READABLE and it.node_id in there for it in own)
