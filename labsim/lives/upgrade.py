"""Shell. A life of upgrades: a cloud that hosts itself takes up other releases.

Three regions run a release of the master. An operator has them take up another one by
the command of production, goes back in the middle, or has one that never runs well, and
goes back from that. The command is killed again and again, at each of its steps and at
any instant; programs of regions are killed, computers lose their power, regions are cut
off, most often when a region has just let its programs go or was just settled.
Meanwhile a person asks for things, and agents poll.

What must be, whoever is killed:

1. No region is asked for another release, nor lets its programs go, while another one
   is in a leg.
2. A region that is settled lets its programs go only when most others have everything.
3. What a program of a region proves is true of its leg.
4. Each change that was acknowledged is there, once, and no agent takes an older
   document than the one before.
5. The command that was typed last ends well, all regions run what it asked for, and are
   settled in their legs; nothing is left to do then.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from traceback import format_exception
from typing import Any, cast

from attrs import define, field, frozen
from twisted.internet.defer import Deferred

from labsim.checkers import acknowledged, tids
from labsim.checkers.table import Watch
from labsim.checkers.violation import Bounds
from labsim.documents import Documents, Seen, as_told
from labsim.history import Ending
from labsim.lives.bootstrap_people import WISH, Person
from labsim.lives.upgrade_passes import is_prover, is_region_program
from labsim.lives.upgrade_place import (
    DESK,
    REGIONS,
    TITLE,
    Place,
    computer_of,
    make_release,
)
from labsim.lives.upgrade_regions import Event
from labsim.world.host import Host
from labsim.world.world import World
from slap import calls
from slap.errors import SlapError
from slap.products import ProductsReport
from slap.reports import CloudReport, TreeReport
from slapcluster.asking import ask
from slapcluster.hosting.rolling import LEG_KEY, RELEASE_KEY, SETTLED_KEY
from slapcluster.master import Master
from slapcluster.outcomes import CommandFailed
from slapcluster.pushing import find_replicas, read_release
from slapcluster.upgrading.performing import Upgrade, Upgraded, find
from slapcluster.upgrading.planning import Verb
from slapcluster.upgrading.running import Wish, choose_target

TURN_SECONDS_MAX = 4_000.0
LIMIT_SECONDS = 300.0
"""What the command is told: for each thing that it waits for."""

BAD_LIMIT_SECONDS = 100.0
"""The same, of a release that never runs well."""

TURNS_MAX = 60
QUIET_SECONDS = 30.0
BACK_SECONDS = 30.0
FATES_MAX = 6
TROUBLES_MAX = 4
EVENTS_MAX = 4
"""Troubles follow one of the first ones."""

AMID_SECONDS = (0.0, 0.05, 0.5, 3.0, 20.0)
"""From the begin of a step of the command, at most, each as often."""

AFTER_SECONDS = (0.5, 5.0, 30.0)
"""From what a trouble follows, at most, each as often."""

TROUBLE_SECONDS = (2.0, 40.0)


class Release(Enum):
    """What the operator has."""

    FIRST = "first"
    SECOND = "second"
    BAD = "bad"


@frozen
class Goal:
    """A release that the operator wants; ``until`` so many regions were let go for it.

    Then the next one is wanted instead; with 0 it is waited for.
    """

    release: Release
    until: int = 0


PLOTS: tuple[tuple[Goal, ...], ...] = (
    (Goal(Release.SECOND),),
    (Goal(Release.SECOND, 1), Goal(Release.FIRST)),
    (Goal(Release.SECOND), Goal(Release.FIRST)),
    (Goal(Release.SECOND, 2), Goal(Release.FIRST, 1), Goal(Release.SECOND)),
    (Goal(Release.BAD), Goal(Release.FIRST)),
    (Goal(Release.SECOND, 2), Goal(Release.BAD, 1), Goal(Release.SECOND)),
)


@frozen
class Fate:
    """A turn of the command is killed so long after a step of that kind began."""

    verb: Verb
    seconds: float
    is_power: bool
    pause_seconds: float


class Kind(Enum):
    """What breaks besides the command."""

    PROGRAMS = "the programs of a region are killed"
    PROVER = "the program that proves a leg is killed"
    PROCESSES = "all processes of a computer are killed"
    POWER = "a computer loses its power"
    REGION = "a region is cut off"


@frozen
class Trouble:
    """It follows the ``count``-th event of that kind; ``place`` is a region."""

    kind: Kind
    event: Event
    count: int
    after_seconds: float
    seconds: float
    place: int


@frozen
class Outcome:
    """How a life ended; ``seconds`` are of the world."""

    problems: tuple[str, ...]
    turns: int = 0
    kills: int = 0
    troubles: int = 0
    let_go_count: int = 0
    seconds: float = 0.0
    silence_seconds_max: float = 0.0
    change_count: int = 0


def draw_fates(seed: int, entropy: Random) -> tuple[Fate, ...]:
    """Consecutive seeds have each step once; others are drawn."""
    verbs = tuple(it for it in Verb if it is not Verb.DONE)
    chosen = [verbs[seed % len(verbs)]]
    chosen += [entropy.choice(verbs) for _ in range(entropy.randint(0, FATES_MAX - 1))]
    return tuple(
        Fate(
            it,
            entropy.uniform(0, entropy.choice(AMID_SECONDS)),
            is_power=entropy.random() < 1 / 3,
            pause_seconds=entropy.uniform(0.5, 15.0),
        )
        for it in chosen
    )


def draw_troubles(entropy: Random) -> tuple[Trouble, ...]:
    return tuple(
        _draw_trouble(entropy) for _ in range(entropy.randint(0, TROUBLES_MAX))
    )


def _draw_trouble(entropy: Random) -> Trouble:
    event = entropy.choice(tuple(Event))
    return Trouble(
        entropy.choice(tuple(Kind)),
        event,
        0 if event is Event.BEGUN else entropy.randint(1, EVENTS_MAX),
        entropy.uniform(0, entropy.choice(AFTER_SECONDS)),
        entropy.uniform(*TROUBLE_SECONDS),
        entropy.randrange(len(REGIONS)),
    )


def _is_of(verb: Verb, text: str) -> bool:
    """Whether a line of progress is of a step of that kind."""
    words = {Verb.BUILD: " build", Verb.ROLL: " run it;", Verb.PUSH: " % are"}
    return text.startswith(verb.value) or words.get(verb, verb.value) in text


@define(eq=False)
class Turn:
    """One turn of the command, until it ends or is killed."""

    kill: Callable[[bool], None]
    results: list[Any] = field(factory=list)
    is_killed: bool = False
    typed: Deferred[Any] | None = None

    @property
    def is_over(self) -> bool:
        return self.is_killed or bool(self.results)

    def end(self, is_power: bool) -> None:
        """Kill it, unless it is over."""
        if not self.is_over:
            self.is_killed = True
            self.kill(is_power)


class Stuck(Exception):
    """What was wanted does not come."""


@define(eq=False)
class Life:
    """One cloud, and what is wanted of it."""

    world: World
    root: Path
    goals: tuple[Goal, ...]
    fates: list[Fate] = field(factory=list)
    troubles: tuple[Trouble, ...] = ()
    problems: list[str] = field(factory=list)
    place: Place = field(init=False)
    person: Person = field(init=False)
    _urls: dict[Release, str] = field(factory=dict)
    _seen: list[Seen] = field(factory=list)
    _turn_count: int = 0
    _kill_count: int = 0
    _trouble_count: int = 0
    _active_count: int = 0
    _turns: list[Turn] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self._urls = {
            it: make_release(self.root / it.value, it.value) for it in Release
        }
        self.place = Place(
            self.world,
            self._urls[Release.FIRST],
            frozenset({self._urls[Release.BAD]}),
            self._seen.append,
        )
        first, *_ = self.place.listed
        self.person = Person(
            self.world.host("person"),
            first.url,
            1,
            self.world.entropy("person"),
            self._seen.append,
        )

    @property
    def desk(self) -> Host:
        return self.world.host(DESK)

    def play(self) -> Outcome:
        self.place.regions.notify = self._follow
        self.place.begin()
        self.person.learn(self.place.listed)
        self.person.begin()
        try:
            for goal in self.goals:
                self._run(goal)
        except Stuck:
            return Outcome((*self.problems, *self.place.regions.problems))
        done_at = self.world.clock.seconds()
        self.world.run_until(lambda: not self._active_count, 1_000)
        self.world.run_for(BACK_SECONDS + QUIET_SECONDS)
        self.world.result(self.person.stop(), 300)
        self._judge(self._urls[self.goals[-1].release])
        self.problems += self.place.regions.problems + self.person.problems
        outcome = Outcome(
            tuple(self.problems),
            self._turn_count,
            self._kill_count,
            self._trouble_count,
            self.place.regions.let_go_count,
            done_at,
            self.person.silence_seconds_max,
            len(self.person.acknowledged),
        )
        self.world.result(self.person.close())
        self.place.close()
        self.world.finish()
        return outcome

    # -- the operator

    def _run(self, goal: Goal) -> None:
        """Type a command until it has ended well, or something else is wanted."""
        regions = self.place.regions
        begun = regions.let_go_count

        def is_left() -> bool:
            return 0 < goal.until <= regions.let_go_count - begun

        while not is_left():
            self._turn_count += 1
            assert self._turn_count < TURNS_MAX, "it is typed again and again"
            fate = self.fates.pop(0) if self.fates else None
            turn = self._type(goal.release, fate)
            self.world.run_until(lambda: turn.is_over or is_left(), TURN_SECONDS_MAX)  # noqa: B023 - it ends before the next
            turn.end(is_power=False)
            self.world.run_for(fate.pause_seconds if fate is not None else 1.0)
            if not turn.results:
                continue
            error = self._error_of(turn)
            if error is None:
                if goal.release is Release.BAD:
                    self.problems.append("a release that never runs well is taken up")
                return
            if goal.release is Release.BAD:
                if regions.let_go_count > begun:
                    return
            elif isinstance(error, CommandFailed) and not self._active_count:
                # Nothing is broken, and nobody types anything else.
                self.problems.append(f"it does not end well: {error}")
                raise Stuck

    def _error_of(self, turn: Turn) -> Exception | None:
        """Why a command did not end well, ``None`` if it did."""
        (result,) = turn.results
        if isinstance(result, Upgraded):
            assert result.is_done, "it ends when all is done"
            return None
        error = result.value
        if not isinstance(error, CommandFailed | SlapError):
            result.raiseException()
        return cast("Exception", error)

    def _type(self, release: Release, fate: Fate | None) -> Turn:
        """Type the command of a release."""
        if not self.desk.is_up:
            self.desk.boot()
        turn = Turn(self._kill)
        due = [fate] if fate is not None else []

        def show(text: str, _: int, __: int) -> None:
            if due and _is_of(due[0].verb, text):
                came = due.pop()
                self.place.later(came.seconds, turn.end, came.is_power)

        typed = Deferred.fromCoroutine(self._upgrade(release, show))
        turn.typed = typed.addBoth(turn.results.append)
        # Whoever was killed never goes on, nor ends.
        self._turns.append(turn)
        return turn

    def _kill(self, is_power: bool) -> None:
        self._kill_count += 1
        self.desk.crash() if is_power else self.desk.kill()

    async def _upgrade(self, release: Release, show: Any) -> Upgraded:
        """What ``slapcluster upgrade`` does with a directory."""
        directory = self.root / release.value
        runtime = self.desk.runtime
        urls = tuple(self.place.replica_urls.values())
        limit = BAD_LIMIT_SECONDS if release is Release.BAD else LIMIT_SECONDS
        local = read_release(directory)
        wish = Wish(
            str(directory), goes_back=False, is_dry_run=False, limit_seconds=limit
        )
        replicas = await find_replicas(runtime, urls, "")

        async def question(master: Master) -> Upgraded:
            found = await find(master)
            target = choose_target(wish, local, found)
            upgrade = Upgrade(master, replicas, target, local, show, limit)
            return await upgrade.perform(found)

        return await ask(runtime, urls, question)

    # -- troubles

    def _follow(self, event: Event, count: int) -> None:
        """Have troubles come that follow an event."""
        for trouble in self.troubles:
            if (trouble.event, trouble.count) == (event, count):
                self._active_count += 1
                self.place.later(trouble.after_seconds, self._break, trouble)

    def _break(self, trouble: Trouble) -> None:
        self._trouble_count += 1
        region = REGIONS[trouble.place]
        host = self.world.host(computer_of(region))
        match trouble.kind:
            case Kind.PROGRAMS:
                host.is_up and host.kill_programs(is_region_program)
            case Kind.PROVER:
                host.is_up and host.kill_programs(is_prover)
            case Kind.REGION:
                self.place.cut(region)
            case Kind.PROCESSES | Kind.POWER:
                if host.is_up:
                    host.crash() if trouble.kind is Kind.POWER else host.kill()
        self.place.later(trouble.seconds, self._mend, trouble)

    def _mend(self, trouble: Trouble) -> None:
        region = REGIONS[trouble.place]
        host = self.world.host(computer_of(region))
        if trouble.kind is Kind.REGION:
            self.place.heal(region)
        elif not host.is_up:
            host.boot()
        self.place.later(BACK_SECONDS, self._forget_trouble)

    def _forget_trouble(self) -> None:
        self._active_count -= 1

    # -- what is there in the end

    def _judge(self, url: str) -> None:
        for name, region in self.place.regions.regions.items():
            if (region.runs, region.taken) != (url, url) or not region.has_everything:
                self.problems.append(
                    f"{name} is {region} in the end, not well with {url}"
                )
        client = self.place.asking()
        tree = self.place.tree(client)
        for it in tree.instances[1:]:
            told = it.connection_parameters
            leg = it.parameters.get(LEG_KEY, "")
            if it.software_release_url != url or told.get(RELEASE_KEY) != url:
                self.problems.append(f"{it.title} is not asked for {url} in the end")
            if told.get(SETTLED_KEY, "") != leg:
                self.problems.append(
                    f"{it.title} is not settled in {leg}: {dict(told)}"
                )
        root = tree.instances[0].partition
        assert root is not None
        held = self.place.passes[root.computer_id.removeprefix("COMP-")].held
        if held:
            self.problems.append(f"the root waits in the end: {held}")
        products = self.world.result(client.perform(calls.get_products()))
        assert isinstance(products, ProductsReport)
        self._check_releases(products)
        cloud = self.world.result(client.perform(calls.get_cloud_report()))
        assert isinstance(cloud, CloudReport)
        for title in (it.title for it in cloud.trees if it.title != TITLE):
            found = self.world.result(client.perform(calls.get_tree_report(title)))
            assert isinstance(found, TreeReport)
            wish = found.instances[0].parameters[WISH]
            self._seen.append(Ending(self.world.clock.seconds(), title, "", wish))
        self.world.result(client.close())
        self._check_history()

    def _check_releases(self, report: ProductsReport) -> None:
        found = [url for it in report.products for url in it.software_release_urls]
        lost = [it for it in self.person.acknowledged if found.count(it) != 1]
        self.problems += [f"{it} was acknowledged, and is lost" for it in lost]
        unasked = sorted({*found} - self.person.asked)
        self.problems += [f"nobody asked for {it}" for it in unasked]

    def _check_history(self) -> None:
        whole = self.place.store.whole
        assert whole is not None
        watch = Watch(Bounds(), (tids.NAME, acknowledged.NAME))
        for happening in as_told(self._seen, Documents(whole)):
            watch.take(happening)
        watch.finish()
        self.problems += [it.sentence for it in watch.violations]


def play(seed: int) -> Outcome:
    """Play the life of a seed."""
    world = World(seed)
    fates = draw_fates(seed, world.entropy("fates"))
    troubles = draw_troubles(world.entropy("troubles"))
    with TemporaryDirectory() as root:
        goals = PLOTS[seed % len(PLOTS)]
        return Life(world, Path(root), goals, list(fates), troubles).play()


def find_problem(seed: int) -> str:
    """Play one life; say what does not hold, ``""`` when all does."""
    try:
        return "\n".join(play(seed).problems)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a problem
        return "".join(format_exception(error))
