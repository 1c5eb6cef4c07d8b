"""Properties of the plan, with an executor that never fails, and single decisions."""

from __future__ import annotations

import pytest
from attrs import evolve, field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from slap.model import (
    Computer,
    Partition,
    PartitionInstance,
    PartitionKey,
    RequestedState,
    SoftwareInstallation,
    SupplyState,
)
from slapgrid.convergence.banging import Deployment
from slapgrid.convergence.destruction import plan_destruction
from slapgrid.convergence.instances import INSTALLS_PER_PLAN_MAX, plan_instances
from slapgrid.convergence.offline import plan_offline
from slapgrid.convergence.plans import (
    Action,
    Bang,
    BuildSoftware,
    CheckPromises,
    CleanPartition,
    DestroyInstance,
    InstallInstance,
    Plan,
    RecordBuilt,
    RecordProcessed,
    RemoveSoftware,
    Report,
    ReportSoftware,
    ResumePrograms,
    ReviveProgram,
    RunPromises,
    StartPrograms,
    StopPrograms,
    Verdict,
    wanted_stamp,
)
from slapgrid.convergence.quiet import Quiet
from slapgrid.convergence.retrying import Effort, Outcome, RetryMemory, absorb
from slapgrid.convergence.software import plan_software
from slapgrid.convergence.statuses import UNTOLD, complete_statuses
from slapgrid.convergence.views import (
    BangMark,
    LocalPartition,
    LocalRelease,
    LocalView,
    ProgramState,
    ProgramStatus,
    PromiseView,
)

EXAMPLES = 40
"""Of whole computers, each of which lives for many rounds."""

NOW = 1_000_000.0
URLS = ("http://master/one.cfg", "http://master/two.cfg")
RUNNING = (
    ProgramStatus("server", is_watched=True, program_state=ProgramState.RUNNING),
)
RESTING = (
    ProgramStatus("server", is_watched=True, program_state=ProgramState.STOPPED),
)
ENDED = (
    ProgramStatus(
        "server", is_watched=True, program_state=ProgramState.EXITED, exit_status=1
    ),
)
#: Announcing and building a release is two rounds, five stages bring an instance up.
ROUNDS_PER_PARTITION = 3
ROUNDS_BASE = 12


def plan(
    desired: Computer, observed: LocalView, memory: RetryMemory, now: float
) -> Plan:
    """Everything there is to do."""
    planners = (plan_instances, plan_destruction, plan_software)
    plans = [planner(desired, observed, memory, now) for planner in planners]
    return Plan(tuple(action for each in plans for action in each.actions))


def an_instance(number: int = 0, **overrides: object) -> PartitionInstance:
    values = {
        "instance_guid": f"SOFTINST-{number}",
        "title": f"title-{number}",
        "root_title": f"title-{number}",
        "software_release_url": URLS[0],
        "software_type": "default",
        "timestamp": "1700000000.25",
    }
    return PartitionInstance(**{**values, **overrides})  # type: ignore[arg-type]


def a_partition(
    number: int = 0,
    wanted: RequestedState = RequestedState.STARTED,
    instance: PartitionInstance | None = None,
) -> Partition:
    key = PartitionKey("COMP-1", f"slappart{number}")
    return Partition(key, wanted, instance=instance or an_instance(number))


def a_computer(*partitions: Partition) -> Computer:
    return Computer("COMP-1", partitions, (SoftwareInstallation(URLS[0], "COMP-1"),))


def a_view(*partitions: LocalPartition, is_built: bool = True) -> LocalView:
    release = LocalRelease(URLS[0], is_present=is_built, is_completed=is_built)
    return LocalView(
        {each.partition_id: each for each in partitions}, {URLS[0]: release}
    )


PROCESSED = LocalPartition(
    "slappart0",
    has_content=True,
    has_remains=True,
    has_programs=True,
    timestamp="1700000000.25",
    processed_at=NOW,
    programs=RUNNING,
    promises=(PromiseView("alive", NOW + 60),),
)
EMPTY = LocalPartition("slappart0")


