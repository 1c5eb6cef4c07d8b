"""Mixed schedules: several faults at once in three regions, drawn from a seed.

    python -m tests.neo_port.schedules SEED WAY RUNS COMMIT

A client commits in each of two regions all the time. At the end everything is undone;
then it must go on by itself, and the history is checked: what was acknowledged is there
on every copy, no client ever missed what it was told before, all copies are equal. A
line is added to the file ``RUNS``. To be run by root of a namespace: see
``three_regions.APART``.
"""

from __future__ import annotations

import json
import signal
import subprocess  # noqa: TID251 - programs of the regions
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from random import Random

from attrs import asdict, define, field, frozen

from tests import programs
from tests.neo_port.faults import (
    COMMITS_AFTER,
    EQUAL_SECONDS_MAX,
    WHOLE_SECONDS_MAX,
    Committing,
    digest_of,
    first_missing,
)
from tests.neo_port.three_regions import (
    PROBE_SECONDS,
    REGIONS,
    ThreeRegions,
    Way,
    heal,
    make_networks,
    sever,
)
from tests.source_tree import TOP

SCHEDULE_SECONDS = 20.0
EVENT_COUNT_MAX = 8

END_SECONDS_MAX = 10.0
"""Of a program that was killed, whatever its disk does."""


class Verb(StrEnum):
    """What is done to a region, or between two of them; each is undone by its like."""

    KILL_STORAGE = "kill storage"
    KILL_NEO_MASTER = "kill neo_master"
    KILL_BOTH = "kill both"
    STOP_STORAGE = "stop storage"
    STOP_NEO_MASTER = "stop neo_master"
    SEVER = "sever"
    SEVER_ONE_WAY = "sever one way"
    CUT_OFF = "cut off"


@frozen(order=True)
class Event:
    """``at`` and ``lasting`` are seconds; ``other`` is a region for a link, else 0."""

    at: float
    lasting: float
    verb: Verb
    region: int
    other: int = 0


def draw_schedule(entropy: Random) -> tuple[Event, ...]:
    """Return some events that may overlap, by the time when they begin."""
    events = []
    for _ in range(entropy.randint(2, EVENT_COUNT_MAX)):
        verb = entropy.choice(list(Verb))
        region, other = entropy.sample(REGIONS, 2)
        events.append(
            Event(
                at=round(entropy.uniform(0, SCHEDULE_SECONDS), 1),
                # Blinks too: what is noticed by one side alone.
                lasting=round(entropy.choice([0.3, 2.0, 6.0, 12.0]), 1),
                verb=verb,
                region=region,
                other=other if verb in {Verb.SEVER, Verb.SEVER_ONE_WAY} else 0,
            )
        )
    return tuple(sorted(events))


def links_of(event: Event) -> set[tuple[int, int]]:
    """Return what an event severs, from where to where."""
    region, other = event.region, event.other
    if event.verb is Verb.SEVER:
        return {(region, other), (other, region)}
    if event.verb is Verb.SEVER_ONE_WAY:
        return {(region, other)}
    if event.verb is Verb.CUT_OFF:
        others = [it for it in REGIONS if it != region]
        return {pair for it in others for pair in ((it, region), (region, it))}
    return set()


@define
class Stage:
    """The regions, and what is being done to them now."""

    regions: ThreeRegions
    active: list[Event] = field(factory=list)
    _severed: set[tuple[int, int]] = field(factory=set)

    def begin(self, event: Event) -> None:
        self.active.append(event)
        for processes in self._processes_of(event):
            process = processes[event.region]
            if event.verb in {Verb.STOP_STORAGE, Verb.STOP_NEO_MASTER}:
                process.send_signal(signal.SIGSTOP)
            else:
                process.kill()
                # On a busy computer it could be there yet when it is to come back.
                process.wait(END_SECONDS_MAX)
        self._set_links()

    def end(self, event: Event) -> None:
        self.active.remove(event)
        for processes in self._processes_of(event):
            process = processes[event.region]
            process.send_signal(signal.SIGCONT)
            if process.poll() is None:
                continue
            if processes is self.regions.storages:
                self.regions.start_storage(event.region)
            else:
                self.regions.start_neo_master(event.region)
        self._set_links()

    def _processes_of(self, event: Event) -> list[dict[int, subprocess.Popen[bytes]]]:
        storages, neo_masters = self.regions.storages, self.regions.neo_masters
        if event.verb in {Verb.KILL_STORAGE, Verb.STOP_STORAGE}:
            return [storages]
        if event.verb in {Verb.KILL_NEO_MASTER, Verb.STOP_NEO_MASTER}:
            return [neo_masters]
        return [storages, neo_masters] if event.verb is Verb.KILL_BOTH else []

    def _set_links(self) -> None:
        wanted = {link for event in self.active for link in links_of(event)}
        if wanted - self._severed:
            sever(sorted(wanted - self._severed))
        if self._severed - wanted:
            heal(sorted(self._severed - wanted))
        self._severed = wanted


