"""Core. Timestamps of instances: a node processes a partition again when it changes.

A timestamp is a count of microseconds, because the stock watchdog reads it as an
integer. It is always later than the one before it, so that it changes even when two
changes share an instant or the calendar steps back.

What was taken over from a reference proxy keeps its own timestamp until it changes, a
text of seconds such as ``1795217576.05``: so nothing is processed again for nothing.
"""

from __future__ import annotations

MICROSECONDS = 1_000_000


def microseconds_of(timestamp: str) -> int:
    """Return what a timestamp counts, since 1970."""
    if "." in timestamp:
        return int(float(timestamp) * MICROSECONDS)
    return int(timestamp)


def next_timestamp(now: float, *previous: str) -> str:
    """Return a timestamp of ``now`` that is later than all the previous ones."""
    latest = max((microseconds_of(it) for it in previous if it), default=0)
    return str(max(int(now * MICROSECONDS), latest + 1))
