"""Core. What an operator may ask of the regions of a neo_cluster.

An ``Undertaking`` is planned from the description alone; ``changing`` says how it comes
about.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from attrs import evolve, frozen

from replication.observation import StorageId, parse_storage_id
from replication.quorum import REGION_COUNT_MIN
from replication.regions import (
    REGION_COUNT_MAX,
    Misdescribed,
    NeoCluster,
    Region,
    next_region,
)


class Refused(Exception):
    """What was asked for is not done; the sentence says why, or what to do."""


@frozen
class Undertaking:
    """What is to be in the end, and on the way there.

    Storage nodes of regions that are ``coming`` are made holders of everything; then
    all others of their regions are dropped, as those of regions that are ``leaving``.
    ``replaced`` is the region whose storage node comes anew, ``lost`` the one that it
    had, ``discard`` the one whose database may be removed.
    """

    during: NeoCluster
    after: NeoCluster
    coming: tuple[str, ...] = ()
    leaving: tuple[str, ...] = ()
    replaced: str = ""
    lost: StorageId | None = None
    discard: StorageId | None = None


def storage_id(region: Region) -> StorageId | None:
    known = region.storage_node_id
    return None if known is None else parse_storage_id(known)


def plan_replacement(
    neo_cluster: NeoCluster, name: str, discard: StorageId | None = None
) -> Undertaking:
    """Have another storage node in a region instead of the one it has."""
    region = _region(neo_cluster, name)
    _check_at_rest(neo_cluster)
    return Undertaking(
        neo_cluster,
        neo_cluster,
        coming=(name,),
        replaced=name,
        lost=storage_id(region),
        discard=discard,
    )


def plan_addition(
    neo_cluster: NeoCluster, names: Collection[str], ports: Iterator[int]
) -> Undertaking:
    """Have these regions besides those that there are."""
    new = tuple(names)
    known = {it.name for it in neo_cluster.regions}
    if set(new) <= known:
        _check_at_rest(neo_cluster, but=new)
        return Undertaking(neo_cluster, neo_cluster, coming=new)
    _check_none(known & set(new))
    _check_at_rest(neo_cluster)
    during = neo_cluster
    for name in new:
        try:
            during = evolve(
                during, regions=(*during.regions, next_region(during, name, ports))
            )
        except Misdescribed as error:
            raise Refused(str(error)) from error
    _check_count(during)
    return Undertaking(during, during, coming=new)


def plan_removal(neo_cluster: NeoCluster, names: Collection[str]) -> Undertaking:
    """Have these regions no more; nothing is left to do when there are none of them."""
    known = {it.name for it in neo_cluster.regions}
    leaving = tuple(names)
    if not known & set(leaving):
        return Undertaking(neo_cluster, neo_cluster)
    for name in leaving:
        _region(neo_cluster, name)
    _check_at_rest(neo_cluster, but=leaving)
    after = evolve(
        neo_cluster,
        regions=tuple(it for it in neo_cluster.regions if it.name not in leaving),
    )
    _check_count(after)
    return Undertaking(neo_cluster, after, leaving=leaving)


def plan_move(
    neo_cluster: NeoCluster, name: str, new_name: str, ports: Iterator[int]
) -> Undertaking:
    """Have a region in another directory, with other ports and the same number."""
    known = {it.name: it for it in neo_cluster.regions}
    if name not in known and new_name in known:
        return Undertaking(neo_cluster, neo_cluster)
    old = _region(neo_cluster, name)
    new = known.get(new_name)
    if new is not None and new.number != old.number:
        raise Refused(f"there is a region {new_name} already")
    _check_at_rest(neo_cluster, but=(new_name,))
    if new is None:
        try:
            new = next_region(neo_cluster, new_name, ports, old.number)
        except Misdescribed as error:
            raise Refused(str(error)) from error
    others = tuple(it for it in neo_cluster.regions if it.name != new.name)
    during = evolve(neo_cluster, regions=(*others, new))
    after = evolve(
        neo_cluster, regions=tuple(new if it.name == name else it for it in others)
    )
    return Undertaking(during, after, coming=(new_name,), leaving=(name,))


def _region(neo_cluster: NeoCluster, name: str) -> Region:
    try:
        return neo_cluster.region(name)
    except Misdescribed as error:
        raise Refused(str(error)) from error


def _check_none(known: Collection[str]) -> None:
    if known:
        raise Refused(f"there is a region {min(known)} already, and not the others")


def _check_at_rest(neo_cluster: NeoCluster, but: Collection[str] = ()) -> None:
    """Fail when another change was begun."""
    for region in neo_cluster.regions:
        if region.storage_node_id is None and region.name not in but:
            raise Refused(
                f"region {region.name} is not there yet: first repeat the command that "
                "adds it, or remove it"
            )


def _check_count(neo_cluster: NeoCluster) -> None:
    count = len(neo_cluster.region_numbers)
    if count < REGION_COUNT_MIN or count % 2 == 0 or count > REGION_COUNT_MAX:
        raise Refused(
            f"that makes {count} regions: an odd number is needed, {REGION_COUNT_MIN} "
            f"to {REGION_COUNT_MAX}, so name two"
        )
