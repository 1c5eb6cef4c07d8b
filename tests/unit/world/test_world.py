"""Running a world: waiting, failing with evidence, and being the same twice."""

from __future__ import annotations

import os
import subprocess  # noqa: TID251 - other interpreters, other hash seeds
import sys
from pathlib import Path

import pytest
import transaction
from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, gatherResults
from twisted.internet.task import deferLater
from ZODB.DB import DB
from ZODB.MappingStorage import MappingStorage
from ZODB.POSException import ConflictError

from labsim.world.world import World, WorldStuck
from runtime.http_client import ConnectionFailed
from tests.unit.world.parts import CountingService, count


def a_busy_world(seed, *, has_permuted_ties=False):
    """Some clients of one server, a cut and a crash; the world at its end."""
    world = World(seed, has_permuted_ties=has_permuted_ties)
    server = world.host("server")
    server.boot(CountingService)
    clients = [world.host(f"client {number}") for number in range(4)]

    async def ask(host):
        for _ in range(5):
            try:
                await count(host.runtime, server, timeout_seconds=3)
            except ConnectionFailed as error:
                host.runtime.log.info("{error}", error=error)
            pause_seconds = host.runtime.entropy.uniform(0, 2)
            await deferLater(host.runtime.clock, pause_seconds)

    asking = gatherResults([Deferred.fromCoroutine(ask(host)) for host in clients])
    world.run_for(2)
    world.sever("client 0", "server")
    world.run_for(2)
    server.crash()
    world.run_for(1)
    server.boot()
    world.heal("client 0", "server")
    world.result(asking, limit_seconds=300)
    world.finish()
    return world


def test_a_seed_makes_the_same_trace_again():
    digests = [a_busy_world(seed).digest() for seed in (1, 2, 1, 2)]

    assert digests[:2] == digests[2:]
    assert digests[0] != digests[1]


def test_permuted_ties_are_a_matter_of_the_seed_too():
    digests = [
        a_busy_world(1, has_permuted_ties=has_ties).digest()
        for has_ties in (True, True, False)
    ]

    assert digests[0] == digests[1]


def test_the_trace_is_the_same_whatever_the_hash_seed_is():
    code = (
        "from tests.unit.world.test_world import a_busy_world;"
        "print(a_busy_world(3).digest())"
    )
    digests = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=Path(__file__).parents[3],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},  # noqa: TID251 - its child
        ).stdout
        for hash_seed in ("0", "1", "2")
    ]

    assert digests == [a_busy_world(3).digest() + "\n"] * 3


def test_simulating_imports_no_reactor():
    code = (
        "import sys; from tests.unit.world.test_world import a_busy_world;"
        "a_busy_world(1); print('twisted.internet.reactor' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[3],
    )

    assert done.stdout == "False\n"


def test_waiting_ends_as_soon_as_it_holds():
    world = World(1)
    clock = world.host("alone").runtime.clock
    seen = []
    for delay_seconds in (1, 2, 3):
        clock.callLater(delay_seconds, seen.append, delay_seconds)
    world.run_until(lambda: len(seen) == 2)

    assert (world.clock.seconds(), seen) == (2, [1, 2])


def test_time_passes_even_when_nothing_happens():
    world = World(1)
    world.run_for(10)

    assert world.clock.seconds() == 10


def test_what_does_not_happen_fails_with_evidence():
    world = World(7)
    host = world.host("alone")
    host.runtime.log.info("I wait for {what}", what="nothing")
    host.runtime.clock.callLater(100, lambda: None)

    with pytest.raises(WorldStuck) as raised:
        world.run_until(lambda: False, limit_seconds=60)
    text = str(raised.value)

    assert "at 0.000 s of seed 7: it did not happen within 60 s" in text
    assert "hosts: alone up" in text
    assert "0.000000000 alone life 1" in text
    assert "alone I wait for nothing" in text


def test_waiting_fails_when_nothing_is_left_to_happen():
    with pytest.raises(WorldStuck, match="nothing is left to happen"):
        World(1).run_until(lambda: False)


