"""Losses of computers of a cloud that hosts itself: so many of each kind.

    python -m tests.self_hosting.run_losses CHECKOUT RUNS COMMIT KIND=COUNT ...

Kinds are those of ``LOSSES``; ``computer`` is the last one of a run, once. ``CHECKOUT``
holds what a release is made of, and nothing else uses it. Each loss adds a line to the
file ``RUNS``. To be run by root, or where user namespaces are allowed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

from replication.programs import DATABASE
from slapcluster.hosting.layout import (
    COPIER,
    IN_FORCE_FILE,
    NEO_HOME,
    SERVICE_DIRECTORY,
)
from slapcluster.pausing import pause
from slapcluster.play import three_regions
from slapcluster.play.calls import longest_gap
from slapcluster.play.computers import CLOUD_NAME, REGIONS
from slapcluster.play.regional_tour import SERVICE
from slapcluster.printing import print_note
from tests.self_hosting.hosted_cloud import HostedCloud, with_hosted_cloud

BEFORE_SECONDS = 3.0
DEATH_SECONDS = 22.0
"""Longer than changes may take to go on, so that a longer gap is seen as one."""

AFTER_SECONDS = 3.0
LOOK_SECONDS = 1.0
COPIER_POLL_SECONDS = 0.1
"""It lives for seconds where there is little to copy."""

GRANT_COUNT = 5


@frozen
class Outcome:
    """One loss.

    ``gap_seconds``: the longest time between two grants; of a cold start, from the
    first power to the first grant. ``service_seconds``: of a cold start, until the page
    of the service is there. ``whole_seconds``: from power until each region that was
    lost keeps all its promises; of a computer that is lost for good, from its loss.
    """

    lost: str
    gap_seconds: float
    whole_seconds: float
    service_seconds: float | None = None


async def lose_the_primary(cloud: HostedCloud, *, has_disk: bool = True) -> Outcome:
    """Take power and cable of the computer of the primary, and give them back.

    Without ``has_disk`` its region comes back without a database.
    """
    tour, clock = cloud.tour, cloud.tour.runtime.clock
    await pause(clock, BEFORE_SECONDS)
    begun = clock.seconds()
    lost = await tour.primary()
    three_regions.take_power(tour.record, lost)
    await three_regions.until_off(tour.runtime, tour.record, lost)
    database = tour.partition_of(lost) / NEO_HOME
    for file in () if has_disk else [*database.glob(f"{DATABASE}*")]:
        file.unlink()
    await pause(clock, DEATH_SECONDS)
    tour.lost = lost
    back = clock.seconds()
    if not has_disk:
        await _until_copying(cloud, lost)
    await tour.give_back()
    whole_seconds = clock.seconds() - back
    await cloud.guests.until_granted(GRANT_COUNT, back)
    await pause(clock, AFTER_SECONDS)
    gap_seconds = longest_gap(cloud.guests.answers(), begun)
    return Outcome(lost, gap_seconds, whole_seconds)


async def lose_a_disk(cloud: HostedCloud) -> Outcome:
    """As the death of the primary; nobody bangs for the database that it lost."""
    return await lose_the_primary(cloud, has_disk=False)


async def _until_copying(cloud: HostedCloud, lost: str) -> None:
    """Give power, and wait until the agent has begun the copier.

    Nobody else looks at its promises meanwhile: that would bang in place of the agent.
    """
    tour = cloud.tour
    three_regions.give_power(tour.record, lost)
    await three_regions.until_on(tour.runtime, tour.record, lost)
    services = tour.partition_of(lost) / SERVICE_DIRECTORY
    while not [*services.glob(f"{COPIER}-*")]:
        await pause(tour.runtime.clock, COPIER_POLL_SECONDS)


async def lose_a_computer(cloud: HostedCloud) -> Outcome:
    """Lose a computer for good, and have another one run its region too.

    It is that of the primary, unless the service runs there: that was requested for
    its very computer, and would find no other place. To be the last loss of a cloud:
    with the other computer two regions are lost from then on.
    """
    tour, clock = cloud.tour, cloud.tour.runtime.clock
    await pause(clock, BEFORE_SECONDS)
    needed = await _computer_of_service(cloud)
    begun = clock.seconds()
    lost = await tour.primary()
    if tour.computer_id(lost) == needed:
        lost = next(it for it in REGIONS if it != lost)
    typed = tour.visitor.slapcluster
    old = {it["url"] for it in await typed("replica", "list") if it["region"] == lost}
    three_regions.take_power(tour.record, lost)
    await three_regions.until_off(tour.runtime, tour.record, lost)
    spare = next(it for it in REGIONS if it != lost)
    # A person types nothing before the others go on.
    await cloud.guests.until_granted(GRANT_COUNT, clock.seconds())
    await typed("computer", "set", tour.computer_id(spare), f"region={lost}")
    given_up = tour.computer_id(lost)
    told = await typed("computer", "give-up", given_up, "--never-comes-back")
    print_note(json.dumps(told))
    await typed("computer", "set", tour.computer_id(spare), f"region={spare}")
    root = f"{tour.record.bootstrap_home}/root"
    while not (await typed("region", "sign", CLOUD_NAME, "--root", root))["regions"]:
        await pause(clock, LOOK_SECONDS)
    home = await _until_there(cloud, spare, lost)
    await tour.until_kept(spare, home)
    whole_seconds = clock.seconds() - begun
    for url in sorted(old):
        await typed("replica", "forget", url)
    await pause(clock, AFTER_SECONDS)
    gap_seconds = longest_gap(cloud.guests.answers(), begun)
    return Outcome(lost, gap_seconds, whole_seconds)


async def _computer_of_service(cloud: HostedCloud) -> str:
    told = await cloud.tour.visitor.slapcluster("service", "info", SERVICE)
    return str(told["instances"][0]["partition"]["computer_id"])


async def _until_there(cloud: HostedCloud, computer: str, region: str) -> str:
    """Wait until a region begins on a computer; return its partition."""
    top = Path(cloud.tour.record.place, computer)
    while not (found := _partition_of(top, region)):
        await pause(cloud.tour.runtime.clock, LOOK_SECONDS)
    return found


def _partition_of(top: Path, region: str) -> str:
    for file in top.glob(f"srv/slappart*/{IN_FORCE_FILE}"):
        if json.loads(file.read_bytes())["name"] == region:
            return str(file).removesuffix(f"/{IN_FORCE_FILE}")
    return ""


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


LAST = "computer"
"""The loss after which a cloud is not played with any more."""

LOSSES: Mapping[str, Callable[[HostedCloud], Coroutine[Any, Any, Outcome]]] = {
    "death": lose_the_primary,
    "disk": lose_a_disk,
    "cold-start": lose_all,
    LAST: lose_a_computer,
}


def losses_of(counts: Sequence[str]) -> tuple[str, ...]:
    """Return the losses to play, in order, from words like ``death=3``."""
    named = [it.partition("=") for it in counts]
    kinds = tuple(kind for kind, _, count in named for _ in range(int(count)))
    assert {*kinds} <= {*LOSSES}, f"{', '.join(LOSSES)} are there"
    assert LAST not in kinds[:-1], f"{LAST} is the last loss of a cloud"
    return kinds


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
    kinds = losses_of(counts)

    def keep(told: Mapping[str, Any]) -> None:
        line = json.dumps(told)
        with Path(runs).open("a") as file:
            file.write(line + "\n")
        print_note(line)

    async def play_all(cloud: HostedCloud) -> None:
        keep(
            {"commit": commit, "kind": "bootstrap", "seconds": cloud.bootstrap_seconds}
        )
        for kind in kinds:
            keep({"commit": commit, "kind": kind, **await play(cloud, kind)})

    with_hosted_cloud(Path(checkout), print_note, play_all)


if __name__ == "__main__":
    main(sys.argv[1:])
