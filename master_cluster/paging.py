"""Core. Long lists in pages, and what of them a person looks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from attrs import evolve, frozen

T = TypeVar("T")
U = TypeVar("U")

PAGE_LENGTH = 50
"""What a person scrolls through; each line of a list costs the store some reads."""


@frozen
class Page(Generic[T]):
    """The ``number``-th of ``page_count`` pages, counted from 1, of a list."""

    items: tuple[T, ...]
    number: int
    page_count: int
    item_count: int

    def transform(self, transform: Callable[[T], U]) -> Page[U]:
        """Return the same page of other items."""
        return evolve(self, items=tuple(map(transform, self.items)))  # type: ignore[arg-type, return-value]


def paginate(items: Sequence[T], number: int) -> Page[T]:
    """Return a page; the nearest one when there is no such number."""
    page_count = max(1, -(-len(items) // PAGE_LENGTH))
    number = min(max(number, 1), page_count)
    first = (number - 1) * PAGE_LENGTH
    found = tuple(items[first : first + PAGE_LENGTH])
    return Page(found, number, page_count, len(items))


def is_sought(sought: str, texts: Iterable[str | None]) -> bool:
    """Whether one of the texts holds what is sought, in any case."""
    wanted = sought.casefold()
    return not wanted or any(wanted in it.casefold() for it in texts if it)
