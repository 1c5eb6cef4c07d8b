"""Performing the actions of a plan: each becomes an outcome, failures are sentences."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import TypeVar

from attrs import evolve, frozen

from slap import calls
from slap.errors import MasterAway, NotFound, SlapError
from slap.model import Certificate, Computer, Partition, PartitionKey
from slapgrid.convergence.departure import BadRetention
from slapgrid.convergence.plans import (
    Action,
    Bang,
    BuildSoftware,
    CheckPromises,
    CleanPartition,
    CloseRedirections,
    DestroyInstance,
    ForgetAbsence,
    InstallInstance,
    NoteAbsence,
    OpenRedirections,
    PartitionAction,
    RecordBuilt,
    RecordProcessed,
    RemoveSoftware,
    RemoveUnsupplied,
    Report,
    ReportSoftware,
    ResumePrograms,
    RetainInstance,
    RetireInstance,
    ReviveProgram,
    RunPromises,
    SoftwareAction,
    StartPrograms,
    StopPrograms,
    UnsuppliedAction,
    UploadSoftware,
    Verdict,
)
from slapgrid.convergence.retrying import Outcome
from slapgrid.convergence.views import LIVE_STATES
from slapgrid.grants.asking import BadGrant
from slapgrid.grants.granting import Granting
from slapgrid.identity import IdentityRefused
from slapgrid.instance.certificates import BadCertificate
from slapgrid.instance.departing import Departing
from slapgrid.instance.partitions import InstanceRefused, Partitions
from slapgrid.promises.banging import Bangs
from slapgrid.promises.proving import Proving
from slapgrid.reporting.reporter import Reporter
from slapgrid.slap_client import SlapClient
from slapgrid.software.releases import Releases
from slapgrid.supervision.conf import ProgramGroup
from slapgrid.supervision.port import ISupervision, ProgramKey, SupervisionError
from slapgrid.together import all_of
from slapgrid.turns import INSTALLS_PER_TURN_MIN, Turn

#: What a master answers that accepts a destruction; else it is a refusal.
DESTRUCTION_ACCEPTED = frozenset({"", "OK", "None"})

_REFUSALS = (
    OSError,
    BadCertificate,
    BadGrant,
    BadRetention,
    UnicodeDecodeError,
    IdentityRefused,
    InstanceRefused,
    SupervisionError,
)

T = TypeVar("T")

Failures = dict[str, str]


@frozen
class Performing:
    """Performs the actions of one plan; what fails becomes a sentence."""

    client: SlapClient
    supervision: ISupervision
    releases: Releases
    partitions: Partitions
    proving: Proving
    bangs: Bangs
    departing: Departing
    granting: Granting
    turn: Turn
    reporter: Reporter
    desired: Computer

    async def perform(
        self, kind: type[Action], actions: tuple[Action, ...]
    ) -> list[Outcome]:
        together = self._of_supervision(kind, actions)
        if together is not None:
            return await self._together(actions, together)
        if kind is CheckPromises:
            return await self.proving.check(actions)
        if kind in {RunPromises, Bang, DestroyInstance}:
            return await all_of(self._alone(each) for each in actions)
        if kind is InstallInstance:
            return await self._install_for_a_turn(actions)
        return [await self._alone(each) for each in actions]

    async def _install_for_a_turn(self, actions: tuple[Action, ...]) -> list[Outcome]:
        """The outcomes of as many as the turn has time for."""
        waiting = iter(actions)
        outcomes: list[Outcome] = []

        async def install_some() -> None:
            for action in waiting:
                outcomes.append(await self._alone(action))
                if len(outcomes) >= INSTALLS_PER_TURN_MIN and self.turn.is_over():
                    return

        await all_of(install_some() for _ in range(self.turn.parallel_count))
        # Once for all of them: it writes out the whole file system.
        failure = await self.partitions.write_out()
        if failure is None:
            return outcomes
        return [evolve(it, failure=it.failure or failure) for it in outcomes]

    def _of_supervision(
        self, kind: type[Action], actions: tuple[Action, ...]
    ) -> Awaitable[Mapping[str, str]] | None:
        """What one call of supervision performs for all actions of a kind."""
        if kind is StopPrograms:
            return self.supervision.remove(tuple(each.name for each in actions))
        if kind is StartPrograms:
            return self._start(actions)
        if kind in {ReviveProgram, ResumePrograms}:
            keys = tuple(
                ProgramKey(each.partition_id, program)
                for each in actions
                if isinstance(each, (ReviveProgram, ResumePrograms))
                for program in each.programs
            )
            return self.supervision.start(keys)
        return None

    async def _together(
        self, actions: tuple[Action, ...], performing: Awaitable[object]
    ) -> list[Outcome]:
        """The outcomes of actions that one call of supervision performs."""
        try:
            failures = await performing
        except (SupervisionError, OSError) as error:
            return [each.ended(str(error)) for each in actions]
        assert hasattr(failures, "get"), "failures by partition id"
        return [each.ended(failures.get(each.name)) for each in actions]

    async def _alone(self, action: Action) -> Outcome:
        try:
            return action.ended(await self._do(action))
        except MasterAway as error:
            return action.ended(f"the master is away: {error}")
        except SlapError as error:
            return action.ended(f"the master refuses: {error}")
        except _REFUSALS as error:
            return action.ended(str(error))

    async def _do(self, action: Action) -> str | None:
        if isinstance(action, SoftwareAction | UnsuppliedAction):
            return await self._do_software(action)
        failure = None
        match action:
            case InstallInstance(partition):
                failure = await self._install(partition)
            case RunPromises(partition_id, _, titles):
                failure = await self.proving.prove(partition_id, frozenset(titles))
            case Bang(partition_id, timestamp, message):
                failure = await self.bangs.bang(partition_id, timestamp, message)
            case Report():
                failure = await self._report(action)
            case RecordProcessed(partition_id, _, timestamp):
                self.partitions.record_processed(partition_id, timestamp)
            case (
                OpenRedirections()
                | CloseRedirections()
                | RetainInstance()
                | RetireInstance()
                | DestroyInstance()
            ):
                failure = await self._do_beside(action)
            case CleanPartition(partition_id):
                await self.partitions.clean(partition_id)
            case _:
                raise AssertionError(f"nobody performs {action!r}")
        return failure

    async def _do_beside(self, action: PartitionAction) -> str | None:
        """What is done for an instance without its release."""
        match action:
            case OpenRedirections(partition_id):
                wanted = self._wanted(partition_id)
                return await self.granting.open_redirections(wanted)
            case CloseRedirections(partition_id):
                return await self.granting.close_redirections(partition_id)
            case RetireInstance(partition_id, guid, ended, resting):
                return await self.departing.retire(partition_id, guid, ended, resting)
            case DestroyInstance(partition_id, guid):
                # What it consumed last goes with its files.
                failure = await self.reporter.farewell(partition_id)
                if failure is not None:
                    return failure
                return await self.departing.destroy(partition_id, guid)
            case RetainInstance(partition_id, until):
                self.departing.retain(partition_id, until)
        return None

    async def _do_software(
        self, action: SoftwareAction | UnsuppliedAction
    ) -> str | None:
        match action:
            case BuildSoftware(url):
                return await self.releases.build(url)
            case RecordBuilt(url):
                self.releases.record_built(url)
            case UploadSoftware(url):
                return await self.releases.upload(url)
            case RemoveSoftware(url):
                await self.releases.remove(url)
            case ReportSoftware():
                await self._report_software(action)
            case NoteAbsence(directory, absence):
                self.releases.note_absence(directory, absence)
            case ForgetAbsence(directory):
                self.releases.note_absence(directory, None)
            case RemoveUnsupplied(directory):
                await self.releases.remove_directory(directory)
            case _:
                raise AssertionError(f"nobody performs {action!r}")
        return None

    def _wanted(self, partition_id: str) -> Partition:
        return next(
            each
            for each in self.desired.partitions
            if each.key.partition_id == partition_id
        )

    async def _start(self, actions: tuple[Action, ...]) -> Failures:
        failures: Failures = {}
        groups: list[ProgramGroup] = []
        for action in actions:
            try:
                groups.append(self.partitions.group(action.name))
            except _REFUSALS as error:
                failures[action.name] = str(error)
        failures.update(await self.supervision.define(tuple(groups)))
        wanted = {group.partition_id for group in groups} - set(failures)
        resting = tuple(
            ProgramKey(group.partition_id, program.name)
            for group in await self.supervision.observe()
            if group.partition_id in wanted
            for program in group.programs
            if program.program_state not in LIVE_STATES
        )
        failures.update(await self.supervision.start(resting))
        return failures

    async def _install(self, partition: Partition) -> str | None:
        instance = partition.instance
        assert instance is not None, "only an instance is installed"
        partition_id = partition.key.partition_id
        self.departing.forget(partition_id, instance)
        certificate = await self._certificate(partition.key)
        failure = await self.partitions.install(partition, certificate)
        if failure is not None:
            return failure
        self.departing.freeze_retention(partition_id, instance)
        titles = self.partitions.requested_titles(partition_id)
        if titles is not None:
            call = calls.report_requested_titles(partition.key, titles)
            # Stock mini-masters do not know this call.
            with suppress(NotFound):
                await self.client.perform(call)
        return None

    async def _certificate(self, key: PartitionKey) -> Certificate | None:
        if not self.partitions.has_certificates:
            return None
        answer = await self.client.perform(calls.get_certificate(key))
        assert isinstance(answer, Certificate)
        return answer

    async def _report(self, report: Report) -> str | None:
        key = PartitionKey(self.desired.computer_id, report.partition_id)
        if report.verdict is Verdict.DESTROYED:
            answer = await self.client.perform(calls.report_destroyed(key))
            if isinstance(answer, str) and answer.strip() not in DESTRUCTION_ACCEPTED:
                return f"the master refuses: {answer.strip()}"
            return None
        if report.verdict is Verdict.ERROR:
            call = calls.report_instance_error(key, report.message)
        elif report.verdict is Verdict.STOPPED:
            call = calls.report_stopped(key)
        else:
            assert report.verdict is Verdict.STARTED, report.verdict
            call = calls.report_started(key)
        await self.client.perform(call)
        return None

    async def _report_software(self, report: ReportSoftware) -> None:
        url, computer_id = report.software_release_url, self.desired.computer_id
        match report.verdict:
            case Verdict.BUILDING:
                call = calls.report_building(url, computer_id)
            case Verdict.AVAILABLE:
                call = calls.report_available(url, computer_id)
            case Verdict.DESTROYED:
                call = calls.report_removed(url, computer_id)
            case _:
                call = calls.report_software_error(url, computer_id, report.message)
        await self.client.perform(call)
