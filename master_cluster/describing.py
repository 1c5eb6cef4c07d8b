"""Core. The documents that the master answers, made of what it remembers."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from master_cluster.records import (
    ComputerRecord,
    InstallationRecord,
    InstanceRecord,
    PartitionRecord,
    Report,
    ReportedState,
)
from master_cluster.reporting import access_status
from master_cluster.timestamps import MICROSECONDS, microseconds_of
from slap.model import (
    Computer,
    InstanceRequest,
    NetworkAddress,
    Partition,
    PartitionInstance,
    PartitionKey,
    RequestedInstance,
    RequestedState,
    SharedInstance,
    SoftwareInstallation,
)
from slap.reports import (
    CertificateReport,
    ComputerReport,
    ComputerSummary,
    EarlierReport,
    InstallationReport,
    InstanceReport,
    PartitionReport,
    TreeSummary,
)
from slap.rpc_model import InstanceDescription
from slap.usage import UsageSummary


@frozen
class Occupant:
    """An instance with what its partition is told of it."""

    instance: InstanceRecord
    root_title: str
    guests: Sequence[InstanceRecord] = ()


def describe_partition(
    computer_id: str, partition: PartitionRecord, occupant: Occupant | None
) -> Partition:
    """Describe what is wanted in a partition."""
    key = PartitionKey(computer_id, partition.partition_id)
    if occupant is None:
        return Partition(
            key,
            RequestedState.DESTROYED,
            partition.addresses,
            routes=partition.routes,
        )
    instance = occupant.instance
    return Partition(
        key,
        instance.requested_state,
        partition.addresses,
        PartitionInstance(
            instance_guid=instance.instance_guid,
            title=instance.title,
            root_title=occupant.root_title,
            software_release_url=instance.software_release_url,
            software_type=instance.software_type,
            timestamp=instance.timestamp,
            parameters=instance.parameters,
            connection_parameters=instance.connection_parameters,
            allocation_filter=instance.allocation_filter,
            shared_instances=tuple(
                _describe_guest(it)
                for it in sorted(occupant.guests, key=_by_title)
                if it.requested_state is RequestedState.STARTED
            ),
            access_status=access_status(instance.report),
        ),
        partition.routes,
    )


def describe_computer(
    computer_id: str,
    partitions: Sequence[Partition],
    installations: Sequence[InstallationRecord],
) -> Computer:
    """Describe the complete wanted state of a computer; releases in the order given."""
    return Computer(
        computer_id,
        tuple(partitions),
        tuple(
            SoftwareInstallation(
                it.software_release_url, it.computer_id, it.requested_state
            )
            for it in installations
        ),
    )


def describe_requested(
    instance: InstanceRecord, partition: PartitionRecord
) -> RequestedInstance:
    """Answer an instance request."""
    return RequestedInstance(
        key=instance.partition,
        software_release_url=instance.software_release_url,
        software_type=instance.software_type,
        instance_guid=instance.instance_guid,
        requested_state=instance.requested_state,
        timestamp=instance.timestamp,
        parameters=instance.parameters,
        connection_parameters=instance.connection_parameters,
        addresses=partition.addresses,
        routes=partition.routes,
    )


def report_partition(
    partition: PartitionRecord,
    occupant: Occupant | None,
    earlier: Sequence[Report] = (),
) -> PartitionReport:
    """Report a partition to a person."""
    if occupant is None:
        return PartitionReport(
            partition.partition_id,
            partition.addresses,
            capabilities=partition.capabilities,
        )
    instance = occupant.instance
    return PartitionReport(
        partition.partition_id,
        partition.addresses,
        instance.requested_state.value,
        instance.title,
        occupant.root_title,
        instance.report.reported_state.value,
        instance.report.message,
        partition.capabilities,
        instance.report.reported_at,
        report_earlier(earlier),
    )


def report_installation(
    installation: InstallationRecord, earlier: Sequence[Report] = ()
) -> InstallationReport:
    """Report a release on a computer to a person."""
    return InstallationReport(
        installation.software_release_url,
        installation.requested_state.value,
        installation.report.reported_state.value,
        installation.report.message,
        installation.report.reported_at,
        report_earlier(earlier),
    )


def report_earlier(earlier: Sequence[Report]) -> tuple[EarlierReport, ...]:
    return tuple(
        EarlierReport(it.reported_state.value, it.message, it.reported_at)
        for it in earlier
    )


def report_computer(  # noqa: PLR0917 - the fields of a report
    computer: ComputerRecord,
    partitions: Sequence[PartitionReport],
    installations: Sequence[InstallationReport],
    usage_document_count: int = 0,
    last_usage: UsageSummary | None = None,
    certificate: CertificateReport | None = None,
) -> ComputerReport:
    """Report a computer to a person."""
    return ComputerReport(
        computer.computer_id,
        computer.address,
        tuple(partitions),
        tuple(installations),
        computer.attributes,
        usage_document_count,
        last_usage,
        certificate,
    )


def summarise_computer(report: ComputerReport) -> ComputerSummary:
    """Sum up a computer in one line."""
    states = [
        *(it.reported_state for it in report.partitions),
        *(it.reported_state for it in report.installations),
    ]
    return ComputerSummary(
        report.computer_id,
        len(report.partitions),
        sum(it.title is None for it in report.partitions),
        len(report.installations),
        states.count(ReportedState.ERROR.value),
        report.certificate,
    )


def report_instance(
    instance: InstanceRecord,
    root_title: str,
    requester_title: str | None,
    addresses: tuple[NetworkAddress, ...],
    earlier: Sequence[Report] = (),
) -> InstanceReport:
    """Report an instance to a person."""
    return InstanceReport(
        title=instance.title,
        root_title=root_title,
        instance_guid=instance.instance_guid,
        requester_title=requester_title,
        software_release_url=instance.software_release_url,
        software_type=instance.software_type,
        is_shared=instance.is_shared,
        requested_state=instance.requested_state.value,
        reported_state=instance.report.reported_state.value,
        message=instance.report.message,
        reported_at=instance.report.reported_at,
        partition=instance.partition,
        parameters=instance.parameters,
        connection_parameters=instance.connection_parameters,
        addresses=addresses,
        earlier=report_earlier(earlier),
    )


def describe_instance(
    instance: InstanceRecord, root_title: str, partition: PartitionRecord
) -> InstanceDescription:
    """Describe an instance to a person."""
    return InstanceDescription(
        title=instance.title,
        instance_guid=instance.instance_guid,
        root_title=root_title,
        requested_state=instance.requested_state,
        partition=instance.partition,
        software_release_url=instance.software_release_url,
        software_type=instance.software_type,
        is_shared=instance.is_shared,
        changed_at=microseconds_of(instance.timestamp) // MICROSECONDS,
        access_status=access_status(instance.report) or "",
        parameters=instance.parameters,
        allocation_filter=instance.allocation_filter,
        connection_parameters=instance.connection_parameters,
        addresses=partition.addresses,
        routes=partition.routes,
    )


def describe_answer(
    wanted: InstanceRequest, answer: RequestedInstance
) -> InstanceDescription:
    """Describe what was requested and is known elsewhere only, or gone already."""
    return InstanceDescription(
        title=wanted.title,
        instance_guid=answer.instance_guid or "",
        root_title=wanted.title if wanted.requester is None else "",
        requested_state=answer.requested_state or RequestedState.STARTED,
        partition=answer.key,
        software_release_url=answer.software_release_url,
        software_type=answer.software_type,
        is_shared=wanted.is_shared,
        parameters=answer.parameters,
        allocation_filter=wanted.allocation_filter,
        connection_parameters=answer.connection_parameters,
        addresses=answer.addresses,
        routes=answer.routes,
    )


def summarise_tree(
    root: InstanceRecord, others: Sequence[InstanceRecord]
) -> TreeSummary:
    """Sum up a tree in one line."""
    return TreeSummary(
        root.title,
        1 + len(others),
        sum(it.report.is_failing for it in (root, *others)),
        root.requested_state.value,
        root.report.reported_state.value,
    )


def _by_title(instance: InstanceRecord) -> tuple[str, str]:
    return instance.title, instance.instance_guid


def _describe_guest(guest: InstanceRecord) -> SharedInstance:
    return SharedInstance(
        reference=guest.instance_guid,
        title=guest.title,
        software_type=guest.software_type,
        parameters=guest.parameters,
        timestamp=int(guest.timestamp),
    )
