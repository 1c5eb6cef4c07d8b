"""Shell. Writes what is taken over from a reference proxy, in one transaction."""

from __future__ import annotations

from master_cluster.formatting import Formatted
from master_cluster.records import Change
from master_cluster.store.cloud import Cloud
from master_cluster.takeover.deciding import Takeover
from master_cluster.takeover.tables import TakeoverRefused

NAMES_MAX = 5
"""Of one kind, in one refusal."""


def take_over(cloud: Cloud, takeover: Takeover, now: float) -> bool:
    """Write everything, once; whether this was the first time.

    ``TakeoverRefused`` when something of another origin has one of the names.
    """
    if cloud.is_taken_over(takeover.digest):
        return False
    objections = _find_known(cloud, takeover)
    if objections:
        raise TakeoverRefused(objections)
    for taken in takeover.computers:
        cloud.apply_format(Formatted(taken.computer, taken.partitions))
        for installation in taken.installations:
            cloud.write_installation(installation)
    cloud.apply(Change(takeover.instances))
    cloud.keep_takeover(takeover.digest, now)
    return True


def _find_known(cloud: Cloud, takeover: Takeover) -> list[str]:
    """Name what is in the store already."""
    names = (it.computer.computer_id for it in takeover.computers)
    computers = [it for it in names if cloud.has_computer(it)]
    titles = [it.title for it in takeover.instances if it.is_root]
    services = [it for it in titles if cloud.root(it) is not None]
    guids = (it.instance_guid for it in takeover.instances)
    instances = [it for it in guids if cloud.find_instance(it) is not None]
    return [
        f"the store has the {kind} {', '.join(found[:NAMES_MAX])} already"
        for kind, found in (
            ("computers", computers),
            ("services", services),
            ("instances", instances),
        )
        if found
    ]
