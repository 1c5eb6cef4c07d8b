"""What a primary does when it hears or loses a storage node.

It acts in the same instant in which it has what it waited for.
"""

from __future__ import annotations

from attrs import frozen

from replication.quorum import FIRST_EPOCH, Ending, Wait
from tests.model.draft import Draft
from tests.model.judge import Judge
from tests.model.rule import Rule
from tests.model.telling import draw, named
from tests.model.world import (
    COMMITTING,
    ENDED,
    LOCKING,
    OPERATING,
    PROMISING,
    RUNNING,
    STORING,
    VOTED,
    Broken,
    Packet,
    Primary,
    RawTable,
    cut_off,
    everyone_readable,
    origins_of,
    places,
)


@frozen(eq=False)
class PrimarySteps:
    rule: Rule
    judge: Judge

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
        verdict = 0
        if primary.epoch > FIRST_EPOCH:
            recovery = self.rule.recovery(origins_of(primary.claims))
            assert not isinstance(recovery, Wait)
            verdict = self.rule.verdict(recovery, primary.answers)
        draft.set(master, phase=STORING, waiting=primary.connected, verdict=verdict)
        draft.send(primary.connected, ("table", primary.table, verdict))
        draft.tell(master, f"all promised: verdict {named(verdict)}, sends the table")

    def commit_verdict(self, draft: Draft, master: int) -> None:
        primary = draft.primary(master)
        assert primary.table
        if primary.epoch == FIRST_EPOCH:
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
        self.judge.check_start(draft, master)
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
            draft.let_go(place)
        draft.set(master, **Primary()._asdict())

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
        if not self.rule.may_change(primary.table, connected):
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
            ending = self.rule.ending(
                primary.table, number, known.waiting, known.lockers
            )
            if ending == Ending.WAIT:
                return
            if ending == Ending.IN_DOUBT:
                draft.tell(master, f"T{number} is in doubt: back to recovery")
                self.back(draft, master)
                return
            self.acknowledge(draft, master, number)

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
