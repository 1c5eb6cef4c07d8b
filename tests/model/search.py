"""Every world that can come after another one, the nearest first.

Worlds that differ in the names of alike storage nodes alone are one. A found fault is
told from the beginning: the shortest way to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import permutations
from types import ModuleType
from typing import Any

from attrs import field, frozen

Names = tuple[int, ...]
"""For each storage node the place of the one that it is taken for."""


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


class Moves(dict[int, int]):
    """A number under another naming."""

    def __init__(self, move: Callable[[int], int]) -> None:
        self.move = move

    def __missing__(self, number: int) -> int:
        found = self[number] = self.move(number)
        return found


@frozen(eq=False)
class Mirror:
    """Gives the first among the worlds that differ in names alone."""

    neo: ModuleType
    model: Any
    names: tuple[Names, ...]
    masters: tuple[Names, ...]
    _bits: tuple[dict[int, int], ...] = field(init=False)
    _moves: tuple[tuple[tuple[Moves, int], ...], ...] = field(init=False)

    @_bits.default
    def _make_bits(self) -> tuple[dict[int, int], ...]:
        width = self.model.scope.width
        return tuple(
            {
                bits: sum(1 << names[it] for it in range(width) if bits >> it & 1)
                for bits in range(1 << width)
            }
            for names in self.names
        )

    @_moves.default
    def _make_moves(self) -> tuple[tuple[tuple[Moves, int], ...], ...]:
        """Return for each naming which number stands where, and what it becomes."""
        width = self.model.scope.width
        found = []
        for place, names in enumerate(self.names):
            for masters in self.masters:
                if (place, masters) == (0, self.masters[0]):
                    continue  # the world itself
                storages = Moves(partial(self._storage, place, masters))
                primaries = Moves(partial(self._primary, place))
                shareds = Moves(partial(self._shared, place, masters))
                moves = [(storages, names.index(it)) for it in range(width)]
                moves += [
                    (primaries, width + masters.index(it)) for it in range(len(masters))
                ]
                moves.append((shareds, width + len(masters)))
                found.append(tuple(moves))
        return tuple(found)

    def first(self, world: tuple[int, ...]) -> tuple[int, ...]:
        best = world
        for moves in self._moves:
            move, place = moves[0]
            if move[world[place]] <= best[0]:
                candidate = tuple([move[world[place]] for move, place in moves])
                best = min(best, candidate)
        return best

    def _table(self, place: int, raw: Any) -> Any:
        bits = self._bits[place]
        # A table has its rows in order: names move within a neo_partition's row, or
        # rows move with the names.
        return raw and (
            raw[0],
            raw[1],
            tuple((bits[held], bits[good]) for held, good in raw[2]),
        )

    def _disk(self, place: int, disk: Any) -> Any:
        return disk._replace(table=self._table(place, disk.table))

    def _storage(self, place: int, masters: Names, number: int) -> int:
        storage = self.model.storages.by_number[number]
        queue = tuple(
            tuple(
                self._table(place, part) if isinstance(part, tuple) else part
                for part in packet
            )
            for packet in storage.queue
        )
        primary = storage.primary
        if primary >= 0:
            primary = masters[primary]
        disk = self._disk(place, storage.disk)
        moved = storage._replace(disk=disk, queue=queue, primary=primary)
        found: int = self.model.storages[moved]
        return found

    def _primary(self, place: int, number: int) -> int:
        bits, names = self._bits[place], self.names[place]
        primary = self.model.primaries.by_number[number]
        moved = primary._replace(
            table=self._table(place, primary.table),
            connected=bits[primary.connected],
            waiting=bits[primary.waiting],
            claims=tuple(
                sorted(
                    (names[it], self._disk(place, disk)) for it, disk in primary.claims
                )
            ),
            answers=tuple(
                sorted(
                    (names[it], self._disk(place, disk)) for it, disk in primary.answers
                )
            ),
        )
        found: int = self.model.primaries[moved]
        return found

    def _shared(self, place: int, masters: Names, number: int) -> int:
        bits = self._bits[place]
        shared = self.model.shareds.by_number[number]
        moved = shared._replace(
            transactions=tuple(
                known._replace(
                    ready=bits[known.ready],
                    waiting=bits[known.waiting],
                    lockers=bits[known.lockers],
                    primary=masters[known.primary] if known.primary >= 0 else -1,
                )
                for known in shared.transactions
            )
        )
        found: int = self.model.shareds[moved]
        return found


def alike(scope: Any) -> tuple[Names, ...]:
    """Return the ways to rename storage nodes that change nothing of a scope."""
    found = []
    for names in permutations(range(scope.width)):
        moved = {
            tuple(
                sum(1 << names[it] for it in range(scope.width) if row >> it & 1)
                for row in rows
            )
            for rows in scope.layouts
        }
        regions: dict[int, set[int]] = {}
        for it in range(scope.width):
            regions.setdefault(scope.regions[it], set()).add(scope.regions[names[it]])
        rows = tuple(
            sum(1 << names[it] for it in range(scope.width) if row >> it & 1)
            for row in scope.rows
        )
        lost = sum(
            1 << names[it] for it in range(scope.width) if scope.lost_disks >> it & 1
        )
        if (
            rows == scope.rows
            and moved == set(scope.layouts)
            and all(len(others) == 1 for others in regions.values())
            and lost == scope.lost_disks
        ):
            found.append(names)
    return tuple(sorted(found))


def mirror_of(neo: ModuleType, model: Any) -> Mirror:
    count = len(model.scope.offsets)
    masters: tuple[Names, ...] = (tuple(range(count)),)
    if len(set(model.scope.offsets)) == 1:
        masters = tuple(permutations(range(count)))
    return Mirror(neo, model, alike(model.scope), masters)


def explore(
    neo: ModuleType,
    scope: Any,
    count_max: int | None = None,
    prefix: tuple[Any, ...] = (),
) -> Search:
    """Visit all worlds of a scope that come after some steps, or the first ones."""
    model = neo.Model(scope)
    mirror = mirror_of(neo, model)
    plain = after_steps(model, prefix)
    beginning = mirror.first(plain)
    parents: dict[tuple[int, ...], tuple[int, ...] | None] = {beginning: None}
    others: set[tuple[int, ...]] = set()
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
                if after is not plain:
                    others.add(plain)
                if after in parents:
                    continue
                parents[after] = world
                model.inspect(after)
            except neo.Broken as error:
                worlds = [world]
                while (earlier := parents[worlds[-1]]) is not None:
                    worlds.append(earlier)
                trail = (*prefix, *follow(neo, model, mirror, worlds[::-1], prefix))
                fault = str(error.args[0])
                return Search(scope.name, len(parents), steps, depth, fault, trail)
            waiting.append((after, depth + 1))
        if count_max is not None and len(parents) >= count_max:
            return Search(scope.name, len(parents), steps, depth, is_whole=False)
    return Search(scope.name, len(parents), steps, depth)


def after_steps(model: Any, steps: tuple[Any, ...]) -> tuple[int, ...]:
    world: tuple[int, ...] = model.beginning()
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
    neo: ModuleType,
    model: Any,
    mirror: Mirror,
    worlds: list[tuple[int, ...]],
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
        except neo.Broken:
            return (*trail, step)
    raise AssertionError("the fault does not follow")


def tell(neo: ModuleType, scope: Any, trail: tuple[Any, ...]) -> list[str]:
    """Return what happens in these steps, line by line, and what it breaks."""
    model = neo.Model(scope, is_telling=True)
    world = model.beginning()
    lines = []
    for instant, step in enumerate(trail, start=1):
        try:
            world, told = model.play(world, step)
            lines += [f"{instant:3} {line}" for line in told]
            model.inspect(world)
        except neo.Broken as error:
            told = error.args[1] if len(error.args) > 1 else []
            lines += [f"{instant:3} {line}" for line in told]
            lines.append(f"    BROKEN: {error.args[0]}")
            return lines
    return lines
