"""Core. Links that work, and badly."""

from __future__ import annotations

from labsim.faults.package import FaultPackage, Symbol, Verb, with_setting

SLOW = FaultPackage(
    "slow",
    Verb.SLOW_LINK,
    with_setting("factor", 2, 100, Symbol.ONE, Symbol.REGION),
    "#ffbb78",
)
LOSSY = FaultPackage(
    "lossy",
    Verb.LOSE_PACKETS,
    with_setting("fraction", 0.01, 0.5, Symbol.ONE, Symbol.REGION),
    "#ff7f0e",
)
