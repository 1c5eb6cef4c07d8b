"""Core. The values that only the JSON-RPC dialect has: instances, told to a person."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from slap.model import (
    NetworkAddress,
    PartitionKey,
    RequestedState,
    Route,
    SupplyState,
    texts,
)


@frozen
class InstanceDescription:
    """Everything about an instance; ``changed_at`` in whole seconds since 1970.

    ``access_status`` is empty when nothing was reported.
    """

    title: str
    instance_guid: str
    root_title: str
    requested_state: RequestedState
    partition: PartitionKey
    software_release_url: str
    software_type: str
    is_shared: bool = False
    changed_at: int = 0
    access_status: str = ""
    parameters: Mapping[str, str] = texts()
    allocation_filter: Mapping[str, str] = texts()
    connection_parameters: Mapping[str, str] = texts()
    addresses: tuple[NetworkAddress, ...] = ()
    routes: tuple[Route, ...] = ()


@frozen
class ListedInstance:
    """An instance in the list of its computer."""

    title: str
    instance_guid: str
    requested_state: RequestedState
    partition_id: str
    software_release_url: str


@frozen
class HostedInstance:
    """A shared instance in the list of its host."""

    title: str
    instance_guid: str
    requested_state: RequestedState
    partition_id: str
    software_type: str
    parameters: Mapping[str, str] = texts()


@frozen
class ListedInstallation:
    """A release in the list of its computer."""

    software_release_url: str
    requested_state: SupplyState
