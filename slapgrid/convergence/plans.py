"""Core. What the agent may do next: actions and the plan that holds them.

Every action may be repeated at any time, also after a crash in its middle: it makes a
thing true and says so by its ``Outcome``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from attrs import frozen

from slap.model import Partition
from slapgrid.convergence.retrying import Effort, Outcome, digest
from slapgrid.convergence.views import Absence


class Verdict(StrEnum):
    """What is reported of a partition or of a release."""

    BUILDING = "building"
    AVAILABLE = "available"
    STARTED = "started"
    STOPPED = "stopped"
    DESTROYED = "destroyed"
    ERROR = "error"


@frozen
class Action:
    """Something to do about a partition or a release; see the subclasses."""

    effort: ClassVar[Effort]

    @property
    def name(self) -> str:
        """The partition id or the URL."""
        raise NotImplementedError

    @property
    def stamp(self) -> str:
        """Which wanted thing the action serves."""
        return ""

    def ended(self, failure: str | None = None) -> Outcome:
        """The outcome: success, or the failure as a sentence or a log."""
        return Outcome(self.effort, self.name, self.stamp, failure)


@frozen
class SoftwareAction(Action):
    """About a release."""

    software_release_url: str

    @property
    def name(self) -> str:
        return self.software_release_url


@frozen
class BuildSoftware(SoftwareAction):
    """Build the release, or go on with what an interrupted build left."""

    effort = Effort.BUILD


@frozen
class RecordBuilt(SoftwareAction):
    """Write on disk that the release is complete; only after it was reported."""

    effort = Effort.RECORD_BUILT


@frozen
class UploadSoftware(SoftwareAction):
    """Send the release to the binary cache."""

    effort = Effort.UPLOAD


@frozen
class RemoveSoftware(SoftwareAction):
    """Remove the directory of the release."""

    effort = Effort.REMOVE


@frozen
class UnsuppliedAction(Action):
    """About a release on disk that no document names, or did not."""

    directory: str

    @property
    def name(self) -> str:
        return self.directory


@frozen
class NoteAbsence(UnsuppliedAction):
    """Write for how long the release was seen to be supplied no more."""

    effort = Effort.NOTE_ABSENCE
    absence: Absence


@frozen
class ForgetAbsence(UnsuppliedAction):
    """The release is supplied again."""

    effort = Effort.NOTE_ABSENCE


@frozen
class RemoveUnsupplied(UnsuppliedAction):
    """Remove the directory of a release that nobody supplies or uses."""

    effort = Effort.REMOVE


@frozen
class ReportSoftware(SoftwareAction):
    """Tell the master about the release; ``message`` is the end of an error log."""

    effort = Effort.REPORT
    verdict: Verdict
    message: str = ""

    @property
    def stamp(self) -> str:
        return report_text(self.verdict, self.message)


@frozen
class PartitionAction(Action):
    """About a partition."""

    partition_id: str

    @property
    def name(self) -> str:
        return self.partition_id


@frozen
class _StampedAction(PartitionAction):
    wanted_stamp: str

    @property
    def stamp(self) -> str:
        return self.wanted_stamp


@frozen
class InstallInstance(Action):
    """Run buildout in the partition for what is wanted there."""

    effort = Effort.INSTALL
    partition: Partition

    @property
    def name(self) -> str:
        return self.partition.key.partition_id

    @property
    def stamp(self) -> str:
        return wanted_stamp(self.partition)


@frozen
class StartPrograms(_StampedAction):
    """Define the partition's programs as they are on disk and start all that rest.

    Programs whose definition is unchanged and that run are not touched.
    """

    effort = Effort.START


@frozen
class ResumePrograms(PartitionAction):
    """Start programs of a known group that never ran since supervision began."""

    effort = Effort.START
    programs: tuple[str, ...]


@frozen
class ReviveProgram(PartitionAction):
    """Start programs of a known group that ran and ended though they never should."""

    effort = Effort.REVIVE
    programs: tuple[str, ...]


@frozen
class StopPrograms(PartitionAction):
    """Stop all programs of the partition and forget its group."""

    effort = Effort.STOP


@frozen
class OpenRedirections(PartitionAction):
    """Run the programs that lead ports of the computer to the instance, as it asks."""

    effort = Effort.REDIRECT


@frozen
class CloseRedirections(PartitionAction):
    """End the programs that lead ports of the computer to the instance."""

    effort = Effort.REDIRECT


@frozen
class RunPromises(_StampedAction):
    """Test these promises of a new deployment; the first that fails is the failure."""

    effort = Effort.PROVE
    promises: tuple[str, ...]


@frozen
class CheckPromises(PartitionAction):
    """Ask these promises whether what worked works still.

    What they find is observed afterwards; the action fails when they cannot be asked.
    """

    effort = Effort.CHECK
    promises: tuple[str, ...]


@frozen
class Bang(PartitionAction):
    """Ask the master to have the instance tree processed again, and remember it."""

    effort = Effort.BANG
    timestamp: str
    message: str

    @property
    def stamp(self) -> str:
        return digest(self.timestamp)


@frozen
class RecordProcessed(_StampedAction):
    """Write the timestamp: the partition is as wanted."""

    effort = Effort.RECORD
    timestamp: str


@frozen
class Report(_StampedAction):
    """Tell the master about the instance in the partition."""

    effort = Effort.REPORT
    verdict: Verdict
    message: str = ""

    @property
    def stamp(self) -> str:
        return f"{self.wanted_stamp} {report_text(self.verdict, self.message)}"


@frozen
class RetainInstance(PartitionAction):
    """Write until when the instance stays though it is to be destroyed."""

    effort = Effort.RETAIN
    until: float


@frozen
class RetireInstance(PartitionAction):
    """Remember which programs of ``etc/prerm`` ended, and start these others."""

    effort = Effort.RETIRE
    instance_guid: str
    ended_programs: frozenset[str]
    resting_programs: tuple[str, ...]


@frozen
class DestroyInstance(PartitionAction):
    """Remove all content of the partition, whose programs are stopped."""

    effort = Effort.DESTROY
    instance_guid: str = ""


@frozen
class CleanPartition(PartitionAction):
    """Remove what says that a free partition was processed; nothing else."""

    effort = Effort.CLEAN


@frozen
class Plan:
    """Actions in the order in which they must be performed.

    1. What stops comes before what removes, and removal waits for a later plan, one
       that has seen the programs gone.
    2. A report follows its effect in a later plan too: it states what was observed.
       ``building`` alone announces, just before the build.
    3. Quick actions come before installations, and there is a bound on these, so that
       no instance waits long for another's.
    4. An action that fails does not keep the next ones from being performed.

    ``failing`` are the partitions whose checked promises fail.
    ``reason`` is the sentence logged. ``next_wake`` is the instant at which another
    plan may be longer though nothing was observed to change.
    """

    actions: tuple[Action, ...] = ()
    reason: str = ""
    next_wake: float | None = None
    failing: tuple[str, ...] = ()


def wanted_stamp(partition: Partition) -> str:
    """What an instance was processed for: another stamp means process again."""
    instance = partition.instance
    if instance is None:
        return ""
    wanted = (
        f"{instance.instance_guid} {instance.timestamp} {partition.requested_state} "
        f"{instance.software_release_url}"
    )
    return digest(wanted)


def report_text(verdict: Verdict, message: str) -> str:
    """What is compared to know whether a report says something new."""
    return f"{verdict} {digest(message)}" if message else str(verdict)
