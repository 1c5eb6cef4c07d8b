"""What is done to three regions that commit, and how long nothing was acknowledged.

A run is one fault and its end: commits have to go on by themselves while it lasts, all
have to be complete copies again after it, and each acknowledged number has to be there.
"""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from hashlib import sha256
from itertools import combinations, pairwise
from pathlib import Path
from random import Random

from attrs import define, field, frozen

from tests import programs
from tests.neo_port.three_regions import (
    REGIONS,
    ThreeRegions,
    Way,
    heal,
    inside,
    sever,
)

SILENCE_SECONDS = 8
COMMITS_BEFORE = COMMITS_AFTER = 20
GOES_ON_SECONDS_MAX = 60
"""Long enough to give a figure to what is too slow."""

WHOLE_SECONDS_MAX = 120
EQUAL_SECONDS_MAX = 30
"""The last transaction is unlocked within a second on each storage node."""

COMMITTER = Path(__file__).with_name("committer.py")


@frozen
class Outcome:
    """One run. ``gap_seconds``: the longest time between two acknowledged commits."""

    fault: str
    way: Way
    gap_seconds: float
    whole_seconds: float
    commit_count: int
    missing: int | None


@define
class Committing:
    """A client in a region that never stops; ``log`` is what it said.

    ``key`` names its numbers: clients of one key go on from each other.
    """

    regions: ThreeRegions
    region: int
    first: int
    key: str = "numbers"
    log: Path = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.log = self.regions.home / f"committer-{self.key}-{self.first}.log"

    def _argv(self, word: str) -> tuple[str, ...]:
        of_client = (
            self.regions.master_nodes,
            str(SILENCE_SECONDS),
            self.regions.translated(self.region),
            " ".join(self.regions.tls_files),
        )
        python = str(self.regions.bin / "python")
        return inside(self.region, (python, str(COMMITTER), *of_client, self.key, word))

    @contextmanager
    def running(self) -> Iterator[None]:
        with programs.running(self._argv(str(self.first)), self.log):
            yield

    def acknowledged(self) -> list[tuple[float, int]]:
        """When, and which number."""
        rows = (line.split() for line in self.log.read_text().splitlines())
        whole = (row for row in rows if row[:1] == ["acknowledged"] and len(row) == 3)
        return [(float(at), int(number)) for _, at, number in whole]

    def wait_for(self, since: float, count: int) -> None:
        programs.eventually(
            lambda: sum(at > since for at, _ in self.acknowledged()) >= count,
            GOES_ON_SECONDS_MAX,
            "commits go on",
        )

    def first_missing(self) -> tuple[int, int | None]:
        """How many numbers a new client reads, and the first one that is missing."""
        done = programs.run(self._argv("read"), timeout_seconds=GOES_ON_SECONDS_MAX)
        _, count, missing = done.stdout.split()
        return int(count), None if missing == "None" else int(missing)


@define
class Situation:
    """What a fault may choose from."""

    regions: ThreeRegions
    entropy: Random
    primary: int
    client: int

    def other(self) -> int:
        """A region that has neither the primary nor the client."""
        free = [it for it in REGIONS if it not in (self.primary, self.client)]
        return self.entropy.choice(free)


Undo = Callable[[], None]
Fault = Callable[[Situation], Undo]


def kill_storage(situation: Situation) -> Undo:
    region = situation.entropy.choice(REGIONS)
    regions = situation.regions
    regions.storages[region].send_signal(signal.SIGKILL)
    return lambda: regions.start_storage(region)


def kill_primary(situation: Situation) -> Undo:
    regions, region = situation.regions, situation.primary
    regions.neo_masters[region].send_signal(signal.SIGKILL)
    return lambda: regions.start_neo_master(region)


def kill_region(situation: Situation) -> Undo:
    """All programs of the region of the primary."""
    regions, region = situation.regions, situation.primary
    for process in (regions.storages[region], regions.neo_masters[region]):
        process.send_signal(signal.SIGKILL)

    def start() -> None:
        regions.start_neo_master(region)
        regions.start_storage(region)

    return start


def stop_storage(situation: Situation) -> Undo:
    process = situation.regions.storages[situation.entropy.choice(REGIONS)]
    process.send_signal(signal.SIGSTOP)
    return lambda: process.send_signal(signal.SIGCONT)


