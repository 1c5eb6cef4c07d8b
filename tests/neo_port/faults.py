"""What is done to three regions that commit, and how long nothing was acknowledged.

A run is one fault and its end: commits have to go on by themselves while it lasts, all
have to be complete copies again after it, and each acknowledged number has to be there.
"""

from __future__ import annotations

import signal
import sqlite3
import subprocess  # noqa: TID251 - what is stopped
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from hashlib import sha256
from itertools import combinations, pairwise
from pathlib import Path
from random import Random
from subprocess import Popen  # noqa: TID251 - what runs

from attrs import define, field, frozen

from tests import programs
from tests.neo_port.three_regions import (
    PROBE_SECONDS,
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
MISSED_SECONDS_MAX = 40
"""Silence, and another primary where the links of the old one are stopped."""

EQUAL_SECONDS_MAX = 30
"""The last transaction is unlocked within a second on each storage node."""

ON_ITS_WAY_SECONDS = 1.0
"""What was on its way when a fault began is acknowledged within that."""

FLAPPING_SECONDS = 20.0
FLAP_SECONDS = (0.3, 10.0)
"""For less and for more than silence lasts."""

RECOVERY_SECONDS = 4.0
"""After a kill of the primary, a recovery begins and ends within that."""

COMMITTER = Path(__file__).with_name("committer.py")
LOGGED = Path(__file__).with_name("logged.py")
READ = "read"


@frozen
class Outcome:
    """One run. ``gap_seconds``: the longest time between two acknowledged commits.

    ``alone_count``: what a client was acknowledged in a region that was left alone.
    """

    fault: str
    way: Way
    gap_seconds: float
    whole_seconds: float
    commit_count: int
    missing: int | None
    alone_count: int


@define
class Committing:
    """A client in a region that never stops; ``log`` is what it said.

    ``key`` names its numbers: clients of one key go on from each other. ``neo_log`` is
    a file for what NEO writes in it.
    """

    regions: ThreeRegions
    region: int
    first: int
    key: str = "numbers"
    neo_log: Path | None = None
    log: Path = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.log = self.regions.home / f"committer-{self.key}-{self.first}.log"

    def argv(self, word: str) -> tuple[str, ...]:
        """The program of this client; ``word`` is its last one."""
        of_client = (
            self.regions.master_nodes,
            str(SILENCE_SECONDS),
            self.regions.translated(self.region),
            " ".join(self.regions.tls_files),
        )
        program = [str(self.regions.bin / "python")]
        if self.neo_log is not None and word != READ:
            program += [str(LOGGED), str(self.neo_log)]
        argv = (*program, str(COMMITTER), *of_client, self.key, word)
        return inside(self.region, argv)

    @contextmanager
    def running(self) -> Iterator[Popen[bytes]]:
        with programs.running(self.argv(str(self.first)), self.log) as program:
            yield program

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

    def missing(self) -> int | None:
        """The first number that was acknowledged, or comes before, and is not there."""
        done = programs.run(self.argv(READ), timeout_seconds=GOES_ON_SECONDS_MAX)
        _, count, missing = done.stdout.split()
        if missing != "None":
            return int(missing)
        return int(count) if int(count) <= self.acknowledged()[-1][1] else None

    @property
    def backwards_count(self) -> int:
        """How often this client missed what it had been told before."""
        return self.log.read_text().count("backwards")


@define
class Situation:
    """What a fault may choose from."""

    regions: ThreeRegions
    entropy: Random
    primary: int
    client: int
    alone: int = 0
    """The region that a fault of ``ALONE`` leaves alone."""

    def without_client(self) -> int:
        return self.entropy.choice([it for it in REGIONS if it != self.client])

    def without_both(self) -> int:
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


def stop_follower(situation: Situation) -> Undo:
    """A neo_master that is not the primary."""
    region = _any_but(situation, situation.primary)
    return _stop(situation, situation.regions.neo_masters[region], "MASTER")


def stop_admin_node(situation: Situation) -> Undo:
    region = _any_but(situation, situation.client)
    return _stop(situation, situation.regions.admin_nodes[region], "ADMIN")


def stop_tunnel(situation: Situation) -> Undo:
    """All links of a region; a client of that region could do nothing."""
    region = _any_but(situation, situation.client)
    return _stop(situation, situation.regions.tunnels[region], "STORAGE")


def _any_but(situation: Situation, region: int) -> int:
    return situation.entropy.choice([it for it in REGIONS if it != region])


def _stop(situation: Situation, process: subprocess.Popen[bytes], missed: str) -> Undo:
    """Stop a process; nobody waits for it, so it goes on when a node is missed."""
    process.send_signal(signal.SIGSTOP)

    def is_missed() -> bool:
        known = situation.regions.tell(situation.client, "print", "node")
        rows = [it.split() for it in known.splitlines()]
        running = [it for it in rows if missed in it and "RUNNING" in it]
        return bool(rows) and len(running) < len(REGIONS)

    def undo() -> None:
        try:
            programs.eventually(is_missed, MISSED_SECONDS_MAX, "it is missed")
        finally:
            process.send_signal(signal.SIGCONT)

    return undo


def cut(situation: Situation) -> Undo:
    return _cut_off(situation.alone)


def cut_towards(situation: Situation) -> Undo:
    alone = situation.alone
    return _severed([(it, alone) for it in REGIONS if it != alone])


def cut_from(situation: Situation) -> Undo:
    alone = situation.alone
    return _severed([(alone, it) for it in REGIONS if it != alone])


def flap(situation: Situation) -> Undo:
    """A region comes and goes."""
    region = situation.without_client()
    deadline = time.monotonic() + FLAPPING_SECONDS  # noqa: TID251
    while time.monotonic() < deadline:  # noqa: TID251
        undo = _cut_off(region)
        time.sleep(situation.entropy.uniform(*FLAP_SECONDS))  # noqa: TID251
        undo()
        time.sleep(situation.entropy.uniform(*FLAP_SECONDS))  # noqa: TID251
    return lambda: None


def cut_recovery(situation: Situation) -> Undo:
    """The primary is killed, and its region or another is cut off soon after."""
    start = kill_primary(situation)
    time.sleep(situation.entropy.uniform(0, RECOVERY_SECONDS))  # noqa: TID251
    join = _cut_off(situation.without_client())

    def undo() -> None:
        join()
        start()

    return undo


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


def _cut_off(region: int) -> Undo:
    others = [it for it in REGIONS if it != region]
    return _severed([p for it in others for p in ((it, region), (region, it))])


def _severed(pairs: list[tuple[int, int]]) -> Undo:
    sever(pairs)
    return lambda: heal(pairs)


FAULTS: Mapping[str, Fault] = {
    "storage node killed": kill_storage,
    "primary killed": kill_primary,
    "storage node stopped": stop_storage,
    "primary stopped": stop_primary,
    "region of the primary killed": kill_region,
    "region of the primary cut off": cut,
    "two regions cut from each other": cut_between,
    "region cut off": cut,
    "region that hears nobody": cut_towards,
    "region that nobody hears": cut_from,
    "region that flaps": flap,
    "region cut off during recovery": cut_recovery,
}

ALONE: Mapping[str, Callable[[Situation], int]] = {
    "region of the primary cut off": lambda situation: situation.primary,
    "region cut off": Situation.without_both,
    "region that hears nobody": Situation.without_client,
    "region that nobody hears": Situation.without_client,
}
"""Faults that leave a region alone, and which one: it must not acknowledge anything."""


OTHER_STOPS: Mapping[str, Fault] = {
    "follower stopped": stop_follower,
    "admin node stopped": stop_admin_node,
    "stunnel stopped": stop_tunnel,
}
"""Processes that nobody waits for, and one that only ``Way.STUNNEL`` has."""


def play(regions: ThreeRegions, name: str, entropy: Random, first: int) -> Outcome:
    """One run of a fault of ``FAULTS`` or ``OTHER_STOPS``: see ``play_fault``."""
    fault = {**FAULTS, **OTHER_STOPS}[name]
    return play_fault(regions, name, fault, entropy, first)


def play_fault(
    regions: ThreeRegions, name: str, fault: Fault, entropy: Random, first: int
) -> Outcome:
    """One run; ``first`` is the number that comes after all that were committed."""
    primary = regions.primary_region()
    assert primary is not None, "there is no primary"
    # In the region of the primary a client may be cut off with it.
    client = entropy.choice([it for it in REGIONS if it != primary])
    situation = Situation(regions, entropy, primary, client)
    committing = Committing(regions, client, first)
    clients = [committing]
    with ExitStack() as running:
        running.enter_context(committing.running())
        committing.wait_for(0.0, COMMITS_BEFORE)
        if name in ALONE:
            situation.alone = ALONE[name](situation)
            lonely = Committing(regions, situation.alone, 0, f"alone-{first}")
            clients.append(lonely)
            running.enter_context(lonely.running())
            lonely.wait_for(0.0, COMMITS_BEFORE)
        begun = time.monotonic()  # noqa: TID251 - the clock of the committers
        undo = fault(situation)
        try:
            committing.wait_for(begun + ON_ITS_WAY_SECONDS, COMMITS_AFTER)
        finally:
            undone = time.monotonic()  # noqa: TID251
            undo()
        programs.eventually(
            regions.is_whole, WHOLE_SECONDS_MAX, "all copies", PROBE_SECONDS
        )
        whole = time.monotonic()  # noqa: TID251
        for each in clients:
            each.wait_for(whole, COMMITS_AFTER)
    assert not any(each.backwards_count for each in clients), clients
    rows = committing.acknowledged()
    meanwhile = (begun + ON_ITS_WAY_SECONDS, undone)
    return Outcome(
        name,
        regions.way,
        max(later[0] - earlier[0] for earlier, later in pairwise(rows)),
        whole - undone,
        rows[-1][1] + 1 - first,
        first_missing(clients),
        sum(
            meanwhile[0] < at < meanwhile[1]
            for lonely in clients[1:]
            for at, _ in lonely.acknowledged()
        ),
    )


def first_missing(clients: Iterable[Committing]) -> int | None:
    return next((it for each in clients if (it := each.missing()) is not None), None)


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
