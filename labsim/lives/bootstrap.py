"""Shell. A life of a bootstrap, whose command is killed again and again.

Three regions, and an operator who types the command of production until it has ended
well. It is killed before, in and after each step, at effects on its files and at any
instant, by -9 or with the power of its machine; its mini-master, the replicas and the
computers are killed too, and regions cut off. Meanwhile persons ask for things, and
agents and the instances of the master poll.

What must be, whoever is killed:

1. The command ends well, and then one cloud hosts itself: all its replicas serve the
   state that was copied last, and nothing is left of the mini-master.
2. Nobody changes two states: when the new one is opened the old one is frozen, and is
   never open again; and the logbook said before that it may be opened.
3. Each change that was acknowledged is there, once. Who is refused is told to wait.
4. No agent takes an older document than the one before.
5. What is there in the end, but for names and instants, is what a bootstrap leaves that
   nobody killed.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from traceback import format_exception
from typing import Any

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from labsim.documents import Seen
from labsim.lives.bootstrap_fates import (
    Fate,
    Kind,
    Trouble,
    Turn,
    When,
    draw_fates,
    draw_troubles,
    watched,
)
from labsim.lives.bootstrap_judging import Judge, Witness, logbook_of
from labsim.lives.bootstrap_people import Person
from labsim.lives.bootstrap_place import (
    DIRECTOR,
    REGIONS,
    Place,
    SmallPieces,
    host_of,
    replica_of,
)
from labsim.world.world import World
from slap.errors import MasterAway
from slapcluster.bootstrap.logbook import Logbook, Step
from slapcluster.bootstrap.running import Options, take_turn
from slapcluster.outcomes import CommandFailed

TURN_SECONDS_MAX = 900.0
"""A turn that waits so long waits for ever."""

STEP_SECONDS_MAX = 300.0
"""What a command is told: for each thing that it waits for."""

TURNS_MAX = 60
QUIET_SECONDS = 30.0
"""After the last step, in which persons and agents go on."""

BACK_SECONDS = 30.0
"""After a region or computer is back, those who wait for it notice."""

PLOTS = 4
_STEP_NAMES = {it.value: it for it in Step}


@frozen
class Plot:
    """What is the same, whoever is killed: computers, and what persons want."""

    titles: dict[str, str]
    people: int
    services: int


def plot_of(number: int) -> Plot:
    """One of ``PLOTS``: with a second computer in a region, or a second person."""
    titles = {f"{region}-1": region for region in REGIONS}
    if number % 2:
        titles[f"{REGIONS[-1]}-2"] = REGIONS[-1]
    return Plot(titles, people=1 + number // 2 % 2, services=2 + number % 2)


@frozen
class Outcome:
    """How a life ended; ``seconds`` are of the world, until all was done."""

    problems: tuple[str, ...]
    digest: str
    turns: int = 0
    kills: int = 0
    troubles: int = 0
    seconds: float = 0.0
    silence_seconds_max: float = 0.0
    change_count: int = 0


@define(eq=False)
class Life:
    """One bootstrap, from bare computers to its end."""

    world: World
    root: Path
    plot: Plot
    fates: tuple[Fate, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    problems: list[str] = field(factory=list)
    place: Place = field(init=False)
    people: list[Person] = field(init=False)
    _seen: list[Seen] = field(factory=list)
    _turn_count: int = 0
    _kill_count: int = 0
    _trouble_count: int = 0
    _active_count: int = 0
    _begun: set[Step] = field(factory=set)
    _turn: Turn | None = None
    _turns: list[Any] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.place = Place(self.world, self.root, self.plot.titles, self._seen.append)
        witness = Witness(self.world, self.place, self.problems)
        self.place.tell_opened = witness.note_opening
        self.place.tell_committed = witness.look_at_mini_master
        url = self.place.cloud.mini_master_url
        self.people = [
            Person(
                self.world.host(f"person-{it}"),
                url,
                self.plot.services,
                self.world.entropy("person", it),
                self._seen.append,
            )
            for it in range(self.plot.people)
        ]

    # -- turns

    def play(self) -> Outcome:
        for it in self.people:
            it.begin()
        fates = list(self.fates)
        while self._take_turn(fates.pop(0) if fates else None) is None:
            assert self._turn_count < TURNS_MAX, "it is typed again and again"
        done_at = self.world.clock.seconds()
        for it in self.people:
            it.learn(self.place.listed)
        self.world.run_until(lambda: not self._active_count, 1_000)
        self.world.run_for(BACK_SECONDS + QUIET_SECONDS)
        for it in self.people:
            self.world.result(it.stop(), 300)
        self._repeat()
        judge = Judge(self.world, self.place, self.people, self._seen, self.problems)
        digest = judge.judge()
        self.problems += [said for it in self.people for said in it.problems]
        outcome = Outcome(
            tuple(self.problems),
            digest,
            self._turn_count,
            self._kill_count,
            self._trouble_count,
            done_at,
            max(it.silence_seconds_max for it in self.people),
            sum(len(it.acknowledged) for it in self.people),
        )
        for it in self.people:
            self.world.result(it.close())
        self.world.result(self.place.close())
        self.world.finish()
        return outcome

    def _take_turn(self, fate: Fate | None) -> Logbook | None:
        """Type the command, and wait until it has ended, or is killed."""
        self._turn_count += 1
        desk = self.place.desk
        if not desk.is_up:
            desk.boot()
        faults_before = self._trouble_count
        was_troubled = self._active_count > 0
        turn = self._turn = Turn(fate, lambda: self._kill(fate))
        results = self._type(turn)
        if fate is not None and fate.when is When.INSTANT:
            self._later(fate.seconds, self._end, turn)
        self.world.run_until(lambda: turn.is_killed or results, TURN_SECONDS_MAX)
        self.world.run_for(fate.pause_seconds if fate is not None else 1.0)
        if turn.is_killed:
            return None
        (result,) = results
        if isinstance(result, Failure):
            error = result.check(CommandFailed, MasterAway)
            if error is None:
                result.raiseException()
            if not was_troubled and self._trouble_count == faults_before:
                self.problems.append(f"nothing broke, and it says: {result.value}")
            return None
        assert isinstance(result, Logbook)
        return result

    def _type(self, turn: Turn) -> list[Any]:
        home = self.place.home()
        home = evolve(home, runtime=watched(home.runtime, turn))
        options = Options(self.place.home_path, self.root, STEP_SECONDS_MAX)
        results: list[Any] = []

        def show(text: str) -> None:
            step = _STEP_NAMES.get(text)
            if step is not None:
                self._begin_step(step)
                turn.show(step, lambda seconds: self._later(seconds, self._end, turn))

        typed = Deferred.fromCoroutine(
            take_turn(
                home,
                self.place.cloud,
                options,
                show,
                self.problems.append,
                build_mini_master=SmallPieces,
            )
        )
        typed.addBoth(results.append)
        # Whoever was killed never goes on, nor ends.
        self._turns.append((typed, results))
        return results

    def _end(self, turn: Turn) -> None:
        """Kill a turn, unless it has ended."""
        *_, (typed, _) = self._turns
        if turn is self._turn and not typed.called:
            turn.die()

    def _kill(self, fate: Fate | None) -> None:
        assert fate is not None
        self._kill_count += 1
        self.place.kill_desk(is_power=fate.is_power)

    def _repeat(self) -> None:
        """Who types it once more is told the same."""
        before = logbook_of(self.place)
        if not isinstance(self._take_turn(None), Logbook):
            self.problems.append("it does not end well when it is typed once more")
        if logbook_of(self.place) != before:
            self.problems.append("the logbook changed after all was done")

    # -- troubles

    def _begin_step(self, step: Step) -> None:
        if step in self._begun:
            return
        self._begun.add(step)
        for trouble in self.troubles:
            if trouble.step is step:
                self._active_count += 1
                self._later(trouble.after_seconds, self._break, trouble)

    def _break(self, trouble: Trouble) -> None:
        self._trouble_count += 1
        region = REGIONS[trouble.place % len(REGIONS)]
        titles = tuple(self.plot.titles)
        match trouble.kind:
            case Kind.MINI_MASTER:
                self.place.kill_mini_master()
            case Kind.REGION:
                self.place.cut(region)
            case Kind.STILL:
                self.world.host(replica_of(region)).pause_processes()
            case Kind.REPLICA | Kind.POWER:
                self._stop(replica_of(region), is_power=trouble.kind is Kind.POWER)
            case Kind.COMPUTER:
                self._stop(host_of(titles[trouble.place % len(titles)]), is_power=True)
        self._later(trouble.seconds, self._mend, trouble)

    def _mend(self, trouble: Trouble) -> None:
        region = REGIONS[trouble.place % len(REGIONS)]
        titles = tuple(self.plot.titles)
        match trouble.kind:
            case Kind.REGION:
                self.place.heal(region)
            case Kind.STILL:
                self.world.host(replica_of(region)).resume_processes()
            case Kind.REPLICA | Kind.POWER:
                self._boot(replica_of(region))
            case Kind.COMPUTER:
                self._boot(host_of(titles[trouble.place % len(titles)]))
        self._later(BACK_SECONDS, self._forget_trouble)

    def _forget_trouble(self) -> None:
        self._active_count -= 1

    def _stop(self, name: str, *, is_power: bool) -> None:
        host = self.world.host(name)
        if host.is_up:
            host.crash() if is_power else host.kill()

    def _boot(self, name: str) -> None:
        host = self.world.host(name)
        if not host.is_up:
            host.boot()

    def _later(self, seconds: float, call: Any, *arguments: Any) -> None:
        clock = self.world.host(DIRECTOR).runtime.clock
        clock.callLater(seconds, call, *arguments)


def play(seed: int, *, is_killed: bool = True) -> Outcome:
    """Play the life of a seed."""
    plot = plot_of(seed % PLOTS)
    world = World(seed)
    fates: tuple[Fate, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    if is_killed:
        fates = draw_fates(seed, world.entropy("fates"))
        troubles = draw_troubles(world.entropy("troubles"), len(plot.titles))
    with TemporaryDirectory() as root:
        return Life(world, Path(root), plot, fates, troubles).play()


@cache
def digest_without_kills(number: int) -> str:
    """What the plot of that number leaves when nobody is killed."""
    outcome = play(number, is_killed=False)
    assert not outcome.problems, outcome.problems
    return outcome.digest


def problems_of(seed: int, outcome: Outcome) -> tuple[str, ...]:
    """What does not hold; what is there in the end is looked at when all else does."""
    if outcome.problems or outcome.digest == digest_without_kills(seed % PLOTS):
        return outcome.problems
    return ("what is there is not what is there when nobody is killed",)


def find_problem(seed: int) -> str:
    """Play one life; say what does not hold, ``""`` when all does."""
    try:
        return "\n".join(problems_of(seed, play(seed)))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a problem
        return "".join(format_exception(error))
