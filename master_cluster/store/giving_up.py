"""Shell. A computer is given up: its instances are placed anew, in one transaction."""

from __future__ import annotations

from master_cluster.allocation import Allocated, choose_partition
from master_cluster.giving_up import ask_again, decide_move, define_without_partitions
from master_cluster.records import InstanceRecord
from master_cluster.store import decisions
from master_cluster.store.cloud import Cloud
from master_cluster.store.documents import report_of_instances
from master_cluster.store.stock import view_inventory, wants_own_network
from slap.model import PartitionKey
from slap.reports import TreeReport


def give_up_computer(
    cloud: Cloud, computer_id: str, default_computer_id: str | None, now: float
) -> TreeReport:
    """Have a computer offer nothing, and place its instances elsewhere.

    Return these instances as they are now, of those that were not to be destroyed:
    those still on the computer found no place. Nobody is believed any more who has the
    certificate of the computer.
    """
    definition = define_without_partitions(cloud.computer(computer_id))
    decisions.define_computer(cloud, definition, now)
    if cloud.certificates.of_computer(computer_id) is not None:
        cloud.certificates.revoke_computer(computer_id)
    occupied = [
        PartitionKey(computer_id, it.partition_id)
        for it in tuple(cloud.partitions(computer_id))
        if it.occupant_guid is not None
    ]
    guids = []
    for key in occupied:
        instance = cloud.occupant(key)
        if instance.is_leaving:
            decisions.report_destroyed(cloud, key, now)
            continue
        guids.append(instance.instance_guid)
        _place_anew(cloud, instance, default_computer_id, now)
    return report_of_instances(cloud, computer_id, guids)


def _place_anew(
    cloud: Cloud, instance: InstanceRecord, default_computer_id: str | None, now: float
) -> None:
    wanted = ask_again(instance)
    root = None if instance.is_root else cloud.instance(instance.root_guid)
    if root is not None and wants_own_network(wanted):
        cloud.claim(root.instance_guid)
    inventory = view_inventory(cloud, wanted, root, default_computer_id)
    chosen = choose_partition(wanted, inventory)
    if not isinstance(chosen, Allocated):
        return
    last_timestamp = cloud.partition(chosen.key).last_timestamp
    guests = cloud.guests(instance.instance_guid)
    cloud.move(decide_move(instance, guests, chosen.key, last_timestamp, now))
