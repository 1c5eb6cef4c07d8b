"""Shell. Replaces storage nodes, adds, removes and moves regions: step after step.

``replication.changing`` says what is next, given what is seen. Each step is looked for
anew, so that a command that was killed goes on when it is repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from attrs import asdict, field, frozen, mutable

from replication.answers import choose_answer
from replication.changing import (
    GOES_ON,
    UNMADE,
    EntrySeen,
    Step,
    Verb,
    View,
    plan_all_steps,
    plan_next_step,
    view_storage_nodes,
)
from replication.neo.neoctl import change_holders
from replication.regions import ProgramKind, Region, split_address
from replication.sight import NeoClusterSeen, RegionSeen
from replication.undertakings import Refused, Undertaking
from slapcluster.outcomes import CommandFailed, ExitCode
from slapcluster.pausing import pause
from slapcluster.regions.creating import drawn_ports
from slapcluster.regions.databases import SET_ASIDE, discard, look_into, set_aside
from slapcluster.regions.places import Place, check_path
from slapcluster.regions.running import POLL_SECONDS, Regions, Say, is_free

STALL_SECONDS_MAX = 60.0
"""Without any progress. A program of NEO starts within 4 s; a recovery takes one."""

AWAY_SECONDS_MAX = 15.0
"""For one that does not run when the command begins: one that was killed may have
begun an epoch."""


@frozen
class Changed:
    """What was done, or would be; ``seen`` is how it is now."""

    steps: tuple[Step, ...]
    notes: tuple[str, ...]
    seen: NeoClusterSeen


@mutable
class Changing:
    """An undertaking that is carried out; ``say`` is told of each step."""

    place: Place
    undertaking: Undertaking
    say: Say
    admin_node: str = field(default="", init=False)

    async def foresee(self) -> Changed:
        """Say what would be done, and do nothing."""
        self._check_new()
        view, seen = await self._look()
        try:
            steps = plan_all_steps(self.undertaking, view)
        except Refused as error:
            raise CommandFailed(f"{error}.") from error
        return Changed(steps, (), seen)

    async def carry_out(self) -> Changed:
        """Do all that is left to do."""
        self._check_new()
        clock = self.place.runtime.clock
        done: list[Step] = []
        last: Step | None = None
        since = clock.seconds()
        refusal = ""
        while True:
            view, _ = await self._look()
            try:
                step = plan_next_step(self.undertaking, view)
            except Refused as error:
                raise CommandFailed(f"{error}.") from error
            if step.verb is Verb.DONE:
                break
            if step != last:
                last, since, refusal = step, clock.seconds(), ""
                self.say(describe(step))
            elif not step.is_replication:
                self._check_time(step, refusal, clock.seconds() - since, bool(done))
            if step.verb is Verb.WAIT:
                await pause(clock, POLL_SECONDS)
                continue
            refusal = await self._do(step)
            if refusal:
                await pause(clock, POLL_SECONDS)
            elif step not in done:
                done.append(step)
        regions = Regions(self.place, self.place.neo_cluster())
        supervisords = await regions.supervisords(regions.names(None))
        running = tuple(it for it, seen in supervisords.items() if seen is not None)
        return Changed(
            tuple(done),
            self._notes(),
            # The last one that was started anew replicates what it missed meanwhile.
            await regions.until_whole(running, self.say),
        )

    def _notes(self) -> tuple[str, ...]:
        """What is left that nobody needs any more."""
        left = [
            f"{self._directory(it)} has a copy that is not kept up any more: remove it."
            for it in self.undertaking.leaving
            if self._directory(it).exists()
        ]
        damaged = [
            f"{it} has what was damaged: remove it."
            for name in self.undertaking.coming
            for it in sorted(self._directory(name).glob(f"{SET_ASIDE}*"))
        ]
        return (*left, *damaged)

    def _check_new(self) -> None:
        """Fail when a new region would stand where something else is."""
        names = {it.name for it in self.place.neo_cluster().regions}
        new = tuple(
            it.name for it in self.undertaking.during.regions if it.name not in names
        )
        check_path(self.place.path, new or tuple(names))
        for name in new:
            if self.place.tree.status(name) is not None:
                raise CommandFailed(
                    f"{self.place.region_path(name)} is there already: remove it, or "
                    "choose another name."
                )

    def _check_time(
        self, step: Step, refusal: str, seconds: float, is_begun: bool
    ) -> None:
        is_away = step.verb is Verb.WAIT and not step.region and not is_begun
        if seconds < (AWAY_SECONDS_MAX if is_away else STALL_SECONDS_MAX):
            return
        told = f" ({refusal})" if refusal else ""
        raise CommandFailed(
            f"Not completed after {seconds:.0f} s of {describe(step)}{told}. "
            "Repeat the command when that is mended: it goes on from there.",
            ExitCode.MASTER_AWAY if is_away else ExitCode.PENDING,
        )

    # -- what is seen

    async def _look(self) -> tuple[View, NeoClusterSeen]:
        neo_cluster = self.place.neo_cluster()
        regions = Regions(self.place, neo_cluster)
        answers, seen = await regions.ask_and_look()
        answer = choose_answer(answers)
        if answer is None or not answer.is_running:
            told = seen.cluster_state or "no admin node answers"
            why = f"{told}; `slapcluster storage status` says why"
            return View(neo_cluster, False, why, {}, *_NOBODY), seen  # noqa: FBT003
        self.admin_node = answer.admin_node
        entries = {
            it.name: await self._entry(regions, it, shown)
            for it, shown in zip(neo_cluster.regions, seen.regions, strict=True)
        }
        view = View(
            neo_cluster,
            True,  # noqa: FBT003 - it runs
            "",
            entries,
            **asdict(view_storage_nodes(answer)),
        )
        return view, seen

    async def _entry(
        self, regions: Regions, region: Region, seen: RegionSeen
    ) -> EntrySeen:
        programs = seen.supervisord.programs if seen.supervisord else ()
        is_answering = seen.supervisord is not None
        database = UNMADE.database
        if region.name in self.undertaking.coming:
            database = look_into(self._directory(region.name))
        count = seen.readable_count + seen.out_of_date_count
        return EntrySeen(
            database,
            is_answering,
            bool(programs) and all(it.is_running for it in programs),
            is_answering
            and await regions.supervisor(region.name).is_stale(
                regions.neo_cluster, region
            ),
            seen.if_lost or GOES_ON,
            f"{seen.readable_count} of {count} cells are readable",
        )

    def _directory(self, name: str) -> Path:
        return Path(self.place.region_path(name))

    # -- what is done

    async def _do(self, step: Step) -> str:
        """Do a step; why it is refused for now, or ``""``."""
        place, name = self.place, step.region
        if step.verb is Verb.DESCRIBE:
            assert step.neo_cluster is not None
            place.write(step.neo_cluster)
        elif step.verb in {Verb.ADD, Verb.DROP}:
            assert step.storage is not None
            return await change_holders(
                place.runtime, self.admin_node, step.verb.value, step.storage
            )
        else:
            regions = Regions(place, place.neo_cluster())
            if step.verb is Verb.START:
                place.tree.make_directory(name, 0o750)
                await regions.start((name,), self.say)
            elif step.verb is Verb.STOP:
                await regions.stop((name,), self.say)
            elif step.verb is Verb.RENEW:
                region = regions.neo_cluster.region(name)
                await regions.supervisor(name).renew(regions.neo_cluster, region)
            else:
                await regions.supervisor(name).stop_program(ProgramKind.STORAGE_NODE)
                if step.verb is Verb.DISCARD:
                    discard(self._directory(name))
                else:
                    set_aside(self._directory(name))
        return ""


async def free_ports(place: Place) -> Iterator[int]:
    """Ports for the programs of two regions, that nobody has now."""
    host = place.neo_cluster().regions[0].neo_master.rpartition(":")[0]
    taken = {
        split_address(address)[1]
        for region in place.neo_cluster().regions
        for address in region.addresses.values()
    }
    found: list[int] = []
    for port in drawn_ports(place.runtime):
        if len(found) == 2 * len(ProgramKind):
            break
        if port not in taken and await is_free(place.runtime, f"{host}:{port}"):
            found.append(port)
    return iter(found)


_NOBODY = (frozenset[int](),) * 4


def describe(step: Step) -> str:
    """Say a step, as progress and as a line of a dry run."""
    who = f"storage node S{step.storage}" if step.storage else "a new storage node"
    return {
        Verb.DESCRIBE: "writing the description",
        Verb.SET_ASIDE: f"setting aside the database of {step.region}: {step.reason}",
        Verb.DISCARD: f"removing the database of {step.region}, of {who}, "
        f"{step.reason}: for ever",
        Verb.START: f"starting the programs of {step.region} that do not run",
        Verb.ADD: f"having everything copied to {who} of {step.region}",
        Verb.DROP: f"dropping {who} of {step.region}",
        Verb.STOP: f"stopping {step.region}",
        Verb.RENEW: f"starting the programs of {step.region} anew, one by one",
        Verb.WAIT: f"waiting: {step.reason}",
        Verb.DONE: "done",
    }[step.verb]
