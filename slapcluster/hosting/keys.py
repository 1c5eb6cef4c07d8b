"""Core. The key of a region's links: when it is made, and when another one follows.

Others pin whole certificates, so the next one is published before it is used, and both
stay pinned until the first one is not used any more.
"""

from __future__ import annotations

from enum import StrEnum

from stunnel_conf.pins import Pin

KEY_DAYS = 365
"""Renewal is automatic, so a stolen key is of use for a year at most."""

RENEWED_AT = 2 / 3
"""Of its life: four months are left to find out why renewal does not work."""

OVERLAP_SECONDS = 7 * 86400.0
"""From publishing the next certificate to using it. Regions are told at once, and by
the daily pass at the latest, if the master answers within a week."""


class KeyStep(StrEnum):
    """What is done about the key of the links."""

    KEEP = "keep"
    MAKE = "make"
    MAKE_NEXT = "make the next one"
    USE_NEXT = "use the next one"


def decide_key_step(own: Pin | None, following: Pin | None, now: float) -> KeyStep:
    """Return what is due; ``following`` is the next one, made and published already."""
    if own is None:
        return KeyStep.MAKE
    if following is not None:
        # Its first day is the one before it was made, for clocks that differ.
        is_known = now >= following.starts_at + 86400.0 + OVERLAP_SECONDS
        return KeyStep.USE_NEXT if is_known or now >= own.expires_at else KeyStep.KEEP
    life = own.expires_at - own.starts_at
    is_due = now >= own.starts_at + RENEWED_AT * life
    return KeyStep.MAKE_NEXT if is_due else KeyStep.KEEP
