"""Small services and protocols for worlds."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.protocol import Factory, Protocol
from twisted.web.resource import Resource

from runtime.http_client import HttpClient
from runtime.http_server import BoundedSite
from runtime.ports import Runtime, TcpAddress

PORT = 5000


class Counting(Resource):
    """Tells how often it was asked, and keeps the number in a file."""

    isLeaf = True

    def __init__(self, runtime: Runtime):
        super().__init__()
        self._files = runtime.file_tree("/srv/counting")
        self._files.make_directory("")

    def render_POST(self, _):
        count = 1
        if self._files.status("count") is not None:
            count += int(self._files.read("count"))
        self._files.write("count", b"%d" % count)
        return b"%d" % count


class CountingService(Service):
    """Serves ``Counting`` on every address of its host."""

    def __init__(self, runtime: Runtime):
        self._runtime = runtime
        self._port = None

    def startService(self):
        site = BoundedSite(Counting(self._runtime), self._runtime)
        endpoint = self._runtime.network.server_endpoint(TcpAddress("::", PORT))
        endpoint.listen(site).addCallback(lambda port: setattr(self, "_port", port))

    async def stopService(self):
        await self._port.stopListening()


async def count(runtime: Runtime, server, timeout_seconds=10.0) -> int:
    """Ask a counting service once, over a connection of its own."""
    client = HttpClient(runtime)
    try:
        reply = await client.send(
            "POST",
            f"http://[{server.address}]:{PORT}/",
            timeout_seconds=timeout_seconds,
        )
    finally:
        await client.close()
    return int(reply.body)


class Ear(Protocol):
    """Keeps what it hears and when, and how it ends."""

    def connectionMade(self):
        self.heard = []
        self.lost = None
        self.lost_at = None

    def dataReceived(self, data):
        self.heard.append((round(self.factory.clock.seconds(), 3), data))

    def connectionLost(self, reason):
        self.lost = type(reason.value)
        self.lost_at = self.factory.clock.seconds()


class Ears(Factory):
    protocol = Ear

    def __init__(self, clock):
        self.clock = clock
        self.ears = []

    def buildProtocol(self, addr):
        self.ears.append(super().buildProtocol(addr))
        return self.ears[-1]


def connect(world, client, server):
    """Two ends of a connection between two hosts: near, far."""
    ears = Ears(world.clock)
    listening = server.runtime.network.server_endpoint(TcpAddress("::", PORT))
    world.result(listening.listen(ears))
    endpoint = client.runtime.network.client_endpoint(TcpAddress(server.address, PORT))
    near = world.result(endpoint.connect(Ears(world.clock)))
    world.run_until(lambda: ears.ears)
    return near, ears.ears[0]
