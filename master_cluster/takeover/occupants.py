"""Core. Instances that have partitions of their own, out of a reference proxy's rows.

Whose an instance is was written differently over time:

- up to version 16, ``requested_by`` is the partition of the requester; climbing from
  partition to partition leads to the root;
- from version 17 on it is the title of the root, empty for a root itself;
- from version 18 on, ``requester_id`` is the partition of the requester too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import evolve, frozen

from master_cluster.records import InstanceRecord
from master_cluster.takeover.cells import (
    name_in,
    optional_name_in,
    parameters_in,
    shared_instances_in,
    timestamp_in,
    word_in,
)
from master_cluster.takeover.computers import cell, read_each, read_key
from master_cluster.takeover.tables import Database, Row, TakeoverRefused
from master_cluster.timestamps import next_timestamp
from slap.arguments import DEFAULT_SOFTWARE_TYPE
from slap.model import PartitionKey, RequestedState

TITLED_ROOTS_VERSION = 17
REQUESTERS_VERSION = 18


@frozen
class Occupant:
    """A busy partition; ``guests`` is what its instance is told of shared ones.

    ``instance`` gets its root and its requester when all occupants are known.
    """

    row: Row
    instance: InstanceRecord
    requested_by: str
    requester_id: str
    guests: tuple[Mapping[str, str], ...]

    @property
    def key(self) -> PartitionKey:
        return self.instance.partition


class Occupants:
    """All busy partitions, found by what the rows call them."""

    def __init__(self, version: int, occupants: Sequence[Occupant]) -> None:
        self._version = version
        self.all = tuple(occupants)
        self._by_name: dict[str, list[Occupant]] = {}
        for it in occupants:
            self._by_name.setdefault(it.key.partition_id, []).append(it)
        self.roots = {it.instance.title: it for it in occupants if not it.requested_by}

    def root_of(self, occupant: Occupant) -> Occupant:
        """Return the root of the tree of an occupant, or name what is missing."""
        place = occupant.row.place("requested_by")
        if not occupant.requested_by:
            return occupant
        if self._version >= TITLED_ROOTS_VERSION:
            root = self.roots.get(occupant.requested_by)
            if root is None:
                sentence = f"{place}: no service {occupant.requested_by!r}"
                raise TakeoverRefused([sentence])
            return root
        seen = {occupant.key}
        while occupant.requested_by:
            found = self.find(occupant.requested_by, occupant.key.computer_id)
            if found is None or found.key in seen:
                sentence = f"{place}: no instance in {occupant.requested_by!r} leads on"
                raise TakeoverRefused([sentence])
            seen.add(found.key)
            occupant = found
        return occupant

    def find(self, partition_id: str, computer_id: str) -> Occupant | None:
        """Return what a partition id means: of the same computer, else the only one."""
        named = self._by_name.get(partition_id, [])
        here = [it for it in named if it.key.computer_id == computer_id]
        return (here or named)[0] if here or len(named) == 1 else None

    def requester_of(self, occupant: Occupant, root: Occupant) -> Occupant | None:
        """Return who requested an occupant; the root where the rows do not say."""
        if occupant is root:
            return None
        name = occupant.requester_id
        if self._version < TITLED_ROOTS_VERSION:
            name = occupant.requested_by
        found = self.find(name, occupant.key.computer_id)
        if found is None or found is occupant or self.root_of(found) is not root:
            return root
        return found


def read_occupants(
    database: Database, now: float, objections: list[str]
) -> tuple[Occupants, list[InstanceRecord]]:
    """Return all busy partitions, and their instances, each with root and requester."""

    def read(row: Row) -> Occupant | None:
        return _occupant(row, database.version, now)

    found = read_each(database.of("partition"), read, objections)
    occupants = Occupants(database.version, [it for it in found if it is not None])

    def join(occupant: Occupant) -> InstanceRecord:
        root = occupants.root_of(occupant)
        requester = occupants.requester_of(occupant, root)
        return evolve(
            occupant.instance,
            root_guid=root.instance.instance_guid,
            requester_guid=requester.instance.instance_guid if requester else None,
        )

    instances = []
    for occupant in occupants.all:
        try:
            instances.append(join(occupant))
        except TakeoverRefused as refused:
            objections.extend(refused.objections)
    return occupants, instances


def _occupant(row: Row, version: int, now: float) -> Occupant | None:
    is_busy = row.cells["slap_state"] == "busy"
    release = cell(row, "software_release", optional_name_in)
    if row.cells["slap_state"] not in ("free", "busy"):
        found = str(row.cells["slap_state"])[:40]
        place = row.place("slap_state")
        raise TakeoverRefused([f"{place}: {found!r} is neither free nor busy"])
    if is_busy is not bool(release):
        place = row.place("software_release")
        what = "a busy partition without a release" if is_busy else "a free one with it"
        raise TakeoverRefused([f"{place}: {what}"])
    if not is_busy:
        return None
    key = read_key(row)
    # What its node, and whoever asked the proxy, knows the instance by.
    guid = f"{key.computer_id}-{key.partition_id}"
    wanted = cell(row, "requested_state", lambda it: word_in(it, RequestedState))
    software_type = cell(row, "software_type", optional_name_in)
    instance = InstanceRecord(
        instance_guid=guid,
        title=cell(row, "partition_reference", name_in),
        root_guid=guid,
        requester_guid=None,
        software_release_url=release,
        software_type=software_type or DEFAULT_SOFTWARE_TYPE,
        partition=key,
        timestamp=cell(row, "timestamp", timestamp_in) or next_timestamp(now),
        wished_state=wanted,
        requested_state=wanted,
        parameters=cell(row, "xml", parameters_in),
        connection_parameters=cell(row, "connection_xml", parameters_in),
    )
    return Occupant(
        row,
        instance,
        cell(row, "requested_by", optional_name_in),
        cell(row, "requester_id", optional_name_in)
        if version >= REQUESTERS_VERSION
        else "",
        tuple(cell(row, "slave_instance_list", shared_instances_in)),
    )
