"""Who visits whom, and what both sides prove, in a simulated world."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol

from labsim.world.world import World
from runtime.ports import Runtime, TcpAddress
from slapcluster.bootstrap.wanted_cloud import WantedCloud, WantedComputer
from slapcluster.doctor.encounters import (
    HERE,
    BadVisit,
    Outcome,
    Visit,
    Visited,
    choose_visited,
    choose_visits,
    count_visits,
    read_visit,
)
from slapcluster.doctor.meeting import make_visits, receive_visits

PORTS = (20000, 20001, 20003)


def a_cloud(*regions: str) -> WantedCloud:
    computers = tuple(
        WantedComputer(f"c{n}", it, ("ssh",), f"2001:db8::{n}")
        for n, it in enumerate(regions, start=1)
    )
    return WantedCloud("cloud", "2001:db8::99", 5443, computers)


def test_one_of_each_region_visits_those_of_the_others() -> None:
    wanted = a_cloud("paris", "paris", "lyon", "tokyo")
    answering = ("c2", "c1", "c3", "c4")

    visited = choose_visited(wanted, answering)
    visits = choose_visits(wanted, visited, answering)

    here = Visit(HERE, "2001:db8::99", 5443)
    assert [(it.title, it.ports) for it in visited] == [
        (f"c{n}", PORTS) for n in (1, 2, 3, 4)
    ]
    assert {visitor: {it.title for it in each} for visitor, each in visits.items()} == {
        "c1": {HERE, "c3", "c4"},
        "c2": {HERE},
        "c3": {HERE, "c1", "c2", "c4"},
        "c4": {HERE, "c1", "c2", "c3"},
    }
    assert visits["c2"] == (here,)
    assert (count_visits(visits, "c1"), count_visits(visits, HERE)) == (6, 4)


def test_who_does_not_answer_neither_visits_nor_is_visited() -> None:
    wanted = a_cloud("paris", "lyon", "tokyo")

    visited = choose_visited(wanted, ("c1", "c2"))
    visits = choose_visits(wanted, visited, ("c1", "c2"))

    assert [it.title for it in visited] == ["c1", "c2"]
    assert set(visits) == {"c1", "c2"}


def test_a_visit_is_a_word_that_a_shell_leaves_alone() -> None:
    word = Visit("c1", "2001:db8::1", 20000).word()

    assert word == "c1,2001:db8::1,20000"
    assert read_visit(word) == Visit("c1", "2001:db8::1", 20000)


@pytest.mark.parametrize("word", ["", "c1", "c1,::1", "c1,::1,x", "c1,::1,0", "c1,a,1"])
def test_what_is_no_visit_is_refused(word: str) -> None:
    with pytest.raises(BadVisit):
        read_visit(word)


class Meeting:
    """Two hosts of a world: one listens, the other one visits."""

    def __init__(self) -> None:
        self.world = World(1)
        self.hosts = tuple(self.world.host(name) for name in ("lyon", "paris"))
        self.said: list[str] = []

    @property
    def visited(self) -> Visited:
        return Visited("lyon", self.hosts[0].address, (20000, 20001))

    def receive(self, nonce: str = "n", count: int = 2, seconds: float = 20.0):
        receiving = receive_visits(
            self.hosts[0].runtime,
            self.visited,
            nonce,
            self.said.append,
            count=count,
            seconds=seconds,
        )
        return Deferred.fromCoroutine(receiving)

    def visit(self, nonce: str = "n") -> list[Outcome]:
        host, ports = self.visited.host, self.visited.ports
        visits = [Visit("lyon", host, it) for it in ports]
        return list(self.world.result(make_visits(self._visitor, visits, nonce)))

    @property
    def _visitor(self) -> Runtime:
        return self.hosts[1].runtime


@pytest.fixture
def meeting():
    meeting = Meeting()
    yield meeting
    meeting.world.finish()


def test_both_sides_know_the_nonce(meeting: Meeting) -> None:
    receiving = meeting.receive()

    outcomes = meeting.visit()

    assert meeting.said == ["listening"]
    assert [(it.failure, it.is_stranger) for it in outcomes] == [("", False)] * 2
    assert all(it.seconds for it in outcomes)
    received = meeting.world.result(_result(receiving))
    assert (received.visit_count, received.failures) == (2, {})


def test_who_knows_another_nonce_is_a_stranger_and_is_not_counted(meeting) -> None:
    receiving = meeting.receive()

    outcomes = meeting.visit("other")

    assert [it.is_stranger for it in outcomes] == [True, True]
    received = meeting.world.result(_result(receiving))
    assert received.visit_count == 0


def test_nobody_listens(meeting: Meeting) -> None:
    assert [it.failure for it in meeting.visit()] == [
        "refused: nobody listens, or a firewall says no"
    ] * 2


def test_a_way_that_is_cut_takes_no_longer_than_its_bound(meeting: Meeting) -> None:
    receiving = meeting.receive()
    meeting.world.sever("paris", "lyon")
    begun = meeting.world.clock.seconds()

    outcomes = meeting.visit()

    assert [it.failure for it in outcomes] == ["no answer within 5 s"] * 2
    assert meeting.world.clock.seconds() < begun + 6
    assert meeting.world.result(_result(receiving)).visit_count == 0


def test_an_echo_proves_nothing(meeting: Meeting) -> None:
    class Echo(Protocol):
        def dataReceived(self, data: bytes) -> None:
            assert self.transport is not None
            self.transport.write(data)

    async def listen() -> list[object]:
        network = meeting.hosts[0].runtime.network
        return [
            await network.server_endpoint(
                TcpAddress(meeting.visited.host, port)
            ).listen(Factory.forProtocol(Echo))
            for port in meeting.visited.ports
        ]

    opened = meeting.world.result(listen())
    received = meeting.world.result(_result(meeting.receive(count=1)))

    assert received.failures.keys() == set(meeting.visited.ports)
    assert [it.is_stranger for it in meeting.visit()] == [True, True]
    for each in opened:
        each.stopListening()


async def _result(receiving):
    return await receiving
