"""Core. Severed links: of a machine, of a region, one way, or again and again."""

from __future__ import annotations

from labsim.faults.package import Drawing, FaultPackage, Symbol, Verb, lasting
from labsim.schedule import TimedFault

FLAPS_MAX = 10
FLAP_SECONDS_MAX = 8.0
"""As long as a silence that is noticed: some flaps are seen, others are not."""


def _draw_flap(name: str, drawing: Drawing) -> tuple[TimedFault, ...]:
    entropy = drawing.entropy
    targets = drawing.targets((Symbol.ONE, Symbol.REGION))
    faults = []
    delay_seconds = 0.0
    for _ in range(entropy.randint(2, FLAPS_MAX)):
        seconds = entropy.uniform(0, FLAP_SECONDS_MAX)
        faults.append(
            drawing.fault(name, targets, seconds, delay_seconds=delay_seconds)
        )
        delay_seconds += seconds + entropy.uniform(0, FLAP_SECONDS_MAX)
    return tuple(faults)


CUT = FaultPackage("cut", Verb.SEVER, lasting(Symbol.ONE, Symbol.MINORITY), "#d62728")
ONE_WAY_CUT = FaultPackage(
    "one-way cut", Verb.SEVER_ONE_WAY, lasting(Symbol.ONE, Symbol.REGION), "#e377c2"
)
FLAP = FaultPackage("flap", Verb.SEVER, _draw_flap, "#ff9896")
REGION_CUT = FaultPackage("region cut", Verb.SEVER, lasting(Symbol.REGION), "#8c1a1a")
