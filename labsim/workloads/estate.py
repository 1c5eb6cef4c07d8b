"""Core. What clients have asked for so far, while a workload is drawn.

It is what would be there if each call were granted: whether it is, is for the run.
"""

from __future__ import annotations

from random import Random

from attrs import define, field

from labsim.topology import Topology
from labsim.workloads.operation import Operation

OCCUPIED_MAX = 0.85
"""Of the partitions of a region: what was destroyed is not free again at once."""


@define
class Estate:
    """Instances and their regions, and the numbers of what comes next.

    A subject belongs to one client for ever, so that what happens to it has an order.
    """

    entropy: Random
    topology: Topology
    partitions: int
    alive: dict[str, str] = field(factory=dict)
    counts: dict[str, int] = field(factory=dict)
    _populations: dict[str, int] = field(factory=dict)

    def number(self, noun: str) -> int:
        """The next number of a noun, from 0."""
        self.counts[noun] = self.counts.get(noun, -1) + 1
        return self.counts[noun]

    def owner(self, subject: str) -> str:
        """Whose a subject is, from its name alone."""
        people = self.topology.people
        return people[sum(subject.encode()) % len(people)]

    def has_room(self, region: str) -> bool:
        (place,) = (it for it in self.topology.regions if it.name == region)
        capacity = len(place.computers) * self.partitions * OCCUPIED_MAX
        return self._populations.get(region, 0) < capacity

    def add(self, title: str, region: str) -> None:
        self.alive[title] = region
        self._populations[region] = self._populations.get(region, 0) + 1

    def remove(self, title: str) -> str:
        region = self.alive.pop(title)
        self._populations[region] -= 1
        return region

    def computer(self) -> str:
        return self.entropy.choice(self.topology.computers)

    def title(self) -> str | None:
        """One of the instances, ``None`` when there is none."""
        # A dictionary keeps the order in which they came.
        return self.entropy.choice(tuple(self.alive)) if self.alive else None

    def operation(
        self, at: float, verb: str, subject: str, wanted: str = "", place: str = ""
    ) -> Operation:
        client = self.owner(subject)
        return Operation(round(at, 3), client, verb, subject, wanted, place)
