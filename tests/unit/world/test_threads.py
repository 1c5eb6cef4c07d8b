"""Store calls that wait: suspended in virtual time, one by one."""

from __future__ import annotations

from contextvars import ContextVar

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from labsim.world.threads import run_suspendable, wait_for
from labsim.world.world import World


class WrongAnswer(Exception):
    """What a test waits for in vain."""


def test_a_call_that_waits_lets_all_else_go_on():
    world = World(seed=1)
    runtime = world.host("alone").runtime
    seen = []

    def work(name, seconds):
        def begin():
            seen.append((name, "begins", world.clock.seconds()))
            wait_for(deferLater(runtime.clock, seconds))
            seen.append((name, "waited", world.clock.seconds()))
            return lambda: name

        return begin

    slow = runtime.threads.call(work("slow", 5.0))
    quick = runtime.threads.call(work("quick", 1.0))

    assert world.result(quick) == "quick"
    assert world.result(slow) == "slow"
    assert seen == [
        ("slow", "begins", 0.0),
        ("quick", "begins", 0.0),
        ("quick", "waited", 1.0),
        ("slow", "waited", 5.0),
    ]


def test_a_commit_may_wait_too_and_keeps_its_context():
    world = World(seed=1)
    runtime = world.host("alone").runtime
    word = ContextVar("word", default="of nobody")

    def begin():
        def commit():
            before = word.get()
            wait_for(deferLater(runtime.clock, 1.0))
            return before, word.get()

        return commit

    async def asking(said):
        word.set(said)
        return await runtime.threads.call(begin)

    answers = [Deferred.fromCoroutine(asking(f"of {n}")) for n in range(3)]

    assert [world.result(it) for it in answers] == [(f"of {n}",) * 2 for n in range(3)]
    assert word.get() == "of nobody"


def test_what_is_waited_for_may_fail():
    world = World(seed=1)
    threads = world.host("alone").runtime.threads
    awaited: Deferred[None] = Deferred()

    def begin():
        with pytest.raises(WrongAnswer):
            wait_for(awaited)
        return lambda: "went on"

    answer = threads.call(begin)
    awaited.errback(WrongAnswer())

    assert world.result(answer) == "went on"


def test_what_a_waiting_call_tells_is_known_before_its_answer():
    world = World(seed=1)
    runtime = world.host("alone").runtime
    heard = []

    def begin():
        def commit():
            wait_for(deferLater(runtime.clock, 1.0))
            runtime.threads.tell(lambda: heard.append("told"))
            return "answer"

        return commit

    world.result(runtime.threads.call(begin).addCallback(heard.append))

    assert heard == ["told", "answer"]


def test_a_call_of_a_crashed_host_never_goes_on():
    world = World(seed=1)
    host = world.host("alone")
    seen = []

    def begin():
        try:
            wait_for(deferLater(host.runtime.clock, 1.0))
        finally:
            seen.append("went on")
        return lambda: None

    host.runtime.threads.call(begin)
    host.crash()
    world.run_for(10.0)

    assert seen == []


def test_nothing_else_can_wait():
    with pytest.raises(AssertionError, match="nothing but a store call"):
        wait_for(Deferred())


def test_a_call_within_a_call_is_resumed_alone():
    world = World(seed=1)
    clock = world.host("alone").runtime.clock
    ended = []

    def inner():
        wait_for(deferLater(clock, 2.0))
        return "inner"

    def outer():
        run_suspendable(inner, ended.append)
        wait_for(deferLater(clock, 1.0))
        return "outer"

    run_suspendable(outer, ended.append)
    world.run_for(3.0)

    assert ended == ["outer", "inner"]
