"""What can happen in a world."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from replication.quorum import Wait
from tests.model.draft import Draft
from tests.model.rule import Rule
from tests.model.world import (
    GONE,
    LOCKING,
    NOBODY,
    OPERATING,
    RECOVERING,
    RUNNING,
    UNUSED,
    VOTED,
    Bits,
    Primary,
    Scope,
    Step,
    everyone,
    origins_of,
    places,
)


@frozen(eq=False)
class Choices:
    """The steps that may come next: faults as well, as many as the scope has."""

    scope: Scope
    rule: Rule

    def steps(self, draft: Draft) -> Iterator[Step]:
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
        rows = self.rule.rows_of(primary.table, number)
        return self.rule.has_majority(rows, primary.connected)

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
        recovery = self.rule.recovery(origins_of(claims))
        if isinstance(recovery, Wait):
            return
        yield ("go", master, chosen, NOBODY)
        if not draft.shared.changes:
            return
        for place, layout in enumerate(self.scope.layouts):
            raw = self.rule.replaced(recovery, layout)
            if raw[2] != recovery.planned[2] and self.rule.may_replace(
                recovery, raw, claims
            ):
                yield ("go", master, chosen, place)

    def _replications(self, draft: Draft, master: int, live: Bits) -> Iterator[Step]:
        primary = draft.primary(master)
        assert primary.table
        for row, (held, readable) in enumerate(primary.table[2]):
            for place in places(held & ~readable & live):
                if self._may_replicate(draft, master, place, row):
                    for source in places(readable & live):
                        # What is locked there is waited for.
                        if draft.is_settled(source):
                            yield ("replicate", master, place, row)
                            break

    def _may_replicate(self, draft: Draft, master: int, place: int, row: int) -> bool:
        storage = draft.storage(place)
        if storage.queue or not draft.is_settled(place):
            return False
        return all(
            known.ready >> place & 1
            for number, known in enumerate(draft.shared.transactions)
            if known.stage in {VOTED, LOCKING}
            and known.primary == master
            and self.scope.touched[number] >> row & 1
        )
