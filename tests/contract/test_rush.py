"""Many who connect at once, over the sockets of this machine."""

from __future__ import annotations

import socket
from itertools import pairwise

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from runtime.network import ACCEPTS_MAX, SocketNetwork
from runtime.ports import TcpAddress
from tests.programs import free_port
from tests.reactor import ReactorBench

CLIENT_COUNT = 4 * ACCEPTS_MAX


def test_a_rush_is_accepted_in_steps(run_real: ReactorBench) -> None:
    """So that who ends a connection for each new one never runs out of descriptors."""
    made: list[Protocol] = []

    class Made(Protocol):
        def connectionMade(self) -> None:
            made.append(self)

    async def rush() -> list[int]:
        address = TcpAddress("127.0.0.1", free_port())
        factory = Factory.forProtocol(Made)
        endpoint = SocketNetwork(run_real.reactor).server_endpoint(address)
        port = await endpoint.listen(factory)
        where = (address.host, address.port)
        clients = [socket.create_connection(where) for _ in range(CLIENT_COUNT)]
        counts = [0]
        while counts[-1] < CLIENT_COUNT:
            await deferLater(run_real.reactor, 0)
            counts.append(len(made))
        for client in clients:
            client.close()
        for each in made:
            each.transport.abortConnection()
        await port.stopListening()
        await deferLater(run_real.reactor, 0)
        return counts

    counts = run_real(rush())

    assert max(after - before for before, after in pairwise(counts)) == ACCEPTS_MAX
