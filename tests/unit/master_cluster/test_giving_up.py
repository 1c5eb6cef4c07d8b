"""A computer that never comes back is given up: what it ran begins anew elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from master_cluster.records import ReportedState
from master_cluster.store import decisions
from master_cluster.store.giving_up import give_up_computer
from slap import calls
from slap.errors import NotFound
from slap.model import PartitionKey, RequestedState
from slap.reports import InstanceReport
from tests.builders import a_computer_definition, an_instance_request
from tests.unit.master_cluster.benches import StoreBench, WebBench

DEAD, ALIVE = "COMP-1", "COMP-2"


@pytest.fixture
def bench() -> Iterator[StoreBench]:
    bench = a_bench()
    yield bench
    bench.close()


def a_bench(count: int = 4) -> StoreBench:
    """Two computers of one region; the first one has everything."""
    bench = StoreBench()
    bench.format(count, DEAD)
    bench.format(count, ALIVE)
    for computer_id in (DEAD, ALIVE):
        say(bench, computer_id, "paris")
    return bench


def say(bench: StoreBench, computer_id: str, region: str) -> None:
    said = {"region": region}
    bench.decide(lambda it, _: decisions.set_attributes(it, computer_id, said))


def give_up(bench: StoreBench, computer_id: str = DEAD) -> tuple[InstanceReport, ...]:
    def decide(cloud, _):
        return give_up_computer(cloud, computer_id, None, bench.now())

    return bench.decide(decide).instances


def request_on_the_dead(bench: StoreBench, title: str, **overrides):
    """Request it while the other computer is of another region."""
    say(bench, ALIVE, "lyon")
    asked = bench.request(title, allocation_filter={"region": "paris"}, **overrides)
    say(bench, ALIVE, "paris")
    return asked


def place_of(instance: InstanceReport) -> str:
    assert instance.partition is not None
    return instance.partition.computer_id


def test_a_root_and_its_child_go_on_elsewhere_as_who_they_were(bench):
    """By the same names, with what they published, and nothing reported yet."""
    root = request_on_the_dead(bench, "cloud")
    child = request_on_the_dead(bench, "paris", requester=root.key)
    bench.publish(child.key, {"address": "fd00::1"})
    bench.report(child.key, ReportedState.STARTED)
    before = bench.timestamp(child.key)

    placed = {it.title: it for it in give_up(bench)}

    assert {title: place_of(it) for title, it in placed.items()} == {
        "cloud": ALIVE,
        "paris": ALIVE,
    }
    moved = placed["paris"]
    assert moved.instance_guid == child.instance_guid
    assert moved.requester_title == "cloud"
    assert moved.connection_parameters == {"address": "fd00::1"}
    assert moved.reported_state == ""
    assert int(bench.timestamp(moved.partition)) > int(before)
    assert [it.instance for it in bench.computer(ALIVE).partitions if it.instance]
    assert bench.computer(DEAD).partitions == ()
    again = bench.request("paris", requester=placed["cloud"].partition)
    assert again.instance_guid == child.instance_guid
    assert give_up(bench) == ()


def test_shared_instances_follow_their_host(bench):
    host = request_on_the_dead(bench, "host")
    shared = bench.request("guest", is_shared=True)
    assert shared.key == host.key

    (moved,) = give_up(bench)

    (guest,) = bench.ask(lambda it: it.guests(host.instance_guid))
    assert guest.partition == moved.partition


def test_what_finds_no_place_stays_and_is_looked_at_again(bench):
    request_on_the_dead(bench, "far")
    say(bench, ALIVE, "lyon")

    (stays,) = give_up(bench)
    assert place_of(stays) == DEAD

    say(bench, ALIVE, "paris")
    (moved,) = give_up(bench)
    assert place_of(moved) == ALIVE


def test_what_was_to_be_destroyed_is_gone(bench):
    asked = request_on_the_dead(bench, "old")
    bench.request(
        "old",
        allocation_filter={"region": "paris"},
        requested_state=RequestedState.DESTROYED,
    )

    assert give_up(bench) == ()
    assert bench.ask(lambda it: it.find_instance(asked.instance_guid)) is None


def test_a_computer_that_joins_anew_offers_its_partitions_again(bench):
    """Nothing of before is in them for the master."""
    request_on_the_dead(bench, "cloud")
    give_up(bench)

    bench.format(4, DEAD)

    assert [it.instance for it in bench.computer(DEAD).partitions] == [None] * 4


def test_the_certificates_of_the_computer_and_of_what_it_ran_are_revoked():
    """Whoever has them is where nobody is meant to be any more."""
    web = WebBench(default_computer_id=ALIVE)
    for computer_id in (DEAD, ALIVE):
        web.perform(
            calls.define_computer(a_computer_definition(2, computer_id=computer_id))
        )
    web.perform(calls.set_computer_attributes(DEAD, {"region": "paris"}))
    key = PartitionKey(DEAD, "slappart0")
    web.perform(
        calls.request_instance(
            an_instance_request(title="cloud", allocation_filter={"region": "paris"})
        )
    )
    web.perform(calls.issue_computer_certificate(DEAD))
    web.perform(calls.get_certificate(key))
    web.perform(calls.set_computer_attributes(ALIVE, {"region": "paris"}))

    report = web.perform(calls.give_up_computer(DEAD))

    assert [place_of(it) for it in report.instances] == [ALIVE]
    (moved,) = report.instances
    new = web.perform(calls.get_certificate(moved.partition))
    assert new.certificate
    web.close()


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from(("root", "child", "guest", "elsewhere")), max_size=5),
    st.integers(0, 4),
)
def test_the_records_agree_whatever_was_on_the_computer(kinds, room) -> None:
    """However much room there is on the other one."""
    bench = StoreBench()
    bench.format(5, DEAD)
    bench.format(room, ALIVE)
    say(bench, DEAD, "paris")
    root = bench.request("first", allocation_filter={"computer_guid": DEAD})
    for number, kind in enumerate(kinds):
        title = f"{kind}{number}"
        asked: dict[str, object] = {"is_shared": True}
        if kind == "child":
            asked = {
                "requester": root.key,
                "allocation_filter": {"region": "paris"},
            }
        elif kind != "guest":
            where = ALIVE if kind == "elsewhere" else DEAD
            asked = {"allocation_filter": {"computer_guid": where}}
        with suppress(NotFound):
            bench.request(title, **asked)
    say(bench, ALIVE, "paris")
    give_up(bench)
    # It looks at everything.
    bench.close()
