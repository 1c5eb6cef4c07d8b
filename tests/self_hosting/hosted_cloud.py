"""A cloud of three computers that hosts itself, with somebody who asks all the time."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from runtime.ports import Exit, Runtime
from slapcluster.outcomes import CommandFailed
from slapcluster.pausing import pause
from slapcluster.play.calls import Answered
from slapcluster.play.checkouts import Checkout
from slapcluster.play.cloud import Say, end_cloud, log_ends, run_inside
from slapcluster.play.computers import HELLO_URL
from slapcluster.play.lines import Lines
from slapcluster.play.places import REGION_PARTITION_COUNT
from slapcluster.play.regional_tour import RegionalTour
from slapcluster.play.three_regions import open_three
from slapcluster.running import launch
from tests.self_hosting import guests

GRANT_SECONDS_MAX = 300
"""After a cold start of a loaded machine."""

POLL_SECONDS = 0.1
LOOK_SECONDS_MAX = 120


@frozen
class Said:
    """What became of one change, and when."""

    answered: Answered
    number: int


@define(eq=False)
class Guests:
    """Whoever asks for guests, and what was acknowledged."""

    tour: RegionalTour
    said: list[Said] = field(factory=list)
    _running: Deferred[Exit | None] | None = None
    _lines: Lines = field(factory=Lines, init=False)

    def begin(self) -> None:
        running = run_inside(
            self.tour.runtime,
            self.tour.record,
            (*self._argv(), "ask", HELLO_URL),
            None,
            on_output=self._hear,
        )
        self._running = Deferred.fromCoroutine(running).addErrback(self._failed)

    def end(self) -> None:
        if self._running is not None:
            self._running.cancel()

    def answers(self) -> list[Answered]:
        return [it.answered for it in self.said]

    async def until_granted(self, count: int, instant: float) -> float:
        """Wait for so many grants after an instant; return when the first one came."""
        clock = self.tour.runtime.clock
        deadline = clock.seconds() + GRANT_SECONDS_MAX
        while True:
            granted = [
                it.instant
                for it in self.answers()
                if it.is_granted and it.instant > instant
            ]
            if len(granted) >= count:
                return granted[0]
            if clock.seconds() > deadline or not self._running or self._running.called:
                raise CommandFailed(
                    f"{len(granted)} changes granted\n{log_ends(self.tour.record)}"
                )
            await pause(clock, POLL_SECONDS)

    async def missing(self) -> tuple[str, ...]:
        """Return the titles whose last acknowledged number is not there."""
        known: dict[str, int] = {}
        for it in list(self.said):
            if it.answered.is_granted:
                known[it.answered.title] = it.number
        output = await self.tour.visitor.run((*self._argv(), "look"), LOOK_SECONDS_MAX)
        there = json.loads(output)
        return tuple(it for it, last in known.items() if there.get(it, -1) < last)

    def _argv(self) -> tuple[str, ...]:
        script = Path(self.tour.record.place, "etc", "guests.py")
        if not script.exists():
            shutil.copyfile(guests.__file__, script)
            script.chmod(0o644)
        return ("python", "-I", str(script))

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.tour.say(f"whoever asks: {failure.getErrorMessage()}")

    def _hear(self, output: bytes) -> None:
        now = self.tour.runtime.clock.seconds()
        for line in self._lines.take(output):
            if not line.startswith("{"):
                self.tour.say(f"whoever asks: {line}")
                continue
            told = json.loads(line)
            answered = Answered(told["title"], now, told["refusal"] is None)
            self.said.append(Said(answered, told["number"]))


@frozen
class HostedCloud:
    """What a campaign plays with; ``bootstrap_seconds`` are those of the whole."""

    tour: RegionalTour
    guests: Guests
    bootstrap_seconds: float


def with_hosted_cloud(
    checkout_path: Path,
    say: Say,
    play: Callable[[HostedCloud], Awaitable[None]],
    partition_count: int = REGION_PARTITION_COUNT,
) -> None:
    """Make a cloud that hosts itself, play with it, and leave nothing."""

    async def main(runtime: Runtime) -> None:
        checkout = Checkout(checkout_path, dict(os.environ))  # noqa: TID251 - a root
        record = await open_three(
            runtime, checkout, say, is_bound=True, partition_count=partition_count
        )
        tour = RegionalTour(runtime, checkout, say, record)
        asking = Guests(tour)
        try:
            begun = runtime.clock.seconds()
            say(await tour.bootstrap())
            seconds = runtime.clock.seconds() - begun
            say(await tour.request_service())
            asking.begin()
            await asking.until_granted(5, 0)
            await play(HostedCloud(tour, asking, seconds))
        except BaseException:
            say(log_ends(tour.record))
            raise
        finally:
            asking.end()
            await end_cloud(runtime, checkout)

    launch(main)
