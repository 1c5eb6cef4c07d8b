"""Hypothesis strategies, named like the builders.

Values of SLAP are drawn as its documents can carry them: a free partition has no
addresses, a user parameter has no reserved name, a definition one interface.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from attrs import evolve, has
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from master_cluster.inventory import Host, Offer, Stock
from slap import reports
from slap.admissions import Admission
from slap.calls import Call
from slap.marshalling import NUMBER_LENGTH_MAX, OBJECT_CLASSES, Value, WireObject
from slap.method import RPC
from slap.model import (
    Certificate,
    Computer,
    ComputerDefinition,
    InstanceRequest,
    NetworkAddress,
    Partition,
    PartitionDefinition,
    PartitionInstance,
    PartitionKey,
    RequestedInstance,
    RequestedState,
    Route,
    SharedInstance,
    SoftwareInstallation,
    SupplyState,
)
from slap.products import ProductReport, ProductsReport, ReleaseQuestion
from slap.reserved import RESERVED_PARAMETERS, SHARED_KEYS
from slap.rpc_methods import RPC_TABLE
from slap.statuses import AccessStatus, Subject
from slap.usage import Arrow, Journal, JournalEntry, Movement


def texts(min_size: int = 0, max_size: int = 20) -> SearchStrategy[str]:
    """Draw what XML can carry: no control characters, no half characters."""
    characters = st.characters(
        exclude_categories=["Cs", "Cc"],
        include_characters="\t\n\r\x7f\x85",
        exclude_characters="\ufffe\uffff",
    )
    tricky = st.sampled_from(["&amp;", "&lt;b&gt;", "]]>", "<!-- -->", "None", "&#0;"])
    plain = st.text(characters, min_size=min_size, max_size=max_size)
    return st.one_of(plain, tricky)


def usage_numbers() -> SearchStrategy[str]:
    """Draw quantities and prices as TioXML writes them."""
    decimals = st.decimals(-(10**12), 10**12, places=3).map(str)
    return st.one_of(decimals, st.sampled_from(["0", "1e3", "+.5", "5.", "-1E-9"]))


def usage_movements() -> SearchStrategy[Movement]:
    """Draw movements of whichever resource."""
    return st.builds(
        Movement,
        resource=texts(),
        quantity=usage_numbers(),
        price=usage_numbers(),
        vat=texts(),
        title=texts(),
        reference=texts(),
        categories=st.lists(texts(), max_size=3).map(tuple),
    )


def usage_journals() -> SearchStrategy[Journal]:
    """Draw journals as large as a schema demands at least, and larger."""
    entries = st.builds(
        JournalEntry,
        kind=texts(),
        start_date=texts(),
        stop_date=texts(),
        reference=texts(),
        currency=texts(),
        payment_mode=texts(),
        arrows=st.lists(
            st.builds(Arrow, texts(), texts(), texts()), min_size=1, max_size=3
        ).map(tuple),
        movements=st.lists(usage_movements(), min_size=1, max_size=4).map(tuple),
        title=texts(),
        categories=st.lists(texts(), max_size=3).map(tuple),
    )
    return st.builds(Journal, st.lists(entries, min_size=1, max_size=3).map(tuple))


def identifiers() -> SearchStrategy[str]:
    """Draw what a header can carry as well."""
    return st.text("abcXYZ019-_.:/", min_size=1, max_size=12)


def parameters(
    reserved: frozenset[str] = frozenset(),
) -> SearchStrategy[dict[str, str]]:
    names = texts().filter(lambda name: name not in reserved)
    return st.dictionaries(names, texts(), max_size=4)


def values() -> SearchStrategy[Value]:
    """Draw any value that a marshalled document can carry."""
    limit = 10**NUMBER_LENGTH_MAX - 1
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-limit, limit),
        st.floats(allow_nan=False, allow_infinity=False),
        texts(),
        st.frozensets(texts(), max_size=3),
    )
    return st.recursive(leaves, _containers, max_leaves=12)


def _containers(inner: SearchStrategy[Value]) -> SearchStrategy[Value]:
    tuples = st.lists(inner, max_size=3).map(tuple)
    dictionaries = st.dictionaries(texts(), inner, max_size=3)
    classes = st.sampled_from(sorted(OBJECT_CLASSES))
    objects = st.builds(WireObject, classes, tuples, dictionaries)
    return st.one_of(st.lists(inner, max_size=3), tuples, dictionaries, objects)


def a_partition_key() -> SearchStrategy[PartitionKey]:
    return st.builds(PartitionKey, identifiers(), identifiers())


def some_addresses() -> SearchStrategy[tuple[NetworkAddress, ...]]:
    address = st.builds(NetworkAddress, texts(), texts())
    return st.lists(address, max_size=3).map(tuple)


def a_route() -> SearchStrategy[Route]:
    filled = texts().filter(bool)
    return st.builds(Route, texts(), filled, filled, filled, texts())


def some_routes() -> SearchStrategy[tuple[Route, ...]]:
    return st.lists(a_route(), max_size=2).map(tuple)


def some_texts() -> SearchStrategy[tuple[str, ...]]:
    return st.lists(texts(), max_size=3).map(tuple)


def a_release_question() -> SearchStrategy[ReleaseQuestion]:
    given = texts().filter(lambda it: it.lower() not in ("", "none"))
    return st.one_of(
        st.builds(ReleaseQuestion, given),
        st.builds(ReleaseQuestion, st.none(), given),
    )


def a_product_report() -> SearchStrategy[ProductsReport]:
    product = st.builds(ProductReport, texts(), some_texts())
    return st.builds(ProductsReport, st.lists(product, max_size=3).map(tuple))


def an_admission() -> SearchStrategy[Admission]:
    return st.builds(Admission, texts(), texts(), texts(), some_texts())


def an_access_status() -> SearchStrategy[AccessStatus]:
    instants = st.integers(0, 2**32)
    build = partial(
        st.builds,
        AccessStatus,
        subject=st.sampled_from(Subject),
        reference=texts(),
        reporter=texts(),
        text=texts(),
        reported_state=texts(),
        heard_at=instants,
        since=instants,
    )
    known: SearchStrategy[AccessStatus] = build(
        is_silent_5_minutes=st.booleans(), is_silent_15_minutes=st.booleans()
    )
    unknown: SearchStrategy[AccessStatus] = build(is_known=st.just(value=False))
    return known | unknown


def some_addresses_of_json() -> SearchStrategy[ComputerDefinition]:
    partition = st.builds(
        PartitionDefinition, texts(), some_addresses(), routes=some_routes()
    )
    return st.builds(
        ComputerDefinition,
        texts(),
        partitions=st.lists(partition, max_size=3).map(tuple),
    )


NAMED: Mapping[str, SearchStrategy[Any]] = {
    "computer_id": texts(),
    "instance_guid": texts(),
    "software_release_url": texts(),
    "title": texts(),
    "message": texts(),
    "usage_document": texts(),
    "partition": st.builds(PartitionKey, texts(), texts()),
    "connection_parameters": st.dictionaries(texts(), texts(), max_size=4),
    "definition": some_addresses_of_json(),
}
"""What each argument of a JSON-RPC method may be, by its name."""

RPC_ARGUMENTS: Mapping[str, Mapping[str, SearchStrategy[Any]]] = {
    it.name.removeprefix(RPC): {
        each.name: NAMED.get(each.name, st.nothing()) for each in it.arguments
    }
    for it in RPC_TABLE
}


def an_rpc_call() -> SearchStrategy[Call]:
    """Draw a call of JSON-RPC, of any method."""
    return st.one_of(*(an_rpc_call_of(name) for name in RPC_ARGUMENTS))


def an_rpc_call_of(name: str) -> SearchStrategy[Call]:
    arguments = {**RPC_ARGUMENTS[name], **_special(name)}
    return st.builds(Call, st.just(RPC + name), st.fixed_dictionaries(arguments))


def _special(name: str) -> dict[str, SearchStrategy[Any]]:
    """Draw the arguments that one method alone has."""
    match name:
        case "post.v0.software_installation":
            return {
                "installation": st.builds(
                    SoftwareInstallation, texts(), texts(), st.sampled_from(SupplyState)
                )
            }
        case "post.v0.software_instance":
            return {"instance_request": an_rpc_instance_request()}
        case "put.v0.software_installation_reported_state":
            states = ("available", "building", "destroyed")
            return {"reported_state": st.sampled_from(states)}
        case "put.v0.software_instance_reported_state":
            return {"reported_state": st.sampled_from(RequestedState)}
    return {}


def an_rpc_instance_request() -> SearchStrategy[InstanceRequest]:
    reserved = RESERVED_PARAMETERS | SHARED_KEYS
    return st.builds(
        InstanceRequest,
        title=texts(),
        software_release_url=texts(),
        software_type=texts(min_size=1),
        parameters=parameters(reserved),
        allocation_filter=parameters(),
        requested_state=st.none() | st.sampled_from(RequestedState),
        is_shared=st.booleans(),
    )


def an_installation() -> SearchStrategy[SoftwareInstallation]:
    return st.builds(
        SoftwareInstallation, texts(), identifiers(), st.sampled_from(SupplyState)
    )


def a_shared_instance() -> SearchStrategy[SharedInstance]:
    return st.builds(
        SharedInstance,
        texts(),
        texts(),
        texts(),
        parameters(SHARED_KEYS | {"timestamp"}),
        st.none() | st.integers(0, 2**53),
    )


def an_instance() -> SearchStrategy[PartitionInstance]:
    return st.builds(
        PartitionInstance,
        instance_guid=texts(),
        title=texts(),
        root_title=texts(),
        software_release_url=texts(),
        software_type=texts(),
        timestamp=texts(),
        parameters=parameters(RESERVED_PARAMETERS),
        connection_parameters=parameters(),
        allocation_filter=parameters(),
        shared_instances=st.lists(a_shared_instance(), max_size=2).map(tuple),
        access_status=st.none() | texts(),
    )


def a_free_partition() -> SearchStrategy[Partition]:
    return st.builds(Partition, a_partition_key(), st.just(RequestedState.DESTROYED))


def a_partition() -> SearchStrategy[Partition]:
    """Draw a partition, busy or free."""
    busy = st.builds(
        Partition,
        a_partition_key(),
        st.sampled_from(RequestedState),
        some_addresses(),
        an_instance(),
        some_routes(),
    )
    return st.one_of(busy, a_free_partition())


def a_computer() -> SearchStrategy[Computer]:
    return st.builds(
        Computer,
        identifiers(),
        st.lists(a_partition(), max_size=3).map(tuple),
        st.lists(an_installation(), max_size=2).map(tuple),
    )


def an_instance_request() -> SearchStrategy[InstanceRequest]:
    software_types = texts().filter(lambda it: it.lower() not in ("", "none"))
    return st.builds(
        InstanceRequest,
        title=texts(),
        software_release_url=texts(),
        software_type=software_types,
        parameters=parameters(),
        allocation_filter=parameters(),
        requested_state=st.none() | st.sampled_from(RequestedState),
        is_shared=st.booleans(),
        requester=st.none() | a_partition_key(),
    )


def a_requested_instance() -> SearchStrategy[RequestedInstance]:
    return st.builds(
        RequestedInstance,
        key=a_partition_key(),
        software_release_url=texts(),
        software_type=texts(),
        instance_guid=st.none() | texts(),
        requested_state=st.none() | st.sampled_from(RequestedState),
        timestamp=st.none() | texts(),
        parameters=parameters(frozenset({"timestamp"})),
        connection_parameters=parameters(),
        addresses=some_addresses(),
        routes=some_routes(),
    )


def a_partition_definition() -> SearchStrategy[PartitionDefinition]:
    def with_addresses(
        partition_id: str,
        tap_name: str,
        addresses: list[str],
        capabilities: list[str],
        routes: list[Route],
    ) -> PartitionDefinition:
        interface = tap_name or partition_id
        return PartitionDefinition(
            partition_id,
            tuple(NetworkAddress(interface, it) for it in addresses),
            tuple(capabilities),
            tuple(evolve(it, interface=f"route_{interface}") for it in routes),
        )

    some_texts = st.lists(texts(), max_size=3)
    return st.builds(
        with_addresses,
        identifiers(),
        texts(),
        some_texts,
        some_texts,
        st.lists(a_route(), max_size=1),
    )


def a_computer_definition() -> SearchStrategy[ComputerDefinition]:
    return st.builds(
        ComputerDefinition,
        identifiers(),
        st.none() | texts(),
        st.none() | texts(),
        st.lists(a_partition_definition(), max_size=3).map(tuple),
    )


def a_certificate() -> SearchStrategy[Certificate]:
    return st.builds(Certificate, texts(), texts())


def any_texts() -> SearchStrategy[str]:
    """Draw what JSON can carry: everything but half characters."""
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


PLAIN: Mapping[type, SearchStrategy[Any]] = {
    float: st.floats(allow_nan=False, allow_infinity=False),
    int: st.integers(-(2**63), 2**63),
    str: any_texts(),
}


def a_report() -> SearchStrategy[object]:
    """Draw a report of any kind of our extension."""
    kinds = (
        reports.CloudReport,
        reports.ComputerReport,
        reports.TreeReport,
        reports.AllocationReport,
    )
    return st.one_of(*(_of_type(kind) for kind in kinds))


def _of_type(kind: Any) -> SearchStrategy[Any]:
    """Draw a value of a type that a report may have in it."""
    if has(kind):
        fields = get_type_hints(kind)
        return st.builds(kind, **{name: _of_type(it) for name, it in fields.items()})
    if get_origin(kind) is tuple:
        return st.lists(_of_type(get_args(kind)[0]), max_size=2).map(tuple)
    if get_origin(kind) is Mapping:
        return st.dictionaries(any_texts(), any_texts(), max_size=3)
    if get_origin(kind) is UnionType:
        return st.one_of(*(_of_type(it) for it in get_args(kind)))
    return PLAIN[kind] if kind in PLAIN else st.from_type(kind)


def some_names() -> SearchStrategy[tuple[str, ...]]:
    """Draw names of partitions, each once."""
    numbers = st.lists(st.integers(0, 30), max_size=4, unique=True)
    return numbers.map(lambda it: tuple(f"slappart{number}" for number in sorted(it)))


COMPUTER_ATTRIBUTES: dict[str, dict[str, str]] = {
    "COMP-1": {"region": "eu", "network_guid": "net-1"},
    "COMP-2": {"region": "us", "network_guid": "net-1"},
    "COMP-10": {"region": "eu", "network_guid": "net-2", "cpu_core": "8"},
    "COMP-11": {"region": "eu", "network_guid": "net-2", "cpu_core": "8"},
    "COMP-12": {},
}
"""Two of these computers cannot be told apart by conditions."""


def some_capabilities() -> SearchStrategy[tuple[str, ...]]:
    return st.sampled_from([(), (), ("gpu",), ("arm", "gpu")])


def an_offer() -> SearchStrategy[Offer]:
    counts = st.integers(0, 3)

    def build(
        computer_id: str,
        names: tuple[str, ...],
        busy_count: int,
        unoffered_count: int,
        capabilities: tuple[str, ...],
    ) -> Offer:
        return Offer(
            computer_id,
            tuple("".join((*capabilities, it)) for it in names),
            busy_count,
            unoffered_count,
            COMPUTER_ATTRIBUTES[computer_id],
            capabilities,
        )

    return st.builds(
        build,
        st.sampled_from(sorted(COMPUTER_ATTRIBUTES)),
        some_names(),
        counts,
        counts,
        some_capabilities(),
    )


def a_host() -> SearchStrategy[Host]:
    urls = st.sampled_from(["https://a.example/", "https://b.example/"])
    kinds = st.sampled_from(["default", "other"])
    keys = st.builds(
        PartitionKey,
        st.sampled_from(["COMP-1", "COMP-2"]),
        st.sampled_from(["slappart0", "slappart1"]),
    )
    guids = st.integers(0, 9).map(lambda number: f"SOFTINST-{number}")

    def build(guid: str, key: PartitionKey, *arguments: Any) -> Host:
        return Host(guid, key, *arguments[:3], COMPUTER_ATTRIBUTES[key.computer_id])

    return st.builds(build, guids, keys, urls, kinds, st.sampled_from(RequestedState))


def an_inventory() -> SearchStrategy[Stock]:
    """Draw what there is to choose from; each offer, place and host once."""
    offers = st.lists(
        an_offer(), max_size=6, unique_by=lambda it: (it.computer_id, it.capabilities)
    )
    hosts = st.lists(
        a_host(), max_size=4, unique_by=(lambda it: it.instance_guid, lambda it: it.key)
    )
    return st.builds(
        Stock,
        offers.map(tuple),
        hosts.map(tuple),
        st.sampled_from([None, "COMP-1", "COMP-3"]),
        st.frozensets(st.sampled_from(["net-1", "net-2"])),
    )


def a_filter() -> SearchStrategy[dict[str, str]]:
    """Draw an allocation filter that may fit an inventory of ours."""
    optional = {
        "computer_guid": st.sampled_from(["COMP-1", "COMP-2", "COMP-3", "COMP-10"]),
        "instance_guid": st.sampled_from(["SOFTINST-1", "COMP-1-slappart0"]),
        "region": st.sampled_from(["eu", "us"]),
        "network_guid": st.sampled_from(["net-1", "net-2"]),
        "cpu_core": st.just("8"),
        "capability": st.sampled_from(["arm", "gpu", ""]),
        "mode": st.sampled_from(["unique_by_network", "odd"]),
        "retention_delay": st.just("7"),
        "odd": st.just("x"),
    }
    keys = st.lists(st.sampled_from(sorted(optional)), max_size=2, unique=True)
    return keys.flatmap(
        lambda it: st.fixed_dictionaries({key: optional[key] for key in it})
    )


def a_placement_request() -> SearchStrategy[InstanceRequest]:
    """Draw a request whose filter may fit an inventory of ours."""
    return st.builds(
        InstanceRequest,
        title=st.just("title"),
        software_release_url=st.sampled_from(
            ["https://a.example/", "https://b.example/"]
        ),
        software_type=st.sampled_from(["default", "other"]),
        allocation_filter=a_filter(),
        is_shared=st.booleans(),
    )
