"""One-shot passes over a computer, from which the service's loops are made too.

A pass is rounds: observe, plan, perform, remember. Each round starts from what is then
there, so a pass that was killed is continued by the next one wherever it stood.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import groupby

from attrs import evolve, frozen

from runtime.ports import Runtime
from slap import calls
from slap.errors import MasterAway, SlapError
from slap.model import Computer, RequestedState
from slap.polling import Unchanged
from slap.replicas import Replicas
from slapgrid.accounting import Accounting
from slapgrid.config import Config
from slapgrid.convergence.destruction import has_departures, plan_destruction
from slapgrid.convergence.instances import plan_instances
from slapgrid.convergence.offline import plan_offline
from slapgrid.convergence.plans import Action, Plan
from slapgrid.convergence.quiet import Quiet
from slapgrid.convergence.retrying import (
    DEPARTURE_EFFORTS,
    Effort,
    Outcome,
    RetryMemory,
    absorb,
    retain,
    waiting_efforts,
)
from slapgrid.convergence.statuses import complete_statuses
from slapgrid.convergence.views import LocalView
from slapgrid.format.choosing import FormatRefused
from slapgrid.format.formatting import Formatting
from slapgrid.grants.filtering import Filtering
from slapgrid.grants.granting import Granting
from slapgrid.instance.departing import Departing
from slapgrid.instance.partitions import Partitions
from slapgrid.kept_memory import KeptFreshness, KeptMemory, Known
from slapgrid.observing import Observing
from slapgrid.pass_log import PassLog
from slapgrid.performing import Performing
from slapgrid.platform import Platform
from slapgrid.promises.banging import Bangs
from slapgrid.promises.proving import Proving
from slapgrid.promises.running import PromiseRunner
from slapgrid.relaying.listening import Relay
from slapgrid.renewing import Renewal
from slapgrid.results import COURTESY_EFFORTS, SOFTWARE_EFFORTS, ExitStatus, PassResult
from slapgrid.selection import ALL, Selection
from slapgrid.slap_client import SlapClient
from slapgrid.software.convergence import SoftwareConvergence
from slapgrid.software.progress import BuildProgress
from slapgrid.software.releases import Releases
from slapgrid.supervision.port import ISupervision, SupervisionError
from slapgrid.trusting import trust_of
from slapgrid.turns import begin_turn
from slapgrid.warm.servers import WarmServers

__all__ = ["INSTANCE_EFFORTS", "Agent", "ExitStatus", "PassResult", "Watched"]

#: Five stages bring eight partitions from nothing to reported; more is the next pass.
ROUNDS_MAX = 400

#: What is noted of polls stands among the passes, under this.
POLLS = "poll"

INSTANCE_EFFORTS = (
    frozenset(Effort) - SOFTWARE_EFFORTS - DEPARTURE_EFFORTS - COURTESY_EFFORTS
)


def kind_of_pass(efforts: frozenset[Effort]) -> str:
    """The verb whose pass makes these efforts."""
    if efforts <= SOFTWARE_EFFORTS:
        return "software"
    return "report" if efforts <= DEPARTURE_EFFORTS else "instance"


def _refusal(error: SlapError) -> PassResult:
    if isinstance(error, MasterAway):
        return PassResult(ExitStatus.MASTER_AWAY, f"the master is away: {error}")
    return PassResult(ExitStatus.FAILED, f"the master refuses: {error}")


Planner = Callable[[LocalView, RetryMemory, float], Plan]


@frozen
class Watched:
    """What is wanted; ``can_wait`` when the next poll may tell of a change.

    ``stale_seconds``: it was so that long ago, and the master does not know more.
    """

    desired: Computer
    can_wait: bool
    stale_seconds: int | None = None


class Agent:
    """The agent of one computer: everything it can do, one pass at a time.

    A software pass and a pass over instances may run at the same time, two of a kind
    may not. Nothing is taken or started before the first pass.
    """

    def __init__(
        self,
        config: Config,
        runtime: Runtime,
        platform: Platform,
        supervision: ISupervision,
        notify: Callable[[BuildProgress], None] | None = None,
    ) -> None:
        self.config = config
        self.runtime = runtime
        tree = runtime.file_tree(config.instance_root)
        self._memory = KeptMemory(runtime, tree)
        self._supervision = supervision
        self._client = SlapClient(
            runtime,
            Replicas(config.master_urls),
            trust=trust_of(runtime, config),
            region=config.region,
            sign_seconds=config.sign_seconds,
        )
        self._seen = KeptFreshness(runtime, tree, config.master_urls)
        self._releases = (
            Releases(config, runtime, platform)
            if notify is None
            else Releases(config, runtime, platform, notify)
        )
        self._warm = WarmServers(config, runtime, platform)
        self._partitions = Partitions(
            config,
            runtime,
            platform,
            self._releases,
            self._warm,
            find_urls=lambda: self._client.order,
        )
        self._promises = PromiseRunner(config, runtime, platform, self._warm)
        self._departing = Departing(
            config, runtime, platform, self._partitions, supervision
        )
        self._filtering = Filtering(config, runtime, platform, self._client)
        self._granting = Granting(
            config,
            tree,
            platform,
            self._partitions,
            supervision,
            self._filtering,
        )
        self._observing = Observing(
            runtime.calendar,
            self._releases,
            self._partitions,
            supervision,
            self._granting,
            self._departing,
        )
        self.renewal = Renewal(config, runtime, self._client)
        self.relay = Relay(config, runtime, lambda: self._client.urls)
        self.accounting = Accounting.build(
            config, runtime, platform, self._partitions.identity, self._client
        )
        self._formatting = Formatting(config, runtime, platform)
        self._software = SoftwareConvergence(
            config, runtime, self._releases, self._converge, self._memory.recall
        )
        self._bangs = Bangs(
            config.computer_id, runtime, tree, self._client, platform.hold
        )
        self._pass_log = PassLog(runtime, tree)
        self._desired: Computer | None = None
        self._is_stale = False
        self._quiet = Quiet()

    async def close(self) -> None:
        """End builds and warm processes, close connections; programs run on."""
        await self._software.stop()
        await self._warm.stop()
        await self._client.close()

    async def format(self, *, is_dry_run: bool = False) -> PassResult:
        """Prepare the computer, then tell the master; 2 when only that failed.

        A dry run says what would be done; nothing is changed and nobody is told.
        """
        if is_dry_run:
            return await self._plan_format()
        try:
            formatted = await self._formatting.apply()
        except (FormatRefused, OSError) as error:
            return PassResult(ExitStatus.FAILED, str(error))
        count = len(formatted.computer.partitions)
        changed_count = formatted.changed_count
        reason = f"{count} partitions are there, {changed_count} of them changed"
        self._recall()
        try:
            await self._client.perform(
                calls.define_computer(formatted.computer.define())
            )
        except SlapError as error:
            return PassResult(
                ExitStatus.PROMISE_FAILED, f"{reason}; the master was not told: {error}"
            )
        return PassResult(ExitStatus.OK, reason)

    async def _plan_format(self) -> PassResult:
        try:
            planned = await self._formatting.plan()
        except (FormatRefused, OSError) as error:
            return PassResult(ExitStatus.FAILED, str(error))
        sentences = [f"{len(planned.actions)} things to do", *map(str, planned.actions)]
        return PassResult(ExitStatus.OK, "\n".join(sentences))

    async def poll(self) -> Computer:
        """What is wanted of the computer; forget what is wanted no more."""
        await self.watch()
        assert self._desired is not None
        return self._desired

    async def watch(self, wait_seconds: int | None = None) -> Watched:
        """Poll, and let the master wait so long for a change, if it can."""
        self._recall()
        try:
            answer = await self._client.poll(self.config.computer_id, wait_seconds)
        finally:
            # Before anything is done because of it. Who refuses may name others, too.
            self._seen.save(Known(self._client.seen, self._client.listed))
        self._note_staleness(answer.stale_seconds)
        if isinstance(answer, Unchanged):
            assert self._desired is not None, "only who has it can hear so"
            return Watched(self._desired, answer.has_waited, answer.stale_seconds)
        desired = answer.computer
        if answer.etag is not None:
            # It is a master of ours: others give no names to documents.
            desired = complete_statuses(desired)
        self._desired = desired
        names = [each.key.partition_id for each in desired.partitions]
        names += [each.software_release_url for each in desired.installations]
        self._memory.change(lambda memory: retain(memory, names))
        self._memory.save()
        return Watched(desired, answer.etag is not None, answer.stale_seconds)

    def _recall(self) -> None:
        """Know the masters that an earlier life knew: configured ones may be gone."""
        if self._desired is None:
            known = self._seen.recall()
            self._client.seen = max(self._client.seen, known.seen)
            self._client.list(known.listed)

    def _note_staleness(self, stale_seconds: int | None) -> None:
        """Say that the master does not know more than before, and when it does again.

        What is wanted is what was told last: nobody undoes it, nothing newer is known.
        """
        is_stale = stale_seconds is not None
        if is_stale == self._is_stale:
            return
        self._is_stale = is_stale
        result = PassResult(ExitStatus.OK, "the master is current")
        if stale_seconds is not None:
            since = datetime.fromtimestamp(
                self.runtime.calendar.now() - stale_seconds, UTC
            ).isoformat(timespec="seconds")
            reason = f"the master's answers are stale, as of {since}"
            result = PassResult(ExitStatus.MASTER_AWAY, reason)
            self.runtime.log.warn("{reason}", reason=reason)  # noqa: G010 - Twisted's
        else:
            self.runtime.log.info("{reason}", reason=result.reason)
        self._pass_log.note(POLLS, result)

    async def bang(self, message: str) -> PassResult:
        """Ask the master that every instance of the computer be processed again."""
        self._recall()
        try:
            await self._client.perform(
                calls.bang_computer(self.config.computer_id, message)
            )
        except SlapError as error:
            return _refusal(error)
        return PassResult(ExitStatus.OK, "the master was told")

    async def software_pass(self, selection: Selection = ALL) -> PassResult:
        """Build and remove releases until nothing is due."""
        return await self._one_shot(
            lambda desired: self._software.converge(
                desired, selection.releases or (), is_forced=selection.is_forced
            ),
            SOFTWARE_EFFORTS,
            selection,
        )

    async def instance_pass(self, selection: Selection = ALL) -> PassResult:
        """Bring every partition to what is wanted in it; offline without a master."""
        result = await self._one_shot(
            self.converge_instances, INSTANCE_EFFORTS, selection
        )
        if result.exit_status is ExitStatus.MASTER_AWAY and not result.outcomes:
            offline = await self.keep_running()
            return PassResult(
                ExitStatus.MASTER_AWAY,
                f"{result.reason}; {offline.reason}",
                offline.outcomes,
            )
        return result

    async def report_pass(self, selection: Selection = ALL) -> PassResult:
        """Deliver usage, then remove instances to be destroyed that have stopped."""
        reported = await self.accounting.report(selection.partition_ids)
        result = await self._one_shot(
            self.converge_destruction, DEPARTURE_EFFORTS, selection
        )
        status = result.exit_status
        if status is ExitStatus.OK and (reported.troubles or reported.refused_count):
            status = ExitStatus.FAILED
        if status is ExitStatus.OK and reported.waiting_count:
            status = ExitStatus.MASTER_AWAY
        reason = f"{result.reason}; {reported.reason}"
        return evolve(result, exit_status=status, reason=reason)

    async def collect_pass(self) -> PassResult:
        """Measure what partitions and the computer consume, and add it up."""
        collected = await self.accounting.collect()
        status = ExitStatus.OK if collected.is_saved else ExitStatus.FAILED
        return PassResult(status, collected.reason)

    async def promise_pass(self, selection: Selection = ALL) -> PassResult:
        """Test the promises of started partitions now; the master is told nothing."""
        return await self._one_shot(
            self._test_promises, frozenset({Effort.PROVE}), selection
        )

    async def _test_promises(self, desired: Computer) -> PassResult:
        proving = Proving(self._partitions, self._releases, self._promises, desired)
        started = tuple(
            each.key.partition_id
            for each in desired.partitions
            if each.instance is not None
            and each.requested_state is RequestedState.STARTED
        )
        outcomes = tuple(await proving.test(started))
        failed = [each.name for each in outcomes if each.failure is not None]
        if not failed:
            return PassResult(
                ExitStatus.OK, f"promises of {len(started)} partitions hold", outcomes
            )
        reason = f"promises of {', '.join(failed)} fail"
        return PassResult(ExitStatus.PROMISE_FAILED, reason, outcomes)

    async def converge_software(self, desired: Computer) -> PassResult:
        """The software pass towards a document that was polled before."""
        return await self._software.converge(desired)

    def begin_software(
        self, desired: Computer, on_end: Callable[[PassResult], None]
    ) -> None:
        """Converge each release that does not yet, and tell of each that has."""
        self._software.begin(desired, on_end)

    async def converge_instances(self, desired: Computer) -> PassResult:
        """The pass over instances towards a document that was polled before."""
        await self._filtering.apply(desired)
        return await self._converge(
            desired,
            lambda observed, memory, now: plan_instances(
                desired, observed, memory, now, self._quiet
            ),
            INSTANCE_EFFORTS,
        )

    async def converge_destruction(self, desired: Computer) -> PassResult:
        """The pass that destroys, towards a document that was polled before."""
        return await self._converge(
            desired,
            lambda *seen: plan_destruction(desired, *seen),
            DEPARTURE_EFFORTS,
            # Most documents have nothing to destroy, and a look costs most of a pass.
            None if has_departures(desired) else LocalView,
        )

    async def keep_running(self) -> PassResult:
        """Without a master: start what rests in known groups."""
        await self._filtering.restore()
        nothing = Computer(self.config.computer_id)
        return await self._converge(nothing, plan_offline, INSTANCE_EFFORTS)

    async def _one_shot(
        self,
        converge: Callable[[Computer], Awaitable[PassResult]],
        efforts: frozenset[Effort],
        selection: Selection,
    ) -> PassResult:
        try:
            desired = await self.poll()
        except SlapError as error:
            return _refusal(error)
        unknown = selection.unknown(desired)
        if unknown:
            return PassResult(
                ExitStatus.FAILED, f"not of this computer: {', '.join(unknown)}"
            )
        self._memory.change(
            lambda memory: selection.forget_delays(memory, desired, efforts)
        )
        self._memory.save()
        if efforts is SOFTWARE_EFFORTS:
            # Releases that are not chosen must not look like unsupplied ones.
            return await converge(desired)
        narrowed = selection.narrow(desired)
        if selection.is_forced:
            # On disk, so that a pass that is killed is forced still when continued.
            for partition in narrowed.partitions:
                self._partitions.forget_processed(partition.key.partition_id)
        return await converge(narrowed)

    def forget_processed(self) -> None:
        """Have every partition processed again, whatever its timestamp."""
        for partition_id in self.config.format.partition_ids:
            self._partitions.forget_processed(partition_id)

    async def _converge(
        self,
        desired: Computer,
        planner: Planner,
        efforts: frozenset[Effort],
        observe: Callable[[], LocalView] | None = None,
    ) -> PassResult:
        result = await self._make_rounds(desired, planner, efforts, observe)
        self._pass_log.note(kind_of_pass(efforts), result)
        return result

    async def _make_rounds(
        self,
        desired: Computer,
        planner: Planner,
        efforts: frozenset[Effort],
        observe: Callable[[], LocalView] | None,
    ) -> PassResult:
        newest = self._desired

        def has_news() -> bool:
            is_instances = efforts is INSTANCE_EFFORTS
            return is_instances and desired is newest and self._desired is not newest

        outcomes: list[Outcome] = []
        plan = Plan()
        sentences: list[str] = []
        for _ in range(ROUNDS_MAX):
            try:
                observed = (
                    observe()
                    if observe is not None
                    else await self._observing.look(desired)
                )
            except (OSError, SupervisionError) as error:
                return PassResult(ExitStatus.FAILED, str(error), tuple(outcomes))
            plan = planner(observed, self._memory.recall(), self.runtime.calendar.now())
            if not plan.actions:
                break
            sentences.append(plan.reason)
            self.runtime.log.info("{reason}", reason=plan.reason)
            performed = await self._perform(plan.actions, desired, has_news)
            outcomes += performed
            if has_news():
                # Whoever polled goes on with the newer document, at once.
                plan = evolve(plan, next_wake=self.runtime.calendar.now())
                break
        return PassResult(
            self._exit_status(outcomes, efforts, plan),
            self._reason([*sentences, plan.reason]),
            tuple(outcomes),
            plan.next_wake,
        )

    def _reason(self, sentences: Sequence[str]) -> str:
        reason = "; then ".join(sentences[-3:])
        trouble = self._supervision.trouble()
        return f"{reason}; {trouble}" if trouble else reason

    async def _perform(
        self,
        actions: tuple[Action, ...],
        desired: Computer,
        has_news: Callable[[], bool],
    ) -> list[Outcome]:
        """Perform a plan; neighbours of one kind may be performed together."""
        performing = Performing(
            self._client,
            self._supervision,
            self._releases,
            self._partitions,
            Proving(self._partitions, self._releases, self._promises, desired),
            self._bangs,
            self._departing,
            self._granting,
            begin_turn(
                self.runtime.clock.seconds,
                has_news,
                self.config.instance.parallel_count,
            ),
            self.accounting.reporter,
            desired,
        )
        outcomes = []
        for kind, grouped in groupby(actions, key=type):
            neighbours = tuple(grouped)
            performed = await performing.perform(kind, neighbours)
            self.accounting.incidents.note(neighbours, performed)
            for outcome in performed:
                if outcome.failure is not None:
                    self.runtime.log.warn(  # noqa: G010 - Twisted's name
                        "{effort} of {name} failed: {failure}",
                        effort=outcome.effort,
                        name=outcome.name,
                        failure=outcome.failure[-300:],
                    )
                outcomes.append(outcome)
                now = self.runtime.calendar.now()
                self._memory.change(partial(absorb, outcome=outcome, now=now))
            self._memory.save()
        return outcomes

    def _exit_status(
        self, outcomes: Sequence[Outcome], efforts: frozenset[Effort], plan: Plan
    ) -> ExitStatus:
        """What failed last, in this pass or in one before, and still waits."""
        last = {(each.effort, each.name): each for each in outcomes}
        failed = {each.effort for each in last.values() if each.failure is not None}
        now = self.runtime.calendar.now()
        failed |= waiting_efforts(self._memory.recall(), now) & efforts
        if plan.failing:
            failed |= {Effort.PROVE}
        failed -= COURTESY_EFFORTS
        if not failed:
            return ExitStatus.OK
        if failed == {Effort.PROVE}:
            return ExitStatus.PROMISE_FAILED
        return ExitStatus.FAILED
