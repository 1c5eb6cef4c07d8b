"""Core. Transactions are serialisable, exactly, while they are told.

The serials of ZODB are tids, so the versions of each object have a known order, and the
dependencies between transactions follow from what each read and wrote:

- *saw*: it read a version that the other wrote;
- *replaced*: it wrote the version after one that the other wrote;
- *missed*: it read the version before one that the other wrote, so it comes before.

The transactions are serialisable exactly when these dependencies have no circle. One
that read only the newest versions below its tid depends on lower tids alone and closes
none, so a search is needed where something was missed, and where a transaction is told
after others with higher tids. It stays between the two ends of the dependency in an
order that agrees with all dependencies so far, and changes that order.

What is told apart:

- *fork*: two transactions have one tid;
- *read of the future*: one read a version that is not below its own tid;
- *dirty read*: one read a version that nobody committed, and nobody in doubt may have,
  or that its writer did not write;
- *lost update*: a circle in which one replaced what it missed;
- *stale read*: a circle in which one alone missed something: it saw a part of what
  another did, or what came of it, and not the rest;
- *write skew*: a circle in which two or more missed something.

Snapshots are allowed to be old: ZODB asks for the newest of what is written, and of
what ``readCurrent`` names, so the other circles are what code forgot to name. What is
older than all tids was there before. An object that the store merged counts as written
and not as read. Its version and those that it was merged with have no order among
themselves: whoever reads the last one saw all of them, whoever read one before them
missed all. What a transaction in doubt read is not judged.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum

from attrs import define, field, frozen

from labsim.checkers.order import FRONT, Order
from labsim.checkers.violation import Bounds, Violation, seconds_of
from labsim.history import Committed, Doubted, Happening

NAME = "transactions"


class Anomaly(StrEnum):
    FORK = "fork"
    FUTURE_READ = "read of the future"
    DIRTY_READ = "dirty read"
    LOST_UPDATE = "lost update"
    STALE_READ = "stale read"
    WRITE_SKEW = "write skew"


class _Kind(StrEnum):
    SAW = "saw"
    REPLACED = "replaced"
    MISSED = "missed"


@define(eq=False)
class _Item:
    """An object: its versions by tid, and the numbers of those who read each.

    There are as many as reads in a history: one reader stands without a list.
    ``loose`` are the versions that were merged or merged with, and those of which
    nothing is told yet: the others stand upon all that was there before. ``merges``
    are the merged versions, each with the one that its writer had read.
    """

    oid: str
    loose: set[int] | None = None
    merges: list[tuple[int, int]] | None = None
    versions: list[int] = field(factory=list)
    readers: list[list[int] | int | None] = field(factory=list)

    def open(self, tid: int) -> bool:
        """Make room for a version; whether it was not there."""
        versions = self.versions
        if not versions or tid > versions[-1]:
            versions.append(tid)
            self.readers.append(None)
            return True
        place = bisect_left(versions, tid)
        if versions[place] == tid:
            return False
        versions.insert(place, tid)
        self.readers.insert(place, None)
        return True

    def add_reader(self, place: int, number: int) -> None:
        readers = self.readers[place]
        if readers is None:
            self.readers[place] = number
        elif isinstance(readers, int):
            self.readers[place] = [readers, number]
        else:
            readers.append(number)

    def below(self, place: int) -> Iterator[int]:
        """The places under one, down to the first that has an order."""
        while place > 0:
            place -= 1
            yield place
            if self.is_ordered(place):
                return

    def above(self, place: int) -> Iterator[int]:
        """The places over one, up to the first that has an order."""
        while place + 1 < len(self.versions):
            place += 1
            yield place
            if self.is_ordered(place):
                return

    def is_ordered(self, place: int) -> bool:
        return self.loose is None or self.versions[place] not in self.loose

    def loosen(self, tid: int) -> None:
        if self.loose is None:
            self.loose = set()
        self.loose.add(tid)

    def merge(self, read: int, tid: int) -> None:
        """Know that a version was merged with all that came after what was read."""
        if self.merges is None:
            self.merges = []
        self.merges.append((read, tid))
        first = bisect_right(self.versions, read)
        for place in range(first, bisect_right(self.versions, tid)):
            self.loosen(self.versions[place])

    def settle(self, tid: int) -> None:
        """Know that a version was not merged by its writer."""
        is_merged_with = any(read < tid < merged for read, merged in self.merges or ())
        if self.loose is not None and not is_merged_with:
            self.loose.discard(tid)
        elif is_merged_with:
            self.loosen(tid)

    def has_between(self, tid: int, older: int, newer: int) -> bool:
        """Whether a version lies between two places."""
        place = bisect_left(self.versions, tid)
        return older < place < newer and self.versions[place] == tid

    def readers_of(self, place: int) -> Sequence[int]:
        readers = self.readers[place]
        if isinstance(readers, int):
            return (readers,)
        return readers or ()


@define(eq=False)
class _Told:
    """A transaction, in little memory; one that is not told is known from reads alone.

    ``serials`` are those of ``reads``. ``writes`` grow until it is told: one that was
    there before wrote everything.
    """

    tid: int
    is_told: bool = False
    at: float = 0.0
    master: str = ""
    reads: tuple[_Item, ...] = ()
    serials: tuple[int, ...] = ()
    writes: Sequence[_Item] = ()

    def versions_read(self) -> Iterator[tuple[_Item, int]]:
        return zip(self.reads, self.serials, strict=True)

    def as_committed(self) -> Committed:
        return Committed(
            self.at,
            self.master,
            self.name,
            {item.oid: _hexadecimal(serial) for item, serial in self.versions_read()},
            tuple(item.oid for item in self.writes),
        )

    @property
    def name(self) -> str:
        return _hexadecimal(self.tid) if self.tid >= 0 else ""


@frozen
class _Link:
    """``later`` comes after ``number``, because of ``item``."""

    number: int
    later: int
    kind: _Kind
    item: _Item


_Circle = tuple[_Link, ...]


class Transactions:
    """Once a circle was told, another one that goes along it may stay untold."""

    def __init__(self, _bounds: Bounds) -> None:
        self._items: dict[str, _Item] = {}
        self._numbers: dict[int, int] = {}
        self._told: list[_Told] = [_Told(-1)]
        self._order = Order()
        self._highest = -1
        self._doubted: list[Doubted] = []

    def take(self, happening: Happening) -> tuple[Violation, ...]:
        if isinstance(happening, Committed):
            return self._commit(happening)
        if isinstance(happening, Doubted):
            self._doubted.append(happening)
        return ()

    def finish(self) -> tuple[Violation, ...]:
        """Find what was read of transactions that never were."""
        told = [it for it in self._told if it.is_told and it.tid >= 0]
        first = min((it.tid for it in told), default=0)
        unknown = [it for it in self._told if not it.is_told and it.tid > first]
        writers = [
            [
                place
                for place, doubted in enumerate(self._doubted)
                if _may_have_written(doubted, it)
            ]
            for it in unknown
        ]
        explained = match_each(writers)
        return tuple(
            self._dirty(it, it.writes[0])
            for place, it in enumerate(unknown)
            if place not in explained
        )

    def _commit(self, happening: Committed) -> tuple[Violation, ...]:
        tid = int(happening.tid, 16) if happening.tid else -1
        number = self._numbers.get(tid, 0) if tid >= 0 else 0
        if self._told[number].is_told:
            return (self._fork(self._told[number], happening),)
        is_plain = number == 0 and tid > self._highest
        if number == 0:
            number = self._enter(_Told(tid), self._order.last)
        told = self._told[number]
        told.at, told.master, told.is_told = happening.at, happening.master, True
        merged = happening.merged
        reads: list[_Item] = []
        serials: list[int] = []
        circles: list[_Circle] = []
        for oid, text in happening.reads.items():
            if merged and oid in merged:
                continue
            serial = int(text, 16)
            item = self._item(oid)
            versions = item.versions
            if versions and versions[-1] == serial:
                place, serial = -1, versions[-1]
            else:
                is_plain = False
                circles += self._know(item, serial)
                place = bisect_left(versions, serial)
            item.add_reader(place, number)
            reads.append(item)
            serials.append(serial)
        told.reads, told.serials = tuple(reads), tuple(serials)
        writes = tuple(self._item(oid) for oid in happening.writes)
        for item in writes:
            item.open(tid)
            if item.oid in merged:
                item.merge(int(happening.reads.get(item.oid, "0"), 16), tid)
            elif item.loose is not None:
                item.settle(tid)
        foreign = [item for item in told.writes if item not in writes]
        told.writes = writes
        if is_plain:
            return ()
        dirty = tuple(self._dirty(told, item) for item in foreign)
        return dirty + self._judge(number, circles)

    def _item(self, oid: str) -> _Item:
        item = self._items.get(oid)
        if item is None:
            item = self._items[oid] = _Item(oid)
        return item

    def _enter(self, told: _Told, place: int) -> int:
        number = self._order.add(place)
        self._told.append(told)
        if told.tid >= 0:
            self._numbers[told.tid] = number
            self._highest = max(self._highest, told.tid)
        return number

    def _know(self, item: _Item, serial: int) -> list[_Circle]:
        """A version was read, so it is one; returns the circles that this closes."""
        if not item.open(serial):
            return []
        item.loosen(serial)
        number = self._numbers.get(serial, 0)
        if number == 0:
            place = bisect_left(item.versions, serial)
            if len(item.versions) == 1:
                before = self._order.last
            else:
                before = self._numbers[item.versions[place - 1]] if place else FRONT
            number = self._enter(_Told(serial, writes=[]), before)
        told = self._told[number]
        if not told.is_told and isinstance(told.writes, list):
            told.writes.append(item)
        links = (
            *self._before(number, (), (item,)),
            *self._after_writes(number, serial, (item,)),
        )
        return self._arrange(links)

    # -- dependencies ----------------------------------------------------------------

    def _before(
        self,
        number: int,
        reads: Iterable[tuple[_Item, int]],
        writes: Iterable[_Item],
    ) -> Iterator[_Link]:
        """What this one comes after, by these reads and writes of it."""
        tid = self._told[number].tid
        for item, serial in reads:
            place = bisect_left(item.versions, serial)
            for seen in (place, *item.below(place)):
                writer = self._numbers[item.versions[seen]]
                if writer != number:
                    yield _Link(writer, number, _Kind.SAW, item)
                if item.is_ordered(seen):
                    break
        for item in writes:
            place = bisect_left(item.versions, tid)
            is_ordered = item.is_ordered(place)
            for older in item.below(place):
                if is_ordered or item.is_ordered(older):
                    writer = self._numbers[item.versions[older]]
                    yield _Link(writer, number, _Kind.REPLACED, item)
                for reader in item.readers_of(older):
                    # Who wrote it in between missed nothing that came after that.
                    own = self._told[reader].tid
                    if reader != number and not item.has_between(own, older, place):
                        yield _Link(reader, number, _Kind.MISSED, item)

    def _after(self, number: int) -> Iterator[_Link]:
        """What comes after this one."""
        told = self._told[number]
        yield from self._after_writes(number, told.tid, told.writes)
        for item, serial in told.versions_read():
            place = bisect_left(item.versions, serial)
            for newer in item.above(place):
                writer = self._numbers[item.versions[newer]]
                if writer == number:
                    break
                yield _Link(number, writer, _Kind.MISSED, item)

    def _after_writes(
        self, number: int, tid: int, writes: Iterable[_Item]
    ) -> Iterator[_Link]:
        for item in writes:
            place = bisect_left(item.versions, tid)
            is_ordered = item.is_ordered(place)
            yield from self._readers(number, item, place)
            for newer in item.above(place):
                if is_ordered or item.is_ordered(newer):
                    writer = self._numbers[item.versions[newer]]
                    yield _Link(number, writer, _Kind.REPLACED, item)
                if not item.is_ordered(newer):
                    yield from self._readers(number, item, newer)

    def _readers(self, number: int, item: _Item, place: int) -> Iterator[_Link]:
        for reader in item.readers_of(place):
            if reader != number:
                yield _Link(number, reader, _Kind.SAW, item)

    def _judge(self, number: int, circles: list[_Circle]) -> tuple[Violation, ...]:
        told = self._told[number]
        found = [
            self._future(number, item, serial)
            for item, serial in told.versions_read()
            if 0 <= told.tid <= serial
        ]
        for item, serial in told.versions_read():
            writer = self._told[self._numbers[serial]]
            if writer.is_told and item not in writer.writes:
                found.append(self._dirty(writer, item))
        before = tuple(self._before(number, told.versions_read(), told.writes))
        after = tuple(self._after(number))
        circles += self._arrange((*before, *after))
        members = {tuple(sorted(it.number for it in way)): way for way in circles}
        found += [self._name_circle(told.at, way) for way in members.values()]
        return tuple(found)

    def _arrange(self, links: Iterable[_Link]) -> list[_Circle]:
        """Let the order agree with dependencies; returns circles where it cannot."""
        return [self._circle(link) for link in links if not self._agree(link)]

    def _agree(self, link: _Link) -> bool:
        labels = self._order.labels
        before, later = link.number, link.later
        if labels[before] < labels[later]:
            return True
        highest = labels[before]
        reached = {later}
        waiting = [later]
        while waiting:
            number = waiting.pop()
            for it in self._after(number):
                # What goes down is a part of a circle that was found already, or is
                # yet to be arranged: then it is what finds the circle.
                if labels[number] < labels[it.later] <= highest:
                    if it.later == before:
                        return False
                    if it.later not in reached:
                        reached.add(it.later)
                        waiting.append(it.later)
        self._order.move(sorted(reached, key=labels.__getitem__), before)
        return True

    def _circle(self, link: _Link) -> _Circle:
        """The shortest circle with it, where it can be one that misses nothing else."""
        way = self._way(link, lambda it: it.kind is not _Kind.MISSED)
        if way is None:
            way = self._way(link, lambda _: True)
        assert way is not None
        return (link, *way)

    def _way(
        self, link: _Link, is_taken: Callable[[_Link], bool]
    ) -> list[_Link] | None:
        labels = self._order.labels
        came: dict[int, _Link | None] = {link.later: None}
        waiting = deque((link.later,))
        while waiting and link.number not in came:
            number = waiting.popleft()
            for it in self._after(number):
                is_up = labels[number] < labels[it.later] <= labels[link.number]
                if is_up and it.later not in came and is_taken(it):
                    came[it.later] = it
                    waiting.append(it.later)
        if link.number not in came:
            return None
        way = []
        last = came[link.number]
        while last is not None:
            way.append(last)
            last = came[last.number]
        return way[::-1]

    # -- sentences -------------------------------------------------------------------

    def _fork(self, first: _Told, second: Committed) -> Violation:
        sentence = (
            f"{Anomaly.FORK}: {second.tid} was acknowledged to {first.master} at"
            f" {seconds_of(first.at)} and to {second.master} at {seconds_of(second.at)}"
        )
        evidence = (first.as_committed(), second)
        return Violation(NAME, second.at, sentence, evidence)

    def _future(self, number: int, item: _Item, serial: int) -> Violation:
        told = self._told[number]
        sentence = (
            f"{Anomaly.FUTURE_READ}: {told.name} of {told.master} read {item.oid} as of"
            f" {_hexadecimal(serial)}, which is not below it"
        )
        return Violation(NAME, told.at, sentence, self._evidence((number,)))

    def _dirty(self, writer: _Told, item: _Item) -> Violation:
        place = bisect_left(item.versions, writer.tid)
        reader = item.readers_of(place)[-1]
        reason = "did not write it" if writer.is_told else "nobody committed"
        sentence = (
            f"{Anomaly.DIRTY_READ}: {self._name(reader)} read {item.oid} as of"
            f" {writer.name}, which {reason}"
        )
        at = max(writer.at, self._told[reader].at)
        return Violation(NAME, at, sentence, self._evidence((reader,)))

    def _name_circle(self, at: float, circle: _Circle) -> Violation:
        missed = [it for it in circle if it.kind is _Kind.MISSED]
        lost = [it for it in missed if it.item in self._told[it.number].writes]
        if lost:
            anomaly = Anomaly.LOST_UPDATE
        elif len(missed) > 1:
            anomaly = Anomaly.WRITE_SKEW
        elif missed:
            anomaly = Anomaly.STALE_READ
        else:
            anomaly = Anomaly.FUTURE_READ
        steps = "; ".join(self._step(it) for it in circle)
        evidence = self._evidence(it.number for it in circle)
        return Violation(NAME, at, f"{anomaly}: {steps}", evidence)

    def _step(self, link: _Link) -> str:
        if link.kind is _Kind.MISSED:
            return (
                f"{self._name(link.number)} missed {link.item.oid} of"
                f" {self._name(link.later)}"
            )
        return (
            f"{self._name(link.later)} {link.kind} {link.item.oid} of"
            f" {self._name(link.number)}"
        )

    def _name(self, number: int) -> str:
        told = self._told[number]
        if not told.is_told:
            return f"{told.name} of nobody"
        return f"{told.name or 'a reader'} of {told.master}"

    def _evidence(self, numbers: Iterable[int]) -> tuple[Happening, ...]:
        told = [self._told[number] for number in numbers]
        return tuple(it.as_committed() for it in told if it.is_told)


def _hexadecimal(tid: int) -> str:
    return f"{tid:016x}"


def _may_have_written(doubted: Doubted, told: _Told) -> bool:
    """It writes at least what was read of it, above all that it read."""
    newest = max((int(serial, 16) for serial in doubted.reads.values()), default=-1)
    return newest < told.tid and all(it.oid in doubted.writes for it in told.writes)


def match_each(choices: list[list[int]]) -> dict[int, int]:
    """Give as many places as can be one of their choices, each to one place."""
    taken: dict[int, int] = {}

    def give(place: int, tried: set[int]) -> bool:
        for choice in choices[place]:
            if choice not in tried:
                tried.add(choice)
                if choice not in taken or give(taken[choice], tried):
                    taken[choice] = place
                    return True
        return False

    for place in range(len(choices)):
        give(place, set())
    return {place: choice for choice, place in taken.items()}
