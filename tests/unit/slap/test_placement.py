"""The keys of an allocation filter."""

from __future__ import annotations

from slap.placement import ATTRIBUTE_KEYS, CARRIED_KEYS


def test_a_key_says_something_of_a_computer_or_is_carried_and_never_both() -> None:
    assert CARRIED_KEYS.isdisjoint(ATTRIBUTE_KEYS)
    assert len(set(ATTRIBUTE_KEYS)) == len(ATTRIBUTE_KEYS)