@frozen
class Played:
    """One run; ``stall_seconds``: the longest time that nobody was acknowledged."""

    way: Way
    events: tuple[Event, ...]
    commit_count: int
    stall_seconds: float
    healed_seconds: float
    missing: int | None
    backwards: int


def play_schedule(
    stage: Stage,
    events: tuple[Event, ...],
    whole_seconds_max: float = WHOLE_SECONDS_MAX,
) -> Played:
    """Play all of it, undo all of it, and check the history."""

    def act() -> None:
        begun = time.monotonic()  # noqa: TID251 - the clock of the committers
        for at, begins, event in moments_of(events):
            time.sleep(max(0.0, begun + at - time.monotonic()))  # noqa: TID251
            (stage.begin if begins else stage.end)(event)

    return play_act(stage.regions, events, act, whole_seconds_max=whole_seconds_max)


def moments_of(events: Iterable[Event]) -> list[tuple[float, bool, Event]]:
    """Return when each event begins, and when it ends."""
    return sorted(
        [(event.at, True, event) for event in events]
        + [(event.at + event.lasting, False, event) for event in events]
    )


def play_act(
    regions: ThreeRegions,
    events: tuple[Event, ...],
    act: Callable[[], object],
    homes: Iterable[int] = (1, 3),
    whole_seconds_max: float = WHOLE_SECONDS_MAX,
) -> Played:
    """Do something and undo it while clients commit, and check the history."""
    clients = [Committing(regions, it, 0, f"of-{it}") for it in homes]
    with ExitStack() as stack:
        for client in clients:
            stack.enter_context(client.running())
            # One after the other: the first one makes the root of the database.
            client.wait_for(0.0, COMMITS_AFTER)
        act()
        undone = time.monotonic()  # noqa: TID251 - the clock of the committers
        programs.eventually(
            regions.is_whole, whole_seconds_max, "all copies", PROBE_SECONDS
        )
        whole = time.monotonic()  # noqa: TID251
        for client in clients:
            client.wait_for(whole, COMMITS_AFTER)
    rows = sorted(row for client in clients for row in client.acknowledged())
    gaps = [later[0] - earlier[0] for earlier, later in pairwise(rows)]
    databases = [regions.database(it) for it in REGIONS]
    programs.eventually(
        lambda: len(set(map(digest_of, databases))) == 1, EQUAL_SECONDS_MAX, "equal"
    )
    return Played(
        regions.way,
        events,
        len(rows),
        max(gaps),
        whole - undone,
        first_missing(clients),
        sum(client.backwards_count for client in clients),
    )


def main() -> None:
    seed, way, runs, commit = sys.argv[1:]
    make_networks()
    events = draw_schedule(Random(int(seed)))
    with programs.place_of_evidence("schedule-") as home, ExitStack() as stack:
        regions = ThreeRegions(home, TOP / "bin", stack, Way(way))
        played = play_schedule(Stage(regions), events)
    told = {"commit": commit, "seed": int(seed), **asdict(played)}
    line = json.dumps(told) + "\n"
    with Path(runs).open("a") as opened:
        opened.write(line)
    sys.stdout.write(line)
    assert played.missing is None, played
    assert not played.backwards, played


if __name__ == "__main__":
    main()
