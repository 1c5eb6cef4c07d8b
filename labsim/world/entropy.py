"""Streams of random numbers, one for each purpose.

A stream depends on the seed and its key alone: drawing more in one place changes no
other place, so a schedule survives a change elsewhere.
"""

from __future__ import annotations

import random


def stream(seed: int, *key: object) -> random.Random:
    """The stream of ``key``, for example a host's name and a purpose."""
    text = "\n".join(str(part) for part in (seed, *key))
    # Seeding by a text hashes it with SHA-512, whatever PYTHONHASHSEED is.
    return random.Random(text)  # noqa: S311 - simulation, not secrets
