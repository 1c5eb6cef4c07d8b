"""Faults of a simulated network."""

from __future__ import annotations

import pytest
from twisted.internet.error import (
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,  # noqa: A004 - Twisted's
    NoRouteError,
)
from twisted.internet.error import TimeoutError as ConnectTimeout

from labsim.world.links import Cut
from labsim.world.stream import GIVE_UP_SECONDS
from labsim.world.world import World
from runtime.network import CONNECT_SECONDS_MAX
from runtime.ports import TcpAddress
from tests.unit.world.parts import PORT, CountingService, Ears, connect, count

LATENCY = 0.010


@pytest.fixture
def world():
    world = World(1)
    world.network.links.set_latency("client", "server", LATENCY)
    return world


@pytest.fixture
def client(world):
    return world.host("client")


@pytest.fixture
def server(world):
    return world.host("server")


def connecting(world, client, address):
    endpoint = client.runtime.network.client_endpoint(TcpAddress(address, PORT))
    return endpoint.connect(Ears(world.clock))


def test_bytes_take_the_latency_of_the_link(world, client, server):
    near, far = connect(world, client, server)
    start = world.clock.seconds()
    near.transport.write(b"hello")
    world.run_until(lambda: far.heard)

    assert LATENCY <= world.clock.seconds() - start <= 1.2 * LATENCY


def test_what_is_written_in_one_instant_arrives_together(world, client, server):
    near, far = connect(world, client, server)
    near.transport.write(b"one ")
    near.transport.write(b"two")
    world.run_until(lambda: far.heard)

    assert [data for _, data in far.heard] == [b"one two"]


def test_each_pair_of_hosts_has_a_latency_of_its_own_which_the_seed_decides():
    def latencies(seed):
        world = World(seed)
        links = world.network.links
        return [links.way("a", other).travel_seconds() for other in ("b", "c", "d")]

    assert latencies(1) == latencies(1)
    assert len({*latencies(1), *latencies(2)}) == 6


def test_what_happens_on_one_link_changes_nothing_on_another():
    quiet, busy = World(1), World(1)
    for _ in range(100):
        busy.network.way("a", "b").travel_seconds()

    assert (
        busy.network.way("a", "c").travel_seconds()
        == quiet.network.way("a", "c").travel_seconds()
    )


def test_a_severed_link_holds_bytes_back_until_it_heals(world, client, server):
    near, far = connect(world, client, server)
    world.sever("client", "server")
    near.transport.write(b"patience")
    world.run_for(100)
    assert far.heard == []
    world.heal("client", "server")
    # The timeout that the kernel waits for began half a minute before and doubled.
    world.run_for(1)
    assert far.heard == []
    world.run_for(100)

    assert [data for _, data in far.heard] == [b"patience"]
    assert (near.lost, far.lost) == (None, None)


def test_order_survives_a_cut(world, client, server):
    near, far = connect(world, client, server)
    for number in range(3):
        near.transport.write(b"before %d " % number)
        world.run_for(LATENCY / 4)
    world.sever("client", "server")
    world.run_for(1)
    near.transport.write(b"during ")
    world.run_for(1)
    world.heal("client", "server")
    near.transport.write(b"after")
    world.run_for(5)

    heard = b"".join(data for _, data in far.heard)
    assert heard == b"before 0 before 1 before 2 during after"


def test_an_idle_connection_does_not_notice_a_cut(world, client, server):
    near, far = connect(world, client, server)
    world.sever("client", "server")
    world.run_for(10_000)

    assert (near.lost, far.lost) == (None, None)


def test_a_sender_gives_up_and_its_peer_does_not_notice(world, client, server):
    near, far = connect(world, client, server)
    world.sever("client", "server")
    start = world.clock.seconds()
    near.transport.write(b"into the void")
    world.run_until(lambda: near.lost, GIVE_UP_SECONDS + 1)

    assert near.lost is ConnectionLost
    assert near.lost_at - start >= GIVE_UP_SECONDS
    assert far.lost is None


def test_one_way_may_be_cut_alone(world, client, server):
    near, far = connect(world, client, server)
    world.sever("server", "client", is_one_way=True)
    near.transport.write(b"question")
    far.transport.write(b"answer")
    world.run_for(10)

    assert [data for _, data in far.heard] == [b"question"]
    assert near.heard == []


