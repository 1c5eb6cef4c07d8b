"""Long lives by chance: many faults, then peace, and everything must be whole again."""

from __future__ import annotations

from random import Random
from types import ModuleType
from typing import Any

from attrs import evolve

from tests.model.scopes import Small
from tests.model.search import after_steps, read_steps, tell
from tests.model.telling import draw, named
from tests.model.world import RUNNING, Broken, Scope, origins_of, places

QUIET = ("notice", "deliver", "connect", "create", "replicate", "go")
"""What goes on by itself once nothing breaks any more, in this order."""

FAULTS = ("leave", "lose", "stop", "forget", "wipe")
FAULT_SHARE = 0.2
"""More, and no transaction ends."""

QUIET_STEPS_MAX = 400
"""Six storage nodes and three transactions need a hundred."""

WALK_FAULTS = 7
WALK_STEPS = 150
"""By then the faults have happened."""

RECOVERIES = 9
"""In peace one is enough; with two candidates another."""


def heal(model: Any, world: tuple[int, ...]) -> tuple[Any, list[str]]:
    """Let all that can go on do so, with no more faults, until nothing does."""
    shared = model.numbers.shareds.by_number[world[-1]]
    calm = shared._replace(cuts=0, changes=0, recoveries=RECOVERIES)
    world = (*world[:-1], model.numbers.shareds[calm])
    lines: list[str] = []
    for _ in range(QUIET_STEPS_MAX):
        steps = [step for step in model.steps(world) if step[0] in QUIET]
        if not steps:
            return world, lines
        # All who are there at once, or a primary would run without some.
        step = min(steps, key=lambda it: (QUIET.index(it[0]), it[0] != "go" or -it[2]))
        world, told = model.play(world, step)
        lines += told
        model.inspect(world)
    raise AssertionError(f"it does not come to rest: {lines[-9:]}")


def conclude(neo: ModuleType, model: Any, world: tuple[int, ...]) -> str:
    """Return what all copies have at the end: they are equal, and have what they must.

    A storage node that lost its disk is no copy any more; when it alone was up to date,
    nothing runs without a human.
    """
    width = model.scope.width
    disks = [model.numbers.storages.by_number[it].disk for it in world[:width]]
    primaries = [model.numbers.primaries.by_number[it] for it in world[width:-1]]
    shared = model.numbers.shareds.by_number[world[-1]]
    left = tuple((it, disk) for it, disk in enumerate(disks) if disk.table)
    is_waiting = isinstance(model.rule.recovery(origins_of(left)), neo.Wait)
    if is_waiting and len(left) < width and model.scope.lost_disks:
        return "a disk is lost that alone was up to date"
    running = [it for it in primaries if it.phase == RUNNING]
    assert len(running) == 1, f"{len(running)} primaries run at the end"
    (primary,) = running
    for row, (held, readable) in enumerate(primary.table[2]):
        whole = {it for it in places(held) if disks[it].table}
        assert whole == set(places(readable)), "some are out of date at the end"
        (data,) = {disks[it].data[row] for it in whole}
        lost = shared.acknowledged & model.rule.touching(row) & ~data
        assert not lost, f"{named(lost)} is lost"
    return f"{draw(primary.table)} all copies have {named(union(disks))}"


def union(disks: list[Any]) -> int:
    found = 0
    for disk in disks:
        for data in disk.data:
            found |= data
    return found


def play_walk(neo: ModuleType, small: Small, seed: int) -> str:
    """Play a walk in a scope, with more faults than it has when all is explored."""
    scope = evolve(small.build(), cuts=WALK_FAULTS, recoveries=WALK_FAULTS)
    return walk(neo, scope, small.prefix, seed, WALK_STEPS)


def walk(neo: ModuleType, scope: Scope, prefix: str, seed: int, steps_max: int) -> str:
    """Play steps drawn by a seed, then heal; tell all of it if it goes wrong."""
    entropy = Random(seed)
    model = neo.Model(scope)
    trail = list(read_steps(prefix))
    world = after_steps(model, tuple(trail))
    try:
        for _ in range(steps_max):
            steps = list(model.steps(world))
            faults = [step for step in steps if step[0] in FAULTS]
            others = [step for step in steps if step[0] not in FAULTS]
            if not steps:
                break
            is_fault = not others or (faults and entropy.random() < FAULT_SHARE)
            step = entropy.choice(faults if is_fault else others)
            trail.append(step)
            world, _ = model.play(world, step)
            model.inspect(world)
        world, _ = heal(model, world)
        return conclude(neo, model, world)
    except (Broken, AssertionError) as error:
        told = "\n".join(tell(neo, scope, tuple(trail)))
        raise AssertionError(f"{told}\nseed {seed}: {error}") from error
