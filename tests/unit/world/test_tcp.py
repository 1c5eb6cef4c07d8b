"""How connections behave on links that lose, delay, double, reorder, hold or narrow."""

from __future__ import annotations

from itertools import pairwise

import pytest
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.error import TimeoutError as ConnectTimeout

from labsim.world.links import Shape
from labsim.world.stream import GIVE_UP_SECONDS, UNHEARD_BYTES_MAX
from labsim.world.world import World
from runtime.ports import TcpAddress
from tests.unit.world.parts import PORT, CountingService, Ears, connect, count

LATENCY = 0.010


@pytest.fixture
def world():
    return a_world(1)


@pytest.fixture
def client(world):
    return world.host("client")


@pytest.fixture
def server(world):
    return world.host("server")


def a_world(seed):
    world = World(seed)
    world.network.links.set_latency("client", "server", LATENCY)
    return world


def heard(ear):
    return b"".join(data for _, data in ear.heard)


def arrivals(world, near, far, line_count):
    """Write lines, one each 10 ms; how long after the last one all are there."""
    wanted = b"".join(b"%06d\n" % number for number in range(line_count))
    for number in range(line_count):
        near.transport.write(wanted[7 * number : 7 * number + 7])
        world.run_for(0.01)
    start = world.clock.seconds()
    world.run_until(lambda: len(heard(far)) >= len(wanted), 1000)
    assert heard(far) == wanted
    return world.clock.seconds() - start


ANYTHING_BUT_A_CUT = (
    Shape(loss=0.3),
    Shape(duplication=0.5),
    Shape(reordering=0.5, reordering_seconds=2),
    Shape(bytes_per_second=2000),
    Shape(jitter=3),
    Shape(loss=0.2, duplication=0.3, reordering=0.3, bytes_per_second=3000),
)


