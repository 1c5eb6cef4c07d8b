"""Core. What the laboratory refuses to play, with the place and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable


class BadInput(ValueError):
    """A scenario, a plan or an option that cannot be played; says what to write."""


def check_range(name: str, number: float, least: float, most: float) -> None:
    """Refuse a number out of its range."""
    if not least <= number <= most:
        raise BadInput(f"{name} must be {least:g} to {most:g}, not {number:g}")


def check_known(name: str, given: Iterable[str], allowed: Iterable[str]) -> None:
    """Refuse a word that is none of those allowed."""
    known = tuple(allowed)
    for word in given:
        if word not in known:
            raise BadInput(f"{name}: no {word!r}; there are {', '.join(known)}")
