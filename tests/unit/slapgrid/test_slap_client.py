"""Polls of the agent, of a master that knows conditions and of one that does not."""

from __future__ import annotations

from functools import partial

import pytest
from twisted.internet.defer import Deferred

from labsim.stores import open_untold_memory
from labsim.world.world import World
from master_cluster.config import Config
from master_cluster.service import build_service
from runtime.ports import TcpAddress
from slap import calls
from slap.errors import MasterAway
from slap.freshness import UNSEEN
from slap.model import RequestedState
from slap.polling import Polled, Unchanged
from slap.replicas import Replicas
from slap.reports import TreeReport
from slapgrid.slap_client import WAIT_GRACE_SECONDS, SlapClient
from tests.builders import (
    COMPUTER_ID,
    a_computer_definition,
    an_installation,
    an_instance_request,
)
from tests.unit.master_cluster.benches import WebBench


class Polling:
    """A master, and a client of it under the names of two replicas."""

    def __init__(self) -> None:
        self.bench = WebBench()
        self.bench.perform(calls.define_computer(a_computer_definition(3)))
        port = self.bench.address.port
        self.client = SlapClient(
            self.bench.host.runtime,
            Replicas((f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}/")),
        )

    def poll(self, wait_seconds: int | None = None) -> Polled | Unchanged:
        return self.bench.world.result(self.client.poll(COMPUTER_ID, wait_seconds), 400)

    def close(self) -> None:
        self.bench.world.result(self.client.close())
        self.bench.close()


@pytest.fixture
def polling():
    polling = Polling()
    yield polling
    polling.close()


def test_a_document_is_fetched_once_for_each_change(polling: Polling) -> None:
    first = polling.poll()
    again = polling.poll()
    polling.bench.perform(calls.supply(an_installation()))
    changed = polling.poll()

    assert isinstance(first, Polled)
    assert again == Unchanged()
    assert isinstance(changed, Polled)
    assert changed.computer.installations == (an_installation(),)
    assert polling.poll() == Unchanged()


def test_a_poll_that_waits_says_that_it_has_waited(polling: Polling) -> None:
    polling.poll()
    begun = polling.bench.world.clock.seconds()

    assert polling.poll(wait_seconds=70) == Unchanged(has_waited=True)
    assert polling.bench.world.clock.seconds() - begun >= 70


class Masters:
    """Masters of one store, each on a host, and a client of all of them."""

    def __init__(self, count: int) -> None:
        self.world = World(0)
        self.hosts = [self.world.host(f"master-{number}") for number in range(count)]
        opening = open_untold_memory()
        for host in self.hosts:
            listen = TcpAddress(host.address, 5000)
            config = Config("memory:", listen, is_loopback_only=False)
            host.boot(partial(build_service, config, opening=opening))
        self.world.run_for(1.0)
        runtime = self.world.host("computer").runtime
        urls = tuple(f"http://[{host.address}]:5000" for host in self.hosts)
        self.client = SlapClient(runtime, Replicas(urls))
        definition = calls.define_computer(a_computer_definition(3))
        self.world.result(self.client.perform(definition))

    def poll(self, wait_seconds: int | None = None) -> Polled | Unchanged:
        return self.world.result(self.client.poll(COMPUTER_ID, wait_seconds), 400)

    def close(self) -> None:
        self.world.result(self.client.close())
        self.world.finish()


def test_another_replica_is_asked_only_for_what_changed() -> None:
    masters = Masters(2)
    masters.poll()
    masters.hosts[0].kill()

    assert masters.poll() == Unchanged()
    masters.world.result(masters.client.perform(calls.supply(an_installation())))
    changed = masters.poll()

    assert isinstance(changed, Polled)
    assert changed.computer.installations == (an_installation(),)
    masters.close()


def test_two_silent_replicas_cost_no_more_than_five_seconds() -> None:
    """While a poll waits, and when the next one is asked; connections stand still."""
    masters = Masters(3)
    masters.poll()
    masters.world.result(masters.client.perform(calls.supply(an_installation())))
    masters.poll()
    waiting = Deferred.fromCoroutine(masters.client.poll(COMPUTER_ID, 250))
    masters.world.run_for(20)
    assert not waiting.called
    for host in masters.hosts[:2]:
        host.pause_processes()
    begun = masters.world.clock.seconds()

    assert masters.world.result(waiting, 400) == Unchanged(has_waited=True)
    assert masters.world.clock.seconds() - begun < 5
    masters.poll()
    left = masters.world.clock.seconds()
    assert masters.poll(wait_seconds=20) == Unchanged(has_waited=True)
    assert masters.world.clock.seconds() - left >= 20
    for host in masters.hosts[:2]:
        host.resume_processes()
    masters.close()


def test_a_change_is_made_elsewhere_soon_when_its_replica_is_silent() -> None:
    masters = Masters(2)
    masters.poll()
    masters.hosts[0].pause_processes()
    begun = masters.world.clock.seconds()

    masters.world.result(masters.client.perform(calls.supply(an_installation())))

    assert masters.world.clock.seconds() - begun < 6
    masters.hosts[0].resume_processes()
    masters.close()


def test_who_finds_no_sign_of_life_anywhere_has_more_patience_then() -> None:
    masters = Masters(2)
    masters.poll()
    for host in masters.hosts:
        host.pause_processes()
    lasted = []
    for _ in range(3):
        begun = masters.world.clock.seconds()
        with pytest.raises(MasterAway, match="no sign of life"):
            masters.poll()
        lasted.append(masters.world.clock.seconds() - begun)

    assert lasted[0] <= 8
    assert lasted[0] < lasted[1] < lasted[2]
    for host in masters.hosts:
        host.resume_processes()
    masters.poll()
    masters.close()


def test_nobody_waits_longer_while_a_replica_says_that_it_is_away() -> None:
    """It is there, and is the first to know when it can answer."""
    masters = Masters(2)
    masters.poll()
    silent, away = masters.hosts
    silent.pause_processes()
    masters.world.result(away.runtime.threads.stop())
    lasted = []
    for _ in range(4):
        begun = masters.world.clock.seconds()
        change = masters.client.perform(calls.supply(an_installation()))
        with pytest.raises(MasterAway):
            masters.world.result(change)
        lasted.append(masters.world.clock.seconds() - begun)

    assert max(lasted) < 6
    silent.resume_processes()
    masters.close()


def test_a_master_that_never_answers_is_left_soon_after_the_wait(
    polling: Polling,
) -> None:
    polling.poll()
    threads = polling.bench.host.runtime.threads
    threads.pause()
    running = polling.bench.service._running  # noqa: SLF001 - to have it compute
    running.polls._hear(None)  # noqa: SLF001
    begun = polling.bench.world.clock.seconds()

    with pytest.raises(MasterAway):
        polling.poll(wait_seconds=30)

    assert polling.bench.world.clock.seconds() - begun < 30 + WAIT_GRACE_SECONDS + 65
    threads.resume()


def test_a_document_comes_packed_and_is_read_whole(polling: Polling) -> None:
    """A large one: what travels is a fraction of it."""
    polling.bench.perform(calls.define_computer(a_computer_definition(300)))
    sent: list[int] = []
    exchange = polling.client._http.send  # noqa: SLF001 - to see what travels

    async def send(*words, **named):
        reply = await exchange(*words, **named)
        sent.append(len(reply.body))
        assert reply.headers["content-encoding"] == "gzip"
        return reply

    polling.client._http.send = send  # noqa: SLF001
    answer = polling.poll()

    assert isinstance(answer, Polled)
    assert len(answer.computer.partitions) == 300
    assert sent[0] < 30_000


def test_a_replica_that_is_behind_is_passed_over(polling: Polling) -> None:
    """It is not asked again by whom it told less; another one may know more."""
    polling.poll()
    known = polling.client.seen
    assert known > UNSEEN
    polling.client.seen = b"\xff" * 8

    with pytest.raises(MasterAway, match="behind"):
        polling.poll()

    polling.client.seen = known
    assert polling.poll() == Unchanged()


def test_a_change_that_was_not_seen_is_asked_for_again(polling: Polling) -> None:
    """Others changed the same instance since: the master says so, and is asked anew."""
    stop = an_instance_request(requested_state=RequestedState.STOPPED)
    start = an_instance_request(requested_state=RequestedState.STARTED)
    perform = polling.client.perform
    result = polling.bench.world.result
    polling.bench.perform(calls.supply(an_installation()))
    result(perform(calls.request_instance(start)))
    polling.bench.perform(calls.request_instance(stop))

    result(perform(calls.request_instance(start)))

    report = result(perform(calls.get_tree_report(start.title)))
    assert isinstance(report, TreeReport)
    assert [it.requested_state for it in report.instances] == ["started"]