@pytest.mark.parametrize("shape", ANYTHING_BUT_A_CUT, ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_every_byte_comes_once_and_in_order(seed, shape):
    world = a_world(seed)
    near, far = connect(world, world.host("client"), world.host("server"))
    world.shape("client", "server", shape)
    arrivals(world, near, far, 200)
    near.transport.loseConnection()
    world.run_for(1000)

    assert (near.lost, far.lost) == (ConnectionDone, ConnectionDone)


def test_loss_costs_time(world, client, server):
    near, far = connect(world, client, server)
    swift = arrivals(world, near, far, 300)
    far.heard.clear()
    world.shape("client", "server", Shape(loss=0.4))
    slow = arrivals(world, near, far, 300)

    assert swift < 0.02
    assert slow > 0.3


def test_what_is_behind_a_lost_packet_waits_for_it():
    """The gaps between arrivals are those of retransmissions, not of writes."""
    world = a_world(2)
    near, far = connect(world, world.host("client"), world.host("server"))
    world.shape("client", "server", Shape(loss=0.2, jitter=0))
    arrivals(world, near, far, 200)
    instants = [at for at, _ in far.heard]
    gaps = [after - before for before, after in pairwise(instants)]

    assert max(gaps) >= 4 * LATENCY
    assert instants.count(max(instants, key=instants.count)) > 3


def test_a_link_that_loses_nearly_everything_ends_a_connection(world, client, server):
    near, far = connect(world, client, server)
    world.shape("client", "server", Shape(loss=0.999_999), is_one_way=True)
    near.transport.write(b"hopeless")
    world.run_for(GIVE_UP_SECONDS + 10)

    assert near.lost is ConnectionLost
    assert far.heard == []


def test_http_goes_on_over_a_bad_link(world, client, server):
    server.boot(CountingService)
    world.shape("client", "server", ANYTHING_BUT_A_CUT[-1])
    asked = [world.result(count(client.runtime, server, 60)) for _ in range(10)]
    world.finish()

    assert asked == list(range(1, 11))


def test_a_connection_is_made_although_packets_of_it_are_lost():
    instants = []
    for seed in range(20):
        world = a_world(seed)
        world.shape("client", "server", Shape(loss=0.2))
        connect(world, world.host("client"), world.host("server"))
        instants.append(world.clock.seconds())

    # Within a round trip and a half, or after the knocks at 1, 3, 7 or 15 s.
    assert min(instants) < 0.1
    assert max(instants) > 1


def test_acknowledgements_need_the_way_back(world, client, server):
    near, far = connect(world, client, server)
    world.sever("server", "client", is_one_way=True)
    start = world.clock.seconds()
    near.transport.write(b"heard")
    world.run_for(10)
    assert heard(far) == b"heard"
    assert near.lost is None
    world.run_until(lambda: near.lost, GIVE_UP_SECONDS + 1)

    assert near.lost is ConnectionLost
    assert near.lost_at - start >= GIVE_UP_SECONDS
    assert far.lost is None


def test_without_acknowledgements_ten_packets_are_sent(world, client, server):
    near, far = connect(world, client, server)
    world.sever("server", "client", is_one_way=True)
    for _ in range(100):
        near.transport.write(b"x" * 1440)
        world.run_for(0.01)
    world.run_for(60)
    before = len(heard(far))
    world.heal("server", "client")
    world.run_for(200)

    assert UNHEARD_BYTES_MAX <= before <= UNHEARD_BYTES_MAX + 2880
    assert len(heard(far)) == 144_000
    assert near.lost is None


def test_the_way_back_that_heals_in_time_ends_no_connection(world, client, server):
    near, far = connect(world, client, server)
    world.sever("server", "client", is_one_way=True)
    near.transport.write(b"heard")
    world.run_for(300)
    world.heal("server", "client")
    world.run_for(2 * GIVE_UP_SECONDS)

    assert (near.lost, far.lost) == (None, None)


def test_what_was_sent_during_a_hold_arrives_at_its_end(world, client, server):
    near, far = connect(world, client, server)
    world.hold("client", "server")
    near.transport.write(b"early ")
    world.run_for(30)
    near.transport.write(b"late")
    world.run_for(30)
    assert far.heard == []
    start = world.clock.seconds()
    world.release("client", "server")
    world.run_for(0.001)

    assert far.heard == [(round(start, 3), b"early "), (round(start, 3), b"late")]
    world.run_for(2 * GIVE_UP_SECONDS)
    assert (near.lost, far.lost) == (None, None)


def test_what_was_held_arrives_although_its_sender_has_given_up(world, client, server):
    near, far = connect(world, client, server)
    world.hold("client", "server", is_one_way=True)
    near.transport.write(b"late")
    world.run_for(GIVE_UP_SECONDS + 1)
    assert near.lost is ConnectionLost
    world.release("client", "server")
    world.run_for(1)

    assert heard(far) == b"late"


def test_a_connection_that_is_held_is_made_at_the_end(world, client, server):
    ears = Ears(world.clock)
    world.result(
        server.runtime.network.server_endpoint(TcpAddress("::", 1)).listen(ears)
    )
    world.hold("client", "server")
    address = TcpAddress(server.address, 1)
    attempt = client.runtime.network.client_endpoint(address).connect(Ears(world.clock))
    world.run_for(20)
    assert ears.ears == []
    world.release("client", "server")
    world.result(attempt)
    world.run_until(lambda: ears.ears)

    assert 20 < world.clock.seconds() < 21
    assert len(ears.ears) == 1


def test_a_program_is_not_told_of_a_connection_that_was_not_confirmed(
    world, client, server
):
    ears = Ears(world.clock)
    world.result(
        server.runtime.network.server_endpoint(TcpAddress("::", 1)).listen(ears)
    )
    world.sever("server", "client", is_one_way=True)
    address = TcpAddress(server.address, 1)
    attempt = client.runtime.network.client_endpoint(address).connect(Ears(world.clock))
    with pytest.raises(ConnectTimeout):
        world.result(attempt)
    world.run_for(100)

    assert ears.ears == []


def test_bytes_over_a_narrow_link_take_their_time(world, client, server):
    near, far = connect(world, client, server)
    world.shape("client", "server", Shape(bytes_per_second=1_000_000))
    start = world.clock.seconds()
    near.transport.write(b"x" * 10_000_000)
    world.run_until(lambda: len(heard(far)) == 10_000_000)

    # Headers take their part.
    assert 10 < world.clock.seconds() - start < 11


def test_two_connections_share_a_narrow_link(world, client, server):
    bulk, _ = connect(world, client, server)
    address = TcpAddress(server.address, PORT)
    endpoint = client.runtime.network.client_endpoint(address)
    small = world.result(endpoint.connect(Ears(world.clock)))
    (ears,) = (it.factory.ears for it in world.network.listeners.values())
    world.shape("client", "server", Shape(bytes_per_second=1_000_000))
    bulk.transport.write(b"x" * 10_000_000)
    world.run_for(0.1)
    start = world.clock.seconds()
    small.transport.write(b"y")
    world.run_until(lambda: heard(ears[1]) == b"y")

    assert world.clock.seconds() - start < 0.3


def test_the_kernel_of_a_program_killed_before_it_read_resets(world, client, server):
    near, far = connect(world, client, server)
    far.transport.pauseProducing()
    near.transport.write(b"unread")
    world.run_for(1)
    server.kill()
    world.run_for(1)

    assert near.lost is ConnectionLost


def test_the_kernel_of_a_killed_program_goes_on_to_send(world, client, server):
    near, far = connect(world, client, server)
    world.sever("client", "server")
    near.transport.write(b"last words")
    world.run_for(10)
    client.kill()
    world.heal("client", "server")
    world.run_for(60)

    assert (heard(far), far.lost) == (b"last words", ConnectionDone)


def test_what_a_crashed_host_had_not_sent_never_arrives(world, client, server):
    near, far = connect(world, client, server)
    world.sever("client", "server")
    near.transport.write(b"lost words")
    world.run_for(10)
    client.crash()
    world.heal("client", "server")
    world.run_for(2 * GIVE_UP_SECONDS)

    assert (heard(far), far.lost) == (b"", None)


def test_a_reset_that_is_lost_is_not_sent_again(world, client, server):
    near, far = connect(world, client, server)
    world.sever("client", "server")
    near.transport.abortConnection()
    world.run_for(10)
    world.heal("client", "server")
    world.run_for(2 * GIVE_UP_SECONDS)

    assert far.lost is None


def break_something(world, draw):
    """One of the faults that no connection dies of."""
    kind = draw.randrange(8)
    is_one_way = draw.random() < 0.5
    ends = draw.sample(("client", "server"), 2)
    host = world.host(ends[0])
    if kind <= 1:
        world.sever(*ends, is_one_way=is_one_way, by="fault")
    elif kind <= 3:
        world.hold(*ends, is_one_way=is_one_way, by="fault")
    elif kind == 4:
        shape = draw.choice(ANYTHING_BUT_A_CUT)
        world.shape(*ends, shape, is_one_way=is_one_way, by="fault")
    elif kind == 5:
        host.pause()
    elif kind == 6:
        host.pause_processes()
    else:
        host.disk.slow(draw.uniform(0, 3))


def undo_all(world):
    world.unshape("fault")
    for name in ("client", "server"):
        host = world.host(name)
        host.resume()
        host.resume_processes()
        host.disk.slow(0)


def converse(draw):
    """Writes a line now and then, with a file before some of them."""

    def write(ear, host, number):
        if draw.random() < 0.3:
            host.runtime.file_tree("/").write("file", b"content")
        line = b"%d;" % number * draw.choice((1, 50, 5000))
        ear.written += line
        ear.transport.write(line)
        if number < 300:
            delay = draw.expovariate(1 / 0.5)
            host.runtime.clock.callLater(delay, write, ear, host, number + 1)

    return write


@pytest.mark.parametrize("seed", range(25))
def test_whatever_happens_to_the_links_all_arrives_when_it_is_over(seed):
    world = a_world(seed)
    draw = world.entropy("faults")
    ends = connect(world, world.host("client"), world.host("server"))
    for ear, name in zip(ends, ("client", "server"), strict=True):
        ear.written = b""
        host = world.host(name)
        write = converse(world.entropy("lines", name))
        host.runtime.clock.callLater(0, write, ear, host, 0)
    for _ in range(40):
        break_something(world, draw)
        world.run_for(draw.expovariate(1 / 3))
        if draw.random() < 0.6:
            undo_all(world)
            world.run_for(draw.expovariate(1))
    undo_all(world)
    world.run_for(2 * GIVE_UP_SECONDS)
    near, far = ends

    assert (near.lost, far.lost) == (None, None)
    assert heard(far) == near.written
    assert heard(near) == far.written
