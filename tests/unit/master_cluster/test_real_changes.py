"""Timestamps change by a real change, and by nothing else, whatever happens.

A drawn history of calls runs. After each call, the instances whose timestamp changed
are compared with those that have a cause: their own content or addresses, the content
of a shared instance that they host, what an instance that they requested publishes, the
end of a shared instance that they requested, or a bang.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from master_cluster.records import InstanceRecord, ReportedState
from master_cluster.store import decisions
from master_cluster.store.cloud import Cloud
from slap.errors import BadRequest, NotFound
from slap.model import (
    ComputerDefinition,
    NetworkAddress,
    PartitionDefinition,
    PartitionKey,
    RequestedState,
)
from slap.xml_codec import encode_computer
from tests.builders import COMPUTER_ID, a_partition_key
from tests.unit.master_cluster.benches import StoreBench

PARTITION_COUNT = 5
PARTITION = st.integers(0, 3)
VALUE = st.sampled_from(["", "x", "y"])
REQUEST = st.tuples(
    st.just("request"),
    st.sampled_from("abcd"),
    st.sampled_from([None, 0, 0, 0, 1, 3]),
    st.booleans(),
    st.none() | st.sampled_from(RequestedState),
    VALUE,
    st.sampled_from(["default", "default", "other"]),
)
OPERATION = st.one_of(
    REQUEST,
    REQUEST,
    REQUEST,
    st.tuples(
        st.just("publish"), PARTITION, st.sampled_from([None, None, 0, 1]), VALUE
    ),
    st.tuples(st.just("destroyed"), PARTITION),
    st.tuples(
        st.just("rename"),
        PARTITION,
        st.sampled_from([None, None, 0, 1]),
        st.sampled_from("abcd"),
    ),
    st.tuples(st.just("report"), PARTITION, st.sampled_from(["started", "error"])),
    st.tuples(st.just("format"), VALUE),
    st.tuples(st.just("say"), VALUE),
    st.tuples(st.just("bang"), PARTITION),
    st.tuples(st.just("bang computer")),
)


@frozen
class Moment:
    """Everything that a cause may be found in."""

    instances: Mapping[str, InstanceRecord]
    addresses: Mapping[PartitionKey, object]

    def content(self, guid: str) -> tuple[object, ...] | None:
        """What an instance is made of; ``None`` when it is not there."""
        it = self.instances.get(guid)
        if it is None:
            return None
        made_of = (it.software_release_url, it.software_type, it.parameters)
        return (it.requested_state, *made_of)

    def guests(self, guid: str) -> dict[str, tuple[object, ...] | None]:
        hosted = (it for it in self.instances.values() if it.host_guid == guid)
        return {it.instance_guid: self.content(it.instance_guid) for it in hosted}


def observe(cloud: Cloud) -> Moment:
    partitions = {
        PartitionKey(COMPUTER_ID, it.partition_id): it.addresses
        for it in cloud.partitions(COMPUTER_ID)
    }
    return Moment({it.instance_guid: it for it in cloud.instances()}, partitions)


def has_cause(guid: str, before: Moment, after: Moment) -> bool:
    place = after.instances[guid].partition
    if before.content(guid) != after.content(guid):
        return True
    if before.addresses[place] != after.addresses[place]:
        return True
    if before.guests(guid) != after.guests(guid):
        return True
    return any(
        it.instance_guid in before.instances
        and before.instances[it.instance_guid].connection_parameters
        != it.connection_parameters
        for it in after.instances.values()
        if it.requester_guid == guid
    )


def lost_shared(guid: str, before: Moment, after: Moment) -> bool:
    """Whether a shared instance that this one requested is gone."""
    return any(
        it.is_shared and it.requester_guid == guid and name not in after.instances
        for name, it in before.instances.items()
    )


def banged(operation: tuple[Any, ...], before: Moment) -> set[str]:
    """The instances that are processed again because somebody complained."""
    own = {guid: it for guid, it in before.instances.items() if not it.is_shared}
    if operation[0] == "bang computer":
        return set(own)
    if operation[0] != "bang":
        return set()
    key = a_partition_key(operation[1])
    roots = {it.root_guid for it in own.values() if it.partition == key}
    return {guid for guid, it in own.items() if it.root_guid in roots}


def a_population() -> StoreBench:
    """Two trees: a root with two children, and one that shares it with others."""
    bench = StoreBench()
    define(bench, "")
    own = [("a", None), ("b", 0), ("c", 0), ("d", None)]
    shared = [("e", 1), ("f", 3), ("g", None)]
    for title, requester in (*own, *shared):
        is_shared = (title, requester) in shared
        perform(bench, "request", title, requester, is_shared, None, "", "default")
    return bench


def define(bench: StoreBench, mark: str) -> None:
    definition = ComputerDefinition(
        COMPUTER_ID,
        partitions=tuple(
            PartitionDefinition(
                f"slappart{number}",
                (NetworkAddress(f"slappart{number}", f"fd00::{number}{mark and 'a'}"),),
                (mark,) if number == PARTITION_COUNT else (),
            )
            for number in range(PARTITION_COUNT)
        ),
    )
    bench.decide(lambda it, _: decisions.define_computer(it, definition, bench.now()))


def perform(bench: StoreBench, name: str, *arguments: Any) -> None:
    match name:
        case "request":
            title, requester, is_shared, wished, value, kind = arguments
            bench.request(
                title,
                requester=None if requester is None else a_partition_key(requester),
                is_shared=is_shared,
                requested_state=wished,
                parameters={"v": value},
                software_type=kind,
            )
        case "publish":
            number, guest, value = arguments
            key = a_partition_key(number)
            bench.publish(key, {"v": value}, reference_of(bench, key, guest))
        case "destroyed":
            bench.report_destroyed(a_partition_key(*arguments))
        case "rename":
            number, guest, title = arguments
            key = a_partition_key(number)
            reference = reference_of(bench, key, guest)
            bench.decide(
                lambda it, _: decisions.rename_instance(it, key, title, reference)
            )
        case "report":
            number, reported = arguments
            bench.report(a_partition_key(number), ReportedState(reported))
        case "format":
            define(bench, *arguments)
        case _:
            disturb(bench, name, *arguments)


def disturb(bench: StoreBench, name: str, *arguments: Any) -> None:
    def decide(decision: Any, *more: Any) -> None:
        bench.decide(lambda it, _: decision(it, *more))

    match name:
        case "say":
            decide(decisions.set_attributes, COMPUTER_ID, {"region": arguments[0]})
        case "bang":
            key = a_partition_key(*arguments)
            decide(decisions.bang_tree, key, "why", bench.now())
        case "bang computer":
            decide(decisions.bang_computer, COMPUTER_ID, "why", bench.now())


def reference_of(bench: StoreBench, key: PartitionKey, guest: int | None) -> str | None:
    """Return the reference of one of the shared instances in a host."""
    if guest is None:
        return None

    def find(cloud: Cloud) -> str:
        guests = cloud.guests(cloud.occupant(key).instance_guid)
        if guest >= len(guests):
            raise NotFound("no such guest")
        return sorted(it.instance_guid for it in guests)[guest]

    return bench.ask(find)


def check_timestamps(operation: tuple[Any, ...], before: Moment, after: Moment) -> None:
    processed_again = banged(operation, before)
    for guid, instance in after.instances.items():
        if instance.is_shared or guid not in before.instances:
            continue
        old = before.instances[guid].timestamp
        is_caused = (
            guid in processed_again
            or has_cause(guid, before, after)
            or (operation[0] == "destroyed" and lost_shared(guid, before, after))
        )
        assert (instance.timestamp != old) == is_caused, (operation, instance)
        assert int(instance.timestamp) >= int(old)


@settings(deadline=None, max_examples=75)
@given(st.lists(OPERATION, min_size=1, max_size=15))
def test_only_what_has_a_cause_is_processed_again(
    operations: list[tuple[Any, ...]],
) -> None:
    bench = a_population()
    for operation in operations:
        before = bench.ask(observe)
        with suppress(NotFound, BadRequest):
            perform(bench, *operation)
        check_timestamps(operation, before, bench.ask(observe))
    bench.close()


@settings(deadline=None, max_examples=50)
@given(st.lists(OPERATION, min_size=1, max_size=15))
def test_a_call_repeated_changes_nothing_at_all(
    operations: list[tuple[Any, ...]],
) -> None:
    """Bangs are meant to, and a root goes at the report after that of its children."""
    bench = a_population()
    for operation in operations:
        with suppress(NotFound, BadRequest):
            perform(bench, *operation)
        once = bench.ask(observe)
        document = encode_computer(bench.computer())
        bench.world.run_for(1)
        if operation[0] in ("bang", "bang computer", "destroyed"):
            continue
        with suppress(NotFound, BadRequest):
            perform(bench, *operation)
        assert silenced(bench.ask(observe)) == silenced(once)
        assert encode_computer(bench.computer()) == document
    bench.close()


def silenced(moment: Moment) -> Moment:
    """The same without reports: a report after a change is news whatever it says."""
    quiet = {
        guid: evolve(it, report=evolve(it.report, reported_at=None))
        for guid, it in moment.instances.items()
    }
    return evolve(moment, instances=quiet)