@frozen
class ModelComputer:
    """A computer and a master that do at once and without fault what is planned."""

    desired: Computer
    observed: LocalView
    memory: RetryMemory = field(factory=RetryMemory)
    history: tuple[Action, ...] = ()

    def perform(self, action: Action) -> ModelComputer:
        after = evolve(
            self,
            desired=self._desired_after(action),
            observed=self._observed_after(action),
            history=(*self.history, action),
        )
        return evolve(after, memory=absorb(self.memory, action.ended(), NOW))

    def _desired_after(self, action: Action) -> Computer:
        match action:
            case Report(partition_id, _, Verdict.DESTROYED):
                free = Partition(
                    PartitionKey("COMP-1", partition_id), RequestedState.DESTROYED
                )
                kept = [
                    free if each.key == free.key else each
                    for each in self.desired.partitions
                ]
                return evolve(self.desired, partitions=tuple(kept))
            case ReportSoftware(url, Verdict.DESTROYED):
                left = [
                    each
                    for each in self.desired.installations
                    if each.software_release_url != url
                ]
                return evolve(self.desired, installations=tuple(left))
        return self.desired

    def _observed_after(self, action: Action) -> LocalView:  # noqa: C901 - a table
        partitions = dict(self.observed.partitions)
        releases = dict(self.observed.releases)
        match action:
            case InstallInstance(partition):
                name = partition.key.partition_id
                partitions[name] = evolve(
                    partitions[name],
                    has_content=True,
                    has_programs=True,
                    has_remains=True,
                    timestamp=None,
                    promises=(PromiseView("alive"),),
                )
            case StartPrograms(name) | ResumePrograms(name) | ReviveProgram(name):
                partitions[name] = evolve(partitions[name], programs=RUNNING)
            case StopPrograms(name):
                partitions[name] = evolve(partitions[name], programs=None)
            case RunPromises(name) | CheckPromises(name):
                proved = (PromiseView("alive", NOW + 120),)
                partitions[name] = evolve(partitions[name], promises=proved)
            case RecordProcessed(name, _, timestamp):
                partitions[name] = evolve(
                    partitions[name], timestamp=timestamp, processed_at=NOW
                )
            case DestroyInstance(name):
                partitions[name] = LocalPartition(name)
            case CleanPartition(name):
                partitions[name] = evolve(
                    partitions[name], has_remains=False, timestamp=None
                )
            case BuildSoftware(url):
                releases[url] = LocalRelease(url, is_present=True)
            case RecordBuilt(url):
                releases[url] = LocalRelease(url, is_present=True, is_completed=True)
            case RemoveSoftware(url):
                releases[url] = LocalRelease(url)
        return LocalView(partitions, releases)

    def round(self) -> ModelComputer:
        """One plan, performed."""
        after = self
        for action in plan(self.desired, self.observed, self.memory, NOW).actions:
            after = after.perform(action)
        return after


def local_partitions(name: str) -> st.SearchStrategy[LocalPartition]:
    """Whatever earlier agents and crashes may have left in a formatted partition."""
    return st.builds(
        LocalPartition,
        st.just(name),
        has_content=st.booleans(),
        has_remains=st.booleans(),
        has_programs=st.booleans(),
        timestamp=st.sampled_from([None, "1700000000.25", "older"]),
        processed_at=st.sampled_from([0.0, NOW - 10, NOW + 10]),
        programs=st.sampled_from([None, RUNNING, RESTING, ENDED]),
        promises=st.sampled_from([(), (PromiseView("alive"),), PROCESSED.promises]),
    ).map(lambda each: evolve(each, has_content=each.has_content or each.has_remains))


