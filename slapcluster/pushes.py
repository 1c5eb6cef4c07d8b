"""Core. How a release that is pushed stands at the replicas of a cloud."""

from __future__ import annotations

from attrs import frozen

from slap.pushing import HeldRelease, ReleasesReport
from slap.replicas import ListedReplica


@frozen
class AtReplica:
    """What one replica has of a release; ``failure`` is why it cannot be told."""

    url: str
    region: str
    is_whole: bool = False
    file_count: int = 0
    byte_count: int = 0
    failure: str = ""

    @property
    def sentence(self) -> str:
        """Return how it stands there."""
        if self.is_whole:
            return "whole"
        found = f"{self.file_count} files are there" if self.file_count else ""
        return self.failure or found or "nothing of it is there"


@frozen
class Standing:
    """A release of so many files and bytes, at each replica.

    It is ``is_spread`` when a majority of the regions has it: whichever of the others
    is lost, a computer finds a replica that serves it.
    """

    fingerprint: str
    file_count: int
    byte_count: int
    replicas: tuple[AtReplica, ...]

    @property
    def regions(self) -> frozenset[str]:
        return frozenset(it.region for it in self.replicas)

    @property
    def whole_regions(self) -> frozenset[str]:
        return frozenset(it.region for it in self.replicas if it.is_whole)

    @property
    def is_spread(self) -> bool:
        return 2 * len(self.whole_regions) > len(self.regions)

    @property
    def is_everywhere(self) -> bool:
        return all(it.is_whole for it in self.replicas)

    @property
    def sentence(self) -> str:
        """Say who lacks it."""
        lacking = [it for it in self.replicas if not it.is_whole]
        found = (
            f"{len(self.whole_regions)} of {len(self.regions)} regions have it whole"
        )
        if not lacking:
            return found
        told = "; ".join(f"{it.region or it.url}: {it.sentence}" for it in lacking)
        return f"{found}; not {told}"


@frozen
class AllAtReplica:
    """All that one replica has; ``failure`` is why it is not known."""

    url: str
    region: str
    failure: str = ""
    is_taking: bool = False
    releases: tuple[HeldRelease, ...] = ()

    @property
    def taken(self) -> frozenset[str]:
        """Return the releases that computers can build from it."""
        return frozenset(it.fingerprint for it in self.releases if it.is_whole)


def at_replica(url: str, region: str, held: HeldRelease | None) -> AtReplica:
    """Return how a release stands at a replica that says what it has of it."""
    if held is None:
        return AtReplica(url, region)
    return AtReplica(url, region, held.is_whole, held.file_count, held.byte_count)


def found_at(
    replica: ListedReplica, report: ReleasesReport, fingerprint: str
) -> AtReplica:
    """Return the same of a replica that says all that it has."""
    held = {it.fingerprint: it for it in report.releases}
    return at_replica(replica.url, replica.region, held.get(fingerprint))
