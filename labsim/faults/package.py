"""Core. What a kind of fault is, and how one is drawn.

Targets are drawn as symbols, ``one``, ``minority``, ``region`` or ``all``, and resolved
at once: a schedule has concrete names only.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from random import Random

from attrs import frozen

from labsim.refusals import check_range
from labsim.schedule import SECONDS_MAX, TimedFault
from labsim.topology import Topology

PAUSE_SECONDS_MIN = 0.1
"""Between the beginnings of two faults, in the mean: less is no schedule but noise."""

DIGITS = 3
"""Of instants: a schedule is read by people, and a millisecond is short enough."""


class Symbol(StrEnum):
    """Whom a fault hits."""

    ONE = "one"
    """A machine."""

    MINORITY = "minority"
    """Fewer than half of the regions, or of the machines where regions are too few."""

    REGION = "region"
    ALL = "all"


class Verb(StrEnum):
    """What an injector does to its world, and undoes."""

    SEVER = "sever"
    SEVER_ONE_WAY = "sever one way"
    SLOW_LINK = "slow link"
    LOSE_PACKETS = "lose packets"
    CRASH = "crash"
    KILL = "kill"
    PAUSE = "pause"
    STOP_PROCESSES = "stop processes"
    FILL_DISK = "fill disk"
    SLOW_DISK = "slow disk"
    CORRUPT_BLOCK = "corrupt block"
    STEP_CLOCK = "step clock"
    DRIFT_CLOCK = "drift clock"
    POLL = "poll"


@frozen
class FaultProfile:
    """How often which faults begin, and how long they last."""

    kinds: tuple[str, ...] = ()
    pause_seconds: float = 60.0
    shortest_seconds: float = 5.0
    longest_seconds: float = 120.0

    def __attrs_post_init__(self) -> None:
        check_range("pause_seconds", self.pause_seconds, PAUSE_SECONDS_MIN, SECONDS_MAX)
        check_range("shortest_seconds", self.shortest_seconds, 0, SECONDS_MAX)
        check_range(
            "longest_seconds", self.longest_seconds, self.shortest_seconds, SECONDS_MAX
        )


@frozen
class Drawing:
    """Where a package draws a fault that begins ``at``."""

    entropy: Random
    topology: Topology
    profile: FaultProfile
    at: float

    def seconds(self) -> float:
        """How long a fault lasts."""
        profile = self.profile
        return self.entropy.uniform(profile.shortest_seconds, profile.longest_seconds)

    def targets(self, symbols: tuple[Symbol, ...]) -> tuple[str, ...]:
        """Names for one of the symbols."""
        symbol = self.entropy.choice(symbols)
        regions = tuple(it.name for it in self.topology.regions)
        match symbol:
            case Symbol.ONE:
                return (self.entropy.choice(self.topology.machines),)
            case Symbol.REGION:
                return (self.entropy.choice(regions),)
            case Symbol.ALL:
                return regions
            case Symbol.MINORITY:
                names = regions if len(regions) > 2 else self.topology.machines  # noqa: PLR2004 - of two, one is no minority
                count = self.entropy.randint(1, max(1, (len(names) - 1) // 2))
                return tuple(sorted(self.entropy.sample(names, count)))

    def fault(
        self,
        kind: str,
        targets: tuple[str, ...],
        seconds: float,
        /,
        *,
        delay_seconds: float = 0.0,
        **settings: float,
    ) -> TimedFault:
        """A fault of so many seconds, so long after the instant of the drawing."""
        at = round(self.at + delay_seconds, DIGITS)
        until = round(at + seconds, DIGITS)
        return TimedFault(at, kind, targets, until, settings=settings)


Draw = Callable[[str, Drawing], tuple[TimedFault, ...]]
"""Makes the faults of a package, of its name."""


@frozen
class FaultPackage:
    """A kind of fault: how to cause it, what undoes it, how it is drawn.

    What undoes a fault is the other half of its verb: an injector begins and ends it.
    """

    name: str
    verb: Verb
    draw: Draw
    colour: str


def lasting(*symbols: Symbol) -> Draw:
    """Draw one fault of the length that the profile says."""

    def draw(name: str, drawing: Drawing) -> tuple[TimedFault, ...]:
        return (drawing.fault(name, drawing.targets(symbols), drawing.seconds()),)

    return draw


def with_setting(
    setting: str, least: float, most: float, *symbols: Symbol, digits: int = 2
) -> Draw:
    """Draw one fault, and how bad it is."""

    def draw(name: str, drawing: Drawing) -> tuple[TimedFault, ...]:
        how_bad = round(drawing.entropy.uniform(least, most), digits)
        targets = drawing.targets(symbols)
        return (drawing.fault(name, targets, drawing.seconds(), **{setting: how_bad}),)

    return draw


def at_once(*symbols: Symbol) -> Draw:
    """Draw one fault that is over when it has begun."""

    def draw(name: str, drawing: Drawing) -> tuple[TimedFault, ...]:
        return (drawing.fault(name, drawing.targets(symbols), 0.0),)

    return draw
