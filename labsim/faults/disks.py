"""Core. Disks that are full or slow, or forget."""

from __future__ import annotations

from labsim.faults.package import (
    FaultPackage,
    Symbol,
    Verb,
    at_once,
    lasting,
    with_setting,
)

DISK_FULL = FaultPackage("disk full", Verb.FILL_DISK, lasting(Symbol.ONE), "#8c564b")
SLOW_DISK = FaultPackage(
    "slow disk",
    Verb.SLOW_DISK,
    with_setting("seconds", 0.01, 10, Symbol.ONE),
    "#c49c94",
)
CORRUPTED_BLOCK = FaultPackage(
    "corrupted block", Verb.CORRUPT_BLOCK, at_once(Symbol.ONE), "#5c3a2e"
)
