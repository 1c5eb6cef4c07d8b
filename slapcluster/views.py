"""Core. Reports as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runtime.holdings import warning_instant
from slap.model import NetworkAddress, PartitionKey, RequestedInstance
from slap.reports import (
    AllocationReport,
    ComputerReport,
    ComputerSummary,
    InstanceReport,
    TreeReport,
    TreeSummary,
)
from slapcluster.instants import show_instant
from slapcluster.tables import Table, line


def computers_table(computers: Iterable[ComputerSummary]) -> Table:
    return Table(
        ("computer", "partitions", "free", "releases", "failing"),
        tuple(
            line(
                it.computer_id,
                it.partition_count,
                it.free_count,
                it.installation_count,
                it.failing_count,
            )
            for it in computers
        ),
        title="Computers",
    )


def certificate_warnings(
    computers: Iterable[ComputerSummary], now: float
) -> tuple[str, ...]:
    """Return a sentence for each certificate that nobody renewed in time."""
    found = []
    for it in computers:
        known = it.certificate
        if known is None or now < warning_instant(known.renew_at, known.expires_at):
            continue
        until = show_instant(known.expires_at)
        if now < known.expires_at:
            sentence = (
                f"The certificate of {it.computer_id} is good until {until} and was "
                "not renewed: look at the log of its agent."
            )
        else:
            sentence = (
                f"The certificate of {it.computer_id} ended at {until}: give it a "
                "token, if it is to come back."
            )
        found.append(sentence)
    return tuple(found)


def services_table(trees: Iterable[TreeSummary]) -> Table:
    return Table(
        ("service", "instances", "failing", "wanted", "reported"),
        tuple(
            line(
                it.title,
                it.instance_count,
                it.failing_count,
                it.requested_state,
                it.reported_state,
            )
            for it in trees
        ),
        title="Services",
    )


def installations_table(report: ComputerReport) -> Table:
    return Table(
        ("release", "wanted", "reported"),
        tuple(
            line(
                it.software_release_url,
                it.requested_state,
                it.reported_state,
            )
            for it in report.installations
        ),
        title="Software releases",
    )


def attributes_table(report: ComputerReport) -> Table:
    return Table(
        ("attribute", "value"),
        tuple(line(key, value) for key, value in report.attributes.items()),
        title="Attributes",
    )


def partitions_table(report: ComputerReport) -> Table:
    return Table(
        (
            *("partition", "addresses", "instance", "service", "wanted", "reported"),
            "capabilities",
        ),
        tuple(
            line(
                it.partition_id,
                _addresses(it.addresses),
                it.title,
                it.root_title,
                # A free partition has a state on the wire that means nothing.
                it.requested_state if it.title else None,
                it.reported_state if it.title else "free",
                ", ".join(it.capabilities),
            )
            for it in report.partitions
        ),
        title="Partitions",
    )


def instances_table(tree: TreeReport) -> Table:
    return Table(
        ("instance", "shared", "partition", "wanted", "reported"),
        tuple(
            line(
                it.title,
                it.is_shared,
                _place(it),
                it.requested_state,
                it.reported_state,
            )
            for it in tree.instances
        ),
        title=f"Instances of {tree.title}",
    )


def _place(instance: InstanceReport) -> str:
    """Return where an instance is; a partition of another master is named with it."""
    partition = _partition(instance.partition)
    if not instance.master_url:
        return partition
    return f"{partition} at {instance.master_url}"


def connection_table(parameters: Mapping[str, str]) -> Table:
    return Table(
        ("published", "value"),
        tuple(line(key, value) for key, value in sorted(parameters.items())),
        title="Connection parameters",
    )


def requested_table(title: str, instance: RequestedInstance) -> Table:
    return Table(
        ("instance", "partition", "wanted", "addresses"),
        (
            line(
                title,
                _partition(instance.key),
                instance.requested_state,
                _addresses(instance.addresses),
            ),
        ),
        title="Requested",
    )


def conditions_table(report: AllocationReport) -> Table:
    return Table(
        ("condition", "excludes", "because"),
        tuple(
            line(it.name, it.excluded_count, it.sentence) for it in report.conditions
        ),
        title="Conditions",
    )


def _addresses(addresses: Iterable[NetworkAddress]) -> str:
    return ", ".join(it.address for it in addresses)


def _partition(key: PartitionKey | None) -> str:
    return f"{key.computer_id}/{key.partition_id}" if key else ""
