"""Forwarding between masters of a simulated world, with all that can go wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred

from labsim.world.links import Cut
from labsim.world.world import World
from master_cluster.answering.answers import Answers
from master_cluster.answering.desk import Desk
from master_cluster.answering.forwarder import FORWARD_SECONDS_MAX, Forwarder
from master_cluster.config import Config
from master_cluster.forwarding import (
    ForwardedInstance,
    Masters,
    OtherMaster,
    Settled,
)
from master_cluster.measuring import Measures
from master_cluster.service import build_service
from master_cluster.store.callers import Caller
from master_cluster.store.forwarding_decisions import finish_forward
from master_cluster.store.storages import open_database
from master_cluster.store.store import Store
from runtime.http_client import HttpClient
from runtime.network import url_of
from runtime.ports import TcpAddress
from slap import calls
from slap.calls import Call, HttpAnswer, decode_answer, encode_call
from slap.errors import BadRequest, NotFound, OtherMasterAway, Overtaken
from slap.model import (
    InstanceRequest,
    PartitionKey,
    RequestedInstance,
    RequestedState,
)
from slap.reports import InstanceReport, TreeReport
from tests.builders import a_computer_definition, an_instance_request
from tests.unit.master_cluster.benches import as_caller

DESTROYED = RequestedState.DESTROYED
NEWEST = b"\xff" * 8


class ForwardBench:
    """The master ``far`` as a whole; of ``near`` what answers, which can be killed."""

    def __init__(self, seed: int = 0, partitions: int = 5, **master: Any) -> None:
        self.world = World(seed)
        self.near = self.world.host("near")
        self.far = self.world.host("far")
        self.database = open_database("memory:", self.near.runtime.calendar)
        self.far_address = TcpAddress(self.far.address, 5000)
        self.far_url = url_of(self.far_address)
        config = Config("memory:", self.far_address, is_loopback_only=False)
        self.service = build_service(config, self.far.runtime)
        self.world.result(self.service.startService())
        self.far_client = HttpClient(self.far.runtime)
        definition = a_computer_definition(partitions, computer_id="FAR")
        self.at_far(calls.define_computer(definition))
        self.masters = Masters((OtherMaster(self.far_url, self.far_url, **master),))
        self.start()
        for computer_id in ("ONE", "TWO"):
            definition = a_computer_definition(3, computer_id=computer_id)
            self.ask(calls.define_computer(definition))

    def start(self) -> None:
        """Start what answers at ``near``, on what its store has."""
        runtime = self.near.runtime
        self.measures = Measures()
        store = Store(self.database, runtime)
        self.world.result(store.prepare())
        desk = Desk(store, runtime, None)
        self.store = store
        self.forwarder = Forwarder(desk, runtime, self.masters, self.measures)
        self.world.result(self.forwarder.start())
        self.answers = Answers(desk, self.forwarder)

    def kill(self) -> None:
        """End ``near`` at once, and start it again."""
        self.near.kill()
        self.near.boot()
        self.start()

    def close(self) -> None:
        self.world.result(self.forwarder.stop())
        self.store.close()
        self.world.result(self.far_client.close())
        self.world.result(self.service.stopService())
        self.world.finish()

    def begin(self, call: Call) -> Deferred[object]:
        return Deferred.fromCoroutine(self.answers.answer(call))

    def ask(self, call: Call) -> Any:
        return self.world.result(self.begin(call), 100)

    def request(self, title: str = "db", **overrides: Any) -> Any:
        return self.ask(calls.request_instance(self.wanted(title, **overrides)))

    def wanted(self, title: str = "db", **overrides: Any) -> InstanceRequest:
        fields = {"allocation_filter": {"master_url": self.far_url}}
        return an_instance_request(title=title, **{**fields, **overrides})

    def root(self, title: str = "root", computer_id: str = "ONE") -> RequestedInstance:
        """Request a tree at ``near``."""
        return self.request(title, allocation_filter={"computer_guid": computer_id})

    def at_far(self, call: Call) -> Any:
        http = encode_call(call)
        reply = self.world.result(
            self.far_client.send(
                http.verb,
                self.far_url + http.path,
                http.headers,
                http.body,
                timeout_seconds=30,
            )
        )
        answer = HttpAnswer(reply.status, reply.headers, reply.body)
        return decode_answer(call, answer)

    def far_states(self) -> dict[str, str]:
        """The states of what ``far`` was asked for, by title."""
        cloud = self.at_far(calls.get_cloud_report())
        return {it.title: it.requested_state for it in cloud.trees}

    def known(self) -> tuple[ForwardedInstance, ...]:
        """What ``near`` remembers of persons."""
        return self.world.result(
            self.store.ask(lambda cloud: cloud.forwarding.of_tree(""))
        )

    def is_clean(self) -> bool:
        return self.world.result(
            self.store.ask(lambda cloud: cloud.forwarding.is_empty())
        )


@pytest.fixture
def bench() -> Iterator[ForwardBench]:
    bench = ForwardBench()
    yield bench
    bench.close()


def test_the_answer_is_the_one_of_the_other_master(bench: ForwardBench) -> None:
    first = bench.request(parameters={"size": "3"})
    bench.at_far(calls.publish_connection(first.key, {"url": "http://[fd00::9]/"}))
    second = bench.request(parameters={"size": "3"})
    third = bench.request(parameters={"size": "3"})

    assert first.key == PartitionKey("FAR", "slappart0")
    assert second.connection_parameters == {"url": "http://[fd00::9]/"}
    assert third == second
    assert bench.far_states() == {"user_db": "started"}
    [known] = bench.known()
    assert known.is_settled
    assert known.connection_parameters == second.connection_parameters


def test_a_release_of_the_list_is_forwarded_without_being_asked() -> None:
    release = "http://release/frontend.cfg"
    bench = ForwardBench(software_release_urls=(release,))

    answer = bench.request(software_release_url=release, allocation_filter={})

    assert answer.key.computer_id == "FAR"
    bench.close()


def test_a_master_that_is_not_listed_is_not_found(bench: ForwardBench) -> None:
    with pytest.raises(NotFound, match=r"10\.9\.9\.9"):
        bench.request(allocation_filter={"master_url": "http://10.9.9.9/"})

    assert bench.is_clean()


def test_what_exists_here_stays_here(bench: ForwardBench) -> None:
    here = bench.root("db")

    again = bench.request("db")

    assert again.key == here.key
    assert bench.is_clean()


@pytest.mark.parametrize("is_forwarded_first", [True, False])
@pytest.mark.parametrize("is_of_tree", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_two_wishes_for_a_new_title_at_once_are_answered_by_one_master(
    seed: int, is_of_tree: bool, is_forwarded_first: bool
) -> None:
    """One names the other master, and one does not."""
    bench = ForwardBench(seed)
    requester = bench.root().key if is_of_tree else None
    wishes = [
        bench.wanted("db", requester=requester),
        bench.wanted("db", requester=requester, allocation_filter={}),
    ]
    ordered = wishes if is_forwarded_first else wishes[::-1]
    asking = [bench.begin(calls.request_instance(it)) for it in ordered]

    answers = [bench.world.result(it, 100) for it in asking]

    keys = {cast("RequestedInstance", it).key for it in answers}
    assert len(keys) == 1
    computer_ids = {it.computer_id for it in keys}
    assert ("FAR" in computer_ids) == (not bench.is_clean())
    bench.close()


@pytest.mark.parametrize("is_of_tree", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_what_is_renamed_gets_no_title_that_is_forwarded(
    seed: int, is_of_tree: bool
) -> None:
    """Not while it is forwarded, and not at once with that."""
    bench = ForwardBench(seed)
    requester = bench.root().key if is_of_tree else None
    fields = {"requester": requester, "allocation_filter": {"computer_guid": "TWO"}}
    here = bench.request("here", **fields)
    renaming = bench.begin(calls.rename_instance(here.key, "db"))
    wanted = bench.wanted("db", requester=requester)

    answer = bench.ask(calls.request_instance(wanted))

    if answer.key == here.key:
        assert bench.world.result(renaming) is None
        assert bench.is_clean()
    else:
        with pytest.raises(BadRequest, match="taken"):
            bench.world.result(renaming)
        with pytest.raises(BadRequest, match="taken"):
            bench.ask(calls.rename_instance(here.key, "db"))
    bench.close()


def test_what_was_forwarded_stays_there(bench: ForwardBench) -> None:
    first = bench.request("db")

    again = bench.request("db", allocation_filter={"computer_guid": "ONE"})

    assert again.key == first.key


def test_requesters_of_one_title_have_an_instance_each(bench: ForwardBench) -> None:
    """A person, and two trees whose roots are in slappart0 of two computers."""
    one = bench.root("root", "ONE")
    two = bench.root("ro_ot", "TWO")
    assert one.key.partition_id == two.key.partition_id

    answers = [
        bench.request("db"),
        bench.request("db", requester=one.key),
        bench.request("db", requester=two.key),
    ]

    assert len({it.key for it in answers}) == 3
    assert sorted(bench.far_states()) == sorted(
        ["user_db", f"{one.instance_guid}_db", f"{two.instance_guid}_db"]
    )


def test_whoever_in_the_tree_asks_gets_the_same_instance(bench: ForwardBench) -> None:
    root = bench.root()
    child = bench.request(
        "child", requester=root.key, allocation_filter={"computer_guid": "ONE"}
    )

    answers = [bench.request("db", requester=it.key) for it in (root, child)]

    assert answers[0] == answers[1]


def test_the_configured_partition_asks_in_its_own_tree() -> None:
    bench = ForwardBench(requester=PartitionKey("FAR", "slappart0"))
    bench.at_far(calls.request_instance(an_instance_request(title="gateway")))

    answer = bench.request("db")

    tree = bench.at_far(calls.get_tree_report("gateway"))
    assert [it.title for it in tree.instances] == ["gateway", "user_db"]
    assert answer.key == tree.instances[1].partition
    bench.close()


def test_a_refusal_of_the_other_master_is_relayed_and_leaves_nothing() -> None:
    bench = ForwardBench(partitions=1)
    bench.request("first")

    with pytest.raises(NotFound, match=r"the master http.* answers: no partition"):
        bench.request("second")

    assert [it.title for it in bench.known()] == ["first"]
    bench.close()


def test_a_destruction_is_forwarded_and_then_forgotten(bench: ForwardBench) -> None:
    there = bench.request("db", parameters={"a": "b"})

    answer = bench.request("db", requested_state=DESTROYED)

    assert answer.requested_state is DESTROYED
    assert bench.far_states() == {"user_db": "destroyed"}
    assert bench.is_clean()
    bench.at_far(calls.report_destroyed(there.key))
    with pytest.raises(NotFound, match="nothing to destroy"):
        bench.request("db", requested_state=DESTROYED)
    assert bench.far_states() == {}


def test_a_stopped_root_stops_what_its_tree_forwarded(bench: ForwardBench) -> None:
    root = bench.root()
    bench.request("db", requester=root.key)
    stopped = {
        "allocation_filter": {"computer_guid": "ONE"},
        "requested_state": RequestedState.STOPPED,
    }
    bench.request("root", **stopped)

    answer = bench.request("db", requester=root.key)

    assert answer.requested_state is RequestedState.STOPPED


def let_tree_go(bench: ForwardBench, root: RequestedInstance) -> None:
    """Destroy a tree at ``near``, as its computer reports."""
    bench.request("root", requested_state=DESTROYED)
    assert bench.ask(calls.report_destroyed(root.key)) == "OK"


def test_a_tree_takes_along_what_it_forwarded(bench: ForwardBench) -> None:
    root = bench.root()
    for title in ("db", "front"):
        bench.request(title, requester=root.key)
    bench.request("mine")

    let_tree_go(bench, root)
    bench.world.run_for(5)

    guid = root.instance_guid
    assert bench.far_states() == {
        f"{guid}_db": "destroyed",
        f"{guid}_front": "destroyed",
        "user_mine": "started",
    }
    assert [it.title for it in bench.known()] == ["mine"]


@pytest.mark.parametrize("cut", list(Cut))
def test_a_removal_waits_for_a_master_that_is_away(
    bench: ForwardBench, cut: Cut
) -> None:
    """However long it is away, and whatever is restarted meanwhile."""
    root = bench.root()
    bench.request("db", requester=root.key)
    title = f"{root.instance_guid}_db"
    bench.world.sever("near", "far", cut)

    let_tree_go(bench, root)
    bench.world.run_for(300)
    bench.kill()
    bench.world.run_for(4000)
    assert bench.far_states() == {title: "started"}
    bench.world.heal("near", "far")
    bench.world.run_for(1000)

    assert bench.far_states() == {title: "destroyed"}
    assert bench.is_clean()


def test_a_master_that_is_away_is_asked_less_and_less(bench: ForwardBench) -> None:
    root = bench.root()
    bench.request("db", requester=root.key)
    bench.world.sever("near", "far", Cut.REFUSED)
    let_tree_go(bench, root)

    bench.world.run_for(24 * 3600)

    assert 100 < bench.measures.forwards.value("away") < 200
    bench.world.heal("near", "far")
    bench.world.run_for(1000)


def test_no_answer_is_523_within_a_bound(bench: ForwardBench) -> None:
    bench.world.sever("near", "far")
    begun = bench.world.clock.seconds()

    with pytest.raises(OtherMasterAway, match="is away"):
        bench.request("db")

    assert bench.world.clock.seconds() - begun < FORWARD_SECONDS_MAX + 1
    assert OtherMasterAway.status == 523
    assert [it.title for it in bench.known()] == ["db"]
    bench.world.heal("near", "far")
    assert bench.request("db").key.computer_id == "FAR"


def test_stopping_gives_up_what_is_asked(bench: ForwardBench) -> None:
    bench.world.sever("near", "far")
    asking = bench.begin(calls.request_instance(bench.wanted("db")))
    bench.world.run_for(1)

    bench.world.result(bench.forwarder.stop(), 1)

    with pytest.raises(OtherMasterAway, match="stopping"):
        bench.world.result(asking, 1)
    bench.world.heal("near", "far")


@pytest.mark.parametrize("step_count", range(12))
def test_a_kill_at_any_step_of_a_request_loses_and_doubles_nothing(
    step_count: int,
) -> None:
    bench = ForwardBench(seed=step_count)
    root = bench.root()
    run_steps(bench, bench.wanted("db", requester=root.key), step_count)
    bench.kill()

    answer = bench.request("db", requester=root.key)

    assert answer.key.computer_id == "FAR"
    assert bench.far_states() == {f"{root.instance_guid}_db": "started"}
    bench.close()


@pytest.mark.parametrize("step_count", range(12))
def test_a_kill_at_any_step_of_a_removal_leaves_nothing_behind(
    step_count: int,
) -> None:
    bench = ForwardBench(seed=step_count)
    there = bench.request("db")
    run_steps(bench, bench.wanted(requested_state=DESTROYED), step_count)
    bench.kill()

    bench.world.run_for(60)
    if not bench.is_clean():  # it was not acknowledged, so it is asked again
        bench.request("db", requested_state=DESTROYED)

    assert bench.far_states() == {"user_db": "destroyed"}
    assert bench.is_clean()
    assert bench.at_far(calls.report_destroyed(there.key)) == "OK"
    bench.close()


@pytest.mark.parametrize("step_count", range(12))
def test_a_kill_between_a_request_and_the_end_of_its_tree_leaves_nothing(
    step_count: int,
) -> None:
    """The request may have reached the other master although nobody was answered."""
    bench = ForwardBench(seed=step_count)
    root = bench.root()
    run_steps(bench, bench.wanted("db", requester=root.key), step_count)
    bench.kill()

    let_tree_go(bench, root)
    bench.world.run_for(120)

    assert set(bench.far_states().values()) <= {"destroyed"}
    assert bench.is_clean()
    bench.close()


def run_steps(bench: ForwardBench, wanted: InstanceRequest, count: int) -> None:
    """Ask, and let so many things happen, or all until the answer."""
    running = bench.begin(calls.request_instance(wanted))
    left = iter(range(count))
    bench.world.run_until(lambda: running.called or next(left, None) is None)


@pytest.mark.parametrize("seed", range(20))
def test_wishes_at_once_end_as_the_last_one_says(seed: int) -> None:
    """Start, change and destroy cross each other; here and there agree in the end."""
    bench = ForwardBench(seed=seed)
    bench.request("db")
    wishes = [
        bench.wanted("db", parameters={"n": "1"}),
        bench.wanted("db", requested_state=DESTROYED),
        bench.wanted("db", parameters={"n": "2"}),
    ]
    running = [bench.begin(calls.request_instance(it)) for it in wishes]
    for it in running:
        it.addErrback(lambda _: None)
    bench.world.run_until(lambda: all(it.called for it in running))
    bench.world.run_for(100)

    known = bench.known()

    states = bench.far_states()
    if known:
        assert states == {"user_db": known[0].requested_state.value}
        tree = bench.at_far(calls.get_tree_report("user_db"))
        assert tree.instances[0].parameters == known[0].parameters
    else:
        assert states == {"user_db": "destroyed"}
    bench.close()


@pytest.mark.parametrize(
    "parameters", [{"n": "2"}, {}], ids=["something else", "as it was"]
)
def test_a_late_call_undoes_nothing_that_was_answered_since(
    bench: ForwardBench, parameters: dict[str, str]
) -> None:
    """Who sent it is dead; the kernel sends it again when the cut is over."""
    bench.request("db")
    bench.world.sever("near", "far")
    stop = bench.wanted("db", requested_state=RequestedState.STOPPED)
    bench.begin(calls.request_instance(stop))
    bench.world.run_for(1)
    bench.kill()
    bench.world.heal("near", "far")

    started = {"requested_state": RequestedState.STARTED, "parameters": parameters}
    answer = bench.request("db", **started)
    bench.world.run_for(300)

    assert answer.requested_state is RequestedState.STARTED
    assert bench.far_states() == {"user_db": "started"}
    tree = bench.at_far(calls.get_tree_report("user_db"))
    assert tree.instances[0].parameters == parameters


def test_what_changed_there_is_seen_and_asked_again_within_the_same_call(
    bench: ForwardBench,
) -> None:
    there = bench.request("db")
    bench.at_far(calls.publish_connection(there.key, {"url": "http://[fd00::9]/"}))
    before = bench.measures.forwards.value("overtaken")

    answer = bench.request("db", parameters={"a": "b"})

    assert answer.parameters == {"a": "b"}
    assert bench.measures.forwards.value("overtaken") == before + 1
    [known] = bench.known()
    assert known.is_settled


def test_a_wish_that_was_overtaken_here_is_not_asked_again_there(
    bench: ForwardBench,
) -> None:
    """The refusal of a late call leads to what is wanted by then."""
    bench.request("db")
    [first] = bench.known()
    bench.request("db", parameters={"n": "2"})

    settled = bench.world.result(
        bench.store.decide(
            lambda cloud, _: finish_forward(cloud, first, Overtaken(""), NEWEST)
        )
    )

    assert settled.is_overtaken
    assert settled.record is not None
    assert settled.record.parameters == {"n": "2"}
    assert settled.record.seen == NEWEST


def test_nothing_is_asked_again_of_what_was_forgotten_meanwhile(
    bench: ForwardBench,
) -> None:
    bench.request("db")
    [first] = bench.known()
    bench.request("db", requested_state=DESTROYED)

    settled = bench.world.result(
        bench.store.decide(
            lambda cloud, _: finish_forward(cloud, first, Overtaken(""), NEWEST)
        )
    )

    assert settled == Settled(None)
    assert bench.is_clean()


def test_what_a_call_wrote_itself_does_not_overtake_it(bench: ForwardBench) -> None:
    """The intention is written in between, and whoever asked has not seen that."""
    before = Caller()
    as_caller(before, lambda: bench.request("db"))
    caller = Caller(seen=before.known)

    answer = as_caller(caller, lambda: bench.request("db", parameters={"a": "b"}))

    assert answer.parameters == {"a": "b"}
    assert bench.measures.forwards.value("answered") == 2
    [known] = bench.known()
    assert known.is_settled
    assert caller.known > before.known


def test_a_circle_of_masters_is_refused(bench: ForwardBench) -> None:
    """``near`` forwards to itself by another name, without knowing it."""
    master_id = bench.world.result(
        bench.store.decide(lambda cloud, _: cloud.forwarding.name("abc"))
    )

    with pytest.raises(BadRequest, match=f"{master_id} -> far -> {master_id}"):
        bench.request("db", forwarded_by=(master_id, "far"))

    assert bench.is_clean()


def test_a_circle_through_a_master_without_hops_is_refused(
    bench: ForwardBench,
) -> None:
    bench.world.sever("near", "far")
    asking = bench.begin(calls.request_instance(bench.wanted("db")))
    bench.world.run_for(1)

    with pytest.raises(BadRequest, match="circle"):
        bench.request("user_db")

    bench.world.heal("near", "far")
    bench.world.result(asking)


def test_the_other_master_learns_the_way_of_a_request() -> None:
    wanted = evolve(an_instance_request(), forwarded_by=("a1", "b2"))

    http = encode_call(calls.request_instance(wanted))
    decoded = calls.decode_call(http.verb, http.path, "", http.headers, http.body)

    assert http.headers["X-Slapcluster-Forwarded-By"] == "a1, b2"
    assert decoded.arguments["instance_request"] == wanted


@pytest.mark.parametrize("header", ["a b", "é", ",", "a,,b", "a" * 65])
def test_a_way_that_names_no_masters_is_refused(header: str) -> None:
    http = encode_call(calls.request_instance(an_instance_request()))
    headers = {**http.headers, "X-Slapcluster-Forwarded-By": header}

    with pytest.raises(BadRequest):
        calls.decode_call(http.verb, http.path, "", headers, http.body)


def test_reports_list_what_was_forwarded(bench: ForwardBench) -> None:
    root = bench.root()
    there = bench.request("db", requester=root.key)
    mine = bench.request("mine")

    tree = bench.ask(calls.get_tree_report("root"))
    alone = bench.ask(calls.get_tree_report("mine"))
    cloud = bench.ask(calls.get_cloud_report())
    why = bench.ask(calls.explain_allocation("mine"))

    assert isinstance(tree, TreeReport)
    assert [(it.title, it.master_url, it.partition) for it in tree.instances] == [
        ("root", "", root.key),
        ("db", bench.far_url, there.key),
    ]
    assert isinstance(alone.instances[0], InstanceReport)
    assert alone.instances[0].partition == mine.key
    assert [(it.title, it.instance_count) for it in cloud.trees] == [
        ("mine", 1),
        ("root", 2),
    ]
    assert why.verdict == (
        f"forwarded to {bench.far_url} as 'user_mine': slappart1 of FAR there,"
        " started is wanted"
    )
