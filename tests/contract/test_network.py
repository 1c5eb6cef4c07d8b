"""Streams between programs, over sockets and in a simulated world."""

from __future__ import annotations

import socket

import pytest
from twisted.internet.error import (
    CannotListenError,
    ConnectError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
)
from twisted.internet.interfaces import IPullProducer, IPushProducer, ITransport
from twisted.internet.task import deferLater
from zope.interface import implementer
from zope.interface.verify import verifyObject

from runtime.ports import INetwork, TcpAddress, UnixAddress
from tests.contract.benches import Bench, RealBench, SimulatedBench
from tests.contract.ears import Ears

LOOPBACK = TcpAddress("::1", 0)


class Wired:
    """A port that listens and one connection to it."""

    def __init__(self, bench, address=LOOPBACK):
        self.network = bench.runtime.network
        self.address = address

    async def __aenter__(self):
        self.servers, self.clients = Ears(), Ears()
        endpoint = self.network.server_endpoint(self.address)
        self.port = await endpoint.listen(self.servers)
        if isinstance(self.address, TcpAddress):
            number = self.port.getHost().port
            self.address = TcpAddress(self.address.host, number)
        self.near = await self.connect()
        self.far = await self.servers.ears[0].made
        return self

    async def connect(self):
        client = self.network.client_endpoint(self.address)
        protocol = await client.connect(self.clients)
        while not self.servers.ears:
            await deferLater(self.clock, 0.001)
        return protocol

    async def __aexit__(self, kind, *_):
        for ear in self.clients.ears if kind else ():
            ear.transport.abortConnection()
        for ear in self.clients.ears + self.servers.ears:
            ear.transport.loseConnection()
            await ear.lost
        await self.port.stopListening()


@pytest.fixture
def wired(bench: Bench):
    """Makes a ``Wired`` on the bench."""

    def build(address=LOOPBACK):
        wired = Wired(bench, address)
        wired.clock = bench.runtime.clock
        return wired

    return build


@implementer(IPushProducer)
class Tap:
    """Pours until it is told to pause."""

    def __init__(self, clock, consumer, portion_count):
        self._clock = clock
        self._consumer = consumer
        self.portions_left = portion_count
        self._is_paused = False
        self.pause_count = 0
        consumer.registerProducer(self, streaming=True)
        self._clock.callLater(0, self._pour)

    def _pour(self):
        while self.portions_left and not self._is_paused:
            self.portions_left -= 1
            self._consumer.write(b"x" * 10_000)
        if not self.portions_left and not self._is_paused:
            self._consumer.unregisterProducer()

    def pauseProducing(self):
        self._is_paused = True
        self.pause_count += 1

    def resumeProducing(self):
        self._is_paused = False
        self._clock.callLater(0, self._pour)

    def stopProducing(self):
        self.portions_left = 0


@implementer(IPullProducer)
class Bucket:
    """Gives a portion whenever it is asked."""

    def __init__(self, consumer, portion_count):
        self._consumer = consumer
        self.portions_left = portion_count
        consumer.registerProducer(self, streaming=False)

    def resumeProducing(self):
        self._consumer.write(b"x" * 10_000)
        self.portions_left -= 1
        if not self.portions_left:
            self._consumer.unregisterProducer()

    def stopProducing(self):
        self.portions_left = 0


