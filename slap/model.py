"""Core. The values that SLAP carries, in the words of the glossary.

Wire names (``computer_guid``, ``slave``, ``_parameter_dict`` ...) appear only in the
codecs. Every value here is frozen, compares by content and is checked when built, so a
codec or a core that holds one never checks it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

from attrs import field, frozen

from slap.marshalling import Value


def _frozen_texts(value: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(sorted(value.items())))


def texts() -> Mapping[str, str]:
    """A field of sorted texts by name, empty by default."""
    empty: Mapping[str, str] = MappingProxyType({})
    return field(default=empty, converter=_frozen_texts)


def _in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return names sorted, each once; the empty one is no name."""
    return tuple(sorted(set(names) - {""}))


class RequestedState(StrEnum):
    """What is wanted of an instance."""

    STARTED = "started"
    STOPPED = "stopped"
    DESTROYED = "destroyed"


class SupplyState(StrEnum):
    """What is wanted of a software release on a computer."""

    AVAILABLE = "available"
    DESTROYED = "destroyed"


@frozen(order=True)
class PartitionKey:
    """Which partition: unique in the whole cloud."""

    computer_id: str
    partition_id: str


@frozen(order=True)
class NetworkAddress:
    """An address of a partition; ``interface`` is a tap name or the partition id."""

    interface: str
    address: str


@frozen
class Route:
    """A network that a tap of a partition routes, and the address that it does it by.

    ``interface`` is ``route_`` and the name of the tap. The gateway and the netmask are
    never empty; the network may be.
    """

    interface: str
    address: str
    gateway: str
    netmask: str
    network: str = ""


@frozen
class SoftwareInstallation:
    """A release supplied to a computer."""

    software_release_url: str
    computer_id: str
    requested_state: SupplyState = SupplyState.AVAILABLE


@frozen
class SharedInstance:
    """An instance hosted inside another, as its host sees it.

    ``timestamp`` is a count of microseconds, ``None`` from masters without it.
    """

    reference: str
    title: str
    software_type: str
    parameters: Mapping[str, str] = texts()
    timestamp: int | None = None


@frozen
class PartitionInstance:
    """The instance that occupies a partition.

    ``timestamp`` is opaque: a node compares it for equality and nothing else.
    ``access_status`` is the text of the last report, ``None`` from masters without it.
    """

    instance_guid: str
    title: str
    root_title: str
    software_release_url: str
    software_type: str
    timestamp: str
    parameters: Mapping[str, str] = texts()
    connection_parameters: Mapping[str, str] = texts()
    allocation_filter: Mapping[str, str] = texts()
    shared_instances: tuple[SharedInstance, ...] = ()
    access_status: str | None = None


@frozen
class Partition:
    """A slot of a computer and what is wanted in it; free when it has no instance."""

    key: PartitionKey
    requested_state: RequestedState
    addresses: tuple[NetworkAddress, ...] = ()
    instance: PartitionInstance | None = None
    routes: tuple[Route, ...] = ()


@frozen
class Computer:
    """Everything a node needs to know: the complete wanted state of a computer."""

    computer_id: str
    partitions: tuple[Partition, ...] = ()
    installations: tuple[SoftwareInstallation, ...] = ()


@frozen
class InstanceRequest:
    """What somebody asks for.

    ``requester`` is the partition that asks, ``None`` for a person.
    ``requested_state`` ``None`` leaves the state of an existing instance as it is.
    ``forwarded_by`` are the masters that it came through, the first one first.
    """

    title: str
    software_release_url: str
    software_type: str = "default"
    parameters: Mapping[str, str] = texts()
    allocation_filter: Mapping[str, str] = texts()
    requested_state: RequestedState | None = None
    is_shared: bool = False
    requester: PartitionKey | None = None
    forwarded_by: tuple[str, ...] = ()


@frozen
class RequestedInstance:
    """The answer to an instance request: where the instance is and what it publishes.

    For a shared instance ``key`` is the partition of its host, and a master may leave
    out ``instance_guid``, ``requested_state`` and ``timestamp``.
    """

    key: PartitionKey
    software_release_url: str
    software_type: str
    instance_guid: str | None = None
    requested_state: RequestedState | None = None
    timestamp: str | None = None
    parameters: Mapping[str, str] = texts()
    connection_parameters: Mapping[str, str] = texts()
    addresses: tuple[NetworkAddress, ...] = ()
    routes: tuple[Route, ...] = ()


@frozen
class PartitionDefinition:
    """What ``format`` says of one partition.

    One that has ``capabilities`` is only given to a request that names one of them.
    """

    partition_id: str
    addresses: tuple[NetworkAddress, ...] = ()
    capabilities: tuple[str, ...] = field(default=(), converter=_in_order)
    routes: tuple[Route, ...] = ()


@frozen
class ComputerDefinition:
    """What ``format`` says of a computer.

    ``document`` is everything that it says, as it travels; a master that reads it keeps
    the rest alone.
    """

    computer_id: str
    address: str | None = None
    netmask: str | None = None
    partitions: tuple[PartitionDefinition, ...] = ()
    document: dict[str, Value] | None = field(default=None, eq=False, repr=False)


@frozen
class Certificate:
    """The identity of an instance, both in PEM; empty from a master without them."""

    certificate: str
    # Whatever prints a certificate, a log included, prints no key.
    key: str = field(repr=False)