def test_an_endless_loop_at_one_instant_fails():
    world = World(1)
    clock = world.host("alone").runtime.clock

    def again():
        clock.callLater(0, again)

    again()
    with pytest.raises(WorldStuck, match="no time passes"):
        world.run_for(1)


def test_a_result_is_given_or_raised():
    async def given():
        return "answer"

    async def raised():
        raise ValueError("reason")

    assert World(1).result(given()) == "answer"
    with pytest.raises(ValueError, match="reason"):
        World(1).result(raised())


def test_a_failure_that_nobody_handles_fails_the_world():
    world = World(1)
    clock = world.host("alone").runtime.clock
    clock.callLater(1, lambda: fail(ValueError("unhandled reason")) and None)

    with pytest.raises(WorldStuck, match="unhandled reason"):
        world.run_for(2)


class Careless(Service):
    """Leaves a timer."""

    def __init__(self, runtime):
        self._runtime = runtime

    def startService(self):
        self._runtime.clock.callLater(1_000_000, print)


def test_a_timer_left_behind_fails_the_world():
    world = World(1)
    world.host("alone").boot(Careless)

    with pytest.raises(WorldStuck, match=r"left behind: .*DelayedCall"):
        world.finish()


def test_services_are_stopped_the_last_first():
    order = []

    class Noting(Service):
        def __init__(self, name):
            self.setName(name)

        def startService(self):
            order.append(f"start {self.name}")

        def stopService(self):
            order.append(f"stop {self.name}")

    world = World(1)
    host = world.host("alone")
    host.boot(lambda _: Noting("one"))
    host.boot(lambda _: Noting("two"))
    world.finish()

    assert order == ["start one", "start two", "stop two", "stop one"]


def test_every_boot_builds_the_services_anew():
    lives = []

    def build(runtime):
        lives.append(runtime)
        return Service()

    world = World(1)
    host = world.host("alone")
    host.boot(build)
    host.crash()
    assert not host.is_up
    host.boot()

    assert len(lives) == 2
    assert lives[0] is not lives[1]
    assert host.runtime is lives[1]


def test_a_crashed_host_does_nothing_more_and_no_finally_runs():
    world = World(1)
    host = world.host("alone")
    done = []

    async def work():
        try:
            await deferLater(host.runtime.clock, 1)
            done.append("went on")
        finally:
            done.append("cleaned up")

    Deferred.fromCoroutine(work())
    world.run_for(0.5)
    host.crash()
    world.run_for(10)

    assert done == []


def test_a_step_of_the_calendar_moves_no_timer():
    world = World(1)
    host = world.host("alone")
    before = host.runtime.calendar.now()
    waiting = deferLater(host.runtime.clock, 10)
    host.calendar.step(-86_400)
    world.result(waiting)

    assert world.clock.seconds() == 10
    assert host.runtime.calendar.now() == before - 86_400 + 10


def test_entropy_differs_from_host_to_host_and_from_life_to_life():
    world = World(1)
    one, other = world.host("one"), world.host("other")
    drawn = [one.runtime.entropy.random(), other.runtime.entropy.random()]
    one.crash()
    one.boot()
    drawn.append(one.runtime.entropy.random())

    assert len(set(drawn)) == 3


def test_overlapping_changes_meet_the_conflicts_of_the_real_database():
    world = World(1)
    threads = world.host("alone").runtime.threads
    database = DB(MappingStorage())
    outcomes = []

    def begin():
        work = transaction.TransactionManager()
        connection = database.open(work)
        connection.root()["number"] = connection.root().get("number", 0) + 1

        def commit():
            try:
                work.commit()
            except ConflictError:
                work.abort()
                return "conflict"
            finally:
                connection.close()
            return "committed"

        return commit

    for _ in range(3):
        threads.call(begin).addCallback(outcomes.append)
    world.run_until(lambda: len(outcomes) == 3)
    world.result(threads.call(begin).addCallback(outcomes.append))

    assert outcomes == ["committed", "conflict", "conflict", "committed"]
