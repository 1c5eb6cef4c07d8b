"""Core. Whether a silence is allowed: what could answer, by who is up and connected.

The rule is that of docs/protocols/quorum.md, told once more from the outside and in few
words, so that it can judge the other telling: a region votes when all its storage nodes
are there, a majority of regions is needed, and of those that are there one has all.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from attrs import field, frozen


class Judgement(StrEnum):
    STUCK = "stuck"
    """Somebody could answer, and does not."""

    ALLOWED_TO_WAIT = "allowed to wait"


@frozen
class Verdict:
    judgement: Judgement
    reason: str


@frozen
class StorageSight:
    """A storage node; it is readable when it has all, and not what is behind."""

    is_up: bool = True
    is_readable: bool = True


@frozen
class RegionSight:
    """What works of a region; each part is up and not standing still, or it is not.

    A region without storage nodes has no vote, and may have masters and clients.
    """

    name: str
    storages: tuple[StorageSight, ...] = (StorageSight(),)
    has_neo_master: bool = True
    has_master: bool = True

    @property
    def is_whole(self) -> bool:
        return all(storage.is_up for storage in self.storages)


@frozen
class Sight:
    """All regions, and the ways that are cut: from the first to the second.

    A way that is cut in one direction carries no conversation in the other.
    """

    regions: tuple[RegionSight, ...]
    cuts: Collection[tuple[str, str]] = field(default=(), converter=frozenset)

    def __attrs_post_init__(self) -> None:
        names = [region.name for region in self.regions]
        assert len(set(names)) == len(names), "two regions have one name"
        assert all(name in names for cut in self.cuts for name in cut), "no such region"

    def is_connected(self, one: RegionSight, other: RegionSight) -> bool:
        return one is other or not (
            (one.name, other.name) in self.cuts or (other.name, one.name) in self.cuts
        )

    @property
    def voters(self) -> tuple[RegionSight, ...]:
        return tuple(region for region in self.regions if region.storages)

    def region(self, name: str) -> RegionSight:
        return next(region for region in self.regions if region.name == name)


def judge_silence(sight: Sight, asker: str) -> Verdict:
    """Tell whether a change that is asked for from a region must be acknowledged.

    That is when a master that the asker reaches, a neo_master that it reaches and a
    majority of regions that both reach are there.
    """
    masters = [
        region
        for region in sight.regions
        if region.has_master and sight.is_connected(region, sight.region(asker))
    ]
    if not masters:
        return _wait(f"no master is up that {asker} reaches")
    reasons = [_why_no_primary(sight, region) for region in sight.regions]
    able = [
        region
        for region, reason in zip(sight.regions, reasons, strict=True)
        if not reason
    ]
    if not able:
        told = dict.fromkeys(reason for reason in reasons if reason)
        return _wait("; ".join(told))
    for primary in able:
        for master in masters:
            common = [
                region
                for region in _whole_regions(sight, primary)
                if sight.is_connected(master, region)
            ]
            if sight.is_connected(master, primary) and _is_majority(sight, common):
                names = ", ".join(region.name for region in common)
                return Verdict(
                    Judgement.STUCK,
                    f"{names} of {len(sight.voters)} regions are whole and connected,"
                    f" with a neo_master in {primary.name} and a master in"
                    f" {master.name}, which {asker} reaches",
                )
    return _wait(
        f"no master that {asker} reaches has a way to a neo_master and to the same"
        " majority"
    )


def _wait(reason: str) -> Verdict:
    return Verdict(Judgement.ALLOWED_TO_WAIT, reason)


def _whole_regions(sight: Sight, primary: RegionSight) -> list[RegionSight]:
    return [
        region
        for region in sight.voters
        if region.is_whole and sight.is_connected(primary, region)
    ]


def _is_majority(sight: Sight, regions: Collection[RegionSight]) -> bool:
    return 2 * len(regions) > len(sight.voters)


def _why_no_primary(sight: Sight, region: RegionSight) -> str:
    """Why a neo_master of this region cannot acknowledge, ``""`` when it can."""
    if not region.has_neo_master:
        return f"{region.name} has no neo_master"
    whole = _whole_regions(sight, region)
    if not _is_majority(sight, whole):
        return (
            f"{region.name} reaches {len(whole)} whole regions of"
            f" {len(sight.voters)}, {len(sight.voters) // 2 + 1} are needed"
        )
    reached = [other for other in sight.voters if sight.is_connected(region, other)]
    is_readable = any(
        storage.is_up and storage.is_readable
        for other in reached
        for storage in other.storages
    )
    return "" if is_readable else f"{region.name} reaches no storage node that has all"
