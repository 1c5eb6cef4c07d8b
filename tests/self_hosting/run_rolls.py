"""Another release of the master, rolled out and taken back, so many times.

    python -m tests.self_hosting.run_rolls CHECKOUT RUNS COMMIT KIND=COUNT ...

The other release is of the same sources with a field more in a record, which it writes.
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

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from runtime.ports import Exit
from slapcluster.bootstrap.wanted_cloud import release_url_of
from slapcluster.outcomes import CommandFailed
from slapcluster.pausing import pause
from slapcluster.play import three_regions
from slapcluster.play.calls import longest_gap
from slapcluster.play.cloud import log_ends, run_inside
from slapcluster.play.computers import CLOUD_NAME, REGIONS
from slapcluster.play.lines import Lines
from slapcluster.play.regional_tour import RegionalTour
from slapcluster.printing import print_note
from tests.programs import run
from tests.self_hosting import pollers
from tests.self_hosting.hosted_cloud import HostedCloud, with_hosted_cloud
from tests.self_hosting.run_losses import DEATH_SECONDS

RELEASE_SECONDS_MAX = 900
PUSH_SECONDS_MAX = 300
BUILD_SECONDS_MAX = 600
ROLL_SECONDS_MAX = 900
REQUEST_SECONDS_MAX = 120
LOOK_SECONDS = 1.0
AFTER_SECONDS = 5.0
STRIKE_SECONDS_MAX = 90.0
"""Most of a roll of an idle machine: before, in and after each of its legs."""

PLAIN, STRUCK = KINDS = ("plain", "struck")

_REPORT = "    report: Report = Report()\n"
_IS_ROOT = "\n    @property\n    def is_root"
_EXISTING = "        existing,\n"
_REQUESTER = "        requester_guid=requester_guid,\n"

CHANGES = (
    (
        "master_cluster/records.py",
        f"{_REPORT}{_IS_ROOT}",
        f"{_REPORT}    colour: str = 'blue'\n{_IS_ROOT}",
    ),
    (
        "master_cluster/requesting.py",
        f"{_EXISTING}{_REQUESTER}",
        f"{_EXISTING}        colour='red',\n{_REQUESTER}",
    ),
    ("pyproject.toml", '\nversion = "0.1.0"\n', '\nversion = "0.1.1"\n'),
)
"""In which files of the other release what stands in the place of what."""


def make_other_release(checkout: Path) -> Path:
    """Fill a release of changed sources; return its directory."""
    other = checkout.with_name(f"{checkout.name}-other")

    def unwanted(directory: str, _: object) -> set[str]:
        return {"dist", ".slapcluster"} if Path(directory) == checkout else set()

    shutil.rmtree(other, ignore_errors=True)
    shutil.copytree(checkout, other, symlinks=True, ignore=unwanted)
    for name, before, after in CHANGES:
        text = (other / name).read_text()
        assert text.count(before) == 1, f"{name} has not the place of the change"
        (other / name).write_text(text.replace(before, after))
    release = other / "dist" / "release"
    argv = (sys.executable, "-m", "slapcluster.release", "--output", str(release))
    ended = run(argv, directory=other, timeout_seconds=RELEASE_SECONDS_MAX)
    assert ended.returncode == 0, ended.stderr
    return release


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
            (*_pollers(self.tour), "poll", self.computer_id),
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


@define(eq=False)
class Rolling:
    """A cloud whose master has two releases to go between."""

    cloud: HostedCloud
    pollers: tuple[Poller, ...]

    @property
    def tour(self) -> RegionalTour:
        return self.cloud.tour

    async def bring(self, release: Path) -> str:
        """Have a release built on all computers; return its address."""
        target = Path(self.tour.record.place, "other-release")
        _copy(release, target)
        pushing = ("slapcluster", "release", "push", str(target))
        await self.tour.visitor.run(pushing, PUSH_SECONDS_MAX)
        fingerprint = (target / "fingerprint").read_text().strip()
        url = release_url_of(fingerprint)
        for region in REGIONS:
            supplying = ("slapcluster", "supply", url, self.tour.computer_id(region))
            await self.tour.visitor.run(supplying, REQUEST_SECONDS_MAX)
        for region in REGIONS:
            supplying = ("slapcluster", "supply", url, self.tour.computer_id(region))
            await self.tour.visitor.run((*supplying, "--wait"), BUILD_SECONDS_MAX)
        return url

    async def instances(self) -> list[Mapping[str, Any]]:
        told = await self.tour.visitor.slapcluster("service", "info", CLOUD_NAME)
        return list(told["instances"])

    async def roll(self, url: str, kind: str) -> Mapping[str, Any]:
        """Have the master take up a release; return what that took."""
        clock = self.tour.runtime.clock
        first, polled = (
            len(self.cloud.guests.said),
            [len(it.polls) for it in self.pollers],
        )
        await pause(clock, AFTER_SECONDS)
        begun = clock.seconds()
        requesting = (*_pollers(self.tour), "request", CLOUD_NAME, url)
        await self.tour.visitor.run(requesting, REQUEST_SECONDS_MAX)
        striking = Deferred.fromCoroutine(self._strike(kind == STRUCK))
        order, held = await self._until_taken_up(url, begun + ROLL_SECONDS_MAX)
        lost = await striking
        seconds = clock.seconds() - begun
        await pause(clock, AFTER_SECONDS)
        polls = [
            it
            for each, count in zip(self.pollers, polled, strict=True)
            for it in each.polls[count:]
        ]
        within = [it.answered for it in self.cloud.guests.said[first:]]
        return {
            "seconds": round(seconds, 1),
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

    async def _until_taken_up(
        self, url: str, deadline: float
    ) -> tuple[list[str], list[str]]:
        """Return the order of regions, and what the root said meanwhile."""
        order: list[str] = []
        held: list[str] = []
        while True:
            try:
                root, *regions = await self.instances()
            except CommandFailed as error:
                self.tour.say(f"look: {error.sentence.splitlines()[-1]}")
                root, regions = {}, []
            order += [it["title"] for it in regions if _runs(it, url, order)]
            said = root.get("message", "")
            if root.get("reported_state") == "error" and said not in held:
                held.append(said)
                self.tour.say(said)
            states = [it["reported_state"] for it in (root, *regions) if it]
            is_there = len(order) == len(REGIONS) and {*states} == {"started"}
            if regions and is_there and all(map(_is_settled, regions)):
                return order, held
            if self.tour.runtime.clock.seconds() > deadline:
                raise CommandFailed(f"{order} took it up\n{log_ends(self.tour.record)}")
            await pause(self.tour.runtime.clock, LOOK_SECONDS)


def _copy(release: Path, target: Path) -> None:
    """Copy a release, readable by all."""
    shutil.copytree(release, target, copy_function=shutil.copyfile)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _runs(region: Mapping[str, Any], url: str, known: list[str]) -> bool:
    is_new = region["title"] not in known
    return is_new and region["connection_parameters"].get("release-url") == url


def _is_settled(region: Mapping[str, Any]) -> bool:
    settled = region["connection_parameters"].get("settled", "")
    return bool(settled == region["parameters"].get("leg", ""))


def main(arguments: list[str]) -> None:
    checkout, runs, commit, *counts = arguments
    wanted = [
        (kind, int(count)) for kind, _, count in (it.partition("=") for it in counts)
    ]
    assert {kind for kind, _ in wanted} <= {*KINDS}, f"{KINDS} are there"
    other = make_other_release(Path(checkout))

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
            begun = tour.runtime.clock.seconds()
            there = await rolling.bring(other)
            keep("bring", {"seconds": round(tour.runtime.clock.seconds() - begun, 1)})
            root, *_ = await rolling.instances()
            back = root["software_release_url"]
            for kind in (kind for kind, count in wanted for _ in range(count)):
                for way, url in (("there", there), ("back", back)):
                    keep(kind, {"way": way, **await rolling.roll(url, kind)})
        finally:
            for poller in rolling.pollers:
                poller.end()

    with_hosted_cloud(Path(checkout), print_note, play)


if __name__ == "__main__":
    main(sys.argv[1:])
