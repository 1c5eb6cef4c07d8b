"""Core. All kinds of faults, and schedules drawn of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from random import Random
from types import MappingProxyType

from labsim.faults import clocks, cuts, disks, power, processes, storms, ways
from labsim.faults.package import Drawing, FaultPackage, FaultProfile
from labsim.refusals import BadInput
from labsim.schedule import (
    FAULTS_MAX,
    Schedule,
    TimedFault,
    in_order,
    settle_after,
)
from labsim.topology import Topology

PACKAGES: Mapping[str, FaultPackage] = MappingProxyType(
    {
        package.name: package
        for package in (
            cuts.CUT,
            cuts.ONE_WAY_CUT,
            cuts.FLAP,
            cuts.REGION_CUT,
            ways.SLOW,
            ways.LOSSY,
            power.CRASH,
            power.BOUNCE,
            power.REGION_POWER_LOSS,
            power.POWER_LOSS,
            processes.PAUSE,
            processes.STOPPED_PROCESSES,
            processes.PROCESS_KILLER,
            processes.ROLLING_RESTART,
            disks.DISK_FULL,
            disks.SLOW_DISK,
            disks.CORRUPTED_BLOCK,
            clocks.CLOCK_STEP,
            clocks.CLOCK_DRIFT,
            storms.POLL_STORM,
        )
    }
)


def generate(
    entropy: Random,
    profile: FaultProfile,
    topology: Topology,
    begin: float,
    end: float,
) -> Schedule:
    """Draw what happens from ``begin`` to ``end``; by then all is undone."""
    faults: list[TimedFault] = []
    at = begin
    while profile.kinds:
        at += entropy.expovariate(1 / profile.pause_seconds)
        if at >= end:
            break
        package = PACKAGES[entropy.choice(profile.kinds)]
        faults += package.draw(package.name, Drawing(entropy, topology, profile, at))
        if len(faults) > FAULTS_MAX:
            raise BadInput(
                f"{end - begin:g} s with a fault each {profile.pause_seconds:g} s are"
                f" more than {FAULTS_MAX} faults: make pause_seconds longer"
            )
    return settle_after(in_order(faults), end)


def check_verbs(kinds: Collection[str], verbs: Collection[str]) -> None:
    """Refuse kinds of faults that an injector with these verbs cannot cause."""
    for kind in kinds:
        verb = PACKAGES[kind].verb
        if verb not in verbs:
            raise BadInput(
                f"this world cannot {verb}, which {kind!r} needs; take "
                + ", ".join(
                    name for name, it in PACKAGES.items() if it.verb in sorted(verbs)
                )
            )
