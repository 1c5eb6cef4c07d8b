"""Shell. How many files and connections this process may have open."""

from __future__ import annotations

import resource

DESCRIPTORS_RESERVED = 200
"""For the store, logs, programs and threads, besides connections."""


def raise_connections_max(wanted: int) -> int:
    """Raise the soft limit of descriptors for ``wanted`` connections.

    Returns how many there may be: fewer where the hard limit is lower.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + DESCRIPTORS_RESERVED
    if hard != resource.RLIM_INFINITY:
        needed = min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return max(1, min(wanted, needed - DESCRIPTORS_RESERVED))
