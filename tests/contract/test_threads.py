"""Store threads, as this machine has them and as a simulated host does."""

from __future__ import annotations

from contextvars import ContextVar

import pytest
from twisted.internet.defer import Deferred, gatherResults
from zope.interface.verify import verifyObject

from runtime.ports import IStoreThreads, StoreUnavailable
from tests.contract.benches import Bench, RealBench, SimulatedBench


class WrongAnswer(Exception):
    """What the work of a test raises."""


def committing(answer):
    """The work of a call whose second half gives ``answer``."""
    return lambda: lambda: answer


def raising():
    raise WrongAnswer


class ThreadsContract:
    def test_the_threads_provide_their_interface(self, bench: Bench):
        assert verifyObject(IStoreThreads, bench.runtime.threads)

    def test_a_call_begins_and_then_commits(self, bench):
        order = []

        def begin():
            order.append("begin")
            return lambda: order.append("commit") or "answer"

        async def scenario():
            return await bench.runtime.threads.call(begin)

        assert bench.run(scenario()) == "answer"
        assert order == ["begin", "commit"]

    @pytest.mark.parametrize("work", [raising, lambda: raising])
    def test_what_either_half_raises_is_given_to_the_caller(self, bench, work):
        async def scenario():
            with pytest.raises(WrongAnswer):
                await bench.runtime.threads.call(work)

        bench.run(scenario())

    def test_no_more_calls_run_at_once_than_there_are_threads(self, bench):
        order = []

        def work(number):
            def begin():
                order.append(("begin", number))
                return lambda: order.append(("commit", number))

            return begin

        async def scenario():
            threads = bench.threads(threads_max=1, calls_max=10)
            await gatherResults([threads.call(work(n)) for n in range(3)])
            await threads.stop()

        bench.run(scenario())

        steps = [(step, n) for n in range(3) for step in ("begin", "commit")]
        assert order == steps

    def test_both_halves_see_the_context_of_the_caller(self, bench):
        word = ContextVar("word", default="of nobody")

        def begin():
            begun = word.get()
            return lambda: (begun, word.get())

        async def ask(said):
            word.set(said)
            return await bench.runtime.threads.call(begin)

        async def scenario():
            asking = [Deferred.fromCoroutine(ask(f"of {n}")) for n in range(20)]
            return await gatherResults(asking), word.get()

        answers, left = bench.run(scenario())

        assert answers == [(f"of {n}", f"of {n}") for n in range(20)]
        assert left == "of nobody"

    def test_it_tells_how_many_calls_it_has(self, bench):
        async def scenario():
            threads = bench.threads(threads_max=1, calls_max=2)
            accepted = [threads.call(committing(n)) for n in range(2)]
            during = threads.call_count
            await gatherResults(accepted)
            after = threads.call_count
            await threads.stop()
            return threads.threads_max, during, after

        assert bench.run(scenario()) == (1, 2, 0)

    def test_calls_beyond_the_bound_are_refused(self, bench):
        async def scenario():
            threads = bench.threads(threads_max=1, calls_max=2)
            accepted = [threads.call(committing(n)) for n in range(2)]
            with pytest.raises(StoreUnavailable, match=r"2 calls .* are waiting"):
                await threads.call(committing(2))
            answers = await gatherResults(accepted)
            later = await threads.call(committing("later"))
            await threads.stop()
            return answers, later

        assert bench.run(scenario()) == ([0, 1], "later")

    def test_stopping_finishes_what_was_accepted_and_refuses_more(self, bench):
        async def scenario():
            threads = bench.threads(threads_max=1, calls_max=10)
            answers = []
            for number in range(3):
                threads.call(committing(number)).addCallback(answers.append)
            stopping = threads.stop()
            with pytest.raises(StoreUnavailable, match="stopping"):
                await threads.call(committing("refused"))
            await stopping
            await threads.stop()
            return answers

        assert bench.run(scenario()) == [0, 1, 2]

    def test_what_a_call_tells_is_known_before_its_answer(self, bench):
        heard = []
        threads = bench.runtime.threads

        def work(number):
            def begin():
                threads.tell(lambda: heard.append(("begun", number)))

                def commit():
                    threads.tell(lambda: heard.append(("committed", number)))
                    threads.tell(lambda: heard.append(("told more", number)))
                    return number

                return commit

            return begin

        def answered(number):
            heard.append(("answered", number))

        async def scenario():
            calls = [threads.call(work(n)).addCallback(answered) for n in range(5)]
            await gatherResults(calls)

        bench.run(scenario())

        for number in range(5):
            assert [step for step, n in heard if n == number] == [
                "begun",
                "committed",
                "told more",
                "answered",
            ]

    def test_what_a_failing_call_told_is_told(self, bench):
        heard = []
        threads = bench.runtime.threads

        def begin():
            threads.tell(lambda: heard.append("told"))
            raise WrongAnswer

        async def scenario():
            with pytest.raises(WrongAnswer):
                await threads.call(begin)
            return tuple(heard)

        assert bench.run(scenario()) == ("told",)

    def test_others_may_tell_too(self, bench):
        async def scenario():
            told = Deferred()
            bench.runtime.threads.tell(lambda: told.callback("told"))
            assert not told.called
            return await told

        assert bench.run(scenario()) == "told"

    def test_threads_that_were_never_used_stop(self, bench):
        async def scenario():
            await bench.threads(threads_max=1, calls_max=1).stop()

        bench.run(scenario())

    def test_a_cancelled_call_is_still_waited_for(self, bench):
        finished = []

        async def scenario():
            threads = bench.threads(threads_max=1, calls_max=10)
            call = threads.call(lambda: lambda: finished.append("yes"))
            call.addErrback(lambda _: None)
            call.cancel()
            await threads.stop()

        bench.run(scenario())

        assert finished == ["yes"]


class TestRealThreads(ThreadsContract):
    @pytest.fixture
    def bench(self, real_bench: RealBench) -> RealBench:
        return real_bench


class TestSimulatedThreads(ThreadsContract):
    @pytest.fixture
    def bench(self, simulated_bench: SimulatedBench) -> SimulatedBench:
        return simulated_bench
