"""One life of three replicas: faults so many times each, under polls and changes.

    python -m tests.replicas.run_replicas SEED ROUNDS RUNS COMMIT [FAULT ...]

Each fault adds a line to the file ``RUNS``; their order is drawn from the seed. To be
run by root of a namespace: see ``three_regions.APART``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from random import Random

from attrs import asdict, define, field, frozen

from slap.identities import Identity, Role
from tests import programs
from tests.interop.stock import neo_environment
from tests.neo_port.faults import WHOLE_SECONDS_MAX
from tests.neo_port.three_regions import (
    PROBE_SECONDS,
    REGIONS,
    ThreeRegions,
    Way,
    heal,
    make_networks,
    sever,
)
from tests.replicas import judging
from tests.replicas.callers import PERSON, Asked, Task, computer_of
from tests.replicas.three_replicas import ThreeReplicas, replica_name

BEFORE_SECONDS = 4.0
FAULT_SECONDS = 22.0
"""Longer than writes may take to go on, so that a longer gap is seen as one."""

AFTER_SECONDS = 6.0
WAIT_SECONDS = 20
"""Of the polls that wait for a change."""

CALLERS_SECONDS_MAX = 60
NOBODY = -1


@frozen
class Outcome:
    """One run.

    ``gap_seconds``: the longest time without an acknowledgement, of any title of those
    regions that were not struck. ``poll_seconds``: the slowest answer to a poll, and
    ``wait_seconds`` to one that may wait 20 seconds. ``whole_seconds``: until all
    copies were complete again.
    """

    fault: str
    primary: int
    struck: int
    gap_seconds: float
    poll_seconds: float
    wait_seconds: float
    whole_seconds: float
    change_count: int
    poll_count: int
    stale_count: int
    unanswered_count: int
    backwards: int
    missing: tuple[str, ...]


@define
class Life:
    """Three replicas, their callers, and what those said."""

    replicas: ThreeReplicas
    entropy: Random
    logs: dict[int, list[Path]] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        computers = [it for region in REGIONS for it in computers_of(region)]
        named = [Identity(Role.COMPUTER, it) for it in computers]
        self.replicas.add_identities(Identity(Role.PERSON, PERSON), *named)
        for region in REGIONS:
            self.start_callers(region)
        programs.eventually(
            lambda: set(judging.acknowledged(self.lines())) >= set(titles()),
            CALLERS_SECONDS_MAX,
            "every title is acknowledged once",
            PROBE_SECONDS,
        )

    def start_callers(self, region: int) -> None:
        last = judging.acknowledged(self.lines())
        # Of the others they are told.
        known = partial(
            Task,
            (self.replicas.url(region),),
            str(self.replicas.regions.home),
            region=replica_name(region),
        )
        asking, waiting = computers_of(region)
        for task in (
            known(computers=(asking,)),
            known(computers=(waiting,), wait_seconds=WAIT_SECONDS),
            known(
                titles=titles_of(region),
                first=1 + max(last.get(it, NOBODY) for it in titles_of(region)),
            ),
        ):
            log = self.replicas.start_callers(region, task)
            self.logs.setdefault(region, []).append(log)

    def lines(self, *regions: int) -> list[Asked]:
        """What callers of these regions said, or of all."""
        return judging.read_lines(
            log for it in regions or REGIONS for log in self.logs.get(it, ())
        )

    def play(self, name: str) -> Outcome:
        """Strike, wait, heal, and judge."""
        primary = self.replicas.regions.primary_region() or NOBODY
        fault = FAULTS[name]
        struck = fault.struck(primary, self.entropy)
        left = [it for it in REGIONS if it != struck]
        pause(BEFORE_SECONDS)
        begun = now()
        undo = fault.strike(self, struck)
        pause(FAULT_SECONDS)
        ended = now()
        undo()
        programs.eventually(
            self.replicas.regions.is_whole, WHOLE_SECONDS_MAX, "whole", PROBE_SECONDS
        )
        whole_seconds = now() - ended
        pause(AFTER_SECONDS)
        until = now()
        # Who is cut off has a replica of its own; who is dead asks nobody.
        asked = self.lines(*(left if fault.strike is kill else REGIONS))
        asking = [it for it in asked if it.who not in waiting_computers()]
        waiting = [it for it in asked if it.who in waiting_computers()]
        within = [it for it in asked if begun < it.answered < until]
        return Outcome(
            name,
            primary,
            struck,
            judging.longest_gap(self.lines(*left), begun, until),
            judging.longest_answer(asking, begun, until),
            judging.longest_answer(waiting, begun, until),
            whole_seconds,
            sum(it.outcome == "acknowledged" for it in within),
            sum(it.kind == "poll" for it in within),
            sum(it.outcome == "stale" for it in within),
            judging.unanswered_count(asked, begun, until),
            len(judging.backwards(self.lines())),
            self.missing(),
        )

    def missing(self) -> tuple[str, ...]:
        """Titles whose last acknowledged number no later document has."""
        known = judging.acknowledged(self.lines())
        since = now()

        def late() -> list[str]:
            newest: dict[str, int] = {}
            for line in self.lines():
                if line.kind == "poll" and line.asked > since:
                    newest[line.who] = line.number
            return [
                title
                for title, number in known.items()
                if newest.get(computer_of(title), NOBODY) < number
            ]

        try:
            programs.eventually(lambda: not late(), CALLERS_SECONDS_MAX, "all seen")
        except AssertionError:
            return tuple(late())
        return ()


def kill(life: Life, region: int) -> Callable[[], None]:
    life.replicas.kill_region(region)

    def start() -> None:
        life.replicas.start_region(region)
        life.replicas.wait_for(region)
        life.start_callers(region)

    return start


def cut(_: Life, region: int) -> Callable[[], None]:
    """Without a word, in both directions; its callers have their own replica."""
    pairs = [(region, it) for it in REGIONS if it != region]
    pairs += [(other, own) for own, other in pairs]
    sever(pairs)
    return lambda: heal(pairs)


@frozen
class Fault:
    """What is done to a region; ``strikes_primary`` when it is the primary's."""

    strike: Callable[[Life, int], Callable[[], None]]
    strikes_primary: bool

    def struck(self, primary: int, entropy: Random) -> int:
        if self.strikes_primary:
            return primary
        return entropy.choice([it for it in REGIONS if it != primary])