class NetworkContract:
    def test_the_network_provides_its_interface(self, bench: Bench):
        assert verifyObject(INetwork, bench.runtime.network)

    @pytest.mark.parametrize("host", ["::1", "127.0.0.1"])
    def test_bytes_go_both_ways(self, bench, wired, host):
        async def scenario():
            async with wired(TcpAddress(host, 0)) as wire:
                wire.near.transport.write(b"there")
                wire.far.transport.writeSequence([b"and ", b"back"])
                return await wire.far.has_heard(5), await wire.near.has_heard(8)

        assert bench.run(scenario()) == (b"there", b"and back")

    def test_bytes_go_over_a_socket_of_the_file_system(self, bench, wired, tmp_path):
        async def scenario():
            async with wired(UnixAddress(str(tmp_path / "socket"))) as wire:
                wire.near.transport.write(b"there")
                return await wire.far.has_heard(5)

        assert bench.run(scenario()) == b"there"

    def test_both_ends_know_each_other(self, bench, wired):
        async def scenario():
            async with wired() as wire:
                near, far = wire.near.transport, wire.far.transport
                assert verifyObject(ITransport, near)
                assert near.getPeer() == far.getHost() == wire.port.getHost()
                assert far.getPeer() == near.getHost()
                return far.getHost().host

        assert bench.run(scenario()) == "::1"

    def test_much_arrives_whole_and_in_order(self, bench, wired):
        content = b"".join(b"%7d\n" % number for number in range(400_000))

        async def scenario():
            async with wired() as wire:
                wire.near.transport.write(content)
                return await wire.far.has_heard(len(content))

        assert bench.run(scenario()) == content

    def test_what_was_written_arrives_before_the_end(self, bench, wired):
        async def scenario():
            async with wired() as wire:
                wire.near.transport.write(b"last words")
                wire.near.transport.loseConnection()
                ends = await wire.near.lost, await wire.far.lost
                return ends, wire.far.heard

        assert bench.run(scenario()) == (
            (ConnectionDone, ConnectionDone),
            b"last words",
        )

    def test_an_aborted_connection_is_lost_at_once(self, bench, wired):
        async def scenario():
            async with wired() as wire:
                wire.near.transport.abortConnection()
                return await wire.near.lost, await wire.far.lost

        assert bench.run(scenario()) == (ConnectionAborted, ConnectionLost)

    def test_nothing_is_written_to_a_connection_that_was_lost(self, bench, wired):
        async def scenario():
            async with wired() as wire:
                wire.near.transport.loseConnection()
                await wire.near.lost
                wire.near.transport.write(b"too late")
                await wire.far.lost
                return wire.far.heard

        assert bench.run(scenario()) == b""

    def test_a_protocol_that_pauses_hears_nothing_until_it_resumes(self, bench, wired):
        async def scenario():
            async with wired() as wire:
                wire.far.transport.pauseProducing()
                wire.near.transport.write(b"patience")
                await deferLater(bench.runtime.clock, 0.1)
                before = wire.far.heard
                wire.far.transport.resumeProducing()
                return before, await wire.far.has_heard(8)

        assert bench.run(scenario()) == (b"", b"patience")

    def test_a_producer_pauses_while_nobody_reads(self, bench, wired):
        async def scenario():
            async with wired() as wire:
                wire.far.transport.pauseProducing()
                tap = Tap(bench.runtime.clock, wire.near.transport, 2000)
                await deferLater(bench.runtime.clock, 0.3)
                assert tap.pause_count >= 1
                assert tap.portions_left > 0
                wire.near.transport.loseConnection()
                wire.far.transport.resumeProducing()
                await wire.far.lost
                return len(wire.far.heard)

        assert bench.run(scenario()) == 20_000_000

    def test_a_pull_producer_is_asked_until_it_is_empty(self, bench, wired):
        async def scenario():
            async with wired() as wire:
                Bucket(wire.near.transport, 50)
                wire.near.transport.loseConnection()
                await wire.far.lost
                return len(wire.far.heard)

        assert bench.run(scenario()) == 500_000

    def test_a_producer_is_stopped_when_the_connection_is_lost(self, bench, wired):
        async def scenario():
            async with wired() as wire:
                wire.far.transport.pauseProducing()
                tap = Tap(bench.runtime.clock, wire.near.transport, 1_000_000)
                await deferLater(bench.runtime.clock, 0.05)
                wire.far.transport.abortConnection()
                await wire.near.lost
                return tap.portions_left

        assert bench.run(scenario()) == 0

    def test_connecting_where_nobody_listens_is_refused(self, bench, wired, tmp_path):
        async def scenario():
            network = bench.runtime.network
            async with wired() as wire:
                address = wire.address
            for nowhere in (address, UnixAddress(str(tmp_path / "missing"))):
                with pytest.raises(ConnectError):
                    await network.client_endpoint(nowhere).connect(Ears())

        bench.run(scenario())

    def test_an_address_in_use_cannot_be_listened_at(self, bench, wired):
        async def scenario():
            async with wired() as wire:
                endpoint = bench.runtime.network.server_endpoint(wire.address)
                with pytest.raises(CannotListenError):
                    await endpoint.listen(Ears())

        bench.run(scenario())

    def test_an_address_of_another_host_cannot_be_listened_at(self, bench):
        async def scenario():
            endpoint = bench.runtime.network.server_endpoint(
                TcpAddress("2001:db8::1", 0)
            )
            with pytest.raises(CannotListenError):
                await endpoint.listen(Ears())

        bench.run(scenario())

    def test_a_factory_is_started_and_stopped_with_its_port(self, bench, wired):
        async def scenario():
            async with wired() as wire:
                assert wire.servers.is_started
            assert not wire.servers.is_started

        bench.run(scenario())

    def test_a_port_is_listened_at_again_once_it_is_free(self, bench, wired):
        async def scenario():
            async with wired() as wire:
                address = wire.address
            async with wired(address) as wire:
                wire.near.transport.write(b"again")
                return await wire.far.has_heard(5)

        assert bench.run(scenario()) == b"again"

    def test_connecting_can_be_given_up(self, bench, wired):
        async def scenario():
            async with wired() as wire:
                client = bench.runtime.network.client_endpoint(wire.address)
                connecting = client.connect(Ears())
                given_up = []
                connecting.addErrback(given_up.append)
                connecting.cancel()
                await deferLater(bench.runtime.clock, 0.1)
                assert len(given_up) == 1
                for ear in wire.servers.ears[1:]:
                    ear.transport.loseConnection()

        bench.run(scenario())

    @pytest.mark.parametrize("name", ["localhost", "", "example.org"])
    def test_names_are_refused(self, bench, name):
        network = bench.runtime.network
        for endpoint in (network.client_endpoint, network.server_endpoint):
            with pytest.raises(ValueError, match=r"name|address"):
                endpoint(TcpAddress(name, 80))


class TestRealNetwork(NetworkContract):
    @pytest.fixture
    def bench(self, real_bench: RealBench) -> RealBench:
        return real_bench

    def test_a_socket_left_by_a_killed_program_is_taken_over(
        self, bench, wired, tmp_path
    ):
        path = tmp_path / "socket"
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(path))

        async def scenario():
            async with wired(UnixAddress(str(path))) as wire:
                wire.near.transport.write(b"there")
                return await wire.far.has_heard(5)

        assert bench.run(scenario()) == b"there"

    def test_a_socket_of_the_file_system_is_for_its_user_alone(
        self, bench, wired, tmp_path
    ):
        path = tmp_path / "socket"

        async def scenario():
            async with wired(UnixAddress(str(path))):
                return path.stat().st_mode & 0o777

        assert bench.run(scenario()) == 0o600


class TestSimulatedNetwork(NetworkContract):
    @pytest.fixture
    def bench(self, simulated_bench: SimulatedBench) -> SimulatedBench:
        return simulated_bench
