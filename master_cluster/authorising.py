"""Core. Who may call what: one table, of what each role may ask about whom.

A row has a method of SLAP or a page, and for each role how far it may go:

- ``all``: whatever the call is about;
- ``own``: about the caller's own things: a computer about itself, its partitions and
  what is in them, an instance about itself and what it hosts. Who requests an instance
  is one of these, too; a root is requested by persons alone;
- ``-``: not at all.

Who has no certificate is nobody. What has no row is refused to everybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

from attrs import field, frozen

from slap.calls import Call
from slap.errors import Forbidden
from slap.identities import Identity, Role
from slap.model import (
    ComputerDefinition,
    InstanceRequest,
    PartitionKey,
    SoftwareInstallation,
)


class Scope(StrEnum):
    """How far a role may go in a method."""

    ALL = "all"
    OWN = "own"


_TABLE = """
                                                  nobody comp. repl. person inst. link
getFullComputerInformation                        -      own   -     all    -     -
getComputerInformation                            -      own   -     all    -     -
registerComputerPartition                         -      own   -     all    own   -
getComputerPartitionCertificate                   -      own   -     all    own   -
getComputerStatus                                 -      own   all   all    -     -
getComputerPartitionStatus                        -      own   -     all    own   -
getSoftwareInstallationStatus                     -      own   -     all    -     -
getHostingSubscriptionIpList                      -      own   -     all    own   -
getSoftwareReleaseListFromSoftwareProduct         -      all   -     all    all   -
getRunId                                          -      all   all   all    all   -
requestComputer                                   -      -     -     all    -     -
generateComputerCertificate                       -      own   -     all    -     -
revokeComputerCertificate                         -      own   -     all    -     -
requestComputerPartition                          -      own   -     all    own   -
setComputerPartitionConnectionXml                 -      own   -     all    own   -
supplySupply                                      -      -     -     all    -     -
buildingSoftwareRelease                           -      own   -     all    -     -
availableSoftwareRelease                          -      own   -     all    -     -
destroyedSoftwareRelease                          -      own   -     all    -     -
softwareReleaseError                              -      own   -     all    -     -
startedComputerPartition                          -      own   -     all    -     -
stoppedComputerPartition                          -      own   -     all    -     -
destroyedComputerPartition                        -      own   -     all    -     -
softwareInstanceError                             -      own   -     all    own   -
softwareInstanceBang                              -      own   -     all    own   -
computerBang                                      -      own   -     all    -     -
softwareInstanceRename                            -      own   -     all    own   -
loadComputerConfigurationFromXML                  -      own   -     all    -     -
useComputer                                       -      own   -     all    -     -
updateComputerPartitionRelatedInstanceList        -      own   -     all    own   -
slapcluster.v0.products                           -      all   all   all    all   -
slapcluster.v0.product_add                        -      -     -     all    -     -
slapcluster.v0.product_remove                     -      -     -     all    -     -
slapcluster.v0.replicas                           -      all   all   all    all   -
slapcluster.v0.replica_forget                     -      -     -     all    -     -
slapcluster.v0.releases                           -      -     -     all    -     -
slapcluster.v0.release_offer                      -      -     -     all    -     -
slapcluster.v0.release_receive                    -      -     -     all    -     -
slapcluster.v0.release_forget                     -      -     -     all    -     -
slapcluster.v0.transfer                           -      -     all   all    -     -
slapcluster.v0.freeze                             -      -     all   all    -     -
slapcluster.v0.thaw                               -      -     all   all    -     -
slapcluster.v0.move                               -      -     all   all    -     -
slapcluster.v0.receive                            -      -     all   all    -     -
slapcluster.v0.open                               -      -     all   all    -     -
slapcluster.v0.token                              -      -     -     all    -     -
slapcluster.v0.roots                              all    all   all   all    all   all
slapcluster.v0.join                               all    all   all   all    all   all
slapcluster.v0.renew                              all    all   all   all    all   all
slapcluster.v0.status                             -      -     all   all    -     -
slapcluster.v0.computer                           -      own   all   all    -     -
slapcluster.v0.set_computer_attributes            -      -     -     all    -     -
slapcluster.v0.give_up_computer                   -      -     -     all    -     -
slapcluster.v0.instance_tree                      -      -     -     all    -     -
slapcluster.v0.requested                          -      own   -     all    own   -
slapcluster.v0.why                                -      -     -     all    -     -
slapcluster.v0.usage                              -      own   all   all    -     -
slapcluster.v0.usage_document                     -      own   all   all    -     -
slapos.allDocs.v0.compute_node_instance_list      -      own   -     all    -     -
slapos.allDocs.v0.compute_node_software_installation_list - own - all -   -
slapos.allDocs.v0.instance_node_instance_list     -      own   -     all    own   -
slapos.allDocs.v0.instance_tree_list              -      -     -     all    -     -
slapos.allDocs.WIP.compute_node_list              -      -     all   all    -     -
slapos.get.v0.compute_node_status                 -      own   all   all    -     -
slapos.get.v0.compute_partition                   -      own   -     all    own   -
slapos.get.v0.software_instance                   -      own   -     all    own   -
slapos.get.v0.instance_tree                       -      -     -     all    -     -
slapos.get.v0.hateoas_url                         all    all   all   all    all   all
slapos.get.v0.software_instance_certificate       -      own   -     all    own   -
slapos.post.v0.compute_node_certificate           -      own   -     all    -     -
slapos.remove.v0.compute_node_certificate         -      own   -     all    -     -
slapos.post.v0.compute_node_usage                 -      own   -     all    -     -
slapos.post.v0.software_installation              -      -     -     all    -     -
slapos.post.v0.software_instance                  -      own   -     all    own   -
slapos.put.v0.compute_node_bang                   -      own   -     all    -     -
slapos.put.v0.compute_node_format                 -      own   -     all    -     -
slapos.put.v0.software_installation_error         -      own   -     all    -     -
slapos.put.v0.software_installation_reported_state -     own   -     all    -     -
slapos.put.v0.software_instance_bang              -      own   -     all    own   -
slapos.put.v0.software_instance_connection_parameter -   own   -     all    own   -
slapos.put.v0.software_instance_error             -      own   -     all    own   -
slapos.put.v0.software_instance_reported_state    -      own   -     all    -     -
slapos.put.v0.software_instance_title             -      own   -     all    own   -
getHateoasUrl                                     all    all   all   all    all   all
hateoas                                           -      -     -     all    -     -
Person_requestComputer                            all    all   all   all    all   all
Person_getCertificate                             all    all   all   all    all   all
/                                                 all    all   all   all    all   all
panel                                             -      -     -     all    -     -
release                                           all    all   all   all    all   all
openapi.json                                      all    all   all   all    all   all
healthz                                           all    all   all   all    all   all
readyz                                            all    all   all   all    all   all
metrics                                           -      -     all   all    -     -
"""
"""Tokens are asked for by whoever has none of ours, and renewal proves itself by what
it sends. Releases are what computers build from before they are anybody's."""

