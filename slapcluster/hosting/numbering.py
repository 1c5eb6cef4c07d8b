"""Core. The regions of a hosted master and the numbers that they have for ever."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from replication.observation import REGION_ID_MAX
from replication.quorum import REGION_COUNT_MIN
from replication.regions import NAME_RULE, REGION_COUNT_MAX
from slap.reports import InstanceReport

REGIONS_KEY = "regions"

_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,29}[a-z0-9])?")


class Misasked(Exception):
    """Parameters that cannot be served; the sentence names the key."""


def is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def read_wanted_numbers(text: str) -> dict[str, int]:
    """Return the numbers of the regions that a root is asked for.

    They are those of ``paris=1 lyon=2``, or places in a list; ``Misasked`` for what
    cannot be. There is an odd number of them.
    """
    words = text.split()
    if len(words) < REGION_COUNT_MIN or len(words) % 2 == 0:
        raise Misasked(
            f"regions: {len(words)} are named; an odd number, {REGION_COUNT_MIN} or"
            " more, so that most of them are left when one is lost"
        )
    return read_numbers(text)


def read_numbers(text: str) -> dict[str, int]:
    """Do so for regions of which some come or go: it may be an even number."""
    words = text.split()
    if len(words) > REGION_COUNT_MAX:
        raise Misasked(f"regions: {len(words)}; at most {REGION_COUNT_MAX}")
    are_numbered = {"=" in word for word in words}
    if len(are_numbered) > 1:
        raise Misasked("regions: give all of them a number, or none: paris=1 lyon=2")
    numbers: dict[str, int] = {}
    for place, word in enumerate(words, start=1):
        name, is_given, number = word.partition("=")
        if not is_name(name):
            raise Misasked(f"regions: {name!r}: {NAME_RULE}")
        if name in numbers:
            raise Misasked(f"regions: {name} is there twice")
        numbers[name] = _region_number(word, number) if is_given else place
    if len(set(numbers.values())) < len(numbers):
        raise Misasked("regions: two of them have the same number")
    return numbers


def _region_number(word: str, text: str) -> int:
    is_number = text.isascii() and text.isdecimal() and len(text) <= 3  # noqa: PLR2004 - digits
    if not is_number or not 1 <= int(text) < REGION_ID_MAX:
        raise Misasked(f"regions: {word}: a number is 1 to {REGION_ID_MAX - 1}")
    return int(text)


def in_order(numbers: Mapping[str, int]) -> tuple[str, ...]:
    """Return the names in the order of their numbers."""
    return tuple(sorted(numbers, key=lambda it: numbers[it]))


def write_numbers(numbers: Mapping[str, int]) -> str:
    """Return the text of them: the same for the same regions."""
    return " ".join(f"{it}={numbers[it]}" for it in in_order(numbers))


def known_numbers(reports: Iterable[InstanceReport]) -> dict[str, int]:
    """Return the regions that a root has, those that go too, with their numbers."""
    known = {}
    for it in reports:
        numbers = read_numbers(it.parameters.get(REGIONS_KEY, ""))
        if it.title in numbers:
            known[it.title] = numbers[it.title]
    return known


def check_numbers(wanted: Mapping[str, int], known: Mapping[str, int]) -> None:
    """Refuse numbers that are not those of ``known``; ``Misasked`` says which.

    Storage nodes are known by the number of their region, for as long as there is one.
    """
    owners = {number: name for name, number in known.items()}
    for name, number in wanted.items():
        told = f"ask for {name}={known.get(name)}"
        if known.get(name, number) != number:
            raise Misasked(f"regions: {name} has a number of its own: {told}")
        if owners.get(number, name) != name:
            raise Misasked(
                f"regions: {name}={number}: that is the number of {owners[number]}; ask"
                f" for {name}={next_number({*wanted.values(), *owners})}"
            )
    together = {**known, **wanted}
    if len(together) > REGION_COUNT_MAX:
        raise Misasked(
            f"regions: {len(together)} with those that leave; at most"
            f" {REGION_COUNT_MAX}: let some leave before others come"
        )


def next_number(taken: Iterable[int]) -> int:
    """Return a number for a region that comes: above all, or one that is free."""
    numbers = set(taken)
    above = max(numbers, default=0) + 1
    free = (it for it in range(1, REGION_ID_MAX) if it not in numbers)
    return above if above < REGION_ID_MAX else next(free)