def stop_primary(situation: Situation) -> Undo:
    process = situation.regions.neo_masters[situation.primary]
    process.send_signal(signal.SIGSTOP)
    return lambda: process.send_signal(signal.SIGCONT)


def cut(situation: Situation) -> Undo:
    region = situation.other()
    others = [it for it in REGIONS if it != region]
    return _severed([p for it in others for p in ((it, region), (region, it))])


def cut_primary(situation: Situation) -> Undo:
    region = situation.primary
    others = [it for it in REGIONS if it != region]
    return _severed([p for it in others for p in ((it, region), (region, it))])


def cut_between(situation: Situation) -> Undo:
    """Two of three do not reach each other; both reach the third.

    A client that is cut from the primary alone would have to wait.
    """
    pairs = combinations(REGIONS, 2)
    client_and_primary = {situation.client, situation.primary}
    first, second = situation.entropy.choice(
        [pair for pair in pairs if set(pair) != client_and_primary]
    )
    return _severed([(first, second), (second, first)])


def cut_towards(situation: Situation) -> Undo:
    region = situation.other()
    return _severed([(it, region) for it in REGIONS if it != region])


def cut_from(situation: Situation) -> Undo:
    region = situation.other()
    return _severed([(region, it) for it in REGIONS if it != region])


def _severed(pairs: list[tuple[int, int]]) -> Undo:
    sever(pairs)
    return lambda: heal(pairs)


FAULTS: Mapping[str, Fault] = {
    "storage node killed": kill_storage,
    "primary killed": kill_primary,
    "storage node stopped": stop_storage,
    "primary stopped": stop_primary,
    "region of the primary killed": kill_region,
    "region of the primary cut off": cut_primary,
    "two regions cut from each other": cut_between,
    "region cut off": cut,
    "region that hears nobody": cut_towards,
    "region that nobody hears": cut_from,
}


def play(regions: ThreeRegions, name: str, entropy: Random, first: int) -> Outcome:
    """One run of a fault of ``FAULTS``: see ``play_fault``."""
    return play_fault(regions, name, FAULTS[name], entropy, first)


def play_fault(
    regions: ThreeRegions, name: str, fault: Fault, entropy: Random, first: int
) -> Outcome:
    """One run; ``first`` is the number that comes after all that were committed."""
    primary = regions.primary_region()
    assert primary is not None, "there is no primary"
    # In the region of the primary a client may be cut off with it.
    outside = [it for it in REGIONS if it != primary]
    committing = Committing(regions, entropy.choice(outside), first)
    with committing.running():
        committing.wait_for(0.0, COMMITS_BEFORE)
        begun = time.monotonic()  # noqa: TID251 - the clock of the committer
        undo = fault(Situation(regions, entropy, primary, committing.region))
        try:
            # What was on its way is acknowledged within a second, the rest without.
            committing.wait_for(begun + 1, COMMITS_AFTER)
        finally:
            undo()
        undone = time.monotonic()  # noqa: TID251
        programs.eventually(regions.is_whole, WHOLE_SECONDS_MAX, "all copies")
        whole = time.monotonic()  # noqa: TID251
        committing.wait_for(whole, COMMITS_AFTER)
    assert "backwards" not in committing.log.read_text(), committing.log
    rows = committing.acknowledged()
    count, missing = committing.first_missing()
    last = rows[-1][1]
    if missing is None and count <= last:
        missing = count
    return Outcome(
        name,
        regions.way,
        max(later[0] - earlier[0] for earlier, later in pairwise(rows)),
        whole - undone,
        last + 1 - first,
        missing,
    )


def digest_of(database: Path) -> str:
    """Each revision with its data, in whatever order a storage node has them."""
    opened = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    with closing(opened) as connection:
        rows = connection.execute(
            "SELECT oid, tid, hash, compression, value, value_tid FROM obj"
            " LEFT JOIN data ON obj.data_id = data.id ORDER BY oid, tid"
        ).fetchall()
        transactions = connection.execute(
            "SELECT tid, oids, user, description, ext FROM trans ORDER BY tid"
        ).fetchall()
    return sha256(repr((rows, transactions)).encode()).hexdigest()
