"""Shell. The documents and reports that calls answer, gathered from one snapshot."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve

from master_cluster.bodies import Document, build_document
from master_cluster.conditions import explain
from master_cluster.describing import (
    Occupant,
    describe_computer,
    describe_partition,
    describe_requested,
    report_computer,
    report_installation,
    report_instance,
    report_partition,
    summarise_computer,
    summarise_tree,
)
from master_cluster.records import (
    InstallationRecord,
    InstanceRecord,
    PartitionRecord,
    Report,
)
from master_cluster.store.cloud import Cloud
from master_cluster.store.forwarded_documents import (
    find_report_of_person,
    find_report_of_place,
    reports_of_forwarded,
    summaries_of_persons,
)
from master_cluster.store.stock import view_inventory
from master_cluster.store.views import requester_of
from slap.answers import COMPUTER
from slap.errors import NotFound
from slap.model import (
    Computer,
    InstanceRequest,
    Partition,
    PartitionKey,
    RequestedInstance,
)
from slap.reports import (
    AllocationReport,
    CertificateReport,
    CloudReport,
    ComputerReport,
    InstanceReport,
    TreeReport,
    TreeSummary,
)


def document_of_computer(cloud: Cloud, computer_id: str) -> Computer:
    """Return the complete wanted state of a computer."""
    partitions = [
        describe_partition(computer_id, it, _occupant(cloud, it))
        for it in cloud.partitions(computer_id)
    ]
    return describe_computer(computer_id, partitions, cloud.installations(computer_id))


def revision_of_computer(cloud: Cloud, computer_id: str) -> bytes:
    """Return the id of what is committed whenever a computer's document changes."""
    return cloud.revision_oid(computer_id)


def polled_document(cloud: Cloud, computer_id: str) -> Document:
    """Return the document of a computer as it is sent."""
    return build_document(COMPUTER.encode(document_of_computer(cloud, computer_id)))


def document_of_partition(cloud: Cloud, key: PartitionKey) -> Partition:
    """Return the complete wanted state of one partition."""
    record = cloud.partition(key)
    return describe_partition(key.computer_id, record, _occupant(cloud, record))


def document_of_requested(cloud: Cloud, instance: InstanceRecord) -> RequestedInstance:
    """Return the answer to an instance request."""
    return describe_requested(instance, cloud.partition(instance.partition))


def report_of_cloud(cloud: Cloud) -> CloudReport:
    """Report every computer and tree, in one line each."""
    trees = [_summary(cloud, it) for it in cloud.roots()]
    trees += summaries_of_persons(cloud)
    return CloudReport(
        tuple(
            summarise_computer(report_of_computer(cloud, it, is_whole=False))
            for it in cloud.computer_ids()
        ),
        tuple(sorted(trees, key=lambda it: it.title)),
    )


def report_of_computer(
    cloud: Cloud, computer_id: str, *, is_whole: bool = True
) -> ComputerReport:
    """Report a computer, its partitions and its releases.

    A summary reads as many objects as there are anyway: it leaves out what was
    reported before the last time (``is_whole``).
    """

    def earlier(
        record: InstanceRecord | InstallationRecord | None,
    ) -> tuple[Report, ...]:
        return cloud.earlier_reports(record) if record and is_whole else ()

    computer = cloud.computer(computer_id)
    occupied = [(it, _occupant(cloud, it)) for it in cloud.partitions(computer_id)]
    partitions = [
        report_partition(it, occupant, earlier(occupant.instance if occupant else None))
        for it, occupant in occupied
    ]
    installations = [
        report_installation(it, earlier(it)) for it in cloud.installations(computer_id)
    ]
    usage = cloud.usage(computer_id)
    return report_computer(
        computer,
        partitions,
        installations,
        usage.document_count,
        usage.last(),
        _certificate(cloud, computer_id),
    )


def _certificate(cloud: Cloud, computer_id: str) -> CertificateReport | None:
    issued = cloud.certificates.of_computer(computer_id)
    if issued is None:
        return None
    return CertificateReport(issued.expires_at, issued.due_at)


