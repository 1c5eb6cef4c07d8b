"""Regions that come to the master of a cloud, leave it, or move, so many times.

    python -m tests.self_hosting.run_changes CHECKOUT RUNS COMMIT KIND=COUNT ...

``move`` has a region come for another one, ``five`` has two come; each is taken back
again, so each adds two lines to the file ``RUNS``. Meanwhile somebody changes guests,
and somebody polls each computer's document. ``CHECKOUT`` is as for ``run_losses``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import define

from slapcluster.outcomes import CommandFailed
from slapcluster.pausing import pause
from slapcluster.play.calls import longest_gap
from slapcluster.play.cloud import log_ends
from slapcluster.play.computers import CLOUD_NAME, REGIONS
from slapcluster.play.regional_tour import RegionalTour
from slapcluster.printing import print_note
from tests.self_hosting.hosted_cloud import HostedCloud, with_hosted_cloud
from tests.self_hosting.run_rolls import Poller

CHANGE_SECONDS_MAX = 1200
LOOK_SECONDS = 1.0
AFTER_SECONDS = 5.0

PARIS, LYON, TOKYO = REGIONS

KINDS: Mapping[str, tuple[Mapping[str, str], tuple[str, ...]]] = {
    "move": ({"oslo": TOKYO}, (LYON,)),
    "five": ({"oslo": TOKYO, "rome": PARIS}, ()),
}
"""Which regions come, on the computer of which, and which leave."""


@define(eq=False)
class Changing:
    """A cloud whose regions change."""

    cloud: HostedCloud
    pollers: tuple[Poller, ...]

    @property
    def tour(self) -> RegionalTour:
        return self.cloud.tour

    async def change(
        self, coming: Mapping[str, str], leaving: tuple[str, ...]
    ) -> Mapping[str, Any]:
        """Have regions come and leave; return what that took."""
        tour, clock = self.tour, self.tour.runtime.clock
        typed = tour.visitor.slapcluster
        first = len(self.cloud.guests.said)
        polled = [len(it.polls) for it in self.pollers]
        await pause(clock, AFTER_SECONDS)
        begun = clock.seconds()
        words = [f"--add={it}" for it in coming] + [f"--remove={it}" for it in leaving]
        left = [
            it["url"]
            for it in await typed("replica", "list")
            if it["region"] in leaving
        ]
        for name, host in coming.items():
            # Its computer is of two regions, which no cloud should have.
            await typed("computer", "set", tour.computer_id(host), f"region={name}")
        await self._type_until_answered("region", "change", CLOUD_NAME, *words)
        await self._until_begun(coming)
        for host in coming.values():
            await typed("computer", "set", tour.computer_id(host), f"region={host}")
        await self._sign([*coming])
        began = clock.seconds()
        waiting = ("slapcluster", "region", "change", CLOUD_NAME, *words, "--wait")
        bound = ("--timeout", str(CHANGE_SECONDS_MAX))
        await tour.visitor.run((*waiting, *bound), CHANGE_SECONDS_MAX + 60)
        seconds = clock.seconds() - begun
        for url in left:
            await typed("replica", "forget", url)
        await pause(clock, AFTER_SECONDS)
        polls = [
            it
            for each, count in zip(self.pollers, polled, strict=True)
            for it in each.polls[count:]
        ]
        within = [it.answered for it in self.cloud.guests.said[first:]]
        return {
            "coming": [*coming],
            "leaving": [*leaving],
            "seconds": round(seconds, 1),
            "begun_seconds": round(began - begun, 1),
            "gap_seconds": round(longest_gap(within, begun), 1),
            "granted_count": sum(it.is_granted for it in within),
            "refused_count": sum(not it.is_granted for it in within),
            "poll_count": len(polls),
            "failed_polls": [it["refusal"] for it in polls if it["refusal"]],
            "poll_seconds": max(it["seconds"] for it in polls),
            "missing": await self.cloud.guests.missing(),
            "load": os.getloadavg()[0],
        }

    async def _until_begun(self, names: Mapping[str, str]) -> None:
        clock = self.tour.runtime.clock
        deadline = clock.seconds() + CHANGE_SECONDS_MAX
        while True:
            told = await self._type_until_answered("service", "info", CLOUD_NAME)
            there = {it["title"] for it in told["instances"] if it["partition"]}
            if there >= {*names}:
                return
            if clock.seconds() > deadline:
                raise CommandFailed(f"{there} begun\n{log_ends(self.tour.record)}")
            await pause(clock, LOOK_SECONDS)

    async def _sign(self, names: list[str]) -> None:
        root = f"{self.tour.record.bootstrap_home}/root"
        signed: set[str] = set()
        while not signed >= {*names}:
            signing = ("region", "sign", CLOUD_NAME, "--root", root)
            told = await self._type_until_answered(*signing)
            signed |= {*told["regions"]} if told["is_signed"] else set()
            await pause(self.tour.runtime.clock, LOOK_SECONDS)

    async def _type_until_answered(self, *words: str) -> Any:
        """Type it as a person does, who types it again when it failed."""
        for _ in range(5):
            try:
                return await self.tour.visitor.slapcluster(*words)
            except CommandFailed as error:
                self.tour.say(f"{' '.join(words)}: {error.sentence.splitlines()[-1]}")
                await pause(self.tour.runtime.clock, LOOK_SECONDS)
        return await self.tour.visitor.slapcluster(*words)


def main(arguments: list[str]) -> None:
    checkout, runs, commit, *counts = arguments
    wanted = [
        (kind, int(count)) for kind, _, count in (it.partition("=") for it in counts)
    ]
    assert {kind for kind, _ in wanted} <= {*KINDS}, f"{[*KINDS]} are there"

    def keep(kind: str, told: Mapping[str, Any]) -> None:
        line = json.dumps({"commit": commit, "kind": kind, **told})
        with Path(runs).open("a") as file:
            file.write(line + "\n")
        print_note(line)

    async def play(cloud: HostedCloud) -> None:
        tour = cloud.tour
        computer_ids = [tour.computer_id(it) for it in REGIONS]
        changing = Changing(cloud, tuple(Poller(tour, it) for it in computer_ids))
        for poller in changing.pollers:
            poller.begin()
        try:
            for kind in (kind for kind, count in wanted for _ in range(count)):
                coming, leaving = KINDS[kind]
                keep(kind, await changing.change(coming, leaving))
                back = {it: it for it in leaving}
                keep(kind, await changing.change(back, (*coming,)))
        finally:
            for poller in changing.pollers:
                poller.end()

    with_hosted_cloud(Path(checkout), print_note, play, partition_count=4)


if __name__ == "__main__":
    main(sys.argv[1:])
