"""Core. What a tour of a cloud is made of: steps that each show one thing."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from attrs import frozen

from slapcluster.outcomes import CommandFailed

TourT = TypeVar("TourT")


@frozen
class Step(Generic[TourT]):
    """One thing shown; ``bound_seconds`` is generous for a loaded machine."""

    title: str
    perform: Callable[[TourT], Coroutine[Any, Any, str]]
    bound_seconds: float


@frozen
class Seen:
    """A step that was shown."""

    title: str
    seconds: float
    sentence: str


def check(is_so: bool, otherwise: str) -> None:
    """Raise what was seen instead of what a step shows."""
    if not is_so:
        raise CommandFailed(otherwise)