_COLUMNS = (
    None,
    Role.COMPUTER,
    Role.REPLICA,
    Role.PERSON,
    Role.INSTANCE,
    Role.LINK,
)

Rights = Mapping[Role | None, Scope]


def _read_table(text: str) -> Mapping[str, Rights]:
    rows = {}
    for line in text.strip().splitlines()[1:]:
        name, *cells = line.split()
        assert name not in rows, f"{name} has two rows"
        pairs = zip(_COLUMNS, cells, strict=True)
        rows[name] = MappingProxyType(
            {role: Scope(cell) for role, cell in pairs if cell != "-"}
        )
    return MappingProxyType(rows)


TABLE: Mapping[str, Rights] = _read_table(_TABLE)
"""The rights of each role by the name of a method or a page."""


@frozen
class Places:
    """What a store says of instances: who is where, and where is who."""

    occupants: Mapping[PartitionKey, str | None] = field(factory=dict)
    partitions: Mapping[str, PartitionKey | None] = field(factory=dict)


@frozen
class Subject:
    """What a call is about; ``is_of_person`` when it requests for no partition."""

    computers: frozenset[str] = frozenset()
    partitions: frozenset[PartitionKey] = frozenset()
    instances: frozenset[str] = frozenset()
    is_of_person: bool = False


