"""Shell. Where the command of a bootstrap is killed, and what breaks beside it.

A fate is of one turn of the command: it ends before or after a step is done, before or
after it is written down, at any effect on its files, or at any instant. A trouble comes
once, so long after a step has begun for the first time, and ends by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from random import Random
from typing import Any, cast

from attrs import define, evolve, frozen

from labsim.lives.dying import EFFECTS as FILE_EFFECTS
from labsim.lives.dying import Died
from runtime.ports import IFileTree, Runtime
from slapcluster.bootstrap.home import LOGBOOK
from slapcluster.bootstrap.logbook import Step, Undertaking

FATES_MAX = 8
TROUBLES_MAX = 5

EFFECTS = (3, 12, 60)
"""Of a turn, at most, each as often: the last is that of all keys and certificates."""

INSTANT_SECONDS = (3.0, 20.0, 80.0)
"""From the beginning of a turn, at most, each as often."""

AMID_SECONDS = (0.0, 0.02, 0.1, 0.5, 2.0, 10.0)
"""From the beginning of a step, at most, each as often: most last for a moment."""

TROUBLE_SECONDS = (2.0, 40.0)
"""How long somebody is away."""

_STEPS = Undertaking.BOOTSTRAP.steps


class When(Enum):
    """At which point of a turn."""

    BEFORE = "before it does anything of"
    UNWRITTEN = "before it writes down"
    WRITTEN = "after it wrote down"
    AMID = "within"
    EFFECT = "at an effect on its files"
    INSTANT = "at an instant"


@frozen
class Fate:
    """``number`` is of an effect, ``seconds`` are after a step or a turn began."""

    when: When
    step: Step = Step.IDENTIFY
    seconds: float = 0.0
    number: int = 0
    is_after: bool = False
    is_power: bool = False
    """The machine loses its power; otherwise the command is killed by -9."""

    pause_seconds: float = 1.0
    """Until somebody types the command again."""


class Kind(Enum):
    """What breaks besides the command."""

    MINI_MASTER = "the mini-master is killed"
    REPLICA = "a replica is killed"
    POWER = "the power of a replica is lost"
    STILL = "a replica stands still"
    REGION = "a region is cut off"
    COMPUTER = "the power of a computer is lost"


@frozen
class Trouble:
    """``place`` is the number of a region or computer."""

    kind: Kind
    step: Step
    after_seconds: float
    seconds: float
    place: int


def draw_fates(seed: int, entropy: Random) -> tuple[Fate, ...]:
    """In the order of their steps; consecutive seeds have each step and way once."""
    way = (When.BEFORE, When.UNWRITTEN, When.WRITTEN, When.AMID)
    chosen = way[seed // len(_STEPS) % len(way)]
    fates = [_draw_fate(entropy, chosen, _STEPS[seed % len(_STEPS)])]
    for _ in range(entropy.randint(0, FATES_MAX - 1)):
        when = entropy.choice(tuple(When))
        fates.append(_draw_fate(entropy, when, entropy.choice(_STEPS)))
    # Each turn goes on where the one before was: so each of them finds its step.
    return tuple(sorted(fates, key=lambda it: _STEPS.index(it.step)))


def _draw_fate(entropy: Random, when: When, step: Step) -> Fate:
    most = INSTANT_SECONDS if when is When.INSTANT else AMID_SECONDS
    return Fate(
        when,
        step,
        entropy.uniform(0, entropy.choice(most)),
        entropy.randrange(entropy.choice(EFFECTS)),
        is_after=entropy.random() < 1 / 2,
        is_power=entropy.random() < 1 / 3,
        pause_seconds=entropy.uniform(0.5, 15.0),
    )


def draw_troubles(entropy: Random, place_count: int) -> tuple[Trouble, ...]:
    return tuple(
        Trouble(
            entropy.choice(tuple(Kind)),
            entropy.choice(_STEPS[1:]),
            entropy.uniform(0, entropy.choice(AMID_SECONDS)),
            entropy.uniform(*TROUBLE_SECONDS),
            entropy.randrange(place_count),
        )
        for _ in range(entropy.randint(0, TROUBLES_MAX))
    )


@define(eq=False)
class Turn:
    """One turn of the command, until it ends or ``kill`` is called."""

    fate: Fate | None
    kill: Callable[[], None]
    effect_count: int = 0
    is_killed: bool = False

    def die(self) -> None:
        if not self.is_killed:
            self.is_killed = True
            self.kill()

    def show(self, step: Step, call_later: Callable[[float], object]) -> None:
        """A step begins."""
        fate = self.fate
        if fate is None or fate.step is not step:
            return
        if fate.when is When.BEFORE:
            self.die()
            raise Died
        if fate.when is When.AMID:
            call_later(fate.seconds)

    def meet(self, name: str, path: str, content: bytes, effect: Any) -> Any:
        """Let an effect on files happen, or not."""
        if self.is_killed:
            raise Died
        self.effect_count += 1
        is_here, is_after = self._is_here(name, path, content)
        if not is_here:
            return effect()
        if is_after:
            effect()
        self.die()
        raise Died

    def _is_here(self, name: str, path: str, content: bytes) -> tuple[bool, bool]:
        fate = self.fate
        if fate is None:
            return False, False
        if fate.when is When.EFFECT:
            return self.effect_count == fate.number + 1, fate.is_after
        if fate.when in {When.UNWRITTEN, When.WRITTEN}:
            is_written = (
                name == "write"
                and path == LOGBOOK
                and json.loads(content)["done"][-1:] == [fate.step.name]
            )
            return is_written, fate.when is When.WRITTEN
        return False, False


@frozen
class _WatchedTree:
    """The files of the command. It lies as ``IFileTree`` only in its type."""

    files: IFileTree
    turn: Turn

    def subtree(self, relative: str) -> _WatchedTree:
        return _WatchedTree(self.files.subtree(relative), self.turn)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.files, name)
        if name not in FILE_EFFECTS:
            return method

        def meet(path: str, *rest: Any, **named: Any) -> Any:
            content = rest[0] if name == "write" else b""
            return self.turn.meet(
                name, path, content, lambda: method(path, *rest, **named)
            )

        return meet


def watched(runtime: Runtime, turn: Turn) -> Runtime:
    """The same runtime, for a command that dies as its turn says."""

    def file_tree(root: str) -> IFileTree:
        return cast("IFileTree", _WatchedTree(runtime.file_tree(root), turn))

    return evolve(runtime, file_tree=file_tree)
