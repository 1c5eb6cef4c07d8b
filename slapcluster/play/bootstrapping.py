"""Shell. Runs ``bootstrap`` inside a cloud of play, as its operator does.

The file has no commands for its computers, so bootstrap says what to type on each, and
that is typed there, by the user of that computer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred

from runtime.ports import Runtime
from slapcluster.outcomes import CommandFailed
from slapcluster.play import computers
from slapcluster.play.checkouts import Checkout
from slapcluster.play.cloud import Say, end_cloud, log_ends, run_inside
from slapcluster.play.lines import Lines
from slapcluster.play.places import Record
from slapcluster.play.three_regions import open_three
from slapcluster.play.visitor import Visitor

STEP_SECONDS_MAX = 600
"""Of each thing that bootstrap waits for: three builds at once on a loaded machine."""

JOIN_SECONDS_MAX = 120

COMMAND_SECONDS_MAX = 60


@frozen
class Bootstrapped:
    """A cloud that hosts itself. ``seconds`` are those of each step, by its title."""

    record: Record
    seconds: Mapping[str, float]


async def bootstrap(
    runtime: Runtime, checkout: Checkout, record: Record, say: Say
) -> Bootstrapped:
    """Have the cloud host itself, and the record know where it is asked then."""
    follower = _Follower(runtime, record, say)
    argv = ("slapcluster", *_words(record))
    ended = await run_inside(
        runtime, record, (*argv, "--detach"), None, on_output=follower.hear
    )
    if not ended.is_success:
        *_, last = ended.output.decode(errors="replace").split("Error: ")
        raise CommandFailed("\n".join((*follower.refusals, last)))
    told = await Visitor(runtime, record).run(
        ("slapcluster", "--output", "json", *_words(record), "--dry-run"),
        COMMAND_SECONDS_MAX,
    )
    document = json.loads(told)
    if not document["is_self_hosted"]:
        raise CommandFailed(f"bootstrap ended before its time: {told}")
    hosted = evolve(record, replica_urls=tuple(document["replicas"].values()))
    checkout.write(runtime, hosted)
    seconds = {it["step"]: float(it["seconds"] or 0) for it in document["steps"]}
    return Bootstrapped(hosted, seconds)


async def open_hosted(runtime: Runtime, checkout: Checkout, say: Say) -> Record:
    """Make a cloud of three computers that hosts itself, and leave it running.

    When it cannot be made nothing is left.
    """
    record = await open_three(runtime, checkout, say, is_bound=False)
    try:
        return (await bootstrap(runtime, checkout, record, say)).record
    except BaseException as error:
        if isinstance(error, CommandFailed):
            say(log_ends(record))
        await end_cloud(runtime, checkout)
        raise


def _words(record: Record) -> tuple[str, ...]:
    return (
        *("bootstrap", f"{record.place}/etc/cloud.toml"),
        *("--home", record.bootstrap_home),
        *("--release", f"{record.place}/release"),
        *("--timeout", str(STEP_SECONDS_MAX)),
    )


@define
class _Follower:
    """Reads what bootstrap says, tells it on, and types what it asks for."""

    runtime: Runtime
    record: Record
    say: Say
    refusals: list[str] = field(factory=list)
    _lines: Lines = field(factory=Lines, init=False)

    def hear(self, output: bytes) -> None:
        for line in self._lines.take(output):
            self._hear_line(line)

    def _hear_line(self, line: str) -> None:
        asked = computers.read_asked(line)
        if asked is not None:
            Deferred.fromCoroutine(self._type(*asked))
        elif line.startswith(f"{computers.CLOUD_NAME}: "):
            self.say(line.partition(": ")[2])

    async def _type(self, region: str, words: tuple[str, ...]) -> None:
        visitor = Visitor(self.runtime, self.record, region)
        try:
            await visitor.run(words, JOIN_SECONDS_MAX)
        except CommandFailed as error:
            # Bootstrap waits for the computer within its bound, and names it.
            self.refusals.append(error.sentence)
            self.say(f"{region} does not join: {error.sentence}")
