"""Core. What to do next, from what is wanted, what is there and what is remembered.

The plan is level-triggered: it looks at no event, only at the difference, so a lost
report, a crash or a missed bang needs no case of its own. Each plan brings a partition
one stage further (``retrying.Stage``); the next one starts from what is then observed.

Software and instances are planned apart and performed by two loops: a build of two
hours never delays an instance. Destruction is a third plan because one-shot passes of
stock nodes perform it apart.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from attrs import define

from slap.model import (
    Computer,
    Partition,
    PartitionInstance,
    RequestedState,
    SupplyState,
)
from slapgrid.convergence.banging import (
    Deployment,
    describe_anomaly,
    find_anomaly,
)
from slapgrid.convergence.draft import Draft
from slapgrid.convergence.offline import ended_programs, plan_resumption
from slapgrid.convergence.plans import (
    Action,
    Bang,
    CheckPromises,
    CleanPartition,
    CloseRedirections,
    DestroyInstance,
    InstallInstance,
    OpenRedirections,
    Plan,
    RecordProcessed,
    Report,
    ResumePrograms,
    ReviveProgram,
    RunPromises,
    StartPrograms,
    StopPrograms,
    Verdict,
    wanted_stamp,
)
from slapgrid.convergence.quiet import Quiet
from slapgrid.convergence.retrying import (
    BACKOFFS,
    REVIVAL_MEMORY_SECONDS,
    Effort,
    RetryMemory,
    Stage,
    is_reviving_in_vain,
)
from slapgrid.convergence.views import (
    LocalPartition,
    LocalRelease,
    LocalView,
    describe_failure,
)
from slapgrid.layout import redirection_group

#: A day, as stock nodes do: children and parameters are asked again at least so often.
PERIODICITY_SECONDS_DEFAULT = 86400.0
#: As many as a computer has partitions: who performs them stops after a turn.
INSTALLS_PER_PLAN_MAX = 512
#: Each may take 20 s; what is over the bound comes with the next plan.
PROMISE_RUNS_PER_PLAN_MAX = 32
#: As many as a computer has partitions: who performs them gives up on time instead.
CHECKS_PER_PLAN_MAX = 512
#: A service needs some seconds to boot: its first failures are not news.
FIRST_PROMISE_FAILURES_UNREPORTED = 2
#: Instances whose promises fail are installed again, since what they asked for may have
#: come: after this, or this many delays of their promises.
REINSTALL_SECONDS_MIN = 60.0
REINSTALL_DELAYS = 8

_RANKS: tuple[type[Action], ...] = (
    StopPrograms,
    CloseRedirections,
    ReviveProgram,
    ResumePrograms,
    StartPrograms,
    OpenRedirections,
    RecordProcessed,
    Report,
    Bang,
    DestroyInstance,
    CleanPartition,
    CheckPromises,
    RunPromises,
    InstallInstance,
)


def plan_instances(
    desired: Computer,
    observed: LocalView,
    memory: RetryMemory,
    now: float,
    quiet: Quiet | None = None,
) -> Plan:
    """Bring every partition one stage nearer to what is wanted in it.

    The plan is the same with and without what earlier plans found ``quiet``.
    """
    draft = Draft(memory, now)
    quiet = quiet or Quiet()
    supplied = frozenset(
        installation.software_release_url
        for installation in desired.installations
        if installation.requested_state is SupplyState.AVAILABLE
    )
    for partition in quiet.begin(desired, observed, supplied, draft):
        local = observed.partitions.get(partition.key.partition_id)
        words, wakes = draft.word_count, len(draft.wakes)
        _plan_partition(draft, partition, local, observed, supplied)
        if draft.word_count == words:
            until = min(draft.wakes[wakes:], default=math.inf)
            quiet.note(partition, local, (now, until))
    draft.actions.sort(
        key=lambda action: (_RANKS.index(type(action)), -_changed_at(action))
    )
    _bring_forward(draft.actions)
    draft.bound(InstallInstance, INSTALLS_PER_PLAN_MAX)
    draft.bound(RunPromises, PROMISE_RUNS_PER_PLAN_MAX)
    draft.bound(CheckPromises, CHECKS_PER_PLAN_MAX)
    return draft.finished()


def _plan_partition(
    draft: Draft,
    partition: Partition,
    local: LocalPartition | None,
    observed: LocalView,
    supplied: Collection[str],
) -> None:
    if local is None:
        local = LocalPartition(partition.key.partition_id, is_formatted=False)
    if partition.instance is None:
        _plan_free(draft, local)
        return
    url = partition.instance.software_release_url
    release = observed.releases.get(url, LocalRelease(url))
    step = _Step(draft, partition, partition.instance, local, release, url in supplied)
    step.plan()


def _changed_at(action: Action) -> float:
    """When the master changed what is to be installed; the latest goes first.

    What somebody changes now must not wait for hundreds that a bang has renewed. Where
    the master's timestamps are no numbers, order is that of the partitions.
    """
    if not isinstance(action, InstallInstance) or action.partition.instance is None:
        return 0.0
    try:
        at = float(action.partition.instance.timestamp)
    except ValueError:
        return 0.0
    return at if math.isfinite(at) else 0.0


def _bring_forward(actions: list[Action]) -> None:
    """Let the installation that waits longest be the second one.

    A partition that changes all the time is always the latest; who performs the plan
    performs two at least (``slapgrid.turns``), so all others come to their turn.
    """
    found = [n for n, it in enumerate(actions) if isinstance(it, InstallInstance)]
    if len(found) > 1:
        longest = min(found[1:], key=lambda n: _changed_at(actions[n]))
        actions.insert(found[1], actions.pop(longest))


def _plan_free(draft: Draft, local: LocalPartition) -> None:
    if local.has_remains:
        draft.add(CleanPartition(local.partition_id))
    elif local.has_content or local.programs is not None:
        # A master that lost its state calls everything free: never act on that.
        draft.say(f"{local.partition_id} is free and not empty")


@define
class _Step:
    """The next stage of one partition that has an instance."""

    draft: Draft
    partition: Partition
    instance: PartitionInstance
    local: LocalPartition
    release: LocalRelease
    is_supplied: bool

    def plan(self) -> None:
        wanted = self.partition.requested_state
        self._plan_redirections()
        if wanted is RequestedState.DESTROYED:
            self._plan_retirement()
        elif not self.local.is_formatted:
            self._report(
                Verdict.ERROR,
                f"{self._id} has no directory on this computer: run format again",
            )
        elif wanted is RequestedState.STOPPED:
            self._plan_stopped()
        else:
            self._plan_started()

    @property
    def _id(self) -> str:
        return self.partition.key.partition_id

    @property
    def _stamp(self) -> str:
        return wanted_stamp(self.partition)

    def _report(self, verdict: Verdict, message: str = "") -> None:
        self.draft.report(self.partition, self.instance, verdict, message)

    def _plan_redirections(self) -> None:
        if not self.local.has_redirections:
            if redirection_group(self._id) in self.local.side_groups:
                self.draft.add(CloseRedirections(self._id))
        elif self.local.programs is not None or not self.local.has_programs:
            failure = self.draft.failure(Effort.REDIRECT, self._id)
            # After a failure once more, to know that it is over.
            if self.local.are_redirections_due or failure is not None:
                self.draft.add(OpenRedirections(self._id))

    def _plan_retirement(self) -> None:
        if self.local.programs is not None:
            self.draft.add(StopPrograms(self._id))
            return
        failure = self.draft.departure_failure(self._id)
        if failure is not None:
            self._report(Verdict.ERROR, failure)
        elif self.local.has_content:
            self._report(Verdict.STOPPED)

    def _plan_stopped(self) -> None:
        if self.local.programs is not None:
            self.draft.add(StopPrograms(self._id))
        failure = self.draft.failure(Effort.INSTALL, self._id, self._stamp)
        if failure is not None:
            self._report(Verdict.ERROR, failure.message)
        if not self._is_processed():
            # Installed also when stopped: its children learn of it.
            if self.draft.memory.stage(self._id, self._stamp) is None:
                self._plan_install()
            else:
                self._plan_record()
        elif self.local.programs is None:
            self._report(Verdict.STOPPED)

    def _plan_started(self) -> None:
        is_processed = self._is_processed()
        stage = self.draft.memory.stage(self._id, self._stamp)
        if is_processed:
            self._plan_steady()
        elif stage is None:
            self._plan_install()
        elif stage is Stage.INSTALLED:
            self._plan_start()
        elif stage is Stage.PROVED:
            self._plan_record()
        elif not self._plan_reinstall():
            names = tuple(promise.name for promise in self.local.promises)
            self.draft.add(RunPromises(self._id, self._stamp, names))
        self._plan_programs()
        message = self._failure_message(is_processed=is_processed)
        if message is not None:
            self._report(Verdict.ERROR, message)
        elif is_processed:
            self._report(Verdict.STARTED)

    def _is_processed(self) -> bool:
        local = self.local
        period = self.release.periodicity_seconds
        if period is None:
            period = PERIODICITY_SECONDS_DEFAULT
        # A master changes the timestamp with anything it says of an instance.
        if local.timestamp is None or local.timestamp != self.instance.timestamp:
            return False
        if period < 0:
            return True
        self.draft.wake(local.processed_at + period)
        return self.draft.now <= local.processed_at + period

    def _plan_install(self) -> None:
        if self.release.is_completed:
            self.draft.add(InstallInstance(self.partition))
        elif self.is_supplied:
            self.draft.say(f"{self._id} waits for its release")
        else:
            self._report(
                Verdict.ERROR,
                f"{self.instance.software_release_url} is not supplied to this "
                "computer: supply it",
            )

    def _plan_start(self) -> None:
        self.draft.add(StartPrograms(self._id, self._stamp))

    def _plan_reinstall(self) -> bool:
        failure = self.draft.failure(Effort.PROVE, self._id, self._stamp)
        progress = self.draft.memory.progress[self._id]
        if failure is None or not self.release.is_completed:
            return False
        delay = BACKOFFS[Effort.PROVE].delay_seconds(failure.failure_count)
        wait = max(REINSTALL_SECONDS_MIN, REINSTALL_DELAYS * delay)
        if 0 <= self.draft.now - progress.at < wait:
            return False
        return self.draft.add(InstallInstance(self.partition))

    def _plan_record(self) -> None:
        self.draft.add(RecordProcessed(self._id, self._stamp, self.instance.timestamp))

    def _plan_steady(self) -> None:
        draft = self.draft
        if self.local.programs is None and self.local.has_programs:
            self._plan_start()
        checked = [each for each in self.local.promises if each.is_checked]
        due = tuple(each.name for each in checked if each.due_at <= draft.now)
        for promise in checked:
            draft.wake(promise.due_at)
        if due:
            draft.add(CheckPromises(self._id, due))
        if any(each.failure is not None for each in self.local.promises):
            draft.failing.append(self._id)
        self._plan_bang()

    def _plan_bang(self) -> None:
        local, draft = self.local, self.draft
        title = find_anomaly(local.promises, local.processed_at)
        deployment = Deployment(local.timestamp, local.bang_mark)
        if title is None or local.timestamp is None or deployment.is_banged:
            return
        due_at = deployment.due_at(draft.now)
        if due_at > draft.now:
            draft.wake(due_at)
        else:
            draft.add(Bang(self._id, local.timestamp, describe_anomaly(title)))

    def _plan_programs(self) -> None:
        """Whatever else is to be done, what is known and should run, runs."""
        plan_resumption(self.draft, self.local)
        ended = ended_programs(self.local)
        if ended:
            self.draft.say(f"{', '.join(ended)} of {self._id} ended")
            self.draft.add(ReviveProgram(self._id, ended))

    def _grant_refusal(self) -> str | None:
        failure = self.draft.failure(Effort.REDIRECT, self._id)
        if self.local.grant_refusal is None and failure is not None:
            return failure.message
        return self.local.grant_refusal

    def _failure_message(self, *, is_processed: bool) -> str | None:
        draft = self.draft
        for effort in (Effort.INSTALL, Effort.START):
            failure = draft.failure(effort, self._id, self._stamp)
            if failure is not None:
                return failure.message
        refusal = self._grant_refusal()
        if refusal is not None:
            return refusal
        revival = draft.failure(Effort.REVIVE, self._id)
        if revival is not None and is_reviving_in_vain(revival, draft.now):
            draft.wake(revival.tried_at + REVIVAL_MEMORY_SECONDS)
            # The same words each time, else each time would be a report.
            return (
                f"Programs of {self._id} keep ending and are started again; "
                f"see its .{self._id}_*.log"
            )
        if is_processed:
            return self._failure_of_check()
        proof = draft.failure(Effort.PROVE, self._id, self._stamp)
        if proof is None or proof.failure_count <= FIRST_PROMISE_FAILURES_UNREPORTED:
            return None
        return proof.message

    def _failure_of_check(self) -> str | None:
        for promise in self.local.promises:
            if promise.failure is not None:
                return describe_failure(promise.name, promise.failure)
        unasked = self.draft.failure(Effort.CHECK, self._id)
        if unasked is None:
            return None
        return f"Promises of {self._id} cannot be asked: {unasked.message}"
