"""Another release of the master, rolled out and taken back, so many times.

    python -m tests.self_hosting.run_rolls CHECKOUT RUNS COMMIT KIND=COUNT ...

What an operator types, `slapcluster upgrade`, does it: with the directory of the other
release, whose records have a field more (``slapcluster.play.second_release``), and with
the address of the one before. The first roll has the other release built.

Meanwhile somebody changes guests, and somebody polls each computer's document. Rolls of
the kind ``struck`` lose a computer on the way, drawn at a drawn instant, for a while;
``plain`` ones do not. There and back are two rolls, and add two lines to the file
``RUNS``. ``CHECKOUT`` is as for ``run_losses``.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from runtime.ports import Exit
from slapcluster.outcomes import CommandFailed
from slapcluster.pausing import pause
from slapcluster.play import three_regions
from slapcluster.play.calls import longest_gap
from slapcluster.play.cloud import run_inside
from slapcluster.play.computers import CLOUD_NAME, REGIONS
from slapcluster.play.lines import Lines
from slapcluster.play.regional_tour import RegionalTour
from slapcluster.printing import print_note
from slapcluster.upgrading.planning import Verb
from tests.self_hosting import pollers
from tests.self_hosting.hosted_cloud import HostedCloud, with_hosted_cloud
from tests.self_hosting.run_losses import DEATH_SECONDS

ROLL_SECONDS_MAX = 1500
LOOK_SECONDS = 1.0
AFTER_SECONDS = 5.0
STRIKE_SECONDS_MAX = 90.0
"""Most of a roll of an idle machine: before, in and after each of its legs."""

PLAIN, STRUCK = KINDS = ("plain", "struck")


@define(eq=False)
class Poller:
    """Whoever polls the document of one computer, and how each poll ended."""

    tour: RegionalTour
    computer_id: str
    polls: list[Mapping[str, Any]] = field(factory=list)
    _running: Deferred[Exit | None] | None = None
    _lines: Lines = field(factory=Lines, init=False)

    def begin(self) -> None:
        running = run_inside(
            self.tour.runtime,
            self.tour.record,
            (*_pollers(self.tour), self.computer_id),
            None,
            on_output=self._hear,
        )
        self._running = Deferred.fromCoroutine(running).addErrback(self._failed)

    def end(self) -> None:
        if self._running is not None:
            self._running.cancel()

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.tour.say(f"whoever polls: {failure.getErrorMessage()}")

    def _hear(self, output: bytes) -> None:
        for line in self._lines.take(output):
            if line.startswith("{"):
                self.polls.append(json.loads(line))
            else:
                self.tour.say(f"whoever polls: {line}")


def _pollers(tour: RegionalTour) -> tuple[str, ...]:
    script = Path(tour.record.place, "etc", "pollers.py")
    if not script.exists():
        shutil.copyfile(pollers.__file__, script)
        script.chmod(0o644)
    return ("python", "-I", str(script))


@frozen
class Rolled:
    """What a roll took, and the release of before, as the command names it."""

    figures: Mapping[str, Any]
    former: str


@define(eq=False)
class Rolling:
    """A cloud whose master has two releases to go between."""

    cloud: HostedCloud
    pollers: tuple[Poller, ...]

    @property
    def tour(self) -> RegionalTour:
        return self.cloud.tour

    async def instances(self) -> list[Mapping[str, Any]]:
        told = await self.tour.visitor.slapcluster("service", "info", CLOUD_NAME)
        return list(told["instances"])

    async def roll(self, release: str, kind: str) -> Rolled:
        """Type that the master takes up a release; return what that took."""
        clock = self.tour.runtime.clock
        first, polled = (
            len(self.cloud.guests.said),
            [len(it.polls) for it in self.pollers],
        )
        await pause(clock, AFTER_SECONDS)
        begun = clock.seconds()
        is_struck = kind == STRUCK
        upgrading = self._upgrade(release, begun + ROLL_SECONDS_MAX, is_struck)
        rolling = Deferred.fromCoroutine(upgrading)
        striking = Deferred.fromCoroutine(self._strike(is_struck))
        order, held = await self._watch(rolling)
        told = await rolling
        seconds = clock.seconds() - begun
        lost = await striking
        await pause(clock, AFTER_SECONDS)
        polls = [
            it
            for each, count in zip(self.pollers, polled, strict=True)
            for it in each.polls[count:]
        ]
        within = [it.answered for it in self.cloud.guests.said[first:]]
        figures = {
            "seconds": round(seconds, 1),
            "is_built": any(it["verb"] == Verb.BUILD for it in told["steps"]),
            "order": order,
            "lost": lost,
            "held": held,
            "gap_seconds": round(longest_gap(within, begun), 1),
            "granted_count": sum(it.is_granted for it in within),
            "refused_count": sum(not it.is_granted for it in within),
            "poll_count": len(polls),
            "failed_polls": [it["refusal"] for it in polls if it["refusal"]],
            "stale_count": sum(it["is_stale"] for it in polls),
            "poll_seconds": max(it["seconds"] for it in polls),
            "missing": await self.cloud.guests.missing(),
            "load": os.getloadavg()[0],
        }
        return Rolled(figures, told["former"][0])

    async def _upgrade(self, release: str, deadline: float, is_struck: bool) -> Any:
        """Type the command; as people do, once more when a computer died meanwhile."""
        while True:
            try:
                return await self.tour.upgrade(release)
            except CommandFailed as error:
                if not is_struck or self.tour.runtime.clock.seconds() > deadline:
                    raise
                self.tour.say(f"upgrade: {error.sentence.splitlines()[-1]}")
            await pause(self.tour.runtime.clock, LOOK_SECONDS)

    async def _strike(self, is_struck: bool) -> str:
        """Take the power of a computer, and give it back; return its region."""
        if not is_struck:
            return ""
        tour, entropy = self.tour, self.tour.runtime.entropy
        clock = tour.runtime.clock
        await pause(clock, entropy.uniform(0, STRIKE_SECONDS_MAX))
        lost = entropy.choice(REGIONS)
        tour.say(f"{lost} loses its power")
        three_regions.take_power(tour.record, lost)
        await three_regions.until_off(tour.runtime, tour.record, lost)
        await pause(clock, DEATH_SECONDS)
        three_regions.give_power(tour.record, lost)
        await three_regions.until_on(tour.runtime, tour.record, lost)
        tour.say(f"{lost} has power again")
        return lost

    async def _watch(self, rolling: Deferred[Any]) -> tuple[list[str], list[str]]:
        """Return in which order regions settled, and what the root said meanwhile."""
        order: list[str] = []
        held: list[str] = []
        legs: dict[str, str] = {}
        is_over = False
        while not is_over:
            # Looked at once more after the end.
            is_over = rolling.called
            try:
                root, *regions = await self.instances()
            except CommandFailed as error:
                self.tour.say(f"look: {error.sentence.splitlines()[-1]}")
                root, regions = {}, []
            for it in regions:
                settled = it["connection_parameters"].get("settled", "")
                if legs.setdefault(it["title"], settled) != settled:
                    legs[it["title"]] = settled
                    order.append(it["title"])
            said = root.get("message", "")
            if root.get("reported_state") == "error" and said not in held:
                held.append(said)
                self.tour.say(said)
            await pause(self.tour.runtime.clock, LOOK_SECONDS)
        return order, held


def main(arguments: list[str]) -> None:
    checkout, runs, commit, *counts = arguments
    wanted = [
        (kind, int(count)) for kind, _, count in (it.partition("=") for it in counts)
    ]
    assert {kind for kind, _ in wanted} <= {*KINDS}, f"{KINDS} are there"

    def keep(kind: str, told: Mapping[str, Any]) -> None:
        line = json.dumps({"commit": commit, "kind": kind, **told})
        with Path(runs).open("a") as file:
            file.write(line + "\n")
        print_note(line)

    async def play(cloud: HostedCloud) -> None:
        tour = cloud.tour
        computer_ids = [tour.computer_id(it) for it in REGIONS]
        rolling = Rolling(cloud, tuple(Poller(tour, it) for it in computer_ids))
        for poller in rolling.pollers:
            poller.begin()
        try:
            tour.say(await tour.make_second_release())
            for kind in (kind for kind, count in wanted for _ in range(count)):
                there = await rolling.roll(tour.second_release, kind)
                keep(kind, {"way": "there", **there.figures})
                back = await rolling.roll(there.former, kind)
                keep(kind, {"way": "back", **back.figures})
        finally:
            for poller in rolling.pollers:
                poller.end()

    with_hosted_cloud(Path(checkout), print_note, play)


if __name__ == "__main__":
    main(sys.argv[1:])
