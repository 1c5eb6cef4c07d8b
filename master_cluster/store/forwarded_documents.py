"""Shell. What is told of forwarded instances, gathered from one snapshot."""

from __future__ import annotations

from master_cluster.forwarding import ForwardedInstance
from master_cluster.store.cloud import Cloud
from slap.reports import AllocationReport, InstanceReport, TreeReport, TreeSummary


def reports_of_forwarded(
    cloud: Cloud, root_guid: str, root_title: str
) -> tuple[InstanceReport, ...]:
    """Report what a tree forwarded."""
    return tuple(
        _report(cloud, it, root_title) for it in cloud.forwarding.of_tree(root_guid)
    )


def find_report_of_person(cloud: Cloud, title: str) -> TreeReport | None:
    """Report what a person forwarded, as a tree of one instance."""
    found = cloud.forwarding.find("", title)
    return None if found is None else TreeReport(title, (_report(cloud, found, title),))


def summaries_of_persons(cloud: Cloud) -> tuple[TreeSummary, ...]:
    """Sum up what persons forwarded, a line each."""
    return tuple(
        TreeSummary(it.title, 1, int(bool(it.sentence)), it.requested_state.value, "")
        for it in cloud.forwarding.of_tree("")
    )


def find_report_of_place(
    cloud: Cloud, title: str, root_title: str
) -> AllocationReport | None:
    """Report where a forwarded instance is."""
    root = cloud.root(root_title) if root_title else None
    if root_title and root is None:
        return None
    found = cloud.forwarding.find(root.instance_guid if root else "", title)
    if found is None:
        return None
    place = "nowhere yet"
    if found.partition is not None:
        place = f"{found.partition.partition_id} of {found.partition.computer_id} there"
    verdict = (
        f"forwarded to {found.master_url} as {found.remote_title!r}: {place},"
        f" {found.requested_state.value} is wanted"
    )
    if found.sentence:
        verdict += f"; {found.sentence}"
    return AllocationReport(title, root_title, verdict, found.partition)


def _report(cloud: Cloud, it: ForwardedInstance, root_title: str) -> InstanceReport:
    requester = cloud.find_instance(it.requester_guid)
    return InstanceReport(
        title=it.title,
        root_title=root_title,
        instance_guid=it.instance_guid or "",
        requester_title=requester.title if requester else None,
        software_release_url=it.software_release_url,
        software_type=it.software_type,
        is_shared=it.is_shared,
        requested_state=it.requested_state.value,
        message=it.sentence,
        partition=it.partition,
        parameters=it.parameters,
        connection_parameters=it.connection_parameters,
        master_url=it.master_url,
    )
