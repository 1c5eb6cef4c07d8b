"""What must hold in each world, and in those that would come of it."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from replication.quorum import Wait
from tests.model.draft import Draft
from tests.model.rule import Rule
from tests.model.storage_steps import StorageSteps
from tests.model.telling import named, sites
from tests.model.world import (
    PROMISED,
    RUNNING,
    Bits,
    Broken,
    Disk,
    Numbers,
    RawTable,
    Scope,
    Shared,
    Storage,
    World,
    places,
)


@frozen(eq=False)
class Judge:
    """Says ``Broken`` of what must not be."""

    scope: Scope
    numbers: Numbers
    rule: Rule
    storage_steps: StorageSteps

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
            touching = self.rule.touching(row)
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
        disks = tuple(self.numbers.storages.by_number[it].disk for it in world[:width])
        shared = self.numbers.shareds.by_number[world[-1]]
        key = disks, shared.acknowledged, shared.refused, shared.tids
        self.rule.remember(key, self._inspect, disks, shared)

    def _inspect(self, disks: tuple[Disk, ...], shared: Shared) -> None:
        apart: set[Bits] = set()
        for chosen in range(1, 1 << len(disks)):
            answers = tuple((place, disks[place]) for place in places(chosen))
            source = self.rule.source(answers)
            key = answers, shared.acknowledged, shared.refused, shared.tids
            self.rule.remember(key, self._recover, source, answers, shared)
            if not isinstance(source, Wait):
                mine = self.rule.bits(source.participants)
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
        if isinstance(source, Wait):
            blank = any(disk.table is None for _, disk in answers)
            if len(answers) == self.scope.width and not blank:
                raise Broken(f"{who} are all there, and wait: {source.reason}")
            return
        chosen = self.rule.bits(source.participants)
        answers = tuple((p, disk) for p, disk in answers if chosen >> p & 1)
        verdict = self.rule.verdict(source, answers, shared.tids)
        raw = self.rule.planned(source)
        try:
            for place, disk in answers:
                ready = Storage(disk._replace(promise=raw[0]), 0, PROMISED)
                ready = ready._replace(queue=(("table", raw, verdict),))
                if self.storage_steps.handle(place, ready)[1] == "missing":
                    raise Broken(f"S{place} lacks one of {named(verdict)}")  # noqa: TRY301 - as its callees do
            self.check_readable(raw, chosen)
            self.check_copies(raw, dict(answers), verdict, shared)
        except Broken as error:
            raise Broken(f"if {who} recover now: {error}") from None
