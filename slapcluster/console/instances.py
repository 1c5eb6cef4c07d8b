"""Shell. An instance in the console, with the method names of the stock library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from attrs import frozen

from slap import calls
from slap.errors import NotFound, NotReady
from slap.model import (
    InstanceRequest,
    NetworkAddress,
    Partition,
    PartitionKey,
    RequestedInstance,
    texts,
)
from slapcluster.console.connecting import Perform

T = TypeVar("T")


@frozen
class Sight:
    """What the master showed of an instance; a free partition shows little."""

    key: PartitionKey
    requested_state: str
    title: str = ""
    root_title: str = ""
    instance_guid: str = ""
    software_release_url: str = ""
    software_type: str = ""
    timestamp: str = ""
    parameters: Mapping[str, str] = texts()
    connection_parameters: Mapping[str, str] = texts()
    addresses: tuple[NetworkAddress, ...] = ()


class Instance:
    """An instance, as it was when the master was asked last; ``refresh`` asks again.

    One that is not there yet is asked for again by whatever needs it.
    """

    def __init__(
        self,
        perform: Perform,
        name: str,
        look: Callable[[], Sight],
        *,
        reason: str = "",
    ) -> None:
        self._perform = perform
        self._name = name
        self._look = look
        self._reason = reason
        self._sight: Sight | None = None

    def refresh(self) -> Instance:
        """Ask the master; ``NotReady`` when there is still no answer."""
        try:
            self._sight = self._look()
        except NotReady as error:
            self._sight, self._reason = None, error.sentence
            raise
        self._reason = ""
        return self

    @property
    def sight(self) -> Sight:
        """All that is known of it, as one value."""
        if self._sight is None:
            self.refresh()
        assert self._sight is not None
        return self._sight

    @property
    def connection_parameters(self) -> dict[str, str]:
        return dict(self.sight.connection_parameters)

    @property
    def parameters(self) -> dict[str, str]:
        return dict(self.sight.parameters)

    @property
    def state(self) -> str:
        return self.sight.requested_state

    @property
    def partition(self) -> str:
        key = self.sight.key
        return f"{key.computer_id}/{key.partition_id}"

    def getId(self) -> str:
        return self.sight.key.partition_id

    def getState(self) -> str:
        return self.state

    def getInstanceGuid(self) -> str:
        return self.sight.instance_guid

    def getType(self) -> str:
        return self.sight.software_type

    def getSoftwareRelease(self) -> Release:
        seen = self.sight
        if not seen.software_release_url:
            raise NotFound(f"{self.partition} is free: it has no release")
        return Release(seen.software_release_url, seen.key.computer_id)

    def getConnectionParameterDict(self) -> dict[str, str]:
        return self.connection_parameters

    def getConnectionParameter(self, key: str) -> str:
        return _value(self._name, self.connection_parameters, key)

    def getInstanceParameterDict(self) -> dict[str, object]:
        """The parameters, and what the master adds to them."""
        seen = self.sight
        if not seen.software_release_url:
            return {}
        return {
            **seen.parameters,
            "instance_title": seen.title,
            "ip_list": [(it.interface, it.address) for it in seen.addresses],
            "root_instance_title": seen.root_title,
            "slap_computer_id": seen.key.computer_id,
            "slap_computer_partition_id": seen.key.partition_id,
            "slap_software_release_url": seen.software_release_url,
            "slap_software_type": seen.software_type,
            "timestamp": seen.timestamp,
        }

    def getInstanceParameter(self, key: str) -> object:
        return _value(self._name, self.getInstanceParameterDict(), key)

    def getStatus(self) -> object:
        return self._perform(calls.get_instance_status(self.sight.key))

    def bang(self, message: str = "") -> None:
        """Ask that everything in the tree of the instance be processed again."""
        self._perform(calls.bang_instance(self.sight.key, message))

    def rename(self, new_name: str) -> None:
        self._perform(calls.rename_instance(self.sight.key, new_name))

    def document(self) -> object:
        """What ``--output json`` shows of it."""
        try:
            return self.sight
        except NotReady as error:
            return {"title": self._name, "not_ready": error.sentence}

    def __repr__(self) -> str:
        if self._sight is None:
            return f"<instance {self._name}: {self._reason or 'not asked for yet'}>"
        return f"<instance {self._name}: {self.state} on {self.partition}>"

    def __str__(self) -> str:
        try:
            seen = self.sight
        except NotReady as error:
            return (
                f"{self._name}: accepted, not there yet ({error.sentence}); "
                "the same line again asks again"
            )
        lines = [f"{self._name}: {seen.requested_state} on {self.partition}"]
        if seen.software_release_url:
            lines.append(
                f"  release     {seen.software_release_url} ({seen.software_type})"
            )
        lines += _lines("parameters", seen.parameters)
        if seen.software_release_url:
            lines += _lines("publishes", seen.connection_parameters) or [
                "  publishes   nothing yet"
            ]
        return "\n".join(lines)


@frozen
class Release:
    """A release on a computer."""

    software_release_url: str
    computer_id: str
    requested_state: str = "available"

    def getURI(self) -> str:
        return self.software_release_url

    def getState(self) -> str:
        return self.requested_state

    def getComputerId(self) -> str:
        return self.computer_id

    def __str__(self) -> str:
        return (
            f"{self.software_release_url}: {self.requested_state} on {self.computer_id}"
        )


def request_instance(perform: Perform, wanted: InstanceRequest) -> Instance:
    """Ask for an instance; one that is not there yet says so when it is shown."""

    def look() -> Sight:
        answer = perform(calls.request_instance(wanted))
        # The codec of the method gives this type or an error.
        assert isinstance(answer, RequestedInstance)
        return Sight(
            answer.key,
            str(answer.requested_state or "started"),
            wanted.title,
            wanted.title,
            answer.instance_guid or "",
            answer.software_release_url,
            answer.software_type,
            answer.timestamp or "",
            answer.parameters,
            answer.connection_parameters,
            answer.addresses,
        )

    instance = Instance(perform, wanted.title, look)
    try:
        return instance.refresh()
    except NotReady:
        return instance


def find_instance(perform: Perform, key: PartitionKey) -> Instance:
    """The instance in a partition; the master is asked when something needs it."""

    def look() -> Sight:
        answer = perform(calls.get_partition(key))
        assert isinstance(answer, Partition)
        return sight_of(answer)

    return Instance(perform, f"{key.computer_id}/{key.partition_id}", look)


def sight_of(partition: Partition) -> Sight:
    found = partition.instance
    if found is None:
        return Sight(
            partition.key, partition.requested_state, addresses=partition.addresses
        )
    return Sight(
        partition.key,
        str(partition.requested_state),
        found.title,
        found.root_title,
        found.instance_guid,
        found.software_release_url,
        found.software_type,
        found.timestamp,
        found.parameters,
        found.connection_parameters,
        partition.addresses,
    )


def _lines(name: str, texts: Mapping[str, str]) -> list[str]:
    return [
        f"  {name if index == 0 else '':11} {key} = {value}"
        for index, (key, value) in enumerate(sorted(texts.items()))
    ]


def _value(name: str, values: Mapping[str, T], key: str) -> T:
    if key not in values:
        have = ", ".join(sorted(values)) or "none"
        raise NotFound(f"{name} has no {key}; it has {have}")
    return values[key]
