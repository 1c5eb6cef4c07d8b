"""What is done to three regions whose hooks lack a safeguard, and what is seen then.

    python -m tests.neo_port.hook_scenarios SCENARIO MUTANT RUNS COMMIT

``MUTANT`` is one of ``hook_mutants``, or empty: the programs as they are. A line is
added to the file ``RUNS``; what was seen is empty when all held. To be run by root of a
namespace: see ``three_regions.APART``.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess  # noqa: TID251 - programs of the regions
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path

from attrs import define, field

from labsim.mutants.mutant import Change
from replication.observation import decode_table_id, region_of
from tests import programs
from tests.neo_port.faults import (
    EQUAL_SECONDS_MAX,
    Committing,
    digest_of,
)
from tests.neo_port.hook_mutants import STORAGE_NODE, named_mutant
from tests.neo_port.schedules import (
    Event,
    Played,
    Stage,
    Verb,
    play_act,
    play_schedule,
)
from tests.neo_port.three_regions import (
    REGIONS,
    ThreeRegions,
    Way,
    heal,
    inside,
    make_networks,
    sever,
)
from tests.source_tree import TOP

HELD_CLIENT = Path(__file__).with_name("held_client.py")
STEP_SECONDS_MAX = 30
TRIES = 5
"""Within a second a storage node commits by itself."""

WHOLE_SECONDS_MAX = 40
"""Ten would do; a mutant that stalls is waited for so long."""

NOTICED_SECONDS = 3.0
"""Below the silence after which a stopped program is left: 8 s."""

SENT_SECONDS = 0.5
"""What was sent on a network of this computer is there."""

CUT_SECONDS = 15.0
"""Both sides have noticed, and one goes on."""

STANDINGS = ("RUNNING", "DOWN", "PENDING")
"""Words of NEO for a storage node."""

HOMES = (1, 3)
"""Where clients are."""

DAY_SECONDS = 86_400.0

HALT = "__import__('os').kill(__import__('os').getpid(), 19)\n"
"""A program stops itself where it would be hard to hit."""


class Unplayable(Exception):
    """What the scenario is about did not come about: nothing is seen or not seen."""


def halted(path: str, before: str) -> Change:
    """Return the change that stops a program before a line."""
    indent = before[: len(before) - len(before.lstrip())]
    return Change(path, before, indent + HALT + before)


@define
class Held:
    """A client with a transaction that is voted."""

    log: Path
    sign: Path
    process: subprocess.Popen[bytes]

    def said(self, word: str) -> str:
        lines = self.log.read_text().splitlines()
        return next((it for it in lines if it.startswith(word)), "")

    def wait_for(self, word: str) -> str:
        programs.eventually(lambda: self.said(word), STEP_SECONDS_MAX, word)
        return self.said(word)

    @property
    def is_acknowledged(self) -> bool:
        return bool(self.said("acknowledged"))

    @property
    def name(self) -> bytes:
        """The description of the transaction: ids may repeat."""
        return str(self.sign).encode()

    def has_ended(self) -> bool:
        return self.is_acknowledged or bool(self.said("failed"))


@define
class Stand:
    """The regions, and short words for what is done to them."""

    regions: ThreeRegions
    stack: ExitStack
    _count: int = field(default=0, init=False)

    @property
    def home(self) -> Path:
        return self.regions.home

    def primary(self) -> int:
        return programs.eventually(
            self.regions.primary_region, STEP_SECONDS_MAX, "a primary"
        )

    def hold(self, region: int) -> Held:
        self._count += 1
        sign = self.home / f"sign-{self._count}"
        log = self.home / f"held-{self._count}.log"
        argv: tuple[str, ...] = (str(self.regions.bin / "python"), str(HELD_CLIENT))
        # It is stopped for a while, and must not take that for silence.
        argv += (self.regions.master_nodes, str(STEP_SECONDS_MAX * 4))
        argv += (self.regions.translated(region), "", str(sign))
        process = self.stack.enter_context(programs.running(inside(region, argv), log))
        held = Held(log, sign, process)
        held.wait_for("voted")
        return held

    def hold_until_acknowledged(self, region: int) -> Held:
        held = self.hold(region)
        held.sign.touch()
        held.wait_for("acknowledged")
        return held

    def signal_storages(self, number: int, *regions: int) -> None:
        for region in regions:
            self.regions.storages[region].send_signal(number)

    def kill_storages(self, *regions: int) -> None:
        self.signal_storages(signal.SIGKILL, *regions)

    def start_storages(self, *regions: int) -> None:
        for region in regions:
            self.regions.storages[region].wait()
            self.regions.start_storage(region)

    def restart_neo_masters(self) -> None:
        for region in REGIONS:
            self.regions.neo_masters[region].send_signal(signal.SIGKILL)
            self.regions.neo_masters[region].wait()
            self.regions.start_neo_master(region)

    def storage_standing(self, region: int) -> str:
        """What the primary says of the storage node of a region."""
        known = self.regions.tell(self.primary(), "print", "node")
        for row in map(str.split, known.splitlines()):
            if "STORAGE" in row and f"fd00:{region}::1" in " ".join(row):
                return next((it for it in STANDINGS if it in row), "")
        return ""

    def wait_for_standing(self, region: int, standing: str) -> None:
        programs.eventually(
            lambda: self.storage_standing(region) == standing,
            STEP_SECONDS_MAX,
            f"{region} is {standing}",
        )

    def wait_until_whole(self) -> None:
        programs.eventually(self.regions.is_whole, WHOLE_SECONDS_MAX, "all copies")

    def digests(self) -> set[str]:
        return {digest_of(self.regions.database(it)) for it in REGIONS}

    def wait_until_equal(self) -> None:
        programs.eventually(
            lambda: len(self.digests()) == 1, EQUAL_SECONDS_MAX, "equal copies"
        )

    def ask_database(self, region: int, question: str) -> list[tuple[int, ...]]:
        path = self.regions.database(region)
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as opened:
            return opened.execute(question).fetchall()

    def has_locked(self, region: int) -> bool:
        """Whether a transaction is locked on its disk, and not committed."""
        locked = "SELECT 1 FROM ttrans WHERE tid IS NOT NULL"
        return bool(self.ask_database(region, locked))

    def epoch_of(self, region: int) -> int:
        ((found,),) = self.ask_database(
            region, "SELECT value FROM config WHERE name='ptid'"
        )
        return decode_table_id(int(found))[0].epoch

    def is_halted(self, region: int) -> bool:
        return is_stopped(self.regions.storages[region].pid)


def is_stopped(pid: int) -> bool:
    """Whether a program is stopped by a signal, itself or what it runs."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


