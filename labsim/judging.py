"""Core. Which checkers judge a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from attrs import frozen

from labsim.history import Ending, History
from labsim.plan import Plan


class Finding(Protocol):
    """What a checker says of a history: its own name, and what is wrong."""

    @property
    def checker(self) -> str: ...

    @property
    def sentence(self) -> str: ...


Checker = Callable[[History], Sequence[Finding]]


@frozen
class Unsettled:
    """A subject that is not as it was wanted when the run ends."""

    sentence: str
    checker: str = "settled"


def check_settled(history: History) -> tuple[Unsettled, ...]:
    return tuple(
        Unsettled(f"{it.subject} should be {it.wanted}, and is {it.found}")
        for it in history
        if isinstance(it, Ending) and it.found != it.wanted
    )


def checkers_of(plan: Plan) -> Mapping[str, Checker]:
    """Checkers by their names, with the bounds that a plan sets."""
    del plan
    return {"settled": check_settled}
