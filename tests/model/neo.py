"""A small model of NEO around ``replication.quorum``: what nodes keep, what they send.

A world is a tuple of small numbers: of each storage node, of each neo_master, of what
is known to the one who looks at all of them. ``Model.steps`` gives the worlds that can
come after it. A storage node handles one packet at a time from a queue per connection,
either side may notice the end of a connection first, and a neo_master acts in the same
instant in which it has what it waited for. What a step finds wrong is a ``Broken``.

``rule`` is the module under test. The explorer loads this source with one part of it
taken out to see what breaks: see ``tests.model.mutants``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from attrs import define, field, frozen

from replication import quorum as rule
from replication.observation import REGION_SPAN, Claim, Row, Table, TableId

Bits = int
"""A set of storage nodes, or of transactions, by their places."""

RawTable = tuple[int, int, tuple[tuple[Bits, Bits], ...]]
"""Epoch, counter, and of each neo_partition its holders and those readable."""

Packet = tuple[Any, ...]

STRANGER, PROMISED, ADOPTED, OPERATING = range(4)
"""What a storage node did in its session with a primary."""

RECOVERING, PROMISING, STORING, COMMITTING, RUNNING = range(5)
"""What a primary waits for: nodes, promises, tables, commits, nothing."""

UNUSED, VOTED, LOCKING, DONE = range(4)
"""A transaction, as its primary knows it."""

NOBODY = -1
GONE = -2
"""The primary of a storage node that still handles what a lost one had sent."""

WHOLE = -1
"""Of a neo_partition that needs no replication."""


class Disk(NamedTuple):
    """What a storage node keeps.

    ``data`` has the transactions committed in each neo_partition. ``floors`` has those
    committed when the cell became out of date: replication begins above the last.
    """

    promise: int
    table: RawTable | None
    data: tuple[Bits, ...]
    votes: Bits
    locks: Bits
    verdict: Bits
    floors: tuple[Bits, ...]


class Storage(NamedTuple):
    disk: Disk
    primary: int = NOBODY
    stage: int = STRANGER
    queue: tuple[Packet, ...] = ()


class Primary(NamedTuple):
    phase: int = RECOVERING
    epoch: int = 0
    table: RawTable | None = None
    claims: tuple[tuple[int, Disk], ...] = ()
    connected: Bits = 0
    waiting: Bits = 0
    answers: tuple[tuple[int, Disk], ...] = ()
    verdict: Bits = 0
    last_tid: int = 0


class Transaction(NamedTuple):
    """``ready`` were there when it began in ``epoch``.

    ``earlier`` was acknowledged before it got its tid.
    """

    epoch: int = 0
    stage: int = UNUSED
    primary: int = NOBODY
    ready: Bits = 0
    waiting: Bits = 0
    lockers: Bits = 0
    earlier: Bits = 0


class Shared(NamedTuple):
    """What only the one who looks at all knows, and what may still happen."""

    transactions: tuple[Transaction, ...]
    tids: tuple[int, ...]
    acknowledged: Bits
    refused: Bits
    cuts: int
    recoveries: int
    changes: int


World = tuple[int, ...]
Step = tuple[Any, ...]


class Broken(Exception):
    """A sentence about what must not be."""


@frozen
class Scope:
    """A small world and how much may happen in it.

    ``regions`` has that of each storage node, ``rows`` the holders of each
    neo_partition by their places. ``touched`` says of each transaction the
    neo_partitions that it changes. ``layouts`` are other rows that an operator may ask
    for. ``offsets`` are what the clocks of the neo_masters show.
    """

    name: str
    regions: tuple[int, ...]
    rows: tuple[Bits, ...]
    touched: tuple[Bits, ...]
    cuts: int
    recoveries: int
    offsets: tuple[int, ...] = (0, 0)
    layouts: tuple[tuple[Bits, ...], ...] = ()
    changes: int = 0
    is_created: bool = False
    is_idle: bool = False
    lost_disks: Bits = 0

    @property
    def width(self) -> int:
        return len(self.regions)

    def storage_id(self, place: int) -> int:
        return self.regions[place] * REGION_SPAN + place

    def place_of(self, storage_id: int) -> int:
        return storage_id % REGION_SPAN


def places(bits: Bits) -> list[int]:
    return [place for place in range(bits.bit_length()) if bits >> place & 1]


class Pool(dict[Any, int]):
    """Values by number and back."""

    def __init__(self) -> None:
        self.by_number: list[Any] = []

    def __missing__(self, value: Any) -> int:
        number = self[value] = len(self.by_number)
        self.by_number.append(value)
        return number


@define(eq=False)
class Draft:
    """A world that a step is changing; ``told`` says how, if the model is asked to."""

    model: Model
    storage_numbers: list[int]
    primary_numbers: list[int]
    shared: Shared
    told: list[str] = field(factory=list)

    def storage(self, place: int) -> Storage:
        number = self.storage_numbers[place]
        found: Storage = self.model.storages.by_number[number]
        return found

    def primary(self, master: int) -> Primary:
        number = self.primary_numbers[master]
        found: Primary = self.model.primaries.by_number[number]
        return found

    def put(self, place: int, storage: Storage) -> None:
        self.storage_numbers[place] = self.model.storages[storage]

    def set(self, master: int, **values: Any) -> None:
        primary = self.primary(master)._replace(**values)
        self.primary_numbers[master] = self.model.primaries[primary]

    def share(self, **values: Any) -> None:
        self.shared = self.shared._replace(**values)

    def trade(self, number: int, **values: Any) -> None:
        """Change what is known of a transaction."""
        listed = list(self.shared.transactions)
        listed[number] = listed[number]._replace(**values)
        self.share(transactions=tuple(listed))

    def send(self, places_: Bits, *packets: Packet) -> None:
        for place in places(places_):
            storage = self.storage(place)
            self.put(place, storage._replace(queue=storage.queue + packets))

    def live(self, master: int) -> Bits:
        """Return who is connected to a neo_master, as both sides see it."""
        found = 0
        for place in places(self.primary(master).connected):
            if self.storage(place).primary == master:
                found |= 1 << place
        return found

    def tell(self, master: int, what: str) -> None:
        if self.model.is_telling:
            self.told.append(f"-- M{master} e{self.primary(master).epoch:<2} {what}")

    def tell_storage(self, place: int, what: str) -> None:
        if self.model.is_telling:
            region = self.model.scope.regions[place]
            epoch = (self.storage(place).disk.table or (0,))[0]
            self.told.append(f"r{region} S{place} e{epoch:<2} {what}")

    def done(self) -> World:
        model = self.model
        return (
            *self.storage_numbers,
            *self.primary_numbers,
            model.shareds[self.shared],
        )


@define(eq=False)
class Model:
    """What can happen in a ``Scope``."""

    scope: Scope
    is_telling: bool = False
    storages: Pool = field(factory=Pool)
    primaries: Pool = field(factory=Pool)
    shareds: Pool = field(factory=Pool)
    _remembered: dict[Any, Any] = field(factory=dict)

    # -- values of the rule ----------------------------------------------------------

    def ids(self, bits: Bits) -> frozenset[int]:
        found: frozenset[int] = self._remember(("ids", bits), self._ids, bits)
        return found

    def _ids(self, bits: Bits) -> frozenset[int]:
        return frozenset(self.scope.storage_id(place) for place in places(bits))

    def bits(self, ids: Iterable[int]) -> Bits:
        return sum(1 << self.scope.place_of(each) for each in ids)

    def table(self, raw: RawTable) -> Table:
        found: Table = self._remember(("table", raw), self._table, raw)
        return found

    def _table(self, raw: RawTable) -> Table:
        epoch, counter, rows = raw
        built = (Row(self.ids(held), self.ids(readable)) for held, readable in rows)
        return Table(TableId(epoch, counter), tuple(built))

    def raw(self, table: Table) -> RawTable:
        rows = tuple(
            (self.bits(row.holders), self.bits(row.readable)) for row in table.rows
        )
        return table.table_id.epoch, table.table_id.counter, rows

    def claim(self, place: int, disk: Disk, unfinished: dict[int, Any]) -> Claim:
        table = self.table(disk.table) if disk.table else None
        return Claim(self.scope.storage_id(place), disk.promise, table, unfinished)

    def _remember(self, key: Any, function: Callable[..., Any], *values: Any) -> Any:
        try:
            return self._remembered[key]
        except KeyError:
            found = self._remembered[key] = function(*values)
            return found

    def source(self, disks: tuple[tuple[int, Disk], ...]) -> Any:
        """Return what ``find_source`` says of storage nodes, its table made raw."""
        told = tuple((place, disk.promise, disk.table) for place, disk in disks)
        return self._remember(("source", told), self._source, disks)

    def _source(self, disks: tuple[tuple[int, Disk], ...]) -> Any:
        return rule.find_source([self.claim(place, disk, {}) for place, disk in disks])

    def verdict(
        self, source: Any, answers: tuple[tuple[int, Disk], ...], tids: tuple[int, ...]
    ) -> Bits:
        """Return what a recovery commits: locked, or committed where it is readable."""
        claims = []
        for place, disk in answers:
            decided = disk.locks | disk.verdict
            unfinished = {
                number: tids[number] if decided >> number & 1 else None
                for number in places(disk.votes | decided)
            }
            claims.append(self.claim(place, disk, unfinished))
        found = sum(1 << number for number in rule.find_locked(source, claims))
        readable = self.bits(source.table.readable & source.participants)
        for number in rule.find_open(source, claims):
            for place, disk in answers:
                if readable >> place & 1 and any(
                    data >> number & 1 for data in disk.data
                ):
                    found |= 1 << number
        return found

    def rows_of(self, raw: RawTable, number: int) -> tuple[Row, ...]:
        """Return the rows that a transaction touches."""
        touched = self.scope.touched[number]
        return tuple(
            row
            for place, row in enumerate(self.table(raw).rows)
            if touched >> place & 1
        )

    def holders(self, raw: RawTable, number: int) -> Bits:
        touched = self.scope.touched[number]
        found = 0
        for place, (held, _) in enumerate(raw[2]):
            if touched >> place & 1:
                found |= held
        return found

    def metadata(self, raw: RawTable | None, number: int) -> Bits:
        """Return who keeps a lock of a transaction: the others only remember it."""
        assert raw
        first = (self.scope.touched[number] & -self.scope.touched[number]).bit_length()
        return raw[2][first - 1][0]

    def may_change(self, raw: RawTable, connected: Bits) -> bool:
        return bool(rule.may_change(self.table(raw), self.ids(connected)))

    def touching(self, row: int) -> Bits:
        """Return the transactions that change a neo_partition."""
        return sum(
            1 << number
            for number, touched in enumerate(self.scope.touched)
            if touched >> row & 1
        )

    # -- a storage node --------------------------------------------------------------

    def handle(self, place: int, storage: Storage) -> tuple[Storage, str]:
        """Return a storage node after its next packet, and what it answered."""
        return self._remember((place, storage), self._handle, place, storage)  # type: ignore[no-any-return]

    def _handle(self, place: int, storage: Storage) -> tuple[Storage, str]:
        (verb, *rest), *queue = storage.queue
        storage = storage._replace(queue=tuple(queue))
        answer: tuple[Storage, str] = getattr(self, f"_on_{verb}")(
            place, storage, *rest
        )
        return answer

    def _on_promise(
        self, _place: int, storage: Storage, epoch: int
    ) -> tuple[Storage, str]:
        disk = storage.disk
        held_epoch = disk.table[0] if disk.table else 0
        if not rule.may_promise(disk.promise, held_epoch, epoch):
            return storage, "refused"
        disk = disk._replace(promise=epoch)
        return storage._replace(disk=disk, stage=PROMISED), "promised"

    def _adopt(self, place: int, disk: Disk, raw: RawTable) -> Disk | None:
        """Return what a storage node keeps with a table, or nothing if it refuses."""
        own = self.table(disk.table).table_id if disk.table else None
        if not rule.may_adopt(disk.promise, own, self.table(raw).table_id):
            return None
        floors = list(disk.floors)
        for row, (_, readable) in enumerate(raw[2]):
            if readable >> place & 1:
                floors[row] = WHOLE
            elif floors[row] == WHOLE:
                floors[row] = disk.data[row]
        return disk._replace(table=raw, floors=tuple(floors))

    def _on_table(
        self, place: int, storage: Storage, raw: RawTable, verdict: Bits
    ) -> tuple[Storage, str]:
        if storage.stage != PROMISED or storage.disk.promise != raw[0]:
            return storage, "refused"
        disk = self._adopt(place, storage.disk, raw)
        if disk is None:
            return storage, "refused"
        needed = {
            number
            for row, (_, readable) in enumerate(raw[2])
            for number in places(verdict & self.touching(row) & ~disk.data[row])
            if readable >> place & 1
        }
        settled = rule.settle(
            is_readable=any(readable >> place & 1 for _, readable in raw[2]),
            voted=places(disk.votes),
            verdict=dict.fromkeys(places(verdict), 1),
            needed=needed,
        )
        if settled.missing:
            return storage, "missing"
        locks = sum(1 << number for number in settled.to_lock)
        dropped = sum(1 << number for number in settled.to_drop)
        disk = disk._replace(votes=disk.votes & ~dropped, locks=locks, verdict=verdict)
        return storage._replace(disk=disk, stage=ADOPTED), "stored"

    def _on_join(
        self, place: int, storage: Storage, raw: RawTable
    ) -> tuple[Storage, str]:
        disk = self._adopt(place, storage.disk, raw)
        if disk is None:
            return storage, "refused"
        disk = disk._replace(votes=0, locks=0, verdict=0)
        return storage._replace(disk=disk, stage=ADOPTED), "joined"

    def _on_change(
        self, place: int, storage: Storage, raw: RawTable
    ) -> tuple[Storage, str]:
        disk = self._adopt(place, storage.disk, raw)
        if disk is None or storage.stage < ADOPTED:
            return storage, "refused"
        return storage._replace(disk=disk), ""

    def _on_start(self, _place: int, storage: Storage) -> tuple[Storage, str]:
        if storage.stage != ADOPTED:
            return storage, "refused"
        disk = storage.disk._replace(verdict=0)
        return storage._replace(disk=disk, stage=OPERATING), "started"

    def _on_lock(
        self, place: int, storage: Storage, number: int
    ) -> tuple[Storage, str]:
        disk = storage.disk
        if storage.stage != OPERATING or not disk.votes >> number & 1:
            return storage, "refused"
        if self.metadata(disk.table, number) >> place & 1:
            disk = disk._replace(locks=disk.locks | 1 << number)
        return storage._replace(disk=disk), "locked"

    def _commit(self, place: int, storage: Storage, numbers: Bits) -> Storage:
        disk = storage.disk
        assert disk.table
        numbers &= disk.locks | disk.votes
        data = tuple(
            held | numbers & self.touching(row) if holders >> place & 1 else held
            for row, (held, (holders, _)) in enumerate(
                zip(disk.data, disk.table[2], strict=True)
            )
        )
        disk = disk._replace(
            data=data, votes=disk.votes & ~numbers, locks=disk.locks & ~numbers
        )
        return storage._replace(disk=disk)

    def _on_unlock(
        self, place: int, storage: Storage, number: int
    ) -> tuple[Storage, str]:
        return self._commit(place, storage, 1 << number), ""

    def _on_commit(
        self, place: int, storage: Storage, verdict: Bits
    ) -> tuple[Storage, str]:
        if storage.stage < ADOPTED:
            return storage, "refused"
        return self._commit(place, storage, verdict), "committed"

    # -- a primary -------------------------------------------------------------------

    def answered(
        self, draft: Draft, master: int, place: int, packet: Packet, answer: str
    ) -> None:
        """Let a primary act on what a storage node answered."""
        if answer == "refused":
            draft.put(place, cut_off(draft.storage(place)))
            self.lose(draft, master, place)
        elif answer == "missing":
            raise Broken(f"S{place} lacks what M{master} commits: it cannot start")
        elif answer == "locked":
            number = packet[1]
            known = draft.shared.transactions[number]
            if known.stage == LOCKING and known.primary == master:
                draft.trade(
                    number,
                    waiting=known.waiting & ~(1 << place),
                    lockers=known.lockers | 1 << place,
                )
            self.end_transactions(draft, master)
        elif answer:
            self.advance(draft, master, place, answer)

    def advance(self, draft: Draft, master: int, place: int, answer: str) -> None:
        """Go on with a recovery when all answered what they were asked."""
        primary = draft.primary(master)
        awaited = {"promised": PROMISING, "stored": STORING, "committed": COMMITTING}
        if primary.phase != awaited.get(answer):
            return
        answers = primary.answers
        if answer == "promised":
            answers = tuple(sorted((*answers, (place, draft.storage(place).disk))))
        waiting = primary.waiting & ~(1 << place)
        draft.set(master, waiting=waiting, answers=answers)
        if waiting:
            return
        if answer == "promised":
            self.store_table(draft, master)
        elif answer == "stored":
            self.commit_verdict(draft, master)
        else:
            self.start(draft, master)

    def store_table(self, draft: Draft, master: int) -> None:
        primary = draft.primary(master)
        disks = tuple((place, disk) for place, disk in primary.answers)
        verdict = 0
        if primary.epoch > rule.FIRST_EPOCH:
            source = self.source_of(primary)
            verdict = self.verdict(source, disks, draft.shared.tids)
        draft.set(master, phase=STORING, waiting=primary.connected, verdict=verdict)
        draft.send(primary.connected, ("table", primary.table, verdict))
        draft.tell(master, f"all promised: verdict {named(verdict)}, sends the table")

    def source_of(self, primary: Primary) -> Any:
        source = self.source(primary.claims)
        assert not isinstance(source, rule.Wait)
        return source

    def commit_verdict(self, draft: Draft, master: int) -> None:
        primary = draft.primary(master)
        assert primary.table
        if primary.epoch == rule.FIRST_EPOCH:
            draft.tell(master, "created: back to recovery")
            self.back(draft, master)
            return
        if not primary.verdict:
            self.start(draft, master)
            return
        readable = everyone_readable(primary.table) & primary.connected
        draft.set(master, phase=COMMITTING, waiting=readable)
        draft.send(readable, ("commit", primary.verdict))
        draft.tell(master, "all stored it: lets the readable ones commit")

    def start(self, draft: Draft, master: int) -> None:
        primary = draft.primary(master)
        held = primary.verdict
        for _, disk in primary.answers:
            for data in disk.data:
                held |= data
        last_tid = max((draft.shared.tids[it] for it in places(held)), default=0)
        draft.tell(master, f"RUNNING with {draw(primary.table)}")
        self.check_start(draft, master)
        draft.set(
            master,
            phase=RUNNING,
            claims=(),
            answers=(),
            verdict=0,
            waiting=0,
            last_tid=last_tid,
        )
        for place in places(draft.live(master)):
            storage = draft.storage(place)
            if storage.queue or storage.disk.verdict:
                draft.send(1 << place, ("start",))
            else:
                # Nothing that it keeps would change.
                draft.put(place, storage._replace(stage=OPERATING))

    def back(self, draft: Draft, master: int) -> None:
        """Return to recovery: what is not acknowledged is nobody's any more."""
        self.end_all(draft, master)
        for place in places(draft.live(master)):
            self.let_go(draft, place)
        draft.set(master, **Primary()._asdict())

    def let_go(self, draft: Draft, place: int) -> None:
        """Leave a storage node alone with what was sent to it."""
        storage = draft.storage(place)
        if storage.queue:
            draft.put(place, storage._replace(primary=GONE))
        else:
            draft.put(place, cut_off(storage))

    def end_all(self, draft: Draft, master: int) -> None:
        for number, known in enumerate(draft.shared.transactions):
            if known.primary == master:
                draft.trade(number, epoch=known.epoch, **ENDED)

    def lose(self, draft: Draft, master: int, place: int) -> None:
        """Let a primary notice that a connection is lost."""
        primary = draft.primary(master)
        connected = primary.connected & ~(1 << place)
        draft.set(master, connected=connected)
        if primary.phase != RUNNING:
            draft.tell(master, f"lost S{place}: recovery begins again")
            self.back(draft, master)
            return
        for number, known in enumerate(draft.shared.transactions):
            if known.stage in {VOTED, LOCKING} and known.primary == master:
                draft.trade(
                    number,
                    ready=known.ready & ~(1 << place),
                    waiting=known.waiting & ~(1 << place),
                    lockers=known.lockers & ~(1 << place),
                )
        assert primary.table
        if not self.may_change(primary.table, connected):
            draft.tell(master, f"lost S{place} and the majority: back to recovery")
            self.back(draft, master)
            return
        epoch, counter, rows = primary.table
        outdated = tuple((held, good & ~(1 << place)) for held, good in rows)
        if outdated != rows:
            if not all(good & connected for _, good in outdated):
                draft.tell(master, f"lost S{place}, nobody has all: back to recovery")
                self.back(draft, master)
                return
            self.change(draft, master, (epoch, counter + 1, outdated))
        draft.tell(master, f"lost S{place}: {draw(draft.primary(master).table)}")
        self.end_transactions(draft, master)

    def change(self, draft: Draft, master: int, raw: RawTable) -> None:
        draft.set(master, table=raw)
        draft.send(draft.live(master), ("change", raw))

    def end_transactions(self, draft: Draft, master: int) -> None:
        """End in the order of their tids those that wait for nobody."""
        tids = draft.shared.tids
        for number in sorted(range(len(tids)), key=lambda number: tids[number]):
            known = draft.shared.transactions[number]
            if known.stage != LOCKING or known.primary != master:
                continue
            primary = draft.primary(master)
            assert primary.table
            ending = self.ending(primary.table, number, known.waiting, known.lockers)
            if ending == rule.Ending.WAIT:
                return
            if ending == rule.Ending.IN_DOUBT:
                draft.tell(master, f"T{number} is in doubt: back to recovery")
                self.back(draft, master)
                return
            self.acknowledge(draft, master, number)

    def ending(
        self, raw: RawTable, number: int, waiting: Bits, lockers: Bits
    ) -> rule.Ending:
        key = ("ending", raw, number, waiting, lockers)
        found: rule.Ending = self._remember(
            key, self._ending, raw, number, waiting, lockers
        )
        return found

    def _ending(
        self, raw: RawTable, number: int, waiting: Bits, lockers: Bits
    ) -> rule.Ending:
        rows = self.rows_of(raw, number)
        return rule.decide_ending(rows, self.ids(waiting), self.ids(lockers))

    def acknowledge(self, draft: Draft, master: int, number: int) -> None:
        shared = draft.shared
        known = shared.transactions[number]
        draft.tell(master, f"acknowledges T{number}")
        if shared.refused >> number & 1:
            raise Broken(f"T{number} is acknowledged, a later epoch runs without it")
        tid = shared.tids[number]
        for other in places(shared.acknowledged):
            if shared.tids[other] == tid:
                raise Broken(f"T{number} and T{other} have the same tid")
        if any(shared.tids[other] > tid for other in places(known.earlier)):
            raise Broken(f"T{number} has a tid below one acknowledged before it began")
        draft.share(acknowledged=shared.acknowledged | 1 << number)
        draft.send(known.lockers & draft.live(master), ("unlock", number))
        draft.trade(number, epoch=known.epoch, **ENDED)

    # -- what must hold --------------------------------------------------------------

    def check_start(self, draft: Draft, master: int) -> None:
        primary = draft.primary(master)
        assert primary.table
        for other in range(len(self.scope.offsets)):
            running = draft.primary(other)
            is_running = other != master and running.phase == RUNNING
            if is_running and running.epoch == primary.epoch:
                raise Broken(f"two primaries run in epoch {primary.epoch}")
        shared = draft.shared
        below = sum(
            1 << number
            for number, known in enumerate(shared.transactions)
            if 0 < known.epoch < primary.epoch
        )
        seen = shared._replace(acknowledged=shared.acknowledged & below)
        self.check_readable(primary.table, primary.connected)
        done = self.check_copies(
            primary.table, dict(primary.answers), primary.verdict, seen
        )
        draft.share(refused=shared.refused | below & ~done)

    def check_readable(self, raw: RawTable, present: Bits) -> None:
        if not all(readable & present for _, readable in raw[2]):
            raise Broken("nobody who has all is there")

    def check_copies(
        self, raw: RawTable, disks: dict[int, Disk], verdict: Bits, shared: Shared
    ) -> Bits:
        """Return what readable copies have; they are equal and have what they must."""
        found = 0
        for row, (_, readable) in enumerate(raw[2]):
            touching = self.touching(row)
            first = None
            for place, disk in disks.items():
                if not readable >> place & 1:
                    continue
                has = disk.data[row] | verdict & touching
                lost = shared.acknowledged & touching & ~has
                if lost:
                    raise Broken(f"S{place} is readable without {named(lost)}: lost")
                risen = shared.refused & has
                if risen:
                    raise Broken(
                        f"S{place} has {named(risen)}: an epoch ran without it before"
                    )
                if first is not None and has != first[1]:
                    raise Broken(
                        f"S{first[0]} and S{place} are both readable, and differ: "
                        f"{named(first[1]) or 'nothing'}, {named(has) or 'nothing'}"
                    )
                first = place, has
                found |= has
        return found

    def inspect(self, world: World) -> None:
        """See what would be if all went on from what storage nodes keep in a world."""
        width = self.scope.width
        disks = tuple(self.storages.by_number[it].disk for it in world[:width])
        shared = self.shareds.by_number[world[-1]]
        key = disks, shared.acknowledged, shared.refused, shared.tids
        self._remember(key, self._inspect, disks, shared)

    def _inspect(self, disks: tuple[Disk, ...], shared: Shared) -> None:
        apart: set[Bits] = set()
        for chosen in range(1, 1 << len(disks)):
            answers = tuple((place, disks[place]) for place in places(chosen))
            source = self.source(answers)
            key = answers, shared.acknowledged, shared.refused, shared.tids
            self._remember(key, self._recover, source, answers, shared)
            if not isinstance(source, rule.Wait):
                mine = self.bits(source.participants)
                for other in apart:
                    if not other & mine:
                        raise Broken(
                            f"{sites(other)} may recover, and {sites(mine)} may: a fork"
                        )
                apart.add(mine)

    def _recover(
        self, source: Any, answers: tuple[tuple[int, Disk], ...], shared: Shared
    ) -> None:
        who = " ".join(f"S{place}" for place, _ in answers)
        if isinstance(source, rule.Wait):
            blank = any(disk.table is None for _, disk in answers)
            if len(answers) == self.scope.width and not blank:
                raise Broken(f"{who} are all there, and wait: {source.reason}")
            return
        chosen = self.bits(source.participants)
        answers = tuple((p, disk) for p, disk in answers if chosen >> p & 1)
        verdict = self.verdict(source, answers, shared.tids)
        raw = self.raw(rule.plan_table(source))
        try:
            for place, disk in answers:
                ready = Storage(disk._replace(promise=raw[0]), 0, PROMISED)
                ready = ready._replace(queue=(("table", raw, verdict),))
                if self.handle(place, ready)[1] == "missing":
                    raise Broken(f"S{place} lacks one of {named(verdict)}")  # noqa: TRY301 - as its callees do
            self.check_readable(raw, chosen)
            self.check_copies(raw, dict(answers), verdict, shared)
        except Broken as error:
            raise Broken(f"if {who} recover now: {error}") from None

    # -- what can happen -------------------------------------------------------------

    def draft(self, world: World) -> Draft:
        width = self.scope.width
        return Draft(
            self,
            list(world[:width]),
            list(world[width:-1]),
            self.shareds.by_number[world[-1]],
        )

    def play(self, world: World, step: Step) -> tuple[World, list[str]]:
        """Return the world after a step, and what there is to tell about it."""
        draft = self.draft(world)
        verb, *rest = step
        try:
            getattr(self, f"_play_{verb}")(draft, *rest)
        except Broken as error:
            raise Broken(str(error), draft.told) from None
        return draft.done(), draft.told

    def steps(self, world: World) -> Iterator[Step]:
        draft = self.draft(world)
        masters = range(len(self.scope.offsets))
        for place in range(self.scope.width):
            yield from self._storage_steps(draft, place, masters)
        for master in masters:
            yield from self._primary_steps(draft, master)
        for number, known in enumerate(draft.shared.transactions):
            if known.stage == VOTED:
                primary = draft.primary(known.primary)
                asked = known.ready & primary.connected
                if asked and not asked & ~known.lockers:
                    yield ("finish", number)

    def _storage_steps(
        self, draft: Draft, place: int, masters: range
    ) -> Iterator[Step]:
        storage = draft.storage(place)
        if storage.primary == NOBODY:
            for master in masters:
                if self._may_connect(draft, place, master):
                    yield ("connect", place, master)
            may_lose = self.scope.lost_disks >> place & 1 and storage.disk.table
            if may_lose and draft.shared.changes:
                yield ("wipe", place)
            return
        if storage.queue:
            yield ("deliver", place)
        if storage.primary == GONE:
            yield ("forget", place)
        elif draft.shared.cuts:
            yield ("leave", place)
            if storage.queue:
                yield ("lose", storage.primary, place)

    def _may_connect(self, draft: Draft, place: int, master: int) -> bool:
        primary = draft.primary(master)
        if primary.connected >> place & 1:
            return False
        if primary.phase != RUNNING:
            return False
        assert primary.table
        disk = draft.storage(place).disk
        if disk.table is None and not disk.promise:
            # Its disk was lost, and what it promised with it.
            return False
        return bool(everyone(primary.table) >> place & 1)

    def _primary_steps(self, draft: Draft, master: int) -> Iterator[Step]:
        primary = draft.primary(master)
        shared = draft.shared
        if primary.phase == RECOVERING:
            if shared.recoveries:
                yield from self._recovery_steps(draft, master)
            return
        live = draft.live(master)
        for place in places(primary.connected & ~live):
            yield ("notice", master, place)
        if shared.cuts:
            yield ("stop", master)
        if primary.phase != RUNNING:
            return
        ready = all(draft.storage(it).stage == OPERATING for it in places(live))
        for number, known in enumerate(shared.transactions):
            if known.stage == UNUSED:
                if ready and self._may_begin(primary, number):
                    yield ("begin", master, number)
                break
        yield from self._replications(draft, master, live)

    def _may_begin(self, primary: Primary, number: int) -> bool:
        assert primary.table
        rows = self.rows_of(primary.table, number)
        return bool(rule.check_majority(rows, self.ids(primary.connected)))

    def _recovery_steps(self, draft: Draft, master: int) -> Iterator[Step]:
        free = 0
        for place in range(self.scope.width):
            if draft.storage(place).primary == NOBODY:
                free |= 1 << place
        chosen = free
        while chosen:
            yield from self._sources(draft, master, chosen)
            chosen = (chosen - 1) & free

    def _sources(self, draft: Draft, master: int, chosen: Bits) -> Iterator[Step]:
        claims = tuple((it, draft.storage(it).disk) for it in places(chosen))
        is_blank = not any(disk.table for _, disk in claims)
        if self.scope.is_created and is_blank and len(claims) == self.scope.width:
            yield ("create", master)
        source = self.source(claims)
        if isinstance(source, rule.Wait):
            return
        yield ("go", master, chosen, NOBODY)
        if not draft.shared.changes:
            return
        for place, layout in enumerate(self.scope.layouts):
            raw = self.replaced(source, layout)
            kept = self.raw(rule.plan_table(source))
            if raw[2] != kept[2] and self.may_replace(source, raw, claims):
                yield ("go", master, chosen, place)

    def replaced(self, source: Any, layout: tuple[Bits, ...]) -> RawTable:
        """Return the table of the next epoch with other holders."""
        epoch, counter, rows = self.raw(rule.plan_table(source))
        new = tuple(
            (held, good & held) for held, (_, good) in zip(layout, rows, strict=True)
        )
        return epoch, counter, new

    def may_replace(
        self, source: Any, new: RawTable, disks: tuple[tuple[int, Disk], ...]
    ) -> bool:
        claims = [self.claim(place, disk, {}) for place, disk in disks]
        return bool(rule.may_replace(source, claims, self.table(new)))

    def _replications(self, draft: Draft, master: int, live: Bits) -> Iterator[Step]:
        primary = draft.primary(master)
        assert primary.table
        for row, (held, readable) in enumerate(primary.table[2]):
            for place in places(held & ~readable & live):
                if self._may_replicate(draft, master, place, row):
                    for source in places(readable & live):
                        # What is locked there is waited for.
                        if self._is_settled(draft, source):
                            yield ("replicate", master, place, row)
                            break

    def _is_settled(self, draft: Draft, place: int) -> bool:
        """Return whether a storage node committed all that it should by now.

        NEO's wait while one that they are asked for is locked.
        """
        storage = draft.storage(place)
        locked = storage.disk.votes & draft.shared.acknowledged
        return storage.stage == OPERATING and not locked

    def _may_replicate(self, draft: Draft, master: int, place: int, row: int) -> bool:
        storage = draft.storage(place)
        if storage.queue or not self._is_settled(draft, place):
            return False
        return all(
            known.ready >> place & 1
            for number, known in enumerate(draft.shared.transactions)
            if known.stage in {VOTED, LOCKING}
            and known.primary == master
            and self.scope.touched[number] >> row & 1
        )

    # -- steps -----------------------------------------------------------------------

    def _play_deliver(self, draft: Draft, place: int) -> None:
        before = draft.storage(place)
        after, answer = self.handle(place, before)
        draft.put(place, after)
        if self.is_telling:
            unheard = ", unheard" if before.primary == GONE else ""
            what = describe(before.queue[0], answer)
            draft.tell_storage(place, f"{what}{unheard}")
        if before.primary != GONE:
            self.answered(draft, before.primary, place, before.queue[0], answer)
        elif answer == "missing":
            raise Broken(f"S{place} lacks what it should commit")
        elif not after.queue or answer == "refused":
            draft.put(place, cut_off(after))

    def _play_leave(self, draft: Draft, place: int) -> None:
        """A storage node is cut or stops; its primary does not know yet."""
        draft.share(cuts=draft.shared.cuts - 1)
        draft.tell_storage(place, f"loses M{draft.storage(place).primary}")
        draft.put(place, cut_off(draft.storage(place)))

    def _play_lose(self, draft: Draft, master: int, place: int) -> None:
        """A primary loses a storage node that has not heard all that was sent."""
        draft.share(cuts=draft.shared.cuts - 1)
        self.let_go(draft, place)
        self.lose(draft, master, place)

    def _play_forget(self, draft: Draft, place: int) -> None:
        draft.tell_storage(place, "loses what was still on its way")
        draft.put(place, cut_off(draft.storage(place)))

    def _play_notice(self, draft: Draft, master: int, place: int) -> None:
        self.lose(draft, master, place)

    def _play_stop(self, draft: Draft, master: int) -> None:
        draft.share(cuts=draft.shared.cuts - 1)
        draft.tell(master, "stops")
        self.back(draft, master)

    def _play_connect(self, draft: Draft, place: int, master: int) -> None:
        primary = draft.primary(master)
        storage = draft.storage(place)
        disk = storage.disk
        highest = max(disk.promise, disk.table[0] if disk.table else 0)
        draft.tell_storage(place, f"comes to M{master}, promised {disk.promise}")
        if highest > primary.epoch:
            draft.tell(master, f"hears of epoch {highest}: back to recovery")
            self.back(draft, master)
            return
        draft.set(master, connected=primary.connected | 1 << place)
        draft.put(place, storage._replace(primary=master))
        draft.send(1 << place, ("join", primary.table), ("start",))

    def _play_create(self, draft: Draft, master: int) -> None:
        rows = tuple((held, held) for held in self.scope.rows)
        raw: RawTable = rule.FIRST_EPOCH, 0, rows
        holders = everyone(raw)
        for place in places(holders):
            draft.put(place, draft.storage(place)._replace(primary=master))
        draft.set(
            master,
            phase=PROMISING,
            epoch=raw[0],
            table=raw,
            connected=holders,
            waiting=holders,
        )
        draft.send(holders, ("promise", raw[0]))
        draft.tell(master, f"makes the first table, {draw(raw)}")

    def _play_go(self, draft: Draft, master: int, chosen: Bits, layout: int) -> None:
        claims = tuple((it, draft.storage(it).disk) for it in places(chosen))
        source = self.source(claims)
        raw = self.raw(rule.plan_table(source))
        participants = self.bits(source.participants)
        shared = draft.shared
        draft.share(recoveries=shared.recoveries - 1)
        if layout != NOBODY:
            raw = self.replaced(source, self.scope.layouts[layout])
            participants |= chosen & everyone(raw)
            draft.share(changes=shared.changes - 1)
        for place in places(participants):
            storage = draft.storage(place)
            draft.put(place, storage._replace(primary=master))
        draft.set(
            master,
            phase=PROMISING,
            epoch=source.epoch,
            table=raw,
            claims=claims,
            connected=participants,
            waiting=participants,
        )
        draft.send(participants, ("promise", source.epoch))
        who = " ".join(f"S{place}" for place in places(participants))
        draft.tell(
            master,
            f"recovers with {who} from {draw(self.raw(source.table))}, "
            f"plans {draw(raw)}",
        )

    def _play_begin(self, draft: Draft, master: int, number: int) -> None:
        primary = draft.primary(master)
        assert primary.table
        ready = primary.connected & self.holders(primary.table, number)
        live = ready & draft.live(master)
        for place in places(live):
            storage = draft.storage(place)
            disk = storage.disk
            disk = disk._replace(votes=disk.votes | 1 << number)
            draft.put(place, storage._replace(disk=disk))
        draft.trade(
            number,
            epoch=primary.epoch,
            stage=VOTED,
            primary=master,
            ready=ready,
            lockers=live,
        )
        who = " ".join(f"S{place}" for place in places(live))
        draft.tell(master, f"T{number} begins, voted by {who}")

    def _play_finish(self, draft: Draft, number: int) -> None:
        shared = draft.shared
        known = shared.transactions[number]
        master = known.primary
        primary = draft.primary(master)
        tid = max(primary.last_tid + 1, self.scope.offsets[master])
        draft.set(master, last_tid=tid)
        tids = tuple(tid if it == number else old for it, old in enumerate(shared.tids))
        asked = known.ready & primary.connected
        draft.share(tids=tids)
        draft.trade(
            number,
            stage=LOCKING,
            waiting=asked,
            lockers=0,
            earlier=shared.acknowledged,
        )
        draft.send(asked & draft.live(master), ("lock", number))
        draft.tell(master, f"T{number} gets tid {tid}, its locks are asked for")

    def _play_replicate(self, draft: Draft, master: int, place: int, row: int) -> None:
        primary = draft.primary(master)
        assert primary.table
        epoch, counter, rows = primary.table
        live = draft.live(master)
        source = next(
            it for it in places(rows[row][1] & live) if self._is_settled(draft, it)
        )
        storage = draft.storage(place)
        tids = draft.shared.tids
        disk = storage.disk
        above = max((tids[it] for it in places(disk.floors[row])), default=-1)
        theirs = draft.storage(source).disk.data[row]
        fetched = sum(1 << it for it in places(theirs) if tids[it] > above)
        data = list(disk.data)
        data[row] |= fetched
        draft.put(place, storage._replace(disk=disk._replace(data=tuple(data))))
        draft.tell_storage(place, f"replicates {named(fetched)} from S{source}")
        if data[row] != theirs:
            raise Broken(
                f"S{place} replicated and differs from S{source}: "
                f"{named(data[row]) or 'nothing'}, {named(theirs) or 'nothing'}"
            )
        if not self.may_change(primary.table, primary.connected):
            self.back(draft, master)
            return
        new = tuple(
            (held, good | 1 << place if it == row else good)
            for it, (held, good) in enumerate(rows)
        )
        self.change(draft, master, (epoch, counter + 1, new))
        draft.tell(master, f"S{place} has all: {draw(draft.primary(master).table)}")

    def _play_wipe(self, draft: Draft, place: int) -> None:
        draft.share(changes=draft.shared.changes - 1)
        draft.tell_storage(place, "comes back with an empty disk")
        draft.put(place, Storage(blank_disk(len(self.scope.rows))))

    def beginning(self) -> World:
        """Return the first world: running in the second epoch, or with nothing."""
        scope = self.scope
        count = len(scope.rows)
        everybody = 0
        for held in scope.rows:
            everybody |= held
        raw: RawTable = 2, 0, tuple((held, held) for held in scope.rows)
        masters = [Primary() for _ in scope.offsets]
        storages = []
        for place in range(scope.width):
            if scope.is_created or not everybody >> place & 1:
                storages.append(Storage(blank_disk(count)))
                continue
            floors = tuple(WHOLE if held >> place & 1 else 0 for held in scope.rows)
            disk = Disk(2, raw, (0,) * count, 0, 0, 0, floors)
            storages.append(
                Storage(disk) if scope.is_idle else Storage(disk, 0, OPERATING)
            )
        if not scope.is_created and not scope.is_idle:
            masters[0] = Primary(RUNNING, 2, raw, connected=everybody)
        number = len(scope.touched)
        shared = Shared(
            (Transaction(),) * number,
            (0,) * number,
            0,
            0,
            scope.cuts,
            scope.recoveries,
            scope.changes,
        )
        return (
            *(self.storages[it] for it in storages),
            *(self.primaries[it] for it in masters),
            self.shareds[shared],
        )


