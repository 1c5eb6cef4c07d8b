"""Shell. What the master remembers, read and written within one transaction.

A ``Cloud`` stands on one snapshot. It gives records to the cores and writes what they
decide; nothing else touches persistent objects.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

from attrs import evolve

from master_cluster.formatting import Formatted
from master_cluster.giving_up import Move
from master_cluster.inventory import natural_order
from master_cluster.records import (
    Change,
    ComputerRecord,
    InstallationRecord,
    InstanceRecord,
    PartitionRecord,
    RefusalRecord,
    Report,
)
from master_cluster.store.certificates import Certificates
from master_cluster.store.forwarding import Forwarding
from master_cluster.store.history import earlier_reports, remember_report
from master_cluster.store.products import Products
from master_cluster.store.relying import rely_on, rely_on_member, rely_on_members
from master_cluster.store.replicas import Replicas
from master_cluster.store.schema import (
    Stored,
    StoredCloud,
    StoredComputer,
    StoredInstance,
    fields_of,
    hashed,
    record_of,
)
from master_cluster.store.shelving import Shelving
from master_cluster.store.standing import StandingOfState
from master_cluster.store.usage import KeptUsage
from master_cluster.succeeding import CloudHistory
from slap.errors import NotFound
from slap.model import PartitionKey

REFUSAL_COUNT_MAX = 500
"""Refused requests that are kept; a person reads a few of them."""


class Cloud:
    """The records of one snapshot."""

    def __init__(self, stored: StoredCloud) -> None:
        self._stored = stored
        self.shelving = Shelving(stored)
        self._read_oids: set[bytes] = set()
        self._has_written = False

    def stands_on(self) -> frozenset[bytes] | None:
        """Return the ids of the partitions and instances that were read.

        ``None`` when an instance or a refusal was written: the same again is another
        question then.
        """
        return None if self._has_written else frozenset(self._read_oids)

    @property
    def products(self) -> Products:
        """Names for lists of releases."""
        return Products(self._stored.products)

    @property
    def replicas(self) -> Replicas:
        """The replicas that are told of."""
        return Replicas(self._stored.replicas)

    @property
    def standing(self) -> StandingOfState:
        """Whether the state is changed here."""
        return StandingOfState(self._stored)

    @property
    def histories(self) -> tuple[CloudHistory, ...]:
        """Those that began by a recovery, the present one last."""
        return tuple(record_of(CloudHistory, it) for it in self._stored.histories)

    @property
    def certificates(self) -> Certificates:
        """Who is who."""
        return Certificates(self._stored.certificates)

    @property
    def forwarding(self) -> Forwarding:
        """What was forwarded to other masters."""
        return Forwarding(self._stored)

    # Computers

    def computer_ids(self) -> tuple[str, ...]:
        return tuple(sorted(self._stored.computers, key=natural_order))

    def has_computer(self, computer_id: str) -> bool:
        return computer_id in self._stored.computers

    def computer(self, computer_id: str) -> ComputerRecord:
        """Return a computer; ``NotFound`` when it is not defined."""
        return self._computer(computer_id).read(ComputerRecord)

    def partition_ids(self, computer_id: str) -> tuple[str, ...]:
        names = self._computer(computer_id).partitions
        return tuple(sorted(names, key=natural_order))

    def partition(self, key: PartitionKey) -> PartitionRecord:
        """Return a partition; ``NotFound`` when it is not defined."""
        return self._partition(key).read(PartitionRecord)

    def partitions(self, computer_id: str) -> Iterator[PartitionRecord]:
        """Yield the partitions of a computer in the order of their names."""
        for partition_id in self.partition_ids(computer_id):
            yield self.partition(PartitionKey(computer_id, partition_id))

    def write_computer(self, record: ComputerRecord) -> None:
        stored = self._computer(record.computer_id)
        if stored.read(ComputerRecord) != record:
            stored.write(record)
            self.shelving.move(record.computer_id, stored)
            stored.revision.advance()

    def revision_oid(self, computer_id: str) -> bytes:
        """Return the id of the object that changes with a computer's document."""
        revision = self._computer(computer_id).revision
        oid: bytes = revision._p_oid  # noqa: SLF001 - ZODB's name
        return oid

    def apply_format(self, formatted: Formatted) -> None:
        """Write what a definition changes."""
        record = formatted.computer
        computers = self._stored.computers
        if record.computer_id not in computers:
            computers[record.computer_id] = StoredComputer(record)
        stored: StoredComputer = computers[record.computer_id]
        is_other = stored.read(ComputerRecord) != record
        if is_other or formatted.removed or formatted.written:
            for kept in stored.partitions.values():
                rely_on(kept)
            stored.write(record)
            stored.revision.advance()
        for partition in formatted.removed:
            self._remove_partition(stored, partition)
        for partition in formatted.written:
            self._put_partition(stored, partition)
        self.shelving.settle(record.computer_id, stored)
        for instance in formatted.touched:
            self._write(instance)

    # Installations

    def installations(self, computer_id: str) -> tuple[InstallationRecord, ...]:
        """Return the releases of a computer in the order of supply."""
        stored = self._computer(computer_id).installations
        found = (it.read(InstallationRecord) for it in stored.values())
        return tuple(sorted(found, key=lambda it: it.ordinal))

    def installation(
        self, software_release_url: str, computer_id: str
    ) -> InstallationRecord | None:
        key = hashed(software_release_url)
        stored = self._computer(computer_id).installations.get(key)
        return None if stored is None else stored.read(InstallationRecord)

    def write_installation(self, record: InstallationRecord) -> None:
        computer = self._computer(record.computer_id)
        key = hashed(record.software_release_url)
        if key not in computer.installations:
            computer.installations[key] = Stored(record)
        elif (old := computer.installations[key].read(InstallationRecord)) != record:
            remember_report(computer.installations[key], old.report, record.report)
            computer.installations[key].write(record)
        else:
            return
        computer.revision.advance()

    def remove_installation(self, record: InstallationRecord) -> None:
        computer = self._computer(record.computer_id)
        computer.installations.pop(hashed(record.software_release_url)).is_gone = True
        computer.revision.advance()

    def usage(self, computer_id: str) -> KeptUsage:
        """Return what is kept of the usage of a computer."""
        return KeptUsage(computer_id, self._computer(computer_id).usage)

    # Instances

    def instance(self, instance_guid: str) -> InstanceRecord:
        return self._instance(instance_guid).read(InstanceRecord)

    def find_instance(self, instance_guid: str | None) -> InstanceRecord | None:
        if instance_guid is None or instance_guid not in self._stored.instances:
            return None
        return self.instance(instance_guid)

    def instances(self) -> Iterator[InstanceRecord]:
        for stored in self._stored.instances.values():
            yield stored.read(InstanceRecord)

    def occupant(self, key: PartitionKey) -> InstanceRecord:
        """Return the instance in a partition; ``NotFound`` when there is none."""
        found = self.find_instance(self.partition(key).occupant_guid)
        if found is None:
            raise NotFound(f"{key.partition_id} of {key.computer_id} has no instance")
        return found

    def root(self, title: str) -> InstanceRecord | None:
        """Return the root of the tree of a title."""
        return self.find_instance(self._stored.roots.get(hashed(title)))

    def roots(self) -> tuple[InstanceRecord, ...]:
        found = (self.instance(it) for it in self._stored.roots.values())
        return tuple(sorted(found, key=lambda it: it.title))

    def child(self, root_guid: str, title: str) -> InstanceRecord | None:
        guid = self._instance(root_guid).children.get(hashed(title))
        return self.find_instance(guid)

    def children(self, root_guid: str) -> tuple[InstanceRecord, ...]:
        """Return all others of a tree, by title."""
        guids = self._instance(root_guid).children.values()
        return tuple(sorted(map(self.instance, guids), key=lambda it: it.title))

    def child_count(self, root_guid: str) -> int:
        return len(self._instance(root_guid).children)

    def guests(self, host_guid: str) -> tuple[InstanceRecord, ...]:
        """Return the shared instances in a host."""
        return tuple(map(self.instance, self._instance(host_guid).guests))

    def guest(self, host: InstanceRecord, reference: str) -> InstanceRecord:
        """Return a shared instance by what its host calls it, or ``NotFound``."""
        if reference not in self._instance(host.instance_guid).guests:
            raise NotFound(f"{host.title!r} hosts no shared instance {reference!r}")
        return self.instance(reference)

    def runners(
        self, software_release_url: str, software_type: str
    ) -> Iterator[InstanceRecord]:
        """Yield the instances that may host shared ones, in the order of places."""
        guids = self.shelving.runners(software_release_url, software_type)
        return map(self.instance, guids)

    def earlier_reports(
        self, record: InstanceRecord | InstallationRecord
    ) -> tuple[Report, ...]:
        """Return what was reported before the last report, the latest first."""
        if isinstance(record, InstanceRecord):
            return earlier_reports(self._instance(record.instance_guid))
        key = hashed(record.software_release_url)
        return earlier_reports(self._computer(record.computer_id).installations[key])

    def rely_on(self, instance: InstanceRecord) -> None:
        """Let the transaction fail when somebody else changes this one meanwhile."""
        rely_on(self._instance(instance.instance_guid))

    def rely_on_absence(self, root: InstanceRecord | None, title: str) -> None:
        """Let the transaction fail when somebody else makes this title meanwhile.

        In a tree or, without ``root``, as the root of one.
        """
        if root is None:
            rely_on_member(self._stored.roots, hashed(title))
        else:
            children = self._instance(root.instance_guid).children
            rely_on_member(children, hashed(title))

    def claim(self, instance_guid: str) -> None:
        """Write an instance as it is: who frees or claims it meanwhile runs again."""
        self._has_written = True
        self._instance(instance_guid)._p_changed = True  # noqa: SLF001 - persistent's

    def apply(self, change: Change) -> None:
        """Write what a decision changes."""
        self._has_written |= bool(change.freed or change.written)
        for record in change.freed:
            self._free(record)
        for record in change.written:
            if record.instance_guid in self._stored.instances:
                self._write(record)
            else:
                self._create(record)

    def move(self, move: Move) -> None:
        """Write an instance that gets another partition, and its guests with it.

        Whoever has its certificate is where it was: nobody believes that one any more.
        """
        self._has_written = True
        stored = self._instance(move.instance.instance_guid)
        old = stored.read(InstanceRecord)
        self._advance(old)
        self.shelving.unlist_runner(old)
        self._vacate(old)
        remember_report(stored, old.report, move.instance.report)
        stored.write(move.instance)
        self.shelving.list_runner(move.instance)
        self._occupy(move.instance)
        self._advance(move.instance)
        self.certificates.revoke_instance(old.instance_guid)
        for guest in move.guests:
            self._instance(guest.instance_guid).write(guest)

    # Refusals

    def refusal(self, title: str, root_title: str) -> RefusalRecord | None:
        fields = self._stored.refusals.get(hashed(root_title, title))
        return None if fields is None else record_of(RefusalRecord, fields)

    def refusals(self) -> tuple[RefusalRecord, ...]:
        kept = self._stored.refusals.values()
        return tuple(record_of(RefusalRecord, it) for it in kept)

    def keep_refusal(self, record: RefusalRecord) -> None:
        """Keep a refused request, unless it is kept already; drop the oldest one."""
        refusals = self._stored.refusals
        known = self.refusal(record.title, record.root_title)
        if known is not None and evolve(known, refused_at=record.refused_at) == record:
            return
        self._has_written = True
        refusals[hashed(record.root_title, record.title)] = dict(fields_of(record))
        if len(refusals) > REFUSAL_COUNT_MAX:
            del refusals[min(refusals, key=lambda it: refusals[it]["refused_at"])]

    def forget_refusal(self, title: str, root_title: str) -> None:
        forgotten = self._stored.refusals.pop(hashed(root_title, title), None)
        self._has_written |= forgotten is not None

    def is_taken_over(self, digest: str) -> bool:
        return digest in self._stored.takeovers

    def keep_takeover(self, digest: str, now: float) -> None:
        self._stored.takeovers[digest] = now

    # How it is kept

    def _computer(self, computer_id: str) -> StoredComputer:
        found: StoredComputer | None = self._stored.computers.get(computer_id)
        if found is None:
            raise NotFound(f"no computer {computer_id!r}")
        return found

    def _partition(self, key: PartitionKey) -> Stored:
        found: Stored | None = self._computer(key.computer_id).partitions.get(
            key.partition_id
        )
        if found is None:
            raise NotFound(f"no partition {key.partition_id!r} of {key.computer_id}")
        self._read_oids.add(found._p_oid)  # noqa: SLF001 - ZODB's name
        return found

    def _instance(self, instance_guid: str) -> StoredInstance:
        found: StoredInstance = self._stored.instances[instance_guid]
        self._read_oids.add(found._p_oid)  # noqa: SLF001 - ZODB's name
        return found

    def _create(self, record: InstanceRecord) -> None:
        guid = record.instance_guid
        assert record.is_shared == (record.host_guid is not None)
        self._stored.instances[guid] = StoredInstance(record)
        titles = self._titles(record)
        assert hashed(record.title) not in titles
        titles[hashed(record.title)] = guid
        self._advance(record)
        if record.host_guid is not None:
            self._instance(record.host_guid).guests.insert(guid)
            return
        self.shelving.list_runner(record)
        self._occupy(record)

    def _occupy(self, record: InstanceRecord) -> None:
        stored = self._partition(record.partition)
        partition = stored.read(PartitionRecord)
        assert partition.occupant_guid is None, "a partition is never given twice"
        assert partition.is_offered
        occupied = evolve(partition, occupant_guid=record.instance_guid)
        stored.write(occupied)
        computer = self._computer(record.partition.computer_id)
        self.shelving.list_partition(computer, partition, occupied)
        self.shelving.settle(record.partition.computer_id, computer)

    def _write(self, record: InstanceRecord) -> None:
        stored = self._instance(record.instance_guid)
        old = stored.read(InstanceRecord)
        assert old.partition == record.partition
        if old.title != record.title:
            titles = self._titles(old)
            del titles[hashed(old.title)]
            assert hashed(record.title) not in titles
            titles[hashed(record.title)] = record.instance_guid
            if record.is_root:
                self._advance_tree(stored)
        if not record.is_shared and _runs(old) != _runs(record):
            self.shelving.unlist_runner(old)
            self.shelving.list_runner(record)
        remember_report(stored, old.report, record.report)
        stored.write(record)
        self._advance(record)

    def _advance(self, record: InstanceRecord) -> None:
        """Say that the computer of an instance is told something else."""
        self._computer(record.partition.computer_id).revision.advance()

    def _advance_tree(self, root: StoredInstance) -> None:
        """Say so of all computers that are told the title of a root.

        A child that is made meanwhile would be told the old one, for good: rely on
        there being none.
        """
        rely_on_members(root.children)
        for guid in root.children.values():
            self._advance(self.instance(guid))

    def _free(self, record: InstanceRecord) -> None:
        stored = self._instance(record.instance_guid)
        del self._titles(record)[hashed(record.title)]
        self._advance(record)
        assert not stored.guests, "shared instances go before their host"
        if record.is_root:
            assert not stored.children, "children go before their root"
            rely_on(stored.children)
        if record.host_guid is not None:
            self._instance(record.host_guid).guests.remove(record.instance_guid)
        else:
            self.shelving.unlist_runner(record)
            self._vacate(record)
        self.certificates.revoke_instance(record.instance_guid)
        del self._stored.instances[record.instance_guid]
        stored.is_gone = True

    def _vacate(self, record: InstanceRecord) -> None:
        stored = self._partition(record.partition)
        partition = stored.read(PartitionRecord)
        assert partition.occupant_guid == record.instance_guid
        vacated = evolve(partition, occupant_guid=None, last_timestamp=record.timestamp)
        stored.write(vacated)
        computer = self._computer(record.partition.computer_id)
        if vacated.is_offered:
            self.shelving.list_partition(computer, partition, vacated)
        else:
            self._remove_partition(computer, vacated)
        self.shelving.settle(record.partition.computer_id, computer)

    def _titles(self, record: InstanceRecord) -> MutableMapping[str, str]:
        """The index that knows an instance by its title: roots, or its tree."""
        if record.is_root:
            found: MutableMapping[str, str] = self._stored.roots
        else:
            found = self._instance(record.root_guid).children
        return found

    def _put_partition(
        self, computer: StoredComputer, partition: PartitionRecord
    ) -> None:
        stored = computer.partitions.get(partition.partition_id)
        old = None if stored is None else stored.read(PartitionRecord)
        if stored is None:
            computer.partitions[partition.partition_id] = Stored(partition)
        else:
            stored.write(partition)
        self.shelving.list_partition(computer, old, partition)

    def _remove_partition(
        self, computer: StoredComputer, partition: PartitionRecord
    ) -> None:
        self.shelving.list_partition(computer, partition, None)
        computer.partitions.pop(partition.partition_id).is_gone = True


def _runs(record: InstanceRecord) -> tuple[str, str]:
    return record.software_release_url, record.software_type
