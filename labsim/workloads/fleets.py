"""Core. Fleets: how many of what, and those that have a name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from attrs import frozen

from labsim.refusals import BadInput, Limits, fields_within

LIMITS: Limits = MappingProxyType(
    {
        "regions": (1, 50),
        "masters": (1, 20),
        # Twice the larger fleet of the design documents.
        "computers": (1, 2_000),
        "partitions": (1, 500),
        # A full cloud refuses, and what is destroyed is free again only later.
        "filled": (0, 0.8),
        "copies": (1, 9),
    }
)


_within = fields_within(LIMITS)


@frozen
class Fleet:
    """Masters and computers, spread evenly over regions, with partitions of each.

    So large a fraction of the partitions is ``filled`` at first, by services of so many
    ``copies``, each in another region.
    """

    regions: int = _within(3)
    masters: int = _within(1)
    computers: int = _within(12)
    partitions: int = _within(4)
    filled: float = _within(0.5)
    copies: int = _within(1)

    def __attrs_post_init__(self) -> None:
        if self.copies > self.regions:
            raise BadInput(
                f"{self.copies} copies in different regions need as many regions, "
                f"and there are {self.regions}"
            )
        if self.computers < self.regions:
            raise BadInput(
                f"{self.computers} computers leave some of {self.regions} regions empty"
            )

    @property
    def instance_count(self) -> int:
        """How many instances are requested at first: all copies of each service."""
        count = round(self.computers * self.partitions * self.filled)
        return count - count % self.copies


FLEETS: Mapping[str, Fleet] = MappingProxyType(
    {
        # The design documents: 267 servers, 1,900 instances, 10 sites, 3 copies.
        "design": Fleet(
            regions=10, computers=267, partitions=12, filled=0.593, copies=3
        ),
        # As many partitions as a computer may have, on as many as a master may have.
        "dense": Fleet(regions=10, computers=1_000, partitions=100),
    }
)
