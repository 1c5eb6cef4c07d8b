"""Core. No partition is used twice.

A partition belongs to the instance that was placed there last until it is told free;
the death of its computer frees nothing.
"""

from __future__ import annotations

from labsim.checkers.violation import Bounds, Violation, seconds_of
from labsim.history import Happening, Placed

NAME = "partitions"


class Partitions:
    def __init__(self, _bounds: Bounds) -> None:
        self._placed: dict[tuple[str, str], Placed] = {}

    def take(self, happening: Happening) -> tuple[Violation, ...]:
        if not isinstance(happening, Placed):
            return ()
        key = (happening.computer, happening.partition)
        if not happening.instance:
            self._placed.pop(key, None)
            return ()
        before = self._placed.get(key)
        self._placed[key] = happening
        if before is None or before.instance == happening.instance:
            return ()
        sentence = (
            f"{happening.partition} of {happening.computer}: {happening.instance} runs"
            f" there since {seconds_of(happening.at)}, and {before.instance},"
            " placed there at"
            f" {seconds_of(before.at)}, never left"
        )
        return (Violation(NAME, happening.at, sentence, (before, happening)),)

    def finish(self) -> tuple[Violation, ...]:
        return ()
