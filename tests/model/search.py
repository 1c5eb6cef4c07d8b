"""Every world that can come after another one, the nearest first.

Worlds that differ in the names of alike storage nodes alone are one. A found fault is
told from the beginning: the shortest way to it.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from attrs import frozen

from tests.model.mirror import Mirror, mirror_of
from tests.model.world import Broken, Scope, World


@frozen
class Search:
    """What was found; ``fault`` is empty when all worlds are right."""

    scope: str
    count: int
    steps: int
    depth: int
    fault: str = ""
    trail: tuple[Any, ...] = ()
    is_whole: bool = True


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Hold the search for garbage in cycles: here all that is made is kept.

    To look through all worlds for it again and again took a fifth of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@nothing_collected()
def explore(
    neo: ModuleType,
    scope: Scope,
    count_max: int | None = None,
    prefix: tuple[Any, ...] = (),
) -> Search:
    """Visit all worlds of a scope that come after some steps, or the first ones."""
    model = neo.Model(scope)
    mirror = mirror_of(scope, model.numbers)
    plain = after_steps(model, prefix)
    beginning = mirror.first(plain)
    parents: dict[World, World | None] = {beginning: None}
    others: set[World] = set()
    waiting = deque([(beginning, 0)])
    steps = depth = 0
    while waiting:
        world, depth = waiting.popleft()
        for step in model.steps(world):
            steps += 1
            try:
                plain = model.play(world, step)[0]
                if plain in parents or plain in others:
                    continue
                after = mirror.first(plain)
                if after != plain:
                    others.add(plain)
                if after in parents:
                    continue
                parents[after] = world
                model.inspect(after)
            except Broken as error:
                worlds = [world]
                while (earlier := parents[worlds[-1]]) is not None:
                    worlds.append(earlier)
                trail = (*prefix, *follow(model, mirror, worlds[::-1], prefix))
                fault = str(error.args[0])
                return Search(scope.name, len(parents), steps, depth, fault, trail)
            waiting.append((after, depth + 1))
        if count_max is not None and len(parents) >= count_max:
            return Search(scope.name, len(parents), steps, depth, is_whole=False)
    return Search(scope.name, len(parents), steps, depth)


def after_steps(model: Any, steps: tuple[Any, ...]) -> World:
    world: World = model.beginning()
    for step in steps:
        if step not in set(model.steps(world)):
            raise AssertionError(f"this cannot happen there: {step}")
        world, _ = model.play(world, step)
    return world


def read_steps(text: str) -> tuple[Any, ...]:
    """Return steps as they are typed: what happens, then to whom; ``;`` between."""
    parts = [part.strip() for part in text.replace("\n", ";").split(";")]
    return tuple(read_step(part) for part in parts if part)


def read_step(text: str) -> tuple[Any, ...]:
    verb, *words = text.split()
    numbers = [int(word[1:]) for word in words]
    if verb == "go":
        return verb, numbers[0], sum(1 << place for place in numbers[1:]), -1
    return (verb, *numbers)


def follow(
    model: Any,
    mirror: Mirror,
    worlds: list[World],
    prefix: tuple[Any, ...],
) -> tuple[Any, ...]:
    """Return steps through these worlds, with the names that the first world has."""
    present = after_steps(model, prefix)
    trail = []
    for wanted in worlds[1:]:
        for step in model.steps(present):
            after, _ = model.play(present, step)
            if mirror.first(after) == wanted:
                trail.append(step)
                present = after
                break
        else:
            raise AssertionError("a world is not among those that follow")
    for step in model.steps(present):
        try:
            model.inspect(model.play(present, step)[0])
        except Broken:
            return (*trail, step)
    raise AssertionError("the fault does not follow")


def tell(neo: ModuleType, scope: Scope, trail: tuple[Any, ...]) -> list[str]:
    """Return what happens in these steps, line by line, and what it breaks."""
    model = neo.Model(scope, is_telling=True)
    world = model.beginning()
    lines = []
    for instant, step in enumerate(trail, start=1):
        try:
            world, told = model.play(world, step)
            lines += [f"{instant:3} {line}" for line in told]
            model.inspect(world)
        except Broken as error:
            told = error.args[1] if len(error.args) > 1 else []
            lines += [f"{instant:3} {line}" for line in told]
            lines.append(f"    BROKEN: {error.args[0]}")
            return lines
    return lines
