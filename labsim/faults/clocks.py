"""Core. Wall clocks that are wrong."""

from __future__ import annotations

from labsim.faults.package import FaultPackage, Symbol, Verb, with_setting

STEP_SECONDS_MAX = 86400.0
"""A day: what a wrong setting of a machine's clock costs."""

DRIFT_MAX = 0.01
"""Ten times worse than the worst quartz."""

CLOCK_STEP = FaultPackage(
    "clock step",
    Verb.STEP_CLOCK,
    with_setting("seconds", -STEP_SECONDS_MAX, STEP_SECONDS_MAX, Symbol.ONE),
    "#bcbd22",
)
CLOCK_DRIFT = FaultPackage(
    "clock drift",
    Verb.DRIFT_CLOCK,
    with_setting("rate", -DRIFT_MAX, DRIFT_MAX, Symbol.ONE, Symbol.REGION, digits=5),
    "#dbdb8d",
)
