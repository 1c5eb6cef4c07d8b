"""Shell. What each call changes: gather a view, ask the core, write what it decides.

Each function is one decision, within one transaction of the store.
"""

from __future__ import annotations

from collections.abc import Mapping

from master_cluster.allocation import Unallocated, choose_partition
from master_cluster.attributes import decide_attributes
from master_cluster.destroying import decide_destroyed
from master_cluster.formatting import decide_format
from master_cluster.forwarding import without_master
from master_cluster.publishing import decide_bang, decide_publication
from master_cluster.records import (
    Change,
    ComputerRecord,
    InstallationRecord,
    InstanceRecord,
    PartitionRecord,
    RefusalRecord,
    ReportedState,
)
from master_cluster.reporting import decide_instance_report, decide_release_report
from master_cluster.requesting import (
    Decided,
    Refused,
    RequestView,
    check_new,
    decide_existing,
    decide_new,
    decide_rename,
    refuse_unallocated,
)
from master_cluster.store.cloud import Cloud
from master_cluster.store.documents import document_of_requested
from master_cluster.store.forwarding_decisions import Outlook, Sending, begin_forward
from master_cluster.store.stock import view_inventory, wants_own_network
from master_cluster.store.views import (
    requester_of,
    view_destruction,
    view_place,
    view_request,
)
from master_cluster.supplying import decide_supply, refuse_removal
from master_cluster.usage import record_usage
from slap.errors import NotFound
from slap.form import naming
from slap.model import (
    ComputerDefinition,
    InstanceRequest,
    PartitionKey,
    RequestedInstance,
    SoftwareInstallation,
)
from slap.tioxml import decode_journal


def request_instance(
    cloud: Cloud,
    wanted: InstanceRequest,
    *,
    instance_guid: str,
    default_computer_id: str | None,
    now: float,
    attempt: int = 0,
    is_claiming: bool = False,
    outlook: Outlook | None = None,
) -> RequestedInstance | Refused | Sending:
    """Create or change an instance; ``instance_guid`` is for a new one.

    What does not exist here is forwarded or made by one decision, since it is never
    both; without an ``outlook`` nothing is forwarded. With ``is_claiming`` what exists
    is written even if nothing of it changes. An attempt after the first spreads over
    what is free, so that many requests at once do not want the same partition again
    and again.
    """
    view = view_request(cloud, wanted)
    root_title = view.root.title if view.root else ""
    if outlook is not None:
        if view.existing is None:
            sending = begin_forward(cloud, wanted, view, outlook)
            if sending is not None:
                return sending
        wanted = without_master(wanted)
    if view.existing is not None:
        outcome: Decided | Refused = decide_existing(wanted, view, now)
    else:
        outcome = check_new(wanted, view) or _place(
            cloud,
            wanted,
            view,
            instance_guid=instance_guid,
            default_computer_id=default_computer_id,
            now=now,
            salt=f"{instance_guid} {attempt}" if attempt else "",
        )
    if isinstance(outcome, Refused):
        if outcome.reasons:
            cloud.keep_refusal(_refusal(wanted, root_title, now))
        return outcome
    cloud.apply(outcome.change)
    if is_claiming and view.existing is not None and outcome.change == Change():
        cloud.claim(view.existing.instance_guid)
    cloud.forget_refusal(wanted.title, root_title)
    return document_of_requested(cloud, outcome.instance)


def _place(
    cloud: Cloud,
    wanted: InstanceRequest,
    view: RequestView,
    *,
    instance_guid: str,
    default_computer_id: str | None,
    now: float,
    salt: str,
) -> Decided | Refused:
    inventory = view_inventory(cloud, wanted, view.root, default_computer_id)
    if view.root is not None and wants_own_network(wanted):
        # Two of a tree that look for networks of their own must not find the same one.
        cloud.claim(view.root.instance_guid)
    allocation = choose_partition(wanted, inventory, salt)
    if isinstance(allocation, Unallocated):
        return refuse_unallocated(wanted, allocation)
    place = view_place(cloud, allocation)
    return decide_new(wanted, view, place, instance_guid, now)


def _refusal(wanted: InstanceRequest, root_title: str, now: float) -> RefusalRecord:
    return RefusalRecord(
        title=wanted.title,
        root_title=root_title,
        software_release_url=wanted.software_release_url,
        software_type=wanted.software_type,
        is_shared=wanted.is_shared,
        refused_at=now,
        allocation_filter=wanted.allocation_filter,
    )


def publish_connection(
    cloud: Cloud,
    partition: PartitionKey,
    connection_parameters: Mapping[str, str],
    shared_reference: str | None,
    now: float,
) -> None:
    instance = _reporter(cloud, partition, shared_reference)
    requester = requester_of(cloud, instance)
    cloud.apply(decide_publication(instance, requester, connection_parameters, now))


