"""Core. Figures that vary: their median and how sure it is.

The interval is the distribution-free one of order statistics: it holds the median of
what is measured with a probability of at least 95 %, whatever the distribution is
(W. J. Conover, "Practical Nonparametric Statistics", 3.2). Fewer than six figures
allow no such interval; then it is the whole range.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from statistics import median

from attrs import frozen

CONFIDENCE = 0.95


@frozen
class Spread:
    """A median of ``count`` figures with its interval, and the worst figure."""

    median: float
    low: float
    high: float
    worst: float
    count: int


def spread_of(figures: Sequence[float], *, larger_is_worse: bool = True) -> Spread:
    """Sum up figures, at least one."""
    ordered = sorted(figures)
    rank = _outer_rank(len(ordered))
    worst = ordered[-1] if larger_is_worse else ordered[0]
    return Spread(
        median(ordered), ordered[rank], ordered[-1 - rank], worst, len(ordered)
    )


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return ours over theirs, pair by pair: neighbours in time share its noise."""
    return [our / their for our, their in zip(ours, theirs, strict=True)]


def _outer_rank(count: int) -> int:
    """Return how many figures may be left out at each end."""
    rank, tail = 0, 0.0
    while rank < (count - 1) // 2:
        tail += comb(count, rank) / 2**count
        if 2 * tail > 1 - CONFIDENCE:
            break
        rank += 1
    return max(rank - 1, 0)