def judged(
    stand: Stand, play: Callable[[], Played], homes: tuple[int, ...] = HOMES
) -> str:
    """Play, and return what the history lacks."""
    try:
        played = play()
    except AssertionError as error:
        return after_stall(stand, homes, error)
    if played.missing is not None:
        return f"missing: {played.missing} is the first one"
    return "backwards" if played.backwards else ""


def after_stall(stand: Stand, homes: tuple[int, ...], error: AssertionError) -> str:
    """Start who ended and all neo_masters anew, and return what is missing then."""
    seen = str(error).splitlines()[0]
    ended = [it for it in REGIONS if stand.regions.storages[it].poll() is not None]
    stand.start_storages(*ended)
    # Two that run do not look for each other.
    stand.restart_neo_masters()
    for region in homes:
        client = Committing(stand.regions, region, 0, f"of-{region}")
        last = client.acknowledged()[-1][1]
        try:
            first = client.missing()
        except subprocess.TimeoutExpired:
            return f"stalled: {seen}"
        if first is not None:
            return f"missing: {first} is the first one of {last + 1}"
    return f"stalled: {seen}, {len(ended)} storage nodes ended"


def all_at_once(stand: Stand) -> str:
    """What was acknowledged a moment ago is locked, and not committed yet."""
    for _ in range(TRIES):
        held = stand.hold_until_acknowledged(1)
        stand.kill_storages(*REGIONS)
        is_locked = all(map(stand.has_locked, REGIONS))
        stand.start_storages(*REGIONS)
        seen = judge_held(stand, held)
        if seen or is_locked:
            return seen
    raise Unplayable("each time it was committed before")


def play_events(stand: Stand, events: tuple[Event, ...]) -> Played:
    return play_schedule(Stage(stand.regions), events, WHOLE_SECONDS_MAX)


def minority_first(stand: Stand) -> str:
    """A region is away while others commit, then it is there alone, then all are."""
    events = (
        Event(0.0, 10.0, Verb.KILL_BOTH, 1),
        Event(8.0, 12.0, Verb.KILL_BOTH, 2),
        Event(8.0, 12.0, Verb.KILL_BOTH, 3),
    )
    return judged(stand, lambda: play_events(stand, events))


