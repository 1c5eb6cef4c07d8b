"""Pairs of decisions of which neither writes what the other does, but reads it.

ZODB lets both commit unless they say on what they rely; then the store would hold
children without a root, or instances in partitions that are gone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred, execute

from labsim.checkers.table import CHECKERS
from labsim.checkers.violation import Bounds
from labsim.documents import Seen
from labsim.history import Committed
from labsim.stores import SharedMemory
from labsim.world.world import World
from master_cluster.records import ReportedState
from master_cluster.requesting import Refused
from master_cluster.store import decisions
from master_cluster.store.cloud import Cloud
from master_cluster.store.store import Store
from slap.errors import BadRequest, SlapError
from slap.model import (
    RequestedInstance,
    RequestedState,
    SoftwareInstallation,
    SupplyState,
)
from tests.builders import (
    COMPUTER_ID,
    a_computer_definition,
    a_partition_key,
    an_instance_request,
)
from tests.unit.master_cluster.invariants import check_cloud

T = TypeVar("T")

Decision = Callable[[Cloud, int], Any]

NOW = 2.0

CROWD = 100
"""Enough for the indices to have several buckets."""


class HeldThreads:
    """Store threads that can hold a call between its begin and its commit."""

    def __init__(self) -> None:
        self.is_holding = False
        self._held: list[Callable[[], None]] = []

    def call(self, begin: Callable[[], Callable[[], T]]) -> Deferred[T]:
        begun: Deferred[Callable[[], T]] = execute(begin)
        answer: Deferred[T] = Deferred()

        def hold(commit: Callable[[], T]) -> None:
            self._held.append(lambda: execute(commit).chainDeferred(answer))
            if not self.is_holding:
                self._held.pop()()

        begun.addCallbacks(hold, answer.errback)
        return answer

    def release(self) -> None:
        """Commit what is held, in the order in which it began."""
        self.is_holding = False
        held, self._held = self._held, []
        for commit in held:
            commit()


class Pair:
    """A store in which one decision runs while another is held before its commit."""

    def __init__(self) -> None:
        self._world = World(0)
        self._threads = HeldThreads()
        runtime = evolve(self._world.host("m").runtime, threads=self._threads)
        self._told: list[Seen] = []
        memory = SharedMemory(self._told.append, self._world.clock.seconds)
        database = memory.opening("m")(memory.uri, runtime.calendar)
        self._store = Store(database, runtime)
        self._world.result(self._store.prepare())
        self.attempts: list[int] = []

    def run(self, decision: Decision) -> Any:
        return self._world.result(self._store.decide(decision))

    def run_around(self, held: Decision, other: Decision) -> Any:
        """Begin ``held``, run ``other`` wholly, then commit ``held``, or repeat it."""

        def counted(cloud: Cloud, attempt: int) -> Any:
            self.attempts.append(attempt)
            return held(cloud, attempt)

        self._threads.is_holding = True
        waiting = Deferred.fromCoroutine(self._store.decide(counted))
        self._threads.is_holding = False
        self.run(other)
        self._threads.release()
        outcomes: list[Any] = []
        waiting.addBoth(outcomes.append)
        self._world.run_until(lambda: outcomes)
        self.run(lambda cloud, _: check_cloud(cloud))
        history = tuple(it for it in self._told if isinstance(it, Committed))
        assert CHECKERS["transactions"](history, Bounds()) == ()
        return outcomes[0]


def request(title: str, guid: str, **overrides: Any) -> Decision:
    wanted = an_instance_request(title=title, **overrides)

    def decide(cloud: Cloud, attempt: int) -> RequestedInstance | Refused:
        return decisions.request_instance(
            cloud,
            wanted,
            instance_guid=f"SOFTINST-{guid}",
            default_computer_id=None,
            now=NOW,
            attempt=attempt,
        )

    return decide


def define(
    partitions: int, computer_id: str = COMPUTER_ID, **overrides: Any
) -> Decision:
    definition = a_computer_definition(partitions, computer_id=computer_id, **overrides)
    return lambda cloud, _: decisions.define_computer(cloud, definition, NOW)


def report_destroyed(number: int) -> Decision:
    key = a_partition_key(number)
    return lambda cloud, _: decisions.report_destroyed(cloud, key, NOW)


def remove(title: str, number: int) -> Decision:
    """Destroy an instance from beginning to end, in one go."""
    doom = request(title, "x", requested_state=RequestedState.DESTROYED)

    def decide(cloud: Cloud, attempt: int) -> None:
        doom(cloud, attempt)
        assert report_destroyed(number)(cloud, attempt) == "OK"

    return decide


ON_ONE = {"computer_guid": COMPUTER_ID}
ON_THREE = {"computer_guid": "COMP-3"}


def crowd(cloud: Cloud, attempt: int) -> None:
    for number in range(CROWD):
        request(f"other {number}", f"{number:08x}")(cloud, attempt)


ROOT = a_partition_key(0)
CHILD = request(
    "child",
    "child",
    requester=ROOT,
    allocation_filter={"computer_guid": "COMP-3"},
)
GUEST = request(
    "guest", "guest", is_shared=True, allocation_filter={"instance_guid": "SOFTINST-r"}
)
OWN_GUEST = request("guest", "guest", is_shared=True, requester=ROOT)


@pytest.fixture
def pair() -> Pair:
    """A root among others, and another computer for its child.

    In nearly empty indices, or on one computer, the two would conflict elsewhere.
    """
    pair = Pair()
    pair.run(define(CROWD, "COMP-2"))
    pair.run(crowd)
    pair.run(define(4))
    pair.run(define(4, "COMP-3"))
    pair.run(request("root", "r"))
    return pair


@pytest.mark.parametrize("late", [CHILD, GUEST, OWN_GUEST])
def test_what_is_requested_of_a_root_that_goes_meanwhile_is_refused(
    pair: Pair, late: Decision
) -> None:
    outcome = pair.run_around(late, remove("root", 0))

    assert pair.attempts == [0, 1]
    if not isinstance(outcome, Refused):
        assert isinstance(outcome.value, SlapError)


@pytest.mark.parametrize("early", [CHILD, GUEST, OWN_GUEST])
def test_a_root_stays_for_what_was_requested_of_it_meanwhile(
    pair: Pair, early: Decision
) -> None:
    pair.run(request("root", "x", requested_state=RequestedState.STARTED))

    pair.run_around(remove_or_wait("root", 0), early)

    assert pair.attempts == [0, 1]


def remove_or_wait(title: str, number: int) -> Decision:
    doom = request(title, "x", requested_state=RequestedState.DESTROYED)

    def decide(cloud: Cloud, attempt: int) -> object:
        doom(cloud, attempt)
        return report_destroyed(number)(cloud, attempt)

    return decide


def test_a_child_of_a_root_that_is_stopped_meanwhile_is_stopped(pair: Pair) -> None:
    stop = request("root", "x", requested_state=RequestedState.STOPPED)

    outcome = pair.run_around(CHILD, stop)

    assert outcome.requested_state is RequestedState.STOPPED


def test_a_root_freed_while_its_first_child_is_requested_waits_for_it(
    pair: Pair,
) -> None:
    """The child is requested by a snapshot from before the destruction."""
    pair.run(request("root", "x", requested_state=RequestedState.DESTROYED))
    revive = request("root", "x", requested_state=RequestedState.STARTED)

    outcome = pair.run_around(report_destroyed(0), revive)

    assert outcome == "Not destroying root: its destruction is not requested"


@pytest.mark.parametrize("partitions", [0, 1])
def test_a_partition_that_goes_meanwhile_is_not_given(
    pair: Pair, partitions: int
) -> None:
    late = request("late", "late", allocation_filter=ON_ONE)

    outcome = pair.run_around(late, define(partitions))

    assert isinstance(outcome, Refused)


def test_a_partition_that_is_given_meanwhile_stays(pair: Pair) -> None:
    pair.run_around(define(1), request("early", "early", allocation_filter=ON_ONE))

    early = pair.run(request("early", "early"))
    assert early.key == a_partition_key(1)


def test_a_partition_given_meanwhile_is_not_given_twice(pair: Pair) -> None:
    outcome = pair.run_around(request("late", "late"), request("early", "early"))

    assert outcome.key != pair.run(request("early", "early")).key


def test_of_two_definitions_at_once_the_last_one_is_true_wholly(pair: Pair) -> None:
    pair.run_around(define(4, address="2001:db8::2"), define(5))

    assert len(pair.run(lambda cloud, _: cloud.partition_ids(COMPUTER_ID))) == 4


@pytest.mark.parametrize("is_given_late", [False, True])
def test_a_definition_and_the_gift_of_a_partition_do_not_pass_each_other(
    pair: Pair, *, is_given_late: bool
) -> None:
    given = request("next", "next", allocation_filter=ON_ONE)
    defined = define(4, address="2001:db8::2")

    pair.run_around(*((given, defined) if is_given_late else (defined, given)))

    assert pair.attempts == [0, 1]


def test_one_title_requested_twice_at_once_is_one_instance(pair: Pair) -> None:
    outcome = pair.run_around(request("same", "late"), request("same", "early"))

    assert outcome.instance_guid == "SOFTINST-early"


def test_one_title_is_not_taken_twice_by_renames(pair: Pair) -> None:
    pair.run(request("other", "other", allocation_filter=ON_ONE))

    def rename(number: int) -> Decision:
        key = a_partition_key(number)
        return lambda cloud, _: decisions.rename_instance(cloud, key, "taken", None)

    outcome = pair.run_around(rename(0), rename(1))

    assert isinstance(outcome, Refused)


def say(computer_id: str, **said: str) -> Decision:
    return lambda cloud, _: decisions.set_attributes(cloud, computer_id, said)


@pytest.mark.parametrize("is_freed_late", [False, True])
def test_a_computer_that_moves_while_its_last_partition_is_freed_is_found_there(
    pair: Pair, *, is_freed_late: bool
) -> None:
    """Its offer is on no shelf yet when it gets another region."""
    pair.run(define(1, "COMP-3"))
    pair.run(request("last", "last", allocation_filter=ON_THREE))
    free = remove_on_three("last")
    move = say("COMP-3", region="eu")

    pair.run_around(*((free, move) if is_freed_late else (move, free)))

    there = request("next", "next", allocation_filter={"region": "eu"})
    assert pair.run(there).key == a_partition_key(0, "COMP-3")


def remove_on_three(title: str) -> Decision:
    doom = request(title, "x", requested_state=RequestedState.DESTROYED)

    def decide(cloud: Cloud, attempt: int) -> None:
        doom(cloud, attempt)
        key = a_partition_key(0, "COMP-3")
        assert decisions.report_destroyed(cloud, key, NOW) == "OK"

    return decide


def test_a_shelf_that_empties_while_another_computer_comes_to_it_stays(
    pair: Pair,
) -> None:
    pair.run(say("COMP-3", region="eu"))

    pair.run_around(say("COMP-1", region="eu"), say("COMP-3", region="us"))

    there = request("next", "next", allocation_filter={"region": "eu"})
    assert pair.run(there).key == a_partition_key(1)


def test_the_last_two_partitions_given_at_once_leave_the_shelf(pair: Pair) -> None:
    pair.run(define(2, "COMP-3"))
    early = request("early", "early", allocation_filter=ON_THREE)
    late = request("late", "late", allocation_filter=ON_THREE)

    pair.run_around(lambda cloud, _: late(cloud, 1), early)

    refused = pair.run(request("next", "next", allocation_filter=ON_THREE))
    assert isinstance(refused, Refused)


def test_two_of_a_tree_do_not_find_the_same_network(pair: Pair) -> None:
    """Both see that the network is new, and neither writes what the other does."""
    for number, name in enumerate(("COMP-1", "COMP-2", "COMP-3")):
        pair.run(say(name, network_guid=f"net-{number}"))
    pair.run(define(CROWD + 5, "COMP-2"))
    own = {"requester": ROOT, "allocation_filter": {"mode": "unique_by_network"}}
    first = request("first", "first", **own)
    second = request("second", "second", **own)

    late = pair.run_around(lambda cloud, _: first(cloud, 1), second)

    assert {late.key.computer_id, pair.run(second).key.computer_id} == {
        "COMP-2",
        "COMP-3",
    }


def test_two_of_a_tree_do_not_find_the_same_network_as_its_first(pair: Pair) -> None:
    """The root is in none, and both look into the only one."""
    pair.run(define(CROWD, "COMP-3"))
    pair.run(say("COMP-3", network_guid="net"))
    pair.run(request("child", "child", requester=ROOT, allocation_filter=ON_ONE))
    own = {"requester": ROOT, "allocation_filter": {"mode": "unique_by_network"}}
    first = request("first", "first", **own)

    late = pair.run_around(
        lambda cloud, _: first(cloud, 1), request("second", "second", **own)
    )

    assert isinstance(late, Refused)


def test_requests_at_once_make_no_circle_of_requesters(pair: Pair) -> None:
    """Each closes it, when the other is not seen."""
    places = {"root": ROOT}
    for requester, title in (("root", "a"), ("a", "b"), ("root", "c"), ("c", "d")):
        child = request(title, title, requester=places[requester])
        places[title] = pair.run(child).key

    late = pair.run_around(
        request("c", "x", requester=places["b"]),
        request("a", "x", requester=places["d"]),
    )

    assert isinstance(late, Refused)
    assert isinstance(late.error, BadRequest)


def report(number: int) -> Decision:
    key = a_partition_key(number)
    return lambda cloud, _: decisions.report_instance(
        cloud, key, ReportedState.STARTED, now=NOW
    )


def supply(url: str, wanted: SupplyState = SupplyState.AVAILABLE) -> Decision:
    installation = SoftwareInstallation(url, COMPUTER_ID, wanted)
    return lambda cloud, _: decisions.supply(cloud, installation)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (say(COMPUTER_ID, region="eu"), report(0)),
        (define(4, address="2001:db8::2"), report(0)),
        (supply("one", SupplyState.DESTROYED), supply("two", SupplyState.DESTROYED)),
    ],
)
def test_decisions_about_other_things_pass_each_other(
    pair: Pair, first: Decision, second: Decision
) -> None:
    for url in ("one", "two"):
        pair.run(supply(url))

    pair.run_around(first, second)

    assert pair.attempts == [0]