def report_of_tree(cloud: Cloud, title: str) -> TreeReport:
    """Report the instances of a tree, its root first; ``NotFound`` without one."""
    root = cloud.root(title)
    if root is None:
        forwarded = find_report_of_person(cloud, title)
        if forwarded is None:
            raise NotFound(f"no instance tree {title!r}")
        return forwarded
    instances = (root, *cloud.children(root.instance_guid))
    reports = tuple(_report(cloud, root.title, it) for it in instances)
    elsewhere = reports_of_forwarded(cloud, root.instance_guid, root.title)
    return TreeReport(title, (*reports, *elsewhere))


def report_of_requested(cloud: Cloud, key: PartitionKey) -> TreeReport:
    """Report what the instance in a partition requested here, by title.

    Not itself, and not what others of its tree requested.
    """
    requester = cloud.occupant(key)
    root = cloud.instance(requester.root_guid)
    requested = (
        it
        for it in cloud.children(root.instance_guid)
        if it.requester_guid == requester.instance_guid
    )
    reports = tuple(_report(cloud, root.title, it) for it in requested)
    return TreeReport(requester.title, reports)


def report_of_instances(cloud: Cloud, title: str, guids: Iterable[str]) -> TreeReport:
    """Report those of these instances that exist, of whatever trees."""
    found = (cloud.find_instance(it) for it in guids)
    reports = (
        _report(cloud, cloud.instance(it.root_guid).title, it)
        for it in found
        if it is not None
    )
    return TreeReport(title, tuple(reports))


def report_of_allocation(
    cloud: Cloud, title: str, root_title: str, default_computer_id: str | None
) -> AllocationReport:
    """Report where an instance is, or what excludes each partition now.

    ``NotFound`` for what was never requested, or was forgotten among later refusals.
    """
    existing = _find(cloud, title, root_title)
    if existing is not None:
        key = existing.partition
        kind = "shared, in the host at" if existing.is_shared else "at"
        verdict = (
            f"{kind} {key.partition_id} of {key.computer_id},"
            f" {existing.requested_state.value} is wanted"
        )
        return AllocationReport(title, root_title, verdict, key)
    forwarded = find_report_of_place(cloud, title, root_title)
    if forwarded is not None:
        return forwarded
    refused = cloud.refusal(title, root_title)
    if refused is None:
        where = f" in the tree {root_title!r}" if root_title else ""
        raise NotFound(f"nobody requested {title!r}{where}")
    wanted = InstanceRequest(
        title=title,
        software_release_url=refused.software_release_url,
        software_type=refused.software_type,
        allocation_filter=refused.allocation_filter,
        is_shared=refused.is_shared,
    )
    root = cloud.root(root_title) if root_title else None
    inventory = view_inventory(cloud, wanted, root, default_computer_id)
    conditions = explain(wanted, inventory)
    total = sum(it.partition_count for it in inventory.offers())
    is_placeable = total > sum(it.excluded_count for it in conditions)
    verdict = (
        "refused before; a partition fits now, the next request gets it"
        if is_placeable
        else f"refused: none of {total} partitions fits"
    )
    return AllocationReport(title, root_title, verdict, None, conditions)


def _find(cloud: Cloud, title: str, root_title: str) -> InstanceRecord | None:
    if not root_title:
        return cloud.root(title)
    root = cloud.root(root_title)
    return None if root is None else cloud.child(root.instance_guid, title)


def _occupant(cloud: Cloud, partition: PartitionRecord) -> Occupant | None:
    instance = cloud.find_instance(partition.occupant_guid)
    if instance is None:
        return None
    root = cloud.find_instance(instance.root_guid)
    assert root is not None, "a root outlives its children"
    return Occupant(instance, root.title, cloud.guests(instance.instance_guid))


def _summary(cloud: Cloud, root: InstanceRecord) -> TreeSummary:
    summary = summarise_tree(root, cloud.children(root.instance_guid))
    elsewhere_count = cloud.forwarding.count(root.instance_guid)
    return evolve(summary, instance_count=summary.instance_count + elsewhere_count)


def _report(cloud: Cloud, root_title: str, instance: InstanceRecord) -> InstanceReport:
    requester = requester_of(cloud, instance)
    return report_instance(
        instance,
        root_title,
        requester.title if requester else None,
        cloud.partition(instance.partition).addresses,
        cloud.earlier_reports(instance),
    )
