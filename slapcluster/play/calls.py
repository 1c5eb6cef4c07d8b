"""Core. What somebody who requests all the time was granted, and when."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from attrs import frozen


@frozen
class Answered:
    """One request by the title of what it asks for, and when its answer came.

    ``is_granted`` says whether a master acknowledged it.
    """

    title: str
    instant: float
    is_granted: bool = True


def longest_gap(answers: Iterable[Answered], instant: float) -> float:
    """Return the longest time without a grant that ended after an instant.

    It lies between two grants: what was before the first one is not counted.
    """
    instants = [it.instant for it in answers if it.is_granted]
    return max(
        (after - before for before, after in pairwise(instants) if after > instant),
        default=0.0,
    )


def missing_titles(answers: Iterable[Answered], there: Iterable[str]) -> list[str]:
    """Return what was granted and is not there."""
    return sorted({it.title for it in answers if it.is_granted} - {*there})
