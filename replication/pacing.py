"""Core. How long the programs of a neo_cluster wait for each other.

The rule has no clock: none of these decides who is right.
"""

from __future__ import annotations

GRACE_SECONDS = 1.0
"""With a majority, this long others are waited for: who is absent has to replicate."""

YIELD_SECONDS = 6.0
"""A candidate without a majority lets others try: it may be the one that is cut off."""

EXCLUDED_SECONDS = 5.0
"""Each return costs changes of the table: it is not worth it for one transaction."""

JUMPS = (2**20, 2**24)
"""By how much transaction ids jump at a start, 15 ms to 0.25 s: an id that a client was
given by a primary that lost it is not given again."""
