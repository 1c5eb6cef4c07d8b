"""Core. An order of numbers that can be asked and changed.

A linked list, each member with a label that grows along it, so that two compare at
once. Where labels leave no room between two neighbours all are given anew, which the
width of ``GAP`` makes rare.
"""

from __future__ import annotations

from collections.abc import Sequence

GAP = 1 << 128
"""Halved at each insertion into one place: 128 of them before labels are given anew."""

FRONT = 0
"""A place before all numbers: those begin with 1."""


class Order:
    """``labels`` may be read, by number: what comes before has the smaller one."""

    def __init__(self) -> None:
        self.labels = [0]
        self._next = [FRONT]
        self._previous = [FRONT]

    def add(self, place: int) -> int:
        """Give the next number, right after ``place``."""
        number = len(self.labels)
        self.labels.append(0)
        self._next.append(0)
        self._previous.append(0)
        self._link((number,), place)
        return number

    @property
    def last(self) -> int:
        return self._previous[FRONT]

    def move(self, numbers: Sequence[int], place: int) -> None:
        """Put these right after ``place``, which is none of them, in this order."""
        for number in numbers:
            before, after = self._previous[number], self._next[number]
            self._next[before] = after
            self._previous[after] = before
        self._link(numbers, place)

    def _link(self, numbers: Sequence[int], place: int) -> None:
        after = self._next[place]
        low = self.labels[place]
        if after == FRONT:
            step = GAP
        else:
            step = (self.labels[after] - low) // (len(numbers) + 1)
        before = place
        for number in numbers:
            low += step
            self.labels[number] = low
            self._next[before] = number
            self._previous[number] = before
            before = number
        self._next[before] = after
        self._previous[after] = before
        if step == 0:
            self._relabel()

    def _relabel(self) -> None:
        label = 0
        number = self._next[FRONT]
        while number != FRONT:
            label += GAP
            self.labels[number] = label
            number = self._next[number]
