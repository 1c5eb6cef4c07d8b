"""Core. How a storage node is told that its program has to end."""

from __future__ import annotations

DISMISSED = "this storage node ends: "
"""What such a refusal begins with. After any other one it comes again."""


def dismissal_of(refusal: str) -> str:
    """Return why a refusal ends the program; nothing when it does not."""
    return refusal.removeprefix(DISMISSED) if refusal.startswith(DISMISSED) else ""