def primary_cut_off(stand: Stand) -> str:
    """The client of its region, too."""
    primary = stand.primary()
    others = [it for it in REGIONS if it != primary]
    links = [pair for it in others for pair in ((it, primary), (primary, it))]

    def act() -> None:
        sever(links)
        time.sleep(CUT_SECONDS)  # noqa: TID251 - as an event of a schedule
        heal(links)

    homes = (primary, others[0])
    return judged(stand, lambda: play_to_the_end(stand, act, homes), homes)


def play_to_the_end(
    stand: Stand, act: Callable[[], None], homes: tuple[int, ...] = HOMES
) -> Played:
    return play_act(stand.regions, (), act, homes, WHOLE_SECONDS_MAX)


def back_in_transaction(stand: Stand) -> str:
    """A storage node that comes during a transaction stands where a locker is lost.

    What was acknowledged has to be on a majority: those two recover without the third.
    """
    held, (first, second, third) = lose_locker(stand)
    stand.kill_storages(first, second)
    stand.restart_neo_masters()
    stand.start_storages(second, third)
    stand.wait_for_standing(third, "RUNNING")
    stand.start_storages(first)
    return judge_held(stand, held)


def in_doubt(stand: Stand) -> str:
    """As before, but who locked lives on."""
    held, (_, second, third) = lose_locker(stand)
    stand.signal_storages(signal.SIGCONT, second)
    stand.start_storages(third)
    return judge_held(stand, held)


def lose_locker(stand: Stand) -> tuple[Held, tuple[int, ...]]:
    """One has locked, one came too late and is stopped, one is lost."""
    first = stand.primary()
    second, third = (it for it in REGIONS if it != first)
    stand.kill_storages(second)
    stand.wait_for_standing(second, "DOWN")
    held = stand.hold(first)
    stand.start_storages(second)
    stand.wait_for_standing(second, "RUNNING")
    stand.signal_storages(signal.SIGSTOP, second, third)
    held.sign.touch()
    programs.eventually(
        lambda: stand.has_locked(first), STEP_SECONDS_MAX, "the first one has locked"
    )
    stand.kill_storages(third)
    noticed = time.monotonic() + NOTICED_SECONDS  # noqa: TID251
    while time.monotonic() < noticed and not held.has_ended():  # noqa: TID251
        time.sleep(0.05)  # noqa: TID251 - an acknowledgement has so long to come
    return held, (first, second, third)


def judge_held(stand: Stand, held: Held) -> str:
    stand.wait_until_whole()
    programs.eventually(held.has_ended, STEP_SECONDS_MAX, "the client was answered")
    stand.wait_until_equal()
    if held.is_acknowledged:
        for region in REGIONS:
            named = f"SELECT 1 FROM trans WHERE description=x'{held.name.hex()}'"
            if not stand.ask_database(region, named):
                return f"missing in region {region}: what was acknowledged"
    return ""


def one_of_two(stand: Stand) -> str:
    """A recovery is interrupted when one participant has the new table.

    That one is out of date; the other has what was acknowledged last, and only locked.
    """
    behind, last, away = REGIONS
    stand.kill_storages(behind)
    stand.wait_for_standing(behind, "DOWN")
    held = stand.hold_until_acknowledged(away)
    stand.kill_storages(last, away)
    if not stand.has_locked(last):
        raise Unplayable("it was committed before")
    known = stand.epoch_of(last)
    kept = stand.regions.changes
    adopting = "        table = view_table(ptid, row_list)\n"
    stand.regions.changes = (*kept, halted(STORAGE_NODE, adopting))
    stand.start_storages(last)
    stand.regions.changes = kept
    stand.start_storages(behind)
    programs.eventually(
        lambda: stand.is_halted(last) and stand.epoch_of(behind) > known,
        STEP_SECONDS_MAX,
        "one of two has the table",
    )
    stand.kill_storages(last)
    stand.start_storages(last)
    stand.wait_for_standing(last, "RUNNING")
    stand.start_storages(away)
    return judge_held(stand, held)