FAULTS: dict[str, Fault] = {
    "region of the primary dies": Fault(kill, strikes_primary=True),
    "region dies": Fault(kill, strikes_primary=False),
    "region of the primary is cut off": Fault(cut, strikes_primary=True),
    "region is cut off": Fault(cut, strikes_primary=False),
}


def titles() -> tuple[str, ...]:
    return tuple(title for it in REGIONS for title in titles_of(it))


def titles_of(region: int) -> tuple[str, ...]:
    return (f"tree-{region}", f"tree-{region}0")


def computers_of(region: int) -> tuple[str, str]:
    """One that asks again and again, and one that waits for changes."""
    return f"COMP-{region}", f"COMP-{region}0"


def waiting_computers() -> set[str]:
    return {computers_of(it)[1] for it in REGIONS}


def now() -> float:
    return time.monotonic()  # noqa: TID251 - it measures from outside


def pause(seconds: float) -> None:
    time.sleep(seconds)  # noqa: TID251 - it runs alone


def main() -> None:
    seed, rounds, runs, commit, *chosen = sys.argv[1:]
    entropy, names = Random(int(seed)), chosen or sorted(FAULTS)
    environment = neo_environment()
    make_networks()
    with programs.place_of_evidence("three-replicas-") as home, ExitStack() as stack:
        regions = ThreeRegions(home, environment, stack, Way.STUNNEL)
        life = Life(ThreeReplicas(regions), entropy)
        for _ in range(int(rounds)):
            for name in entropy.sample(names, len(names)):
                outcome = life.play(name)
                told = {"commit": commit, "seed": int(seed), **asdict(outcome)}
                with Path(runs).open("a") as opened:
                    opened.write(json.dumps(told) + "\n")
                sys.stdout.write(json.dumps(told) + "\n")
                sys.stdout.flush()
                assert not outcome.missing, outcome
                assert not outcome.backwards, outcome
        # In no order: a replica whose store stops first would look for it.
        for region in REGIONS:
            life.replicas.kill_region(region)


if __name__ == "__main__":
    main()
