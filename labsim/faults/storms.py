"""Core. Many computers that ask at the same instant."""

from __future__ import annotations

from labsim.faults.package import FaultPackage, Symbol, Verb, at_once

POLL_STORM = FaultPackage(
    "poll storm", Verb.POLL, at_once(Symbol.REGION, Symbol.ALL), "#7f7f7f"
)
