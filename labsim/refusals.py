"""Core. What the laboratory refuses to play, with the place and what is allowed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from attrs import Attribute, field

Limits = Mapping[str, tuple[float, float]]
"""The least and the most that a key may be."""


class BadInput(ValueError):
    """A scenario, a plan or an option that cannot be played; says what to write.

    ``path`` leads to what is wrong in a file, as far as it is known.
    """

    def __init__(self, sentence: str, *path: str | int) -> None:
        super().__init__(sentence)
        self.path = path


@contextmanager
def inside(*path: str | int) -> Iterator[None]:
    """What is refused of a value is refused of that place."""
    try:
        yield
    except BadInput as error:
        raise BadInput(str(error), *path, *error.path) from error


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


def fields_within(limits: Limits) -> Callable[[float], Any]:
    """Return what makes a field of a default, checked by its name in the limits."""

    def check(_: object, attribute: Attribute[Any], value: float) -> None:
        check_range(attribute.name, value, *limits[attribute.name])

    return lambda default: field(default=default, validator=check)
