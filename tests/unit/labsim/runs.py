"""Histories as long runs of many hosts have them, drawn from a seed."""

from __future__ import annotations

import random

from labsim.history import (
    Applied,
    CallBegan,
    CallEnded,
    Committed,
    Epoch,
    FaultBegan,
    FaultEnded,
    Happening,
    History,
    Life,
    Outcome,
    Phase,
    PhaseBegan,
    Placed,
)

COLOURS = {"cut": "#d62728", "crash": "#1f77b4", "region power loss": "#17365c"}


def regions_of(count: int, computer_count: int) -> dict[str, tuple[str, ...]]:
    """Regions with a master, a client and so many computers each."""
    return {
        f"region-{number}": (
            f"master-{number}",
            f"people-{number}",
            *(f"COMP-{number}-{it}" for it in range(computer_count)),
        )
        for number in range(1, count + 1)
    }


def a_run(
    regions: dict[str, tuple[str, ...]], seconds: float, fault_count: int = 20
) -> History:
    """Polls, changes, commits, faults and elections; sorted as they happened."""
    entropy = random.Random(7)
    happenings: list[Happening] = [
        PhaseBegan(0.0, Phase.BEGINNING),
        PhaseBegan(seconds * 0.1, Phase.FAULTS),
        PhaseBegan(seconds * 0.8, Phase.HEALED),
        PhaseBegan(seconds, Phase.ENDED),
    ]
    masters = [names[0] for names in regions.values()]
    for number in range(fault_count):
        happenings += _fault(entropy, regions, number, seconds)
    at, epoch = 0.0, 2
    while at < seconds:
        happenings.append(Epoch(at, entropy.choice(masters), epoch))
        at += entropy.uniform(0.1, 0.4) * seconds
        epoch += 1
    for names in regions.values():
        happenings += _work(entropy, names, seconds)
    return tuple(sorted(happenings, key=lambda happening: happening.at))


def _fault(entropy, regions, number, seconds):
    at = entropy.uniform(0.1, 0.7) * seconds
    until = min(at + entropy.uniform(0.005, 0.1) * seconds, 0.8 * seconds)
    kind = entropy.choice(list(COLOURS))
    region = entropy.choice(list(regions))
    is_whole = kind == "region power loss"
    hosts = regions[region] if is_whole else (entropy.choice(regions[region]),)
    yield FaultBegan(at, number, kind, (region,) if is_whole else hosts)
    yield FaultEnded(until, number)
    if kind != "cut":
        for host in hosts:
            yield Life(at, host, is_up=False)
            yield Life(until, host, is_up=True)


def _work(entropy, names, seconds):
    master, people, *computers = names
    number, at = 0, 0.0
    while at < seconds:
        at += entropy.expovariate(150 / seconds)
        until = at + entropy.uniform(0.05, 0.004 * seconds)
        wanted = entropy.choice(["started", "stopped", "destroyed", ""])
        outcome = entropy.choices(tuple(Outcome), (90, 3, 7))[0]
        subject = f"shop-{entropy.randint(1, 40)}"
        yield CallBegan(at, people, number, "request", subject, wanted)
        yield CallEnded(until, people, number, outcome, tid=f"{number:x}")
        if outcome is Outcome.ACKNOWLEDGED and wanted:
            yield Committed(until, master, f"{int(until * 1000):016x}", {}, ("1", "2"))
        number += 1
    for computer in computers:
        at = entropy.uniform(0, 0.03) * seconds
        while at < seconds:
            yield Applied(at, computer, f"{int(at):016x}")
            if entropy.random() < 0.1:
                partition = f"slappart{entropy.randint(0, 9)}"
                yield Placed(at, computer, partition, f"shop-{entropy.randint(1, 40)}")
            at += 0.03 * seconds
