"""Core. Which checkers judge a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import frozen

from labsim.history import Ending, History


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


CHECKERS: Mapping[str, Callable[[History], tuple[Unsettled, ...]]] = {
    "settled": check_settled
}