def id_of_lost(stand: Stand) -> str:
    """All clocks go back by a day, so that an id is the last one and one.

    A client waits for the end of a transaction that is lost with its primary; another
    one commits; the first one asks what became of its own.
    """
    stand.regions.offsets = dict.fromkeys(REGIONS, -DAY_SECONDS)
    # The last id is of before.
    stand.hold_until_acknowledged(1)
    stand.restart_neo_masters()
    stand.wait_until_whole()
    primary = stand.primary()
    waiting = stand.hold(next(it for it in REGIONS if it != primary))
    stand.regions.neo_masters[primary].send_signal(signal.SIGSTOP)
    waiting.sign.touch()
    waiting.wait_for("finishing")
    time.sleep(SENT_SECONDS)  # noqa: TID251 - nobody tells that it was sent
    waiting.process.send_signal(signal.SIGSTOP)
    stand.restart_neo_masters()
    stand.wait_until_whole()
    stand.hold_until_acknowledged(1)
    waiting.process.send_signal(signal.SIGCONT)
    return judge_held(stand, waiting)


def lost_disk(stand: Stand) -> str:
    """An empty database is started where a lost one was."""
    region = next(it for it in REGIONS if it != stand.primary())
    before = holders(stand)
    lose_disk(stand, region)
    stand.start_storages(region)
    programs.eventually(
        lambda: storages_of(stand, region) - before,
        STEP_SECONDS_MAX,
        "another one is known",
    )
    time.sleep(NOTICED_SECONDS)  # noqa: TID251 - what would be wrong has so long
    after = holders(stand)
    return "" if after == before else "a holder that nobody decided on"


def empty_disk(stand: Stand) -> str:
    """It says that it has the number of the lost one."""
    region = next(it for it in REGIONS if it != stand.primary())
    (own,) = (it for it in holders(stand) if region_of(it) == region)
    lose_disk(stand, region)
    stand.regions.storages[region].wait()
    stand.regions.start_storage(region, "--nid", str(own))
    time.sleep(NOTICED_SECONDS)  # noqa: TID251 - what would be wrong has so long
    standing = stand.storage_standing(region)
    return "" if standing == "DOWN" else f"a storage node without a promise: {standing}"


def lose_disk(stand: Stand, region: int) -> None:
    stand.kill_storages(region)
    stand.wait_for_standing(region, "DOWN")
    for path in stand.home.glob(f"{region}.sqlite*"):
        path.unlink()


def holders(stand: Stand) -> set[int]:
    """Whom the primary's table has."""
    lines = stand.regions.tell(stand.primary(), "print", "pt").splitlines()
    return {int(it.split()[0][1:]) for it in lines if it.startswith("S")}


def storages_of(stand: Stand, region: int) -> set[int]:
    lines = stand.regions.tell(stand.primary(), "print", "node").splitlines()
    found = {int(it.split()[0][1:]) for it in lines if it.startswith("S")}
    return {it for it in found if region_of(it) == region}


SCENARIOS: Mapping[str, Callable[[Stand], str]] = {
    "all storage nodes at once": all_at_once,
    "a minority comes first": minority_first,
    "the primary is cut off with a client": primary_cut_off,
    "back in a transaction": back_in_transaction,
    "in doubt": in_doubt,
    "a table reaches one of two": one_of_two,
    "an id of a lost transaction": id_of_lost,
    "a disk is lost": lost_disk,
    "an empty disk": empty_disk,
}


def see(scenario: str, changes: tuple[Change, ...]) -> str:
    """Return what was wrong in the end, or nothing."""
    make_networks()
    with (
        tempfile.TemporaryDirectory(prefix="hooks-") as home,
        ExitStack() as stack,
    ):
        regions = ThreeRegions(
            Path(home), TOP / "bin", stack, Way.DIRECT, changes=changes
        )
        try:
            return SCENARIOS[scenario](Stand(regions, stack))
        except (AssertionError, subprocess.TimeoutExpired) as error:
            return f"stalled: {error}".splitlines()[0]


def main() -> None:
    scenario, mutant, runs, commit = sys.argv[1:]
    changes = named_mutant(mutant).changes if mutant else ()
    begun = time.monotonic()  # noqa: TID251
    seen = see(scenario, changes)
    seconds = round(time.monotonic() - begun)  # noqa: TID251
    told = {"commit": commit, "scenario": scenario, "mutant": mutant, "seen": seen}
    line = json.dumps({**told, "seconds": seconds}) + "\n"
    with Path(runs).open("a") as opened:
        opened.write(line)
    sys.stdout.write(line)
    if bool(seen) != bool(mutant):
        sys.exit(f"not found: {mutant}" if mutant else f"without a mutant: {seen}")


if __name__ == "__main__":
    main()
