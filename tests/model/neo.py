"""A small model of NEO around ``replication.quorum``: what nodes keep, what they send.

``Model.steps`` gives what can happen in a world, ``play`` the world after it. A storage
node handles one packet at a time from a queue per connection, either side may notice
the end of a connection first, and a neo_master acts in the same instant in which it has
what it waited for. What a step finds wrong is a ``Broken``; ``inspect`` says what would
be wrong if all went on from a world.

The parts: ``world`` has the values, ``rule`` asks the module under test,
``storage_steps`` and ``primary_steps`` are what NEO does, ``choices`` what can happen,
``judge`` what must hold.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define, field

from replication.quorum import FIRST_EPOCH, Wait
from tests.model.choices import Choices
from tests.model.draft import Draft
from tests.model.judge import Judge
from tests.model.primary_steps import PrimarySteps
from tests.model.rule import Rule
from tests.model.storage_steps import StorageSteps
from tests.model.telling import describe, draw, named
from tests.model.world import (
    GONE,
    LOCKING,
    NOBODY,
    OPERATING,
    PROMISING,
    RUNNING,
    VOTED,
    WHOLE,
    Bits,
    Broken,
    Disk,
    Numbers,
    Primary,
    RawTable,
    Scope,
    Shared,
    Step,
    Storage,
    Transaction,
    World,
    blank_disk,
    cut_off,
    everyone,
    origins_of,
    places,
    remembered,
)


@define(eq=False, slots=False)
class Model:
    """What can happen in a ``Scope``."""

    scope: Scope
    is_telling: bool = False
    numbers: Numbers = field(factory=Numbers, init=False)
    rule: Rule = field(init=False)
    judge: Judge = field(init=False)
    _choices: Choices = field(init=False)
    _storage_steps: StorageSteps = field(init=False)
    _primary_steps: PrimarySteps = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.rule = Rule(self.scope)
        self._choices = Choices(self.scope, self.rule)
        self._storage_steps = StorageSteps(self.scope, self.rule)
        self.judge = Judge(self.scope, self.numbers, self.rule, self._storage_steps)
        self._primary_steps = PrimarySteps(self.rule, self.judge)

    def draft(self, world: World) -> Draft:
        width = self.scope.width
        return Draft(
            self.scope,
            self.numbers,
            list(world[:width]),
            list(world[width:-1]),
            self.numbers.shareds.by_number[world[-1]],
            self.is_telling,
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
        return self._choices.steps(self.draft(world))

    def inspect(self, world: World) -> None:
        self.judge.inspect(world)

    def _play_deliver(self, draft: Draft, place: int) -> None:
        before = draft.storage(place)
        number, answer = self._handle(place, draft.storage_numbers[place])
        draft.storage_numbers[place] = number
        if self.is_telling:
            unheard = ", unheard" if before.primary == GONE else ""
            what = describe(before.queue[0], answer)
            draft.tell_storage(place, f"{what}{unheard}")
        if before.primary != GONE:
            self._primary_steps.answered(
                draft, before.primary, place, before.queue[0], answer
            )
        elif answer == "missing":
            raise Broken(f"S{place} lacks what it should commit")
        elif not draft.storage(place).queue or answer == "refused":
            draft.put(place, cut_off(draft.storage(place)))

    @remembered
    def _handle(self, place: int, number: int) -> tuple[int, str]:
        """Return a storage node after its next packet, both by number."""
        before = self.numbers.storages.by_number[number]
        after, answer = self._storage_steps.handle(place, before)
        return self.numbers.storages[after], answer

    def _play_leave(self, draft: Draft, place: int) -> None:
        """A storage node is cut or stops; its primary does not know yet."""
        draft.share(cuts=draft.shared.cuts - 1)
        draft.tell_storage(place, f"loses M{draft.storage(place).primary}")
        draft.put(place, cut_off(draft.storage(place)))

    def _play_lose(self, draft: Draft, master: int, place: int) -> None:
        """A primary loses a storage node that has not heard all that was sent."""
        draft.share(cuts=draft.shared.cuts - 1)
        draft.let_go(place)
        self._primary_steps.lose(draft, master, place)

    def _play_forget(self, draft: Draft, place: int) -> None:
        draft.tell_storage(place, "loses what was still on its way")
        draft.put(place, cut_off(draft.storage(place)))

    def _play_notice(self, draft: Draft, master: int, place: int) -> None:
        self._primary_steps.lose(draft, master, place)

    def _play_stop(self, draft: Draft, master: int) -> None:
        draft.share(cuts=draft.shared.cuts - 1)
        draft.tell(master, "stops")
        self._primary_steps.back(draft, master)

    def _play_connect(self, draft: Draft, place: int, master: int) -> None:
        primary = draft.primary(master)
        storage = draft.storage(place)
        disk = storage.disk
        highest = max(disk.promise, disk.table[0] if disk.table else 0)
        draft.tell_storage(place, f"comes to M{master}, promised {disk.promise}")
        if highest > primary.epoch:
            draft.tell(master, f"hears of epoch {highest}: back to recovery")
            self._primary_steps.back(draft, master)
            return
        draft.set(master, connected=primary.connected | 1 << place)
        draft.put(place, storage._replace(primary=master))
        draft.send(1 << place, ("join", primary.table), ("start",))

    def _play_create(self, draft: Draft, master: int) -> None:
        rows = tuple((held, held) for held in self.scope.rows)
        raw: RawTable = FIRST_EPOCH, 0, rows
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
        recovery = self.rule.recovery(origins_of(claims))
        assert not isinstance(recovery, Wait)
        raw = recovery.planned
        participants = recovery.participants
        shared = draft.shared
        draft.share(recoveries=shared.recoveries - 1)
        if layout != NOBODY:
            raw = self.rule.replaced(recovery, self.scope.layouts[layout])
            participants = self.rule.replacing(recovery, raw, claims)
            draft.share(changes=shared.changes - 1)
        for place in places(participants):
            storage = draft.storage(place)
            draft.put(place, storage._replace(primary=master))
        draft.set(
            master,
            phase=PROMISING,
            epoch=recovery.source.epoch,
            table=raw,
            claims=claims,
            connected=participants,
            waiting=participants,
        )
        draft.send(participants, ("promise", recovery.source.epoch))
        who = " ".join(f"S{place}" for place in places(participants))
        draft.tell(
            master,
            f"recovers with {who} from {draw(recovery.table)}, plans {draw(raw)}",
        )

    def _play_begin(self, draft: Draft, master: int, number: int) -> None:
        primary = draft.primary(master)
        assert primary.table
        ready = primary.connected & self.rule.holders(primary.table, number)
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
        source = next(it for it in places(rows[row][1] & live) if draft.is_settled(it))
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
        if not self.rule.may_change(primary.table, primary.connected):
            self._primary_steps.back(draft, master)
            return
        new = tuple(
            (held, good | 1 << place if it == row else good)
            for it, (held, good) in enumerate(rows)
        )
        self._primary_steps.change(draft, master, (epoch, counter + 1, new))
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
            *(self.numbers.storages[it] for it in storages),
            *(self.numbers.primaries[it] for it in masters),
            self.numbers.shareds[shared],
        )