def desired_partitions(number: int) -> st.SearchStrategy[Partition]:
    key = PartitionKey("COMP-1", f"slappart{number}")
    free = st.just(Partition(key, RequestedState.DESTROYED))
    url = st.sampled_from(URLS)
    taken = st.builds(
        lambda wanted, url: Partition(
            key, wanted, instance=an_instance(number, software_release_url=url)
        ),
        st.sampled_from(RequestedState),
        url,
    )
    return st.one_of(free, taken)


@st.composite
def computers(draw: st.DrawFn) -> ModelComputer:
    """A computer in any state that wants anything."""
    count = draw(st.integers(0, 12))
    desired = tuple(draw(desired_partitions(number)) for number in range(count))
    observed = {
        each.key.partition_id: draw(local_partitions(each.key.partition_id))
        for each in desired
    }
    installations = tuple(
        SoftwareInstallation(url, "COMP-1", draw(st.sampled_from(SupplyState)))
        for url in URLS
    )
    releases = {
        url: LocalRelease(url, is_present=present, is_completed=completed and present)
        for url in URLS
        for present, completed in [(draw(st.booleans()), draw(st.booleans()))]
    }
    efforts = st.sampled_from(
        [Effort.INSTALL, Effort.START, Effort.PROVE, Effort.BUILD, Effort.RECORD]
    )
    memory = RetryMemory()
    for partition in desired:
        if partition.instance is not None and draw(st.booleans()):
            done = Outcome(
                draw(efforts), partition.key.partition_id, wanted_stamp(partition)
            )
            memory = absorb(memory, done, NOW)
    return ModelComputer(
        Computer("COMP-1", desired, installations),
        LocalView(observed, releases),
        memory,
    )


@settings(max_examples=EXAMPLES)
@given(computers())
def test_every_computer_comes_to_rest(computer: ModelComputer) -> None:
    """From anything observed, a bounded number of rounds leads to an empty plan."""
    bound = ROUNDS_BASE + ROUNDS_PER_PARTITION * len(computer.desired.partitions)

    for _ in range(bound):
        computer = computer.round()

    assert plan(computer.desired, computer.observed, computer.memory, NOW).actions == ()


@given(computers())
def test_free_partitions_are_only_cleaned(computer: ModelComputer) -> None:
    """Whatever is in them, nothing is stopped, started, removed or reported."""
    free = {
        each.key.partition_id
        for each in computer.desired.partitions
        if each.instance is None
    }

    actions = plan(computer.desired, computer.observed, computer.memory, NOW).actions

    assert {type(each) for each in actions if each.name in free} <= {CleanPartition}


@settings(max_examples=EXAMPLES)
@given(computers())
def test_nothing_is_destroyed_before_its_programs_are_seen_gone(
    computer: ModelComputer,
) -> None:
    """A plan that destroys was made from a view without that group."""
    for _ in range(ROUNDS_BASE):
        for action in plan(
            computer.desired, computer.observed, computer.memory, NOW
        ).actions:
            if isinstance(action, DestroyInstance):
                assert computer.observed.partitions[action.name].programs is None
        computer = computer.round()


@settings(max_examples=EXAMPLES)
@given(computers())
def test_reports_state_what_was_observed(computer: ModelComputer) -> None:
    """Started, stopped, destroyed and available are reported after their effect."""
    for _ in range(ROUNDS_BASE):
        partitions, releases = computer.observed.partitions, computer.observed.releases
        for action in plan(
            computer.desired, computer.observed, computer.memory, NOW
        ).actions:
            match action:
                case Report(name, _, Verdict.STARTED):
                    assert partitions[name].timestamp == "1700000000.25"
                case Report(name, _, Verdict.STOPPED):
                    assert partitions[name].programs is None
                case Report(name, _, Verdict.DESTROYED):
                    assert not partitions[name].has_content
                    assert partitions[name].programs is None
                case ReportSoftware(url, Verdict.AVAILABLE):
                    assert releases[url].is_present
                case ReportSoftware(url, Verdict.DESTROYED):
                    assert not releases[url].is_present
        computer = computer.round()


