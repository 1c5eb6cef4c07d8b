"""Anything that a call may change of two small computers, drawn."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypothesis import strategies as st

from master_cluster.records import ReportedState
from master_cluster.store import decisions
from master_cluster.store.cloud import Cloud
from slap.errors import SlapError
from slap.model import InstanceRequest, PartitionKey, RequestedState, SupplyState
from tests.builders import (
    COMPUTER_ID,
    SOFTWARE_RELEASE_URL,
    a_computer_definition,
    a_partition_key,
    an_installation,
    an_instance_request,
)
from tests.unit.master_cluster.benches import StoreBench

COMPUTERS = (COMPUTER_ID, "COMP-2")

Change = Callable[[StoreBench], object]

TITLES = st.sampled_from("abc")
KEYS = st.builds(
    PartitionKey,
    st.sampled_from(COMPUTERS),
    st.sampled_from(("slappart0", "slappart1")),
)


def apply_change(bench: StoreBench, change: Change) -> None:
    """Apply a change; a refused one changes nothing."""
    with suppress(SlapError):
        change(bench)


def build_small_cloud() -> StoreBench:
    """Two computers of two partitions, a tree over them."""
    bench = StoreBench()
    for computer_id in COMPUTERS:
        bench.format(2, computer_id)
    bench.request("a")
    bench.request("b", requester=a_partition_key(0))
    return bench


def _deciding(decide: Callable[..., Any], *arguments: Any) -> Change:
    return lambda bench: bench.decide(
        lambda cloud, _: decide(cloud, *arguments, bench.now())
    )


def _define(computer_id: str, count: int) -> Change:
    definition = a_computer_definition(count, computer_id=computer_id)
    return _deciding(decisions.define_computer, definition)


def _send(wanted: InstanceRequest) -> Change:
    return lambda bench: bench.send(wanted)


def _publish(key: PartitionKey, text: str) -> Change:
    return _deciding(decisions.publish_connection, key, {"v": text}, None)


def _report(key: PartitionKey, reported: ReportedState, text: str) -> Change:
    return lambda bench: bench.decide(
        lambda cloud, _: decisions.report_instance(
            cloud, key, reported, message=text, now=bench.now()
        )
    )


def _rename(key: PartitionKey, title: str) -> Change:
    def decide(cloud: Cloud, _: float) -> None:
        decisions.rename_instance(cloud, key, title, None)

    return _deciding(decide)


def _supply(computer_id: str, wanted: SupplyState) -> Change:
    installation = an_installation(computer_id=computer_id, requested_state=wanted)

    def decide(cloud: Cloud, _: float) -> None:
        decisions.supply(cloud, installation)

    return _deciding(decide)


def _report_removed(computer_id: str) -> Change:
    def decide(cloud: Cloud, _: float) -> None:
        decisions.report_release_removed(cloud, SOFTWARE_RELEASE_URL, computer_id)

    return _deciding(decide)


REQUESTS = st.builds(
    lambda title, requester, wanted, is_shared, text: an_instance_request(
        title=title,
        requester=requester,
        requested_state=wanted,
        is_shared=is_shared,
        parameters={"p": text},
    ),
    TITLES,
    st.none() | KEYS,
    st.none() | st.sampled_from(RequestedState),
    st.booleans(),
    TITLES,
)

COMPUTER_IDS = st.sampled_from(COMPUTERS)

CHANGES: st.SearchStrategy[Change] = st.one_of(
    st.builds(_define, COMPUTER_IDS, st.integers(0, 3)),
    st.builds(_send, REQUESTS),
    st.builds(_publish, KEYS, TITLES),
    st.builds(
        _report,
        KEYS,
        st.sampled_from([ReportedState.STARTED, ReportedState.ERROR]),
        TITLES,
    ),
    st.builds(_rename, KEYS, TITLES),
    st.builds(_supply, COMPUTER_IDS, st.sampled_from(SupplyState)),
    st.builds(_report_removed, COMPUTER_IDS),
    st.builds(lambda key: _deciding(decisions.report_destroyed, key), KEYS),
    st.builds(lambda key: _deciding(decisions.bang_tree, key, "bang"), KEYS),
    st.builds(lambda it: _deciding(decisions.bang_computer, it, "bang"), COMPUTER_IDS),
)