def subject_of(call: Call) -> Subject:
    """Return all that a call names, the partition that makes it included."""
    computers: set[str] = set()
    partitions: set[PartitionKey] = set()
    instances: set[str] = set()
    is_of_person = False
    for value in call.arguments.values():
        match value:
            case PartitionKey():
                partitions.add(value)
            case ComputerDefinition() | SoftwareInstallation():
                computers.add(value.computer_id)
            case InstanceRequest(requester=None):
                is_of_person = True
            case InstanceRequest(requester=PartitionKey() as requester):
                partitions.add(requester)
    for name, into in (("computer_id", computers), ("instance_guid", instances)):
        if name in call.arguments:
            into.add(str(call.arguments[name]))
    if call.requester is not None:
        partitions.add(call.requester)
    return Subject(
        frozenset(computers), frozenset(partitions), frozenset(instances), is_of_person
    )


def check_page(identity: Identity | None, name: str) -> Scope:
    """Return how far somebody may go in a method or page; ``Forbidden`` if nowhere."""
    role = None if identity is None else identity.role
    scope = TABLE.get(name, {}).get(role)
    if scope is None:
        who = "who shows no certificate of this cloud" if identity is None else identity
        raise Forbidden(f"{name} is not for {who}")
    return scope


def check_poll(identity: Identity | None, name: str, computer_id: str) -> None:
    """``Forbidden`` for who may not have the document of a computer."""
    scope = check_page(identity, name)
    if scope is Scope.OWN and (identity is None or identity.name != computer_id):
        raise Forbidden(f"{computer_id} is not {identity}")


def asks_where(identity: Identity | None, call: Call) -> Subject:
    """Return of which instances and partitions ``check_call`` has to know the place."""
    if identity is None or identity.role not in _OWNERS:
        return Subject()
    subject = subject_of(call)
    if identity.role is Role.COMPUTER:
        return Subject(instances=subject.instances)
    return Subject(partitions=subject.partitions, instances=subject.instances)


def check_call(
    identity: Identity | None, call: Call, places: Places | None = None
) -> None:
    """``Forbidden`` for who may not make a call; ``places`` has what it asked for."""
    scope = check_page(identity, call.method)
    if identity is None or identity.role not in _OWNERS:
        return
    subject = subject_of(call)
    if scope is Scope.ALL:
        # Whoever may ask about anything still speaks in nobody else's name.
        subject = Subject(
            partitions=frozenset({call.requester} if call.requester else ())
        )
    if subject.is_of_person:
        raise Forbidden(
            f"{identity} requests in the name of a partition alone: say of which one"
        )
    _check_subject(identity, subject, places or Places())


_OWNERS = (Role.COMPUTER, Role.INSTANCE)
"""Those who have things of their own."""


def _check_subject(identity: Identity, subject: Subject, places: Places) -> None:
    foreign: Iterable[object]
    if identity.role is Role.COMPUTER:
        foreign = (
            *(it for it in subject.computers if it != identity.name),
            *(it for it in subject.partitions if it.computer_id != identity.name),
            *(
                it
                for it in subject.instances
                if (key := places.partitions.get(it)) is None
                or key.computer_id != identity.name
            ),
        )
    else:
        own = {key for key, who in places.occupants.items() if who == identity.name}
        foreign = (
            *subject.computers,
            *(it for it in subject.partitions if it not in own),
            *(
                it
                for it in subject.instances
                if it != identity.name and places.partitions.get(it) not in own
            ),
        )
    for it in foreign:
        raise Forbidden(f"{_named(it)} is not of {identity}")


def _named(thing: object) -> str:
    if isinstance(thing, PartitionKey):
        return f"partition {thing.partition_id} of {thing.computer_id}"
    return str(thing)