STEPS = ("plan", "round", "fail", "change", "releases")
INSTANTS = (-20.0, 0.0, 0.0, 30.0, 59.0, 60.0, 61.0, 90_000.0)


@settings(max_examples=EXAMPLES)
@given(
    computers(),
    st.lists(
        st.tuples(
            st.sampled_from(STEPS),
            st.sampled_from(INSTANTS),
            st.integers(0, 11),
            st.sampled_from([Effort.INSTALL, Effort.PROVE, Effort.START]),
        ),
        min_size=2,
        max_size=20,
    ),
)
def test_what_was_quiet_changes_no_plan(
    computer: ModelComputer, steps: list[tuple[str, float, int, Effort]]
) -> None:
    """Whatever changes in between, and whichever way the calendar is set."""
    quiet = Quiet()
    for step, offset, number, effort in steps:
        name, now = f"slappart{number}", NOW + offset
        local = computer.observed.partitions.get(name)
        if step == "round":
            computer = computer.round()
        elif step == "fail":
            stamps = {
                each.key.partition_id: wanted_stamp(each)
                for each in computer.desired.partitions
            }
            failed = Outcome(effort, name, stamps.get(name, ""), "it failed")
            memory = absorb(computer.memory, failed, now)
            computer = evolve(computer, memory=memory)
        elif step == "change" and local is not None:
            stopped = {**computer.observed.partitions, name: evolve(local, programs=())}
            observed = LocalView(stopped, computer.observed.releases)
            computer = evolve(computer, observed=observed)
        elif step == "releases":
            releases = dict.fromkeys(URLS, LocalRelease(URLS[0]))
            observed = LocalView(computer.observed.partitions, releases)
            computer = evolve(computer, observed=observed)
        seen = (computer.observed, computer.memory, now)
        expected = plan_instances(computer.desired, *seen)

        assert plan_instances(computer.desired, *seen, quiet) == expected


def test_a_processed_partition_costs_nothing() -> None:
    """Once reported, nothing is planned until a promise is due."""
    reported = Outcome(
        Effort.REPORT, "slappart0", f"{wanted_stamp(a_partition())} started"
    )
    memory = absorb(RetryMemory(), reported, NOW)

    quiet = plan_instances(a_computer(a_partition()), a_view(PROCESSED), memory, NOW)

    assert (quiet.actions, quiet.reason, quiet.next_wake) == (
        (),
        "nothing to do",
        NOW + 60,
    )


def test_another_timestamp_is_processed_whatever_its_order() -> None:
    """Compared for difference: the master's calendar may have been set back."""
    partition = a_partition(instance=an_instance(timestamp="17"))

    planned = plan_instances(
        a_computer(partition), a_view(PROCESSED), RetryMemory(), NOW
    )

    assert planned.actions == (InstallInstance(partition),)


def test_what_changed_last_is_installed_first() -> None:
    """A person who waits for one instance does not wait for all that a bang renewed.

    The second one waits longest: one that changes all the time keeps it from nothing.
    """
    stamps = ("10.5", "30", "20", "opaque", "nan")
    partitions = [
        a_partition(number, instance=an_instance(timestamp=stamp))
        for number, stamp in enumerate(stamps)
    ]
    locals_ = [LocalPartition(each.key.partition_id) for each in partitions]

    planned = plan_instances(
        a_computer(*partitions), a_view(*locals_), RetryMemory(), NOW
    )

    assert [action.name for action in planned.actions] == [
        "slappart1",
        "slappart3",
        "slappart2",
        "slappart0",
        "slappart4",
    ]


def test_installations_are_bounded_and_the_rest_follows_at_once() -> None:
    partitions = [a_partition(number) for number in range(INSTALLS_PER_PLAN_MAX + 9)]
    locals_ = [LocalPartition(each.key.partition_id) for each in partitions]

    planned = plan_instances(
        a_computer(*partitions), a_view(*locals_), RetryMemory(), NOW
    )

    assert len(planned.actions) == INSTALLS_PER_PLAN_MAX
    assert planned.next_wake == NOW