def test_a_refusing_cut_resets_whoever_sends_and_refuses_connections(
    world, client, server
):
    near, far = connect(world, client, server)
    world.sever("client", "server", Cut.REFUSED)
    world.run_for(1)
    assert (near.lost, far.lost) == (None, None)
    near.transport.write(b"let me pass")
    world.run_for(1)

    assert (near.lost, far.lost) == (ConnectionLost, None)
    assert far.heard == []
    with pytest.raises(ConnectionRefusedError):
        world.result(connecting(world, client, server.address))


def test_connecting_over_a_silent_cut_takes_as_long_as_the_bound(world, client, server):
    world.sever("client", "server")
    with pytest.raises(ConnectTimeout):
        world.result(connecting(world, client, server.address))

    assert world.clock.seconds() == pytest.approx(CONNECT_SECONDS_MAX)


def test_connecting_succeeds_once_the_link_heals(world, client, server):
    server.boot(CountingService)
    world.sever("client", "server")
    attempt = connecting(world, client, server.address)
    world.run_for(4)
    world.heal("client", "server")
    near = world.result(attempt)

    # The third knock after the cut is that at 7 s.
    assert 7 < world.clock.seconds() < 8
    near.transport.loseConnection()
    world.finish()


def test_an_address_of_no_host_is_silent_and_one_of_no_network_unreachable(
    world, client
):
    with pytest.raises(ConnectTimeout):
        world.result(connecting(world, client, "fd00:0:0:99::1"))
    with pytest.raises(NoRouteError):
        world.result(connecting(world, client, "2001:db8::1"))


def test_every_address_of_its_network_is_local_to_a_host(world, client, server):
    address = server.ipv6_network.replace("/64", "abcd")
    ears = Ears(world.clock)
    listening = server.runtime.network.server_endpoint(TcpAddress(address, PORT))
    world.result(listening.listen(ears))
    near = world.result(connecting(world, client, address))

    assert near.transport.getPeer().host == address
    with pytest.raises(ConnectionRefusedError):
        world.result(connecting(world, client, server.address))


def test_loopback_is_a_matter_of_each_host(world, client, server):
    server.boot(CountingService)
    with pytest.raises(ConnectionRefusedError):
        world.result(connecting(world, client, "::1"))
    near = world.result(connecting(world, server, "::1"))
    near.transport.loseConnection()
    world.finish()


def test_peers_of_a_crashed_host_hear_nothing(world, client, server):
    near, far = connect(world, client, server)
    server.crash()
    world.run_for(600)

    assert (near.lost, far.lost) == (None, None)


def test_a_host_that_booted_again_resets_what_it_does_not_know(world, client, server):
    near, far = connect(world, client, server)
    server.crash()
    near.transport.write(b"are you there?")
    world.run_for(60)
    assert near.lost is None
    server.boot()
    world.run_for(60)

    assert near.lost is ConnectionLost
    assert far.heard == []
    assert far.lost is None


def test_a_killed_program_closes_its_connections(world, client, server):
    near, far = connect(world, client, server)
    server.kill()
    world.run_for(1)

    assert near.lost is ConnectionDone
    assert far.lost is None
    with pytest.raises(ConnectionRefusedError):
        world.result(connecting(world, client, server.address))


def test_a_client_that_did_not_wait_never_had_a_connection(world, client, server):
    world.network.links.set_latency("client", "server", 14.0)
    ears = Ears(world.clock)
    listening = server.runtime.network.server_endpoint(TcpAddress("::", PORT))
    world.result(listening.listen(ears))
    attempt = connecting(world, client, server.address)
    world.run_for(20)
    attempt.cancel()
    attempt.addErrback(lambda _: None)
    world.run_for(60)

    assert ears.ears == []


def test_http_goes_on_after_a_crash_of_the_server(world, client, server):
    server.boot(CountingService)
    before = world.result(count(client.runtime, server))
    server.crash()
    server.boot()
    after = world.result(count(client.runtime, server))
    world.finish()

    assert (before, after) == (1, 2)
