"""Core. Signs of life: how who waits for an answer tells a slow master from a dead one.

A caller that wants them says how often, in whole seconds. A master of ours then sends
the interim answer 102 of HTTP that often while it has no answer yet, the first one
soon. So silence means that nobody is there, however long an answer takes: links and
stunnel accept connections on behalf of programs that are not reached any more.

Others ignore the header, and say nothing until they answer.
"""

from __future__ import annotations

import re

LIVENESS_HEADER = "X-Slapcluster-Signs"
"""Of a call: a sign of life is wanted so often, in seconds."""

FIRST_SIGN_SECONDS = 0.3
"""Most answers are there by then, and need none."""

SIGN_SECONDS_MAX = 300
"""A caller that wants one more seldom has no use for it."""

_SECONDS = re.compile(r"[1-9][0-9]{0,2}")


def liveness_headers(sign_seconds: int) -> dict[str, str]:
    """Return what a call says whose caller wants signs."""
    return {LIVENESS_HEADER: str(sign_seconds)}


def decode_liveness(header: str | None) -> int:
    """Read how often a sign is wanted; 0 when none is, or the header is odd."""
    text = (header or "").strip(" \t")
    seconds = int(text) if _SECONDS.fullmatch(text) else 0
    return seconds if seconds <= SIGN_SECONDS_MAX else 0