def test_an_instance_waits_for_its_release_without_an_error() -> None:
    """The release is supplied, and its build is another loop's work."""
    planned = plan_instances(
        a_computer(a_partition()), a_view(EMPTY, is_built=False), RetryMemory(), NOW
    )

    assert planned.actions == ()
    assert planned.reason == "nothing to do; slappart0 waits for its release"


def test_an_instance_of_a_release_that_nobody_supplied_is_an_error() -> None:
    """The report says what to do."""
    desired = evolve(a_computer(a_partition()), installations=())

    planned = plan_instances(desired, a_view(EMPTY, is_built=False), RetryMemory(), NOW)

    assert planned.actions == (
        Report(
            "slappart0",
            wanted_stamp(a_partition()),
            Verdict.ERROR,
            f"{URLS[0]} is not supplied to this computer: supply it",
        ),
    )


def test_a_partition_without_directory_is_an_error() -> None:
    """Nothing is installed where format made nothing."""
    (report,) = plan_instances(
        a_computer(a_partition()), a_view(), RetryMemory(), NOW
    ).actions

    assert isinstance(report, Report)
    assert report.message == (
        "slappart0 has no directory on this computer: run format again"
    )


def test_a_program_that_ended_is_revived_and_then_more_slowly() -> None:
    """The second revival waits a second, and the plan says when it is due."""
    ended = evolve(PROCESSED, programs=ENDED)
    desired, seen = a_computer(a_partition()), a_view(ended)
    revival = ReviveProgram("slappart0", ("server",))

    first = plan_instances(desired, seen, RetryMemory(), NOW)
    memory = absorb(RetryMemory(), revival.ended(), NOW)
    second = plan_instances(desired, seen, memory, NOW + 0.5)
    third = plan_instances(desired, seen, memory, NOW + 1)

    assert revival in first.actions
    assert revival not in second.actions
    assert second.next_wake == NOW + 1
    assert revival in third.actions


def test_a_program_that_keeps_ending_is_an_error_of_its_instance() -> None:
    """After some revivals the master is told, with the same words each time."""
    memory = RetryMemory()
    for second in range(5):
        revival = ReviveProgram("slappart0", ("server",))
        memory = absorb(memory, revival.ended(), NOW + second)

    planned = plan_instances(
        a_computer(a_partition()),
        a_view(evolve(PROCESSED, programs=ENDED)),
        memory,
        NOW + 5,
    )

    (report,) = [each for each in planned.actions if isinstance(each, Report)]
    assert report.message == (
        "Programs of slappart0 keep ending and are started again; "
        "see its .slappart0_*.log"
    )


def test_a_master_that_still_says_error_is_told_again() -> None:
    """Not at once: it may not have read the report yet."""
    partition = a_partition(instance=an_instance(access_status="#error it broke"))
    started = Report("slappart0", wanted_stamp(partition), Verdict.STARTED)
    memory = absorb(RetryMemory(), started.ended(), NOW)
    desired, seen = a_computer(partition), a_view(PROCESSED)

    soon = plan_instances(desired, seen, memory, NOW + 1)
    later = plan_instances(
        desired, a_view(evolve(PROCESSED, promises=())), memory, NOW + 61
    )

    assert soon.actions == ()
    assert later.actions == (started,)


@pytest.mark.parametrize(
    ("status", "is_told_again"),
    [
        ("#access Instance correctly stopped", True),
        (UNTOLD, True),
        ("#access Instance correctly started", False),
        ("#access it runs", False),
        (None, False),
    ],
)
def test_a_master_that_knows_an_earlier_report_is_told_again(
    status: str | None, is_told_again: bool
) -> None:
    """As after the restoring of a backup; masters of others may tell of no report."""
    partition = a_partition(instance=an_instance(access_status=status))
    started = Report("slappart0", wanted_stamp(partition), Verdict.STARTED)
    memory = absorb(RetryMemory(), started.ended(), NOW)
    desired = a_computer(partition)
    seen = a_view(evolve(PROCESSED, promises=()))

    soon = plan_instances(desired, seen, memory, NOW + 1)
    later = plan_instances(desired, seen, memory, NOW + 61)

    assert soon.actions == ()
    assert later.actions == ((started,) if is_told_again else ())


