"""Worlds that differ in the names of alike storage nodes alone are one: the first."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import permutations
from typing import Any

from attrs import field, frozen

from tests.model.world import Disk, Numbers, Scope, World, remembered

Names = tuple[int, ...]
"""For each storage node the place of the one that it is taken for."""


class Moved(dict[int, int]):
    """A number under another naming."""

    def __init__(self, move: Callable[[int], int]) -> None:
        self.move = move

    def __missing__(self, number: int) -> int:
        found = self[number] = self.move(number)
        return found


Move = tuple[Moved, int]
"""What a number becomes, and where it stood."""


@frozen(eq=False, slots=False)
class Mirror:
    """Gives the first among the worlds that differ in names alone."""

    scope: Scope
    numbers: Numbers
    names: tuple[Names, ...]
    masters: tuple[Names, ...]
    _bits: tuple[dict[int, int], ...] = field(init=False)
    _moves: tuple[tuple[Move, ...], ...] = field(init=False)
    _heads: tuple[Move, ...] = field(init=False)

    @_bits.default
    def _make_bits(self) -> tuple[dict[int, int], ...]:
        width = self.scope.width
        return tuple(
            {
                bits: sum(1 << names[it] for it in range(width) if bits >> it & 1)
                for bits in range(1 << width)
            }
            for names in self.names
        )

    @_moves.default
    def _make_moves(self) -> tuple[tuple[Move, ...], ...]:
        """Return for each naming which number stands where, and what it becomes."""
        width = self.scope.width
        found = []
        for place, names in enumerate(self.names):
            primaries = Moved(partial(self._primary, place))
            for masters in self.masters:
                storages = Moved(partial(self._storage, place, masters))
                shareds = Moved(partial(self._shared, place, masters))
                moves = [(storages, names.index(it)) for it in range(width)]
                moves += [
                    (primaries, width + masters.index(it)) for it in range(len(masters))
                ]
                moves.append((shareds, width + len(masters)))
                found.append(tuple(moves))
        return tuple(found)

    @_heads.default
    def _make_heads(self) -> tuple[Move, ...]:
        return tuple(moves[0] for moves in self._moves)

    def first(self, world: World) -> World:
        heads = [move[world[place]] for move, place in self._heads]
        lowest = min(heads)
        found = [
            tuple([move[world[place]] for move, place in moves])
            for head, moves in zip(heads, self._moves, strict=True)
            if head == lowest
        ]
        return min(found)

    @remembered
    def _table(self, place: int, raw: Any) -> Any:
        bits = self._bits[place]
        # A table has its rows in order: names move within a neo_partition's row, or
        # rows move with the names.
        return raw and (
            raw[0],
            raw[1],
            tuple((bits[held], bits[good]) for held, good in raw[2]),
        )

    @remembered
    def _disk(self, place: int, disk: Disk) -> Disk:
        return disk._replace(table=self._table(place, disk.table))

    def _storage(self, place: int, masters: Names, number: int) -> int:
        storage = self.numbers.storages.by_number[number]
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
        found: int = self.numbers.storages[moved]
        return found

    def _primary(self, place: int, number: int) -> int:
        bits, names = self._bits[place], self.names[place]
        primary = self.numbers.primaries.by_number[number]
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
        found: int = self.numbers.primaries[moved]
        return found

    def _shared(self, place: int, masters: Names, number: int) -> int:
        bits = self._bits[place]
        shared = self.numbers.shareds.by_number[number]
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
        found: int = self.numbers.shareds[moved]
        return found


def alike(scope: Scope) -> tuple[Names, ...]:
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


def mirror_of(scope: Scope, numbers: Numbers) -> Mirror:
    count = len(scope.offsets)
    masters: tuple[Names, ...] = (tuple(range(count)),)
    if len(set(scope.offsets)) == 1:
        masters = tuple(permutations(range(count)))
    return Mirror(scope, numbers, alike(scope), masters)
