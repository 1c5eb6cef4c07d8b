"""What a storage node does with the packets that it gets.

It handles one at a time, from a queue per connection.
"""

from __future__ import annotations

from attrs import frozen

from replication.quorum import may_adopt, may_promise, settle
from tests.model.rule import Rule
from tests.model.world import (
    ADOPTED,
    OPERATING,
    PROMISED,
    WHOLE,
    Bits,
    Disk,
    RawTable,
    Scope,
    Storage,
    places,
)


@frozen(eq=False)
class StorageSteps:
    scope: Scope
    rule: Rule

    def handle(self, place: int, storage: Storage) -> tuple[Storage, str]:
        """Return a storage node after its next packet, and what it answered."""
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
        if not may_promise(disk.promise, held_epoch, epoch):
            return storage, "refused"
        disk = disk._replace(promise=epoch)
        return storage._replace(disk=disk, stage=PROMISED), "promised"

    def _adopt(self, place: int, disk: Disk, raw: RawTable) -> Disk | None:
        """Return what a storage node keeps with a table, or nothing if it refuses."""
        own = self.rule.table(disk.table).table_id if disk.table else None
        if not may_adopt(disk.promise, own, self.rule.table(raw).table_id):
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
            for number in places(verdict & self.rule.touching(row) & ~disk.data[row])
            if readable >> place & 1
        }
        settled = settle(
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
        if self.rule.metadata(disk.table, number) >> place & 1:
            disk = disk._replace(locks=disk.locks | 1 << number)
        return storage._replace(disk=disk), "locked"

    def _commit(self, place: int, storage: Storage, numbers: Bits) -> Storage:
        disk = storage.disk
        assert disk.table
        numbers &= disk.locks | disk.votes
        data = tuple(
            held | numbers & self.rule.touching(row) if holders >> place & 1 else held
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