ENDED: Mapping[str, int] = {
    "stage": DONE,
    "primary": NOBODY,
    "ready": 0,
    "waiting": 0,
    "lockers": 0,
    "earlier": 0,
}


def blank_disk(count: int) -> Disk:
    return Disk(0, None, (0,) * count, 0, 0, 0, (0,) * count)


def cut_off(storage: Storage) -> Storage:
    return Storage(storage.disk)


def everyone(raw: RawTable) -> Bits:
    found = 0
    for held, _ in raw[2]:
        found |= held
    return found


def everyone_readable(raw: RawTable) -> Bits:
    found = 0
    for _, readable in raw[2]:
        found |= readable
    return found


def named(numbers: Bits) -> str:
    return " ".join(f"T{number}" for number in places(numbers)) or "nothing"


def sites(storages: Bits) -> str:
    return " ".join(f"S{place}" for place in places(storages))


def draw(raw: RawTable | None) -> str:
    """Return a table as it is read: its id, and each row with U or O by node."""
    if raw is None:
        return "no table"
    rows = (
        "".join(
            ("U" if good >> place & 1 else "O") if held >> place & 1 else "-"
            for place in range(held.bit_length())
        )
        for held, good in raw[2]
    )
    return f"{raw[0]}.{raw[1]} {' '.join(rows)}"


def describe(packet: Packet, answer: str) -> str:
    verb, *rest = packet
    if verb == "promise":
        what = f"promises {rest[0]}"
    elif verb == "table":
        what = f"stores {draw(rest[0])} with verdict {named(rest[1])}"
    elif verb in {"join", "change"}:
        what = f"stores {draw(rest[0])}"
    elif verb == "commit":
        what = f"commits {named(rest[0])}"
    elif verb in {"lock", "unlock"}:
        what = f"{verb}s T{rest[0]}"
    else:
        what = {"start": "starts", "early": "locks the verdict"}.get(verb, verb)
    return f"refuses: {what}" if answer == "refused" else what
