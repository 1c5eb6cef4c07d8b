"""Core. The values of our own extension: what the master tells a person of its cloud.

A ``reported_state`` is ``""`` when nothing was heard, else one of ``building``,
``available``, ``started``, ``stopped``, ``destroyed`` and ``error``; its ``message`` is
the text of that report, the tail of the log when it is an error.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from slap.model import NetworkAddress, PartitionKey, texts
from slap.usage import UsageSummary


@frozen
class CertificateReport:
    """Until when a certificate is good, and from when on it is to be renewed."""

    expires_at: float
    renew_at: float


@frozen
class ComputerSummary:
    """A computer in one line; ``certificate`` is ``None`` where it never had one."""

    computer_id: str
    partition_count: int
    free_count: int
    installation_count: int
    failing_count: int
    certificate: CertificateReport | None = None


@frozen
class TreeSummary:
    """An instance tree in one line, with the states of its root."""

    title: str
    instance_count: int
    failing_count: int
    requested_state: str
    reported_state: str


@frozen
class CloudReport:
    """Everything, in one line each."""

    computers: tuple[ComputerSummary, ...] = ()
    trees: tuple[TreeSummary, ...] = ()


@frozen
class EarlierReport:
    """A report from before the last one, with the end of its message."""

    reported_state: str
    message: str = ""
    reported_at: float | None = None


@frozen
class PartitionReport:
    """A partition of a computer; the titles are ``None`` when it is free.

    ``earlier`` here and below: what was reported before, the latest first.
    """

    partition_id: str
    addresses: tuple[NetworkAddress, ...] = ()
    requested_state: str = ""
    title: str | None = None
    root_title: str | None = None
    reported_state: str = ""
    message: str = ""
    capabilities: tuple[str, ...] = ()
    reported_at: float | None = None
    earlier: tuple[EarlierReport, ...] = ()


@frozen
class InstallationReport:
    """A release supplied to a computer; ``reported_at`` in seconds since 1970."""

    software_release_url: str
    requested_state: str
    reported_state: str = ""
    message: str = ""
    reported_at: float | None = None
    earlier: tuple[EarlierReport, ...] = ()


@frozen
class ComputerReport:
    """A computer, its partitions and the releases supplied to it.

    ``attributes`` are what an operator said of it: conditions are tested on them.
    """

    computer_id: str
    address: str | None = None
    partitions: tuple[PartitionReport, ...] = ()
    installations: tuple[InstallationReport, ...] = ()
    attributes: Mapping[str, str] = texts()
    usage_document_count: int = 0
    last_usage: UsageSummary | None = None
    certificate: CertificateReport | None = None


@frozen
class InstanceReport:
    """An instance; ``partition`` is ``None`` while it is allocated nowhere.

    ``master_url`` is the other master that has it, empty when it is ours; then its
    partition is one of that master.
    """

    title: str
    root_title: str
    instance_guid: str
    requester_title: str | None
    software_release_url: str
    software_type: str
    is_shared: bool
    requested_state: str
    reported_state: str = ""
    message: str = ""
    reported_at: float | None = None
    partition: PartitionKey | None = None
    parameters: Mapping[str, str] = texts()
    connection_parameters: Mapping[str, str] = texts()
    addresses: tuple[NetworkAddress, ...] = ()
    earlier: tuple[EarlierReport, ...] = ()
    master_url: str = ""


@frozen
class TreeReport:
    """An instance tree, its root first."""

    title: str
    instances: tuple[InstanceReport, ...] = ()


@frozen
class Condition:
    """A condition on placement and how many partitions it excluded."""

    name: str
    excluded_count: int
    sentence: str


@frozen
class AllocationReport:
    """Why an instance is where it is, or nowhere."""

    title: str
    root_title: str
    verdict: str
    partition: PartitionKey | None = None
    conditions: tuple[Condition, ...] = ()