def test_a_stopped_instance_is_reported_again_to_who_says_that_it_runs() -> None:
    running = "#access Instance correctly started"
    instance = an_instance(access_status=running)
    partition = a_partition(wanted=RequestedState.STOPPED, instance=instance)
    stopped = Report("slappart0", wanted_stamp(partition), Verdict.STOPPED)
    memory = absorb(RetryMemory(), stopped.ended(), NOW)
    seen = a_view(evolve(PROCESSED, programs=None))

    planned = plan_instances(a_computer(partition), seen, memory, NOW + 61)

    assert planned.actions == (stopped,)


def test_only_what_no_report_is_known_of_is_completed() -> None:
    reported = a_partition(instance=an_instance(access_status="#access it runs"))
    unreported = a_partition(instance=an_instance(access_status=None))
    free = evolve(reported, instance=None)
    whole = a_computer(reported, free)

    assert complete_statuses(whole) is whole
    completed = complete_statuses(a_computer(reported, free, unreported)).partitions
    assert completed[:2] == (reported, free)
    assert completed[2].instance == an_instance(access_status=UNTOLD)


def test_a_release_in_use_is_not_removed() -> None:
    """Even when the master asks too early."""
    unwanted = SoftwareInstallation(URLS[0], "COMP-1", SupplyState.DESTROYED)
    desired = evolve(a_computer(a_partition()), installations=(unwanted,))

    planned = plan_software(desired, a_view(), RetryMemory(), NOW)

    assert planned.actions == ()
    assert planned.reason == f"nothing to do; {URLS[0]} stays while slappart0 uses it"


def test_a_failed_build_is_reported_and_retried_after_a_delay() -> None:
    """The end of its log goes to the master once."""
    build = BuildSoftware(URLS[0])
    memory = absorb(RetryMemory(), build.ended("no compiler"), NOW)
    seen = a_view(is_built=False)
    desired = a_computer()

    reporting = plan_software(desired, seen, memory, NOW + 1)
    memory = absorb(memory, reporting.actions[0].ended(), NOW + 1)
    waiting = plan_software(desired, seen, memory, NOW + 2)
    retrying = plan_software(desired, seen, memory, NOW + 10)

    assert reporting.actions == (ReportSoftware(URLS[0], Verdict.ERROR, "no compiler"),)
    assert (waiting.actions, waiting.next_wake) == ((), NOW + 10)
    assert retrying.actions == (ReportSoftware(URLS[0], Verdict.BUILDING), build)


def test_promises_that_fail_have_their_instance_installed_again_later() -> None:
    """What it asked for may have come; until then only its promises run."""
    partition = a_partition()
    stamp = wanted_stamp(partition)
    memory = RetryMemory()
    for effort in (Effort.INSTALL, Effort.START):
        memory = absorb(memory, Outcome(effort, "slappart0", stamp), NOW)
    proof = Outcome(Effort.PROVE, "slappart0", stamp, "Promise 'alive' failed")
    memory = absorb(memory, proof, NOW)
    seen = a_view(evolve(PROCESSED, timestamp=None))

    soon = plan_instances(a_computer(partition), seen, memory, NOW + 1)
    later = plan_instances(a_computer(partition), seen, memory, NOW + 61)

    assert soon.actions == (RunPromises("slappart0", stamp, ("alive",)),)
    assert later.actions == (InstallInstance(partition),)


