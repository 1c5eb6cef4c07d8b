"""What must hold in each world, and in those that would come of it."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from replication.quorum import Wait
from tests.model.draft import Draft
from tests.model.rule import Recovery, Rule
from tests.model.storage_steps import StorageSteps
from tests.model.telling import named, sites
from tests.model.world import (
    PROMISED,
    RUNNING,
    Bits,
    Broken,
    Disk,
    Disks,
    Facts,
    Numbers,
    RawTable,
    Scope,
    Storage,
    World,
    places,
    remembered,
)


@frozen(eq=False)
class Group:
    """Storage nodes that are there, and why it is wrong that they go on or wait."""

    present: tuple[int, ...]
    recovery: Recovery | None
    participants: tuple[int, ...]
    fault: str


@frozen(eq=False, slots=False)
class Judge:
    """Says ``Broken`` of what must not be; what it found right is remembered."""

    scope: Scope
    numbers: Numbers
    rule: Rule
    storage_steps: StorageSteps
    _right: set[Any] = field(factory=set, init=False)

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
        seen = Facts(shared.acknowledged & below, shared.refused)
        self.check_readable(primary.table, primary.connected)
        done = self.check_copies(primary.table, primary.answers, primary.verdict, seen)
        draft.share(refused=shared.refused | below & ~done)

    def check_readable(self, raw: RawTable, present: Bits) -> None:
        if not all(readable & present for _, readable in raw[2]):
            raise Broken("nobody who has all is there")

    def check_copies(
        self, raw: RawTable, disks: Disks, verdict: Bits, facts: Facts
    ) -> Bits:
        """Return what readable copies have; they are equal and have what they must."""
        found = 0
        for row, (_, readable) in enumerate(raw[2]):
            touching = self.rule.touching(row)
            first = None
            for place, disk in disks:
                if not readable >> place & 1:
                    continue
                has = disk.data[row] | verdict & touching
                lost = facts.acknowledged & touching & ~has
                if lost:
                    raise Broken(f"S{place} is readable without {named(lost)}: lost")
                risen = facts.refused & has
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
        disk_of = self._disk_of
        disks = tuple([disk_of(it) for it in world[: self.scope.width]])
        facts = self._facts_of(world[-1])
        if (disks, facts) not in self._right:
            self._inspect(disks, facts)
            self._right.add((disks, facts))

    @remembered
    def _disk_of(self, number: int) -> int:
        return self.numbers.disks[self.numbers.storages.by_number[number].disk]

    @remembered
    def _origin_of(self, number: int) -> int:
        return self.numbers.origins[self.numbers.disks.by_number[number].origin]

    @remembered
    def _facts_of(self, number: int) -> Facts:
        shared = self.numbers.shareds.by_number[number]
        return Facts(shared.acknowledged, shared.refused)

    def _inspect(self, disks: tuple[int, ...], facts: Facts) -> None:
        """Let each group recover from its disks, given by number."""
        by_number = self.numbers.disks.by_number
        for group in self._groups(tuple([self._origin_of(it) for it in disks])):
            if group.recovery:
                key = group.present, tuple([disks[it] for it in group.present]), facts
                if key not in self._right:
                    answers = tuple(
                        (it, by_number[disks[it]]) for it in group.participants
                    )
                    self._recover(group, answers, facts)
                    self._right.add(key)
            if group.fault:
                raise Broken(group.fault)

    @remembered
    def _groups(self, origins: tuple[int, ...]) -> list[Group]:
        """Return who may go on, or may not wait, with these origins by number."""
        apart: set[Bits] = set()
        groups = []
        for chosen in range(1, 1 << len(origins)):
            present = places(chosen)
            recovery = self._recovery(present, tuple([origins[it] for it in present]))
            fault = ""
            if not isinstance(recovery, Wait):
                mine = recovery.participants
                for other in apart:
                    if not other & mine:
                        fault = (
                            f"{sites(other)} may recover, and {sites(mine)} may: a fork"
                        )
                apart.add(mine)
                groups.append(Group(present, recovery, places(mine), fault))
            elif len(present) == len(origins) and self._have_tables(origins):
                fault = f"{sites(chosen)} are all there, and wait: {recovery.reason}"
                groups.append(Group(present, None, (), fault))
        return groups

    @remembered
    def _recovery(
        self, present: tuple[int, ...], origins: tuple[int, ...]
    ) -> Recovery | Wait:
        by_number = self.numbers.origins.by_number
        told = zip(present, [by_number[it] for it in origins], strict=True)
        return self.rule.recovery(tuple(told))

    def _have_tables(self, origins: tuple[int, ...]) -> bool:
        """Return whether everybody has a table."""
        by_number = self.numbers.origins.by_number
        return all(by_number[it][1] for it in origins)

    def _recover(self, group: Group, answers: Disks, facts: Facts) -> None:
        recovery = group.recovery
        assert recovery
        verdict = self.rule.verdict(recovery, answers)
        raw = recovery.planned
        try:
            for place, disk in answers:
                # Without a verdict there is nothing to lack.
                if verdict and self._lacks(place, disk, raw, verdict):
                    raise Broken(f"S{place} lacks one of {named(verdict)}")  # noqa: TRY301 - as its callees do
            self.check_readable(raw, recovery.participants)
            self.check_copies(raw, answers, verdict, facts)
        except Broken as error:
            who = " ".join(f"S{place}" for place in group.present)
            raise Broken(f"if {who} recover now: {error}") from None

    @remembered
    def _lacks(self, place: int, disk: Disk, raw: RawTable, verdict: Bits) -> bool:
        ready = Storage(disk._replace(promise=raw[0]), 0, PROMISED)
        ready = ready._replace(queue=(("table", raw, verdict),))
        return self.storage_steps.handle(place, ready)[1] == "missing"
