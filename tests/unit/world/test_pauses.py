"""Machines and processes that stand still, and go on."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import TimeoutError as ConnectTimeout

from labsim.world.world import World
from runtime.ports import Exit, Program, TcpAddress
from tests.unit.world.parts import PORT, CountingService, Ears, connect, count

HOUR = 3600.0


@pytest.fixture
def world():
    return World(1)


@pytest.fixture
def client(world):
    return world.host("client")


@pytest.fixture
def server(world):
    return world.host("server")


def connecting(world, client, server):
    endpoint = client.runtime.network.client_endpoint(TcpAddress(server.address, PORT))
    return endpoint.connect(Ears(world.clock))


def ticks(world, host, count=5):
    """Note the instants of calls that are due each second."""
    noted = []
    for number in range(1, count + 1):
        host.runtime.clock.callLater(
            number, lambda: noted.append(world.clock.seconds())
        )
    return noted


def test_nothing_runs_on_a_paused_machine_and_all_that_was_due_runs_then(world, server):
    noted = ticks(world, server)
    world.run_for(1.5)
    server.pause()
    world.run_for(2)
    assert noted == [1]
    server.resume()
    world.run_for(10)

    assert noted == [1, 3.5, 3.5, 4, 5]


def test_other_machines_go_on(world, client, server):
    noted = ticks(world, client)
    server.pause()
    world.run_for(10)

    assert noted == [1, 2, 3, 4, 5]


def test_a_paused_machine_answers_nothing_and_takes_all_later(world, client, server):
    server.boot(CountingService)
    near, far = connect(world, client, world.host("other"))
    world.host("other").pause()
    server.pause()
    near.transport.write(b"are you there?")
    with pytest.raises(ConnectTimeout):
        world.result(connecting(world, client, server))
    assert far.heard == []
    world.host("other").resume()
    server.resume()
    asked = world.result(count(client.runtime, server))
    world.run_for(1)

    assert asked == 1
    assert [data for _, data in far.heard] == [b"are you there?"]
    assert near.lost is None


def test_what_a_machine_sent_before_its_pause_arrives(world, client, server):
    near, far = connect(world, client, server)
    near.transport.write(b"on its way")
    client.pause()
    world.run_for(1)

    assert [data for _, data in far.heard] == [b"on its way"]


def test_the_clocks_of_a_paused_machine_go_on(world, server):
    before = server.runtime.calendar.now(), server.runtime.clock.seconds()
    server.pause()
    world.run_for(HOUR)
    server.resume()

    after = server.runtime.calendar.now(), server.runtime.clock.seconds()
    assert after == (before[0] + HOUR, before[1] + HOUR)


def test_the_kernel_of_paused_processes_takes_connections_and_bytes(
    world, client, server
):
    ears = Ears(world.clock)
    endpoint = server.runtime.network.server_endpoint(TcpAddress("::", PORT))
    world.result(endpoint.listen(ears))
    server.pause_processes()
    near = world.result(connecting(world, client, server))
    near.transport.write(b"patience")
    world.run_for(2 * HOUR)
    assert (near.lost, ears.ears) == (None, [])
    server.resume_processes()
    world.run_for(1)

    assert [data for _, data in ears.ears[0].heard] == [b"patience"]


def test_paused_processes_notice_an_end_when_they_go_on(world, client, server):
    near, far = connect(world, client, server)
    server.pause_processes()
    near.transport.write(b"last words")
    near.transport.loseConnection()
    world.run_for(10)
    assert (far.heard, far.lost) == ([], None)
    server.resume_processes()
    world.run_for(1)

    assert [data for _, data in far.heard] == [b"last words"]
    assert far.lost is not None


def test_an_abort_reaches_a_paused_process_when_it_goes_on(world, client, server):
    near, far = connect(world, client, server)
    server.pause_processes()
    near.transport.abortConnection()
    world.run_for(10)
    assert far.lost is None
    server.resume_processes()
    world.run_for(1)

    assert far.lost is not None


def test_a_crash_ends_a_pause(world, client, server):
    server.boot(CountingService)
    server.pause()
    server.pause_processes()
    server.crash()
    server.boot()

    assert world.result(count(client.runtime, server)) == 1
    assert not server.is_paused


def test_pausing_and_resuming_twice_is_doing_it_once(world, server):
    noted = ticks(world, server, 1)
    for call in (server.pause, server.pause, server.resume, server.resume):
        call()
    server.pause_processes()
    server.pause_processes()
    server.resume_processes()
    world.run_for(2)

    assert noted == [1]


def test_a_bounce_is_a_new_life_at_once(server):
    server.boot(CountingService)
    before = server.runtime
    server.bounce()

    assert server.is_up
    assert server.runtime is not before


@pytest.fixture
def program(server):
    """A program that notes each second; its notes."""
    notes = []

    async def tick(_, process):
        while True:
            await process.sleep(1)
            notes.append(process.clock.seconds())

    server.add_behaviour(lambda program: program.argv[0] == "tick", tick)
    ended = server.runtime.processes.run(Program(("tick",), "/"))
    return notes, ended


def is_tick(program):
    return program.argv[0] == "tick"


def test_a_program_is_paused_alone(world, server, program):
    notes, _ = program
    world.run_for(3.5)
    assert server.pause_programs(is_tick) == 1
    noted = ticks(world, server)
    world.run_for(10)
    assert (len(notes), len(noted)) == (3, 5)
    server.resume_programs(is_tick)
    world.run_for(2)
    server.kill_programs(is_tick)
    world.run_for(10)

    assert 4 < len(notes) < 8


def test_a_program_is_killed_alone(world, server, program):
    notes, ended = program
    world.run_for(3.5)
    assert server.kill_programs(is_tick) == 1
    assert server.kill_programs(lambda _: False) == 0

    assert world.result(ended) == Exit(None, 9)
    assert server.running_programs == ()
    assert isinstance(ended, Deferred)
    assert len(notes) == 3
