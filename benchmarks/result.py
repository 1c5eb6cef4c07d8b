"""Core. What a benchmark found: figures, and goals that they are held to."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from benchmarks.spread import Spread


@frozen
class Figure:
    """Something that was measured."""

    name: str
    unit: str
    spread: Spread


@frozen
class Goal:
    """A ratio or a rate, and the bound that its median has to keep, if it has one."""

    name: str
    spread: Spread
    at_most: float | None = None
    at_least: float | None = None

    @property
    def is_met(self) -> bool:
        return (self.at_most is None or self.spread.median <= self.at_most) and (
            self.at_least is None or self.spread.median >= self.at_least
        )


@frozen
class Result:
    """One benchmark; ``facts`` are numbers that do not vary within the run."""

    name: str
    figures: tuple[Figure, ...] = ()
    goals: tuple[Goal, ...] = ()
    facts: Mapping[str, float] = field(factory=dict)