def report_instance(
    cloud: Cloud,
    partition: PartitionKey,
    reported_state: ReportedState,
    *,
    message: str = "",
    shared_reference: str | None = None,
    now: float,
) -> None:
    instance = _reporter(cloud, partition, shared_reference)
    reported = decide_instance_report(instance, reported_state, message, now)
    if reported != instance:
        cloud.apply(Change((reported,)))


def report_destroyed(cloud: Cloud, partition: PartitionKey, now: float) -> str:
    """Free a partition, or answer why not; a free one is a report repeated."""
    if cloud.partition(partition).occupant_guid is None:
        return "OK"
    view = view_destruction(cloud, cloud.occupant(partition))
    destruction = decide_destroyed(view, now)
    cloud.apply(destruction.change)
    if view.instance.is_root and view.instance.is_leaving:
        cloud.forwarding.let_leave(view.instance.instance_guid)
    return destruction.sentence


def bang_tree(cloud: Cloud, partition: PartitionKey, message: str, now: float) -> None:
    banged = cloud.occupant(partition)
    root = cloud.instance(banged.root_guid)
    tree = (root, *cloud.children(root.instance_guid))
    cloud.apply(decide_bang(tree, banged.instance_guid, message, now))


def bang_computer(cloud: Cloud, computer_id: str, message: str, now: float) -> None:
    instances = [
        cloud.instance(it.occupant_guid)
        for it in cloud.partitions(computer_id)
        if it.occupant_guid is not None
    ]
    cloud.apply(decide_bang(instances, "", message, now))


def rename_instance(
    cloud: Cloud, partition: PartitionKey, title: str, shared_reference: str | None
) -> Refused | None:
    instance = _reporter(cloud, partition, shared_reference)
    namesake = (
        cloud.root(title)
        if instance.is_root
        else cloud.child(instance.root_guid, title)
    )
    root_guid = "" if instance.is_root else instance.root_guid
    is_forwarded = cloud.forwarding.find(root_guid, title) is not None
    outcome = decide_rename(instance, title, namesake, is_forwarded=is_forwarded)
    if isinstance(outcome, Refused):
        return outcome
    if outcome.change != Change():
        cloud.forwarding.rely_on_absence(root_guid, title)
    cloud.apply(outcome.change)
    return None


def keep_usage(cloud: Cloud, computer_id: str, document: str, now: float) -> None:
    """Keep a usage document, once however often it comes."""
    usage = cloud.usage(computer_id)
    with naming("the usage document"):
        journal = decode_journal(document)
    usage.keep(record_usage(document, journal, now))


def supply(cloud: Cloud, wanted: SoftwareInstallation) -> None:
    existing = cloud.installation(wanted.software_release_url, wanted.computer_id)
    others = () if existing else cloud.installations(wanted.computer_id)
    last_ordinal = max((it.ordinal for it in others), default=0)
    cloud.write_installation(decide_supply(wanted, existing, last_ordinal))


def report_release(
    cloud: Cloud,
    software_release_url: str,
    computer_id: str,
    reported_state: ReportedState,
    *,
    message: str = "",
    now: float,
) -> None:
    installation = _installation(cloud, software_release_url, computer_id)
    reported = decide_release_report(installation, reported_state, message, now)
    cloud.write_installation(reported)


def report_release_removed(
    cloud: Cloud, software_release_url: str, computer_id: str
) -> None:
    installation = _installation(cloud, software_release_url, computer_id)
    refusal = refuse_removal(installation)
    if refusal is not None:
        raise NotFound(refusal)
    cloud.remove_installation(installation)


def define_computer(cloud: Cloud, definition: ComputerDefinition, now: float) -> None:
    known: tuple[PartitionRecord, ...] = ()
    computer: ComputerRecord | None = None
    if cloud.has_computer(definition.computer_id):
        computer = cloud.computer(definition.computer_id)
        known = tuple(cloud.partitions(definition.computer_id))
    cloud.apply_format(decide_format(definition, computer, known, cloud.instance, now))


def set_attributes(cloud: Cloud, computer_id: str, said: Mapping[str, str]) -> None:
    """Change what an operator says of a computer."""
    cloud.write_computer(decide_attributes(cloud.computer(computer_id), said))


def _reporter(
    cloud: Cloud, partition: PartitionKey, shared_reference: str | None
) -> InstanceRecord:
    """Return the instance in a partition, or a shared one that it hosts."""
    occupant = cloud.occupant(partition)
    if shared_reference is None:
        return occupant
    return cloud.guest(occupant, shared_reference)


def _installation(
    cloud: Cloud, software_release_url: str, computer_id: str
) -> InstallationRecord:
    found = cloud.installation(software_release_url, computer_id)
    if found is None:
        raise NotFound(f"{software_release_url} is not supplied to {computer_id}")
    return found
