"""Core. Whether the programs of a region may be started anew by another release.

Its root gives legs one after the other, and knows nothing of what died since. So a
region looks itself, at the instant: while it is needed for a majority it goes on with
the release that it has, and its next pass looks again.
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
    """Say why a region goes on with the release that it has; ``""`` if it need not.

    ``settled`` is the leg in which its promises were last seen kept. One that is in
    the middle of a leg is not relied on by anybody: it may be taken back at any time.
    """
    if in_force is None or not in_force.admin_node or not in_force.own.is_created:
        return ""
    if in_force.release_url == release_url or in_force.leg != settled:
        return ""
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
