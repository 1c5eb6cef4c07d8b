"""Core. Turns: how long installations go on before everything else is looked at again.

An installation takes from a tenth of a second to minutes. Hundreds of them must not
keep the first from being started, nor a later change from being seen.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

#: The latest change, and the one that waits longest: news that do not end would keep it
#: from being performed for ever.
INSTALLS_PER_TURN_MIN = 2
#: Between two looks at all partitions, which cost some tenths of a second for hundreds.
TURN_SECONDS = 3.0


@frozen
class Turn:
    """A turn of installations, ``parallel_count`` at the same time.

    ``is_over`` is asked after each; ``INSTALLS_PER_TURN_MIN`` are always performed.
    """

    parallel_count: int
    is_over: Callable[[], bool]


def begin_turn(
    seconds: Callable[[], float], has_news: Callable[[], bool], parallel_count: int
) -> Turn:
    """A turn that begins now; news end it, since they may be more urgent."""
    end = seconds() + TURN_SECONDS
    return Turn(parallel_count, lambda: has_news() or seconds() >= end)