def test_offline_only_what_was_started_runs() -> None:
    """A one-shot program that ran is not run again, a partition without group rests."""
    resting = ProgramStatus("a", is_watched=False, program_state=ProgramState.STOPPED)
    ran = ProgramStatus("b", is_watched=False, program_state=ProgramState.EXITED)
    seen = a_view(
        LocalPartition("slappart0", programs=(resting, ran, *ENDED)),
        LocalPartition("slappart1", has_programs=True),
    )

    planned = plan_offline(seen, RetryMemory(), NOW)

    assert planned.actions == (
        ResumePrograms("slappart0", ("a",)),
        ReviveProgram("slappart0", ("server",)),
    )


def checked(**overrides: object) -> LocalPartition:
    """A processed partition whose promise found an anomaly after the deployment."""
    found = PromiseView("alive", NOW + 60, "it is dead", anomaly_at=NOW + 1)
    return evolve(PROCESSED, **{"promises": (found,), **overrides})


def test_promises_of_what_works_are_checked_when_they_are_due() -> None:
    """Those that want no check are never due."""
    promises = (
        PromiseView("alive", NOW - 1),
        PromiseView("early", NOW + 9),
        PromiseView("testless", NOW - 1, is_checked=False),
    )

    planned = plan_instances(
        a_computer(a_partition()),
        a_view(evolve(PROCESSED, promises=promises)),
        RetryMemory(),
        NOW,
    )

    assert CheckPromises("slappart0", ("alive",)) in planned.actions
    assert planned.next_wake == NOW + 9


def test_an_anomaly_bangs_and_is_reported() -> None:
    """In the words of stock nodes; the plan names the partition that fails."""
    desired = a_computer(a_partition())

    planned = plan_instances(desired, a_view(checked()), RetryMemory(), NOW)

    sentence = "Promise 'alive' failed with output: it is dead"
    stamp = wanted_stamp(desired.partitions[0])
    assert planned.actions == (
        Report("slappart0", stamp, Verdict.ERROR, sentence),
        Bang("slappart0", "1700000000.25", "Promise alive is failing"),
    )
    assert planned.failing == ("slappart0",)


@pytest.mark.parametrize(
    "overrides",
    [
        {"bang_mark": BangMark("1700000000.25", NOW - 1000)},
        {"promises": (PromiseView("alive", NOW + 60, "dead", anomaly_at=NOW - 1),)},
        {"promises": (PromiseView("alive", NOW + 60, "dead"),)},
    ],
    ids=["it was banged for", "it was found before the deployment", "it may not bang"],
)
def test_a_failure_that_does_not_bang(overrides: dict[str, object]) -> None:
    """It is reported all the same."""
    planned = plan_instances(
        a_computer(a_partition()), a_view(checked(**overrides)), RetryMemory(), NOW
    )

    assert [type(each) for each in planned.actions] == [Report]


def test_bangs_of_a_partition_keep_a_distance() -> None:
    """A service that dies at once would have its tree processed without end."""
    mark = BangMark("another", NOW - 50)

    planned = plan_instances(
        a_computer(a_partition()), a_view(checked(bang_mark=mark)), RetryMemory(), NOW
    )

    assert [type(each) for each in planned.actions] == [Report]
    assert planned.next_wake == NOW + 10


@pytest.mark.parametrize("timestamp", ["1700000000", "1700000000.25", "", "opaque é"])
def test_a_deployment_is_banged_for_once_whatever_its_timestamp(timestamp: str) -> None:
    """Timestamps are compared, never read."""
    never = Deployment(timestamp)
    once = Deployment(timestamp, BangMark(never.next_mark, NOW))
    later = Deployment(timestamp + "1", BangMark(never.next_mark, NOW))

    assert [never.is_banged, once.is_banged, later.is_banged] == [False, True, False]


def test_what_was_never_deployed_is_banged_for_once() -> None:
    """Its next deployment may bang again."""
    never = Deployment(None)
    mark = BangMark(never.next_mark, NOW)

    assert not never.is_banged
    assert Deployment(None, mark).is_banged
    assert not Deployment("1700000000", mark).is_banged
