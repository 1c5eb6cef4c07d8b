"""Losses of computers of a cloud that hosts itself: so many of each kind.

    python -m tests.self_hosting.run_losses CHECKOUT RUNS COMMIT KIND=COUNT ...

Kinds are those of ``LOSSES``. ``CHECKOUT`` holds what a release is made of, and nothing
else uses it. Each loss adds a line to the file ``RUNS``. To be run by root, or where
user namespaces are allowed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

from slapcluster.pausing import pause
from slapcluster.play import three_regions
from slapcluster.play.calls import longest_gap
from slapcluster.play.computers import REGIONS
from slapcluster.printing import print_note
from tests.self_hosting.hosted_cloud import HostedCloud, with_hosted_cloud

BEFORE_SECONDS = 3.0
DEATH_SECONDS = 22.0
"""Longer than changes may take to go on, so that a longer gap is seen as one."""

AFTER_SECONDS = 3.0
GRANT_COUNT = 5


@frozen
class Outcome:
    """One loss.

    ``gap_seconds``: the longest time between two grants; of a cold start, from the
    first power to the first grant. ``service_seconds``: of a cold start, until the page
    of the service is there. ``whole_seconds``: from power until each region that was
    lost keeps all its promises.
    """

    lost: str
    gap_seconds: float
    whole_seconds: float
    service_seconds: float | None = None


async def lose_the_primary(cloud: HostedCloud) -> Outcome:
    """Take power and cable of the computer of the primary, and give them back."""
    tour, clock = cloud.tour, cloud.tour.runtime.clock
    await pause(clock, BEFORE_SECONDS)
    begun = clock.seconds()
    lost = await tour.primary()
    three_regions.take_power(tour.record, lost)
    await three_regions.until_off(tour.runtime, tour.record, lost)
    await pause(clock, DEATH_SECONDS)
    tour.lost = lost
    back = clock.seconds()
    await tour.give_back()
    whole_seconds = clock.seconds() - back
    await cloud.guests.until_granted(GRANT_COUNT, back)
    await pause(clock, AFTER_SECONDS)
    gap_seconds = longest_gap(cloud.guests.answers(), begun)
    return Outcome(lost, gap_seconds, whole_seconds)


async def lose_all(cloud: HostedCloud) -> Outcome:
    """Take all power at once, and give it back in an order that is drawn."""
    tour, clock = cloud.tour, cloud.tour.runtime.clock
    await pause(clock, BEFORE_SECONDS)
    await tour.lose_all()
    order = list(REGIONS)
    tour.runtime.entropy.shuffle(order)
    begun = clock.seconds()
    for region in order:
        three_regions.give_power(tour.record, region)
        await three_regions.until_on(tour.runtime, tour.record, region)
        await pause(clock, tour.runtime.entropy.uniform(0, 5))
    granted = await cloud.guests.until_granted(GRANT_COUNT, begun)
    await tour.visitor.until(lambda: tour.visitor.fetch(tour.url), bool)
    service_seconds = clock.seconds() - begun
    for region in REGIONS:
        tour.lost = region
        await tour.give_back()
    whole_seconds = clock.seconds() - begun
    return Outcome(" ".join(order), granted - begun, whole_seconds, service_seconds)


LOSSES: Mapping[str, Callable[[HostedCloud], Coroutine[Any, Any, Outcome]]] = {
    "death": lose_the_primary,
    "cold-start": lose_all,
}


async def play(cloud: HostedCloud, kind: str) -> Mapping[str, Any]:
    """Have one loss, and judge what whoever asks was told."""
    first = len(cloud.guests.said)
    outcome = await LOSSES[kind](cloud)
    within = [it.answered for it in cloud.guests.said[first:]]
    return {
        **asdict(outcome),
        "granted_count": sum(it.is_granted for it in within),
        "refused_count": sum(not it.is_granted for it in within),
        "missing": await cloud.guests.missing(),
        "load": os.getloadavg()[0],
    }


def main(arguments: list[str]) -> None:
    checkout, runs, commit, *counts = arguments
    wanted = [
        (kind, int(count)) for kind, _, count in (it.partition("=") for it in counts)
    ]

    def keep(told: Mapping[str, Any]) -> None:
        line = json.dumps(told)
        with Path(runs).open("a") as file:
            file.write(line + "\n")
        print_note(line)

    async def play_all(cloud: HostedCloud) -> None:
        keep(
            {"commit": commit, "kind": "bootstrap", "seconds": cloud.bootstrap_seconds}
        )
        for kind in (kind for kind, count in wanted for _ in range(count)):
            keep({"commit": commit, "kind": kind, **await play(cloud, kind)})

    with_hosted_cloud(Path(checkout), print_note, play_all)


if __name__ == "__main__":
    main(sys.argv[1:])
