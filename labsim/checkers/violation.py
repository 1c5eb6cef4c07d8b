"""Core. What a checker finds, and what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from types import MappingProxyType
from typing import Protocol

from attrs import field, frozen

from labsim.history import Happening

BROKEN = "the run itself"
"""The name of what no checker says: something raised, or was left behind."""


@frozen
class Violation:
    """What must not be, in one sentence, with the happenings that show it.

    ``at`` is the instant at which it could be seen.
    """

    checker: str
    at: float
    sentence: str
    happenings: tuple[Happening, ...] = ()

    @property
    def instants(self) -> tuple[float, ...]:
        return tuple(happening.at for happening in self.happenings)


def _frozen_mapping(given: Mapping[str, float]) -> Mapping[str, float]:
    return MappingProxyType(dict(given))


@frozen
class Bounds:
    """How long things may take, in seconds of the world; a scenario chooses them.

    ``settle_seconds`` is from the healing until everything is as wanted,
    ``healed_seconds`` from there to the next change that is acknowledged.
    ``fault_seconds`` is the same from the beginning of a fault, by its kind, for those
    that a majority survives: those that it does not name have no bound.
    """

    settle_seconds: float = inf
    healed_seconds: float = inf
    fault_seconds: Mapping[str, float] = field(factory=dict, converter=_frozen_mapping)


def seconds_of(at: float) -> str:
    """An instant or a duration as sentences have it, to the millisecond."""
    return f"{round(at, 3):.12g} s"


class Checker(Protocol):
    """Takes what happens one by one, and tells what is wrong as soon as it is known."""

    def take(self, happening: Happening) -> tuple[Violation, ...]: ...

    def finish(self) -> tuple[Violation, ...]:
        """What only the end of a history can tell; called once."""
        ...
