"""Lanes: what runs beside what, and what waits."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from slapgrid.software.lanes import Lanes


class Bench:
    """Lanes whose work ends when told."""

    def __init__(self, ticket_count: int = 1) -> None:
        self.works: dict[str, Deferred[str]] = {}
        self.begun: list[str] = []
        self.called_off: list[str] = []
        self.ended: list[str] = []
        self.lanes = Lanes(self._work, self._failed, ticket_count)

    def begin(self, name: str, *, has_ticket: bool = False) -> None:
        self.lanes.begin(name, self.ended.append, has_ticket=has_ticket)

    def end(self, name: str) -> None:
        self.works.pop(name).callback(name)

    async def _work(self, name: str) -> str:
        self.begun.append(name)
        self.works[name] = Deferred(lambda _: self.called_off.append(name))
        return await self.works[name]

    @staticmethod
    def _failed(failure: Failure) -> str:
        return failure.getErrorMessage()


def test_builds_wait_for_tickets_and_nothing_else_does() -> None:
    bench = Bench(ticket_count=2)
    for name in "abc":
        bench.begin(name, has_ticket=True)
    bench.begin("d")

    bench.end("a")

    assert (bench.begun, bench.ended) == (["a", "b", "d", "c"], ["a"])


def test_a_name_has_one_lane_at_a_time() -> None:
    bench = Bench()
    bench.begin("a")
    bench.begin("a")
    bench.end("a")
    bench.begin("a")

    assert (bench.begun, bench.ended) == (["a", "a"], ["a"])


def test_a_lane_that_is_called_off_gives_its_ticket_to_the_next() -> None:
    bench = Bench()
    bench.begin("a", has_ticket=True)
    bench.begin("b", has_ticket=True)

    bench.lanes.call_off("a")

    assert (bench.called_off, bench.begun, bench.ended) == (
        ["a"],
        ["a", "b"],
        [""],
    )


def test_a_lane_that_is_called_off_while_it_waits_never_begins() -> None:
    bench = Bench()
    bench.begin("a", has_ticket=True)
    bench.begin("b", has_ticket=True)

    bench.lanes.call_off("b")
    bench.end("a")

    assert (bench.begun, bench.lanes.building) == (["a"], frozenset())


def test_a_defect_ends_one_lane_with_its_result() -> None:
    bench = Bench()
    bench.begin("a")
    bench.begin("b")

    bench.works.pop("a").errback(ValueError("a defect"))
    bench.end("b")

    assert bench.ended == ["a defect", "b"]


def test_finishing_waits_for_every_lane() -> None:
    bench = Bench()
    bench.begin("a")
    bench.begin("b")
    finished = Deferred.fromCoroutine(bench.lanes.finish())

    bench.end("a")
    assert not finished.called
    bench.end("b")
    assert finished.called


def test_stopping_calls_everything_off() -> None:
    bench = Bench()
    bench.begin("a", has_ticket=True)
    bench.begin("b", has_ticket=True)
    bench.begin("c")

    stopped = Deferred.fromCoroutine(bench.lanes.stop())

    assert bench.begun == ["a", "c"]
    assert (stopped.called, bench.called_off, bench.ended) == (True, ["c", "a"], [])
