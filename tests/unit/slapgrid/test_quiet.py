"""What a plan need not look at again, and when it must; see also test_convergence."""

from __future__ import annotations

from attrs import evolve, field, frozen

from slap.model import (
    Computer,
    Partition,
    PartitionInstance,
    PartitionKey,
    RequestedState,
    SoftwareInstallation,
)
from slapgrid.convergence.instances import plan_instances
from slapgrid.convergence.plans import (
    InstallInstance,
    Plan,
    Report,
    Verdict,
    report_text,
    wanted_stamp,
)
from slapgrid.convergence.quiet import Quiet
from slapgrid.convergence.retrying import (
    Attempt,
    Effort,
    Progress,
    Reported,
    RetryMemory,
    Stage,
    attempt_key,
)
from slapgrid.convergence.views import LocalPartition, LocalRelease, LocalView

NOW = 1_000_000.0
URL = "http://master/one.cfg"
NAME = "slappart0"
PARTITION = Partition(
    PartitionKey("COMP-1", NAME),
    RequestedState.STARTED,
    instance=PartitionInstance(
        "SOFTINST-0", "title", "title", URL, "default", "17", access_status="#error"
    ),
)
STAMP = wanted_stamp(PARTITION)
RELEASE = LocalRelease(URL, is_present=True, is_completed=True)
DESIRED = Computer("COMP-1", (PARTITION,), (SoftwareInstallation(URL, "COMP-1"),))
LOCAL = LocalPartition(NAME, has_content=True, timestamp="17", processed_at=NOW - 5)
MEMORY = RetryMemory(reported={NAME: Reported(f"{STAMP} started", NOW)})


@frozen
class Case:
    """A computer of one partition, which is as it is wanted."""

    local: LocalPartition = LOCAL
    release: LocalRelease = RELEASE
    memory: RetryMemory = MEMORY
    desired: Computer = DESIRED
    quiet: Quiet = field(factory=Quiet)

    def plan(self, now: float) -> Plan:
        return plan_instances(
            self.desired,
            LocalView({NAME: self.local}, {URL: self.release}),
            self.memory,
            now,
            self.quiet,
        )


def test_nothing_is_looked_at_again_before_its_time() -> None:
    case = Case()

    plans = [case.plan(NOW + 1), case.plan(NOW + 2), case.plan(NOW + 60)]

    assert [len(each.actions) for each in plans] == [0, 0, 1]
    assert plans[1].next_wake == NOW + 60


def test_a_calendar_that_was_set_back_makes_it_be_planned_again() -> None:
    """The report is in the future then: it is made again."""
    case = Case()

    plans = [case.plan(NOW + 1), case.plan(NOW + 2), case.plan(NOW - 1)]

    assert plans[0].actions == plans[1].actions == ()
    assert plans[2].actions == (Report(NAME, STAMP, Verdict.STARTED),)


def test_a_release_with_another_period_makes_it_be_planned_again() -> None:
    case = Case()
    case.plan(NOW + 1)
    case.plan(NOW + 2)

    often = evolve(case, release=evolve(RELEASE, periodicity_seconds=1.0))

    assert [type(each) for each in often.plan(NOW + 2).actions] == [InstallInstance]


def test_a_partition_that_is_another_one_is_planned_again() -> None:
    case = Case()
    plans = [case.plan(NOW + 1), case.plan(NOW + 2)]

    changed = evolve(case, local=evolve(LOCAL, timestamp="16"))

    assert plans[0].actions == plans[1].actions == ()
    assert [type(each) for each in changed.plan(NOW + 3).actions] == [InstallInstance]


def test_another_document_is_planned() -> None:
    case = Case()
    plans = [case.plan(NOW + 1), case.plan(NOW + 2)]
    assert PARTITION.instance is not None
    instance = evolve(PARTITION.instance, timestamp="18")
    partitions = (evolve(PARTITION, instance=instance),)

    changed = evolve(case, desired=evolve(DESIRED, partitions=partitions))

    assert plans[0].actions == plans[1].actions == ()
    assert [type(each) for each in changed.plan(NOW + 3).actions] == [InstallInstance]


def test_what_failed_is_planned_each_time() -> None:
    """It may be installed again before its promises are asked again."""
    failure = "it does not answer"
    case = Case(
        local=LocalPartition(NAME, has_content=True),
        memory=RetryMemory(
            attempts={attempt_key(Effort.PROVE, NAME): Attempt(7, NOW, STAMP, failure)},
            progress={NAME: Progress(STAMP, Stage.STARTED, NOW - 470)},
            reported={
                NAME: Reported(f"{STAMP} {report_text(Verdict.ERROR, failure)}", NOW)
            },
        ),
    )

    plans = [case.plan(NOW + 1), case.plan(NOW + 20)]

    assert plans[0].actions == ()
    assert [type(each) for each in plans[1].actions] == [InstallInstance]
