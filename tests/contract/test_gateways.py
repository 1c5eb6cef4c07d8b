"""Gateways on a real stunnel: programs that speak no TLS reach the first server."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography import x509

from runtime.http_client import ConnectionFailed, HttpClient
from runtime.http_server import BoundedSite
from runtime.ports import TcpAddress
from runtime.real import build_runtime
from runtime.tls import serve_tls
from slap.identities import Identity, Role
from stunnel_conf.applying import Applier, NotTaken
from stunnel_conf.links import BadLinks, Endpoint, Gateway, Links, read_span
from stunnel_conf.process import StunnelProcess
from tests import programs
from tests.certificates import a_region, a_root, write_identity
from tests.contract.test_tls import Names
from tests.reactor import ReactorBench

ROOT = a_root()
REGION = a_region(ROOT)
FOREIGN = a_region(a_root())
LOOPBACK = (x509.IPAddress(ipaddress.ip_address("127.0.0.1")),)
ELSEWHERE = (x509.IPAddress(ipaddress.ip_address("192.0.2.7")),)


def a_replica(name, issuer=REGION, addresses=LOOPBACK):
    return issuer.issue_to(Identity(Role.REPLICA, name), other_names=addresses)


class Place:
    """A computer with a gateway, and servers on loopback."""

    def __init__(self, run: ReactorBench, home: Path, stack: ExitStack) -> None:
        self.run = run
        self.runtime = build_runtime(run.reactor)
        self.home, self._stack = home, stack
        self.entry = Endpoint("127.0.0.1", programs.free_port())
        self.servers = tuple(
            Endpoint("127.0.0.1", programs.free_port()) for _ in range(2)
        )
        self.listening = {}
        self.names = {}
        self.client = HttpClient(self.runtime)
        self.show(REGION.issue_to(Identity(Role.COMPUTER, "COMP-3")))

    def show(self, owner) -> None:
        write_identity(self.home / "identity", owner, ROOT)

    async def apply(self):
        gateway = Gateway("master", self.entry, self.servers, "identity")
        links = Links(
            "comp-3", "", "", read_span("127.0.0.1:10000-10999"), (), (), (gateway,)
        )
        process = StunnelProcess(str(self.home))
        applier = Applier(self.runtime, str(self.home), process)
        return await applier.apply(links, lambda it: (self.home / it).read_text())

    def begin(self) -> None:
        log = self.home / "output"
        conf = self.home / "stunnel.conf"
        self._stack.enter_context(programs.running(("stunnel", str(conf)), log))
        written = self.home / "stunnel.log"
        programs.eventually(
            lambda: "Configuration successful" in written.read_text(),
            10,
            "stunnel begins",
        )

    async def serve(self, number, owner) -> None:
        credentials = owner.credentials(ROOT)
        self.names[number] = Names()
        site = BoundedSite(self.names[number], self.runtime)
        address = TcpAddress("127.0.0.1", self.servers[number].port)
        endpoint = self.runtime.network.server_endpoint(address)
        self.listening[number] = await endpoint.listen(
            serve_tls(site, self.runtime, lambda: credentials)
        )

    async def leave(self, number) -> None:
        await self.listening.pop(number).stopListening()

    async def ask(self, client=None) -> str:
        client = client or HttpClient(self.runtime)
        url = f"http://{self.entry}/"
        try:
            reply = await client.send("GET", url, timeout_seconds=20)
        finally:
            if client is not self.client:
                await client.close()
        return reply.body.decode()

    async def end(self) -> None:
        await self.client.close()
        for number in tuple(self.listening):
            await self.leave(number)


@pytest.fixture
def place(run_real: ReactorBench, tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(run_real, tmp_path, stack)


SECURELY = "securely urn:slapcluster:computer:COMP-3"


def test_the_first_server_that_is_there_is_asked_as_the_computer(place: Place) -> None:
    async def scenario():
        applied = await place.apply()
        assert str(applied.entries["master"]) == str(place.entry)
        place.begin()
        await place.serve(0, a_replica("lyon"))
        await place.serve(1, a_replica("tokyo"))
        assert await place.ask() == SECURELY
        counts = [len(place.names[it].ports) for it in range(2)]
        await place.leave(0)
        assert await place.ask() == SECURELY
        await place.end()
        return counts, len(place.names[1].ports)

    assert place.run(scenario()) == ([1, 0], 1)


@pytest.mark.parametrize(
    "wrong",
    [
        a_replica("lyon", issuer=FOREIGN),
        a_replica("lyon", addresses=ELSEWHERE),
        a_root("lyon"),
        REGION.issue_to(Identity(Role.PERSON, "ada"), other_names=LOOPBACK),
    ],
    ids=["foreign", "of another address", "self-signed", "a person"],
)
def test_a_wrong_server_gets_nothing(place: Place, wrong) -> None:
    async def scenario():
        await place.apply()
        place.begin()
        await place.serve(0, wrong)
        with pytest.raises(ConnectionFailed):
            await place.ask()
        await place.end()
        return place.names[0].ports

    assert place.run(scenario()) == set()


def test_a_renewed_certificate_is_shown_and_drops_no_connection(place: Place) -> None:
    async def scenario():
        await place.apply()
        place.begin()
        await place.serve(0, a_replica("lyon"))
        before = await place.ask(place.client)
        place.show(REGION.issue_to(Identity(Role.COMPUTER, "COMP-4")))
        applied = await place.apply()
        assert (applied.is_changed, applied.closed_count) == (True, 0)
        answers = before, await place.ask(place.client), await place.ask()
        assert not (await place.apply()).is_changed
        await place.end()
        return answers

    assert place.run(scenario()) == (
        SECURELY,
        SECURELY,
        "securely urn:slapcluster:computer:COMP-4",
    )


def test_an_identity_that_is_none_changes_nothing(place: Place) -> None:
    (place.home / "identity" / "own.key").write_text("nonsense")

    async def scenario():
        with pytest.raises(BadLinks, match=r"gateways.master: identity: has no key"):
            await place.apply()

    place.run(scenario())
    assert not (place.home / "stunnel.conf").exists()


def test_a_port_that_is_taken_is_said(place: Place) -> None:
    async def scenario():
        await place.apply()
        place.begin()
        place.entry = Endpoint("127.0.0.1", place.servers[0].port)
        place.servers = place.servers[1:]
        endpoint = place.runtime.network.server_endpoint(
            TcpAddress("127.0.0.1", place.entry.port)
        )
        listening = await endpoint.listen(BoundedSite(Names(), place.runtime))
        with pytest.raises(NotTaken, match=r"gateway.master cannot be listened at"):
            await place.apply()
        await listening.stopListening()

    place.run(scenario())
