"""Core. What the master remembers, as frozen values.

The store writes these values and cores read and return them; persistent objects never
leave the store, so a decision cannot change the database by accident.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import evolve, frozen

from slap.model import (
    NetworkAddress,
    PartitionKey,
    RequestedState,
    Route,
    SupplyState,
    texts,
)


class ReportedState(StrEnum):
    """What a computer told of an instance or a release."""

    NOTHING = ""
    BUILDING = "building"
    AVAILABLE = "available"
    STARTED = "started"
    STOPPED = "stopped"
    DESTROYED = "destroyed"
    ERROR = "error"


@frozen
class Report:
    """The last thing that a computer told; ``reported_at`` in seconds since 1970."""

    reported_state: ReportedState = ReportedState.NOTHING
    message: str = ""
    reported_at: float | None = None

    @property
    def is_failing(self) -> bool:
        return self.reported_state is ReportedState.ERROR


@frozen
class InstanceRecord:
    """An instance that has a place.

    ``wished_state`` is what its requester asked last, ``requested_state`` what its
    computer is told: the state of a root that is not started wins over the wish of a
    child, and the wish is there again when the root is started again.

    ``partition`` of a shared instance is the one of its host.
    """

    instance_guid: str
    title: str
    root_guid: str
    requester_guid: str | None
    software_release_url: str
    software_type: str
    partition: PartitionKey
    timestamp: str
    wished_state: RequestedState = RequestedState.STARTED
    requested_state: RequestedState = RequestedState.STARTED
    is_shared: bool = False
    host_guid: str | None = None
    parameters: Mapping[str, str] = texts()
    allocation_filter: Mapping[str, str] = texts()
    connection_parameters: Mapping[str, str] = texts()
    report: Report = Report()

    @property
    def is_root(self) -> bool:
        return self.root_guid == self.instance_guid

    @property
    def is_leaving(self) -> bool:
        return self.requested_state is RequestedState.DESTROYED

    def at(self, timestamp: str) -> InstanceRecord:
        """Return the same instance, to be processed again."""
        return evolve(self, timestamp=timestamp)


@frozen
class PartitionRecord:
    """A partition, busy when it has an occupant.

    ``is_offered`` is false for a busy partition that its computer no longer defines: it
    stays until it is free, and then goes. ``last_timestamp`` is the one of its last
    occupant: the next one must get another, whatever the calendar says.
    """

    partition_id: str
    addresses: tuple[NetworkAddress, ...] = ()
    capabilities: tuple[str, ...] = ()
    is_offered: bool = True
    occupant_guid: str | None = None
    last_timestamp: str = ""
    routes: tuple[Route, ...] = ()


@frozen
class InstallationRecord:
    """A release supplied to a computer, the ``ordinal``-th one."""

    software_release_url: str
    computer_id: str
    ordinal: int
    requested_state: SupplyState = SupplyState.AVAILABLE
    report: Report = Report()


@frozen
class ComputerRecord:
    """A computer, without its partitions and installations.

    ``attributes`` are what an operator says of it, by the keys of filters.
    """

    computer_id: str
    address: str | None = None
    netmask: str | None = None
    attributes: Mapping[str, str] = texts()


@frozen
class RefusalRecord:
    """A request that found no place, kept to explain it later."""

    title: str
    root_title: str
    software_release_url: str
    software_type: str
    is_shared: bool
    refused_at: float
    allocation_filter: Mapping[str, str] = texts()


@frozen
class Change:
    """What a decision changes: the store writes the whole of it, or nothing.

    ``written`` holds new values of instances, new instances among them; ``freed`` those
    that are gone, whose partitions are free again: children before their root, shared
    ones before their host. Nobody is in both.
    """

    written: tuple[InstanceRecord, ...] = ()
    freed: tuple[InstanceRecord, ...] = ()
