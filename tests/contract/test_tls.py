"""TLS over streams: who is let in, who is trusted, and what everybody is told."""

from __future__ import annotations

import socket
import ssl

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.web.resource import Resource

from runtime import tls_streams
from runtime.http_client import ConnectionFailed, HttpClient
from runtime.http_server import BoundedSite
from runtime.identity_directory import paths_below
from runtime.identity_files import CredentialFiles
from runtime.ports import TcpAddress
from runtime.tls import (
    BadCredentials,
    Credentials,
    ServerTrust,
    check_credentials,
    peer_of,
    serve_tls,
)
from slap import calls
from slap.errors import Forbidden, Unreachable
from slap.identities import Identity, Role, identity_of
from slapgrid.recipe.master_link import MasterLink, parse_master_url
from tests.certificates import (
    CLIENT,
    DAY,
    SERVER,
    a_region,
    a_root,
    nobody,
    pem,
    write_identity,
)
from tests.contract.benches import Bench, RealBench, SimulatedBench

REPLICA = Identity(Role.REPLICA, "lyon")
COMPUTER = Identity(Role.COMPUTER, "COMP-3")

HANDSHAKES_MAX = 20

ROOT = a_root()
REGION = a_region(ROOT)
SERVING = REGION.issue_to(REPLICA)
CALLING = REGION.issue_to(COMPUTER)


def no_replica(peer):
    """The rule by which clients know a master."""
    try:
        identity = identity_of(peer.uris)
    except Forbidden as error:
        return error.sentence
    return None if identity.role is Role.REPLICA else f"it is {identity}"


class Names(Resource):
    """Tells callers their names."""

    isLeaf = True

    def __init__(self):
        super().__init__()
        self.ports = set()

    def render_GET(self, http_request):
        self.ports.add(http_request.getClientAddress().port)
        peer = peer_of(http_request.channel.transport)
        secure = b"securely " if http_request.isSecure() else b""
        return secure + (b"nobody" if peer is None else ",".join(peer.uris).encode())


class Open:
    """A server of names, and clients of it."""

    def __init__(self, bench, credentials):
        self._runtime = bench.runtime
        self._clients = []
        self.credentials = credentials
        self.names = Names()
        site = BoundedSite(self.names, bench.runtime)
        self.factory = serve_tls(
            site, bench.runtime, self._ask, handshakes_max=HANDSHAKES_MAX
        )

    def _ask(self):
        return self.credentials

    async def __aenter__(self):
        endpoint = self._runtime.network.server_endpoint(TcpAddress("127.0.0.1", 0))
        self._listening = await endpoint.listen(self.factory)
        self.port = self._listening.getHost().port
        return self

    async def __aexit__(self, *_):
        for client in self._clients:
            await client.close()
        await self._listening.stopListening()

    def client(self, ask):
        if isinstance(ask, Credentials):
            credentials = ask
            client = HttpClient(
                self._runtime, ServerTrust(lambda: credentials, no_replica)
            )
        else:
            client = HttpClient(self._runtime, ServerTrust(ask, no_replica))
        self._clients.append(client)
        return client

    async def get(self, client, scheme="https"):
        if not isinstance(client, HttpClient):
            client = self.client(client)
        url = f"{scheme}://127.0.0.1:{self.port}/"
        reply = await client.send("GET", url, timeout_seconds=60)
        return reply.body.decode()


@pytest.fixture
def names(bench: Bench):
    def build(credentials=None):
        return Open(bench, credentials or SERVING.credentials(ROOT))

    return build


def with_chain(issued, believed):
    """What somebody shows who forges the way to a root."""
    return Credentials(issued.chain + pem(ROOT.certificate), issued.key_pem, believed)


SELF_SIGNED = a_root("COMP-3")
FOREIGN_ROOT = a_root()
PERSON = REGION.issue_to(Identity(Role.PERSON, "ada"))

REFUSED_CLIENTS = {
    "self-signed": (SELF_SIGNED, "other roots"),
    "foreign": (
        a_region(FOREIGN_ROOT).issue_to(COMPUTER),
        "other roots|its root",
    ),
    "issued by a leaf": (CALLING.issue_to(COMPUTER), "other roots|take|broken"),
    "for servers alone": (
        REGION.issue_to(COMPUTER, uses=(SERVER,)),
        "not for this use",
    ),
}
"""By what is wrong: a certificate, and what its owner is told."""

REFUSED_SERVERS = {
    "self-signed": (a_root("lyon"), "another authority"),
    "foreign": (a_region(FOREIGN_ROOT).issue_to(REPLICA), "another authority"),
    "issued by a leaf": (SERVING.issue_to(REPLICA), "refused: invalid CA|authority"),
    "a computer": (
        REGION.issue_to(COMPUTER, uses=(CLIENT, SERVER)),
        "not to be trusted: it is computer COMP-3",
    ),
    "a person": (PERSON, "not one for a server"),
    "nobody": (REGION.issue("lyon", uses=(SERVER,)), "names nobody"),
    "two": (
        REGION.issue(
            "lyon",
            ("urn:slapcluster:replica:lyon", "urn:slapcluster:replica:tokyo"),
            uses=(SERVER,),
        ),
        "names nobody",
    ),
    "over": (REGION.issue_to(REPLICA, valid=(0.0, DAY)), "is over since 1970-01-02"),
    "not yet good": (
        REGION.issue_to(REPLICA, valid=(150 * 365 * DAY, 160 * 365 * DAY)),
        "not good before 2119",
    ),
    "of a region that is over": (
        ROOT.issue("region", is_authority=True, uses=(), valid=(0.0, DAY)).issue_to(
            REPLICA
        ),
        "is over since 1970-01-02",
    ),
}


class TlsContract:
    def test_each_end_knows_whose_certificate_the_other_has(self, bench, names):
        async def scenario():
            async with names() as opened:
                return await opened.get(CALLING.credentials(ROOT))

        assert bench.run(scenario()) == "securely urn:slapcluster:computer:COMP-3"

    def test_a_client_without_a_certificate_is_nobody(self, bench, names):
        async def scenario():
            async with names() as opened:
                return await opened.get(nobody(ROOT))

        assert bench.run(scenario()) == "securely nobody"

    @pytest.mark.parametrize("wrong", REFUSED_CLIENTS)
    def test_a_client_with_a_wrong_certificate_is_told_why(self, bench, names, wrong):
        certificate, reason = REFUSED_CLIENTS[wrong]

        async def scenario():
            async with names() as opened:
                with pytest.raises(ConnectionFailed, match=reason):
                    await opened.get(certificate.credentials(ROOT))
                return await opened.get(nobody(ROOT))

        assert bench.run(scenario()) == "securely nobody"

    @pytest.mark.parametrize("wrong", REFUSED_SERVERS)
    def test_a_server_with_a_wrong_certificate_is_asked_nothing(
        self, bench, names, wrong
    ):
        certificate, reason = REFUSED_SERVERS[wrong]

        async def scenario():
            async with names(certificate.credentials(ROOT)) as opened:
                with pytest.raises(ConnectionFailed, match=reason):
                    await opened.get(CALLING.credentials(ROOT))
                return opened.names.ports

        assert bench.run(scenario()) == set()

    def test_a_forged_way_to_a_root_is_no_way(self, bench, names):
        forged = with_chain(a_region(FOREIGN_ROOT).issue_to(REPLICA), ROOT.pem)

        async def scenario():
            async with names(forged) as opened:
                with pytest.raises(ConnectionFailed, match="another authority"):
                    await opened.get(CALLING.credentials(ROOT))

        bench.run(scenario())

    @pytest.mark.parametrize(
        "odd",
        [
            x509.DNSName("evil\0.example"),
            x509.UniformResourceIdentifier("urn:slapcluster:computer:COMP-3\0"),
            x509.UniformResourceIdentifier("urn:slapcluster:person:a b"),
            x509.RFC822Name("a@b"),
            x509.DirectoryName(x509.Name([])),
        ],
    )
    def test_odd_names_in_a_certificate_make_nobody_else(self, bench, names, odd):
        certificate = REGION.issue("COMP-3", other_names=(odd,))

        async def scenario():
            async with names() as opened:
                return await opened.get(certificate.credentials(ROOT))

        assert "urn:slapcluster:computer:COMP-3" not in bench.run(scenario()).split(",")

    def test_who_trusts_blindly_asks_anybody(self, bench, names):
        foreign = a_root("lyon")
        blind = ServerTrust(lambda: Credentials("", "", ""), no_replica, is_blind=True)

        async def scenario():
            async with names(foreign.credentials(ROOT)) as opened:
                client = HttpClient(bench.runtime, blind)
                answer = await opened.get(client)
                await client.close()
                return answer

        assert bench.run(scenario()) == "securely nobody"

    def test_a_replaced_certificate_drops_no_connection_and_is_shown_to_new_ones(
        self, bench, names
    ):
        over = REGION.issue_to(REPLICA, valid=(0.0, DAY))

        async def scenario():
            async with names() as opened:
                client = opened.client(CALLING.credentials(ROOT))
                await opened.get(client)
                opened.credentials = over.credentials(ROOT)
                assert "COMP-3" in await opened.get(client)
                with pytest.raises(ConnectionFailed, match="is over since"):
                    await opened.get(nobody(ROOT))
                return len(opened.names.ports)

        assert bench.run(scenario()) == 1

    def test_a_client_leaves_the_connections_of_its_old_certificate(self, bench, names):
        mine = [CALLING.credentials(ROOT)]

        async def scenario():
            async with names() as opened:
                client = opened.client(lambda: mine[0])
                for _ in range(2):
                    await opened.get(client)
                before = len(opened.names.ports)
                mine[0] = PERSON.credentials(ROOT)
                named = [await opened.get(client) for _ in range(2)]
                return before, len(opened.names.ports), named

        before, after, named = bench.run(scenario())

        assert (before, after) == (1, 2)
        assert named == ["securely urn:slapcluster:person:ada"] * 2

    def test_plain_http_at_a_port_of_tls_is_told_so(self, bench, names):
        async def scenario():
            async with names() as opened:
                return await opened.get(nobody(ROOT), scheme="http")

        assert bench.run(scenario()) == "this port speaks TLS: ask at https://\n"

    def test_a_key_of_another_certificate_is_refused(self):
        wrong = Credentials(CALLING.chain, SERVING.key_pem, ROOT.pem)

        with pytest.raises(BadCredentials, match="not a pair"):
            check_credentials(wrong, is_server=False)

    @pytest.mark.parametrize("roots", ["", "nonsense", CALLING.key_pem])
    def test_roots_that_are_none_are_refused(self, roots):
        with pytest.raises(BadCredentials, match="root certificates"):
            check_credentials(Credentials("", "", roots), is_server=False)

    def test_a_server_needs_a_certificate(self):
        with pytest.raises(BadCredentials, match="needs a certificate"):
            check_credentials(nobody(ROOT), is_server=True)

    def test_a_key_is_shown_to_nobody(self):
        assert "PRIVATE" not in repr(CALLING.credentials(ROOT))

    def test_files_are_read_again_when_they_changed(self, bench):
        tree = bench.runtime.file_tree(bench.directory)
        paths = paths_below(bench.directory)
        asked = CredentialFiles(bench.runtime, paths)

        with pytest.raises(BadCredentials, match=r"own.crt cannot be read"):
            asked()
        write(tree, CALLING)
        first = asked()
        again = asked()
        tree.write("own.key", PERSON.key_pem.encode())
        torn = asked()
        tree.write("own.crt", PERSON.chain.encode())
        last = asked()

        assert first == CALLING.credentials(ROOT)
        assert again is first
        assert torn is first
        assert last == PERSON.credentials(ROOT)


def write(tree, issued):
    tree.write("root.crt", ROOT.pem.encode())
    tree.write("own.key", issued.key_pem.encode(), 0o600)
    tree.write("own.crt", issued.chain.encode())


class Mute(Protocol):
    """Says what its factory has to say, and keeps what it hears."""

    def connectionMade(self):
        self.heard = b""
        self.is_lost = False
        self.transport.write(self.factory.text)

    def dataReceived(self, data):
        self.heard += data

    def connectionLost(self, _):
        self.is_lost = True


class TestRealTls(TlsContract):
    @pytest.fixture
    def bench(self, real_bench: RealBench) -> RealBench:
        return real_bench

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the old version
    @pytest.mark.parametrize(
        "version", [ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2]
    )
    def test_tls_before_1_2_is_refused(self, bench, names, version):
        def shake(port):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.maximum_version = version
            with socket.create_connection(("127.0.0.1", port), 10) as raw:
                try:
                    with context.wrap_socket(raw) as wrapped:
                        return wrapped.version()
                except ssl.SSLError as error:
                    return error.reason

        async def scenario():
            async with names() as opened:
                return await in_thread(bench, shake, opened.port)

        answer = bench.run(scenario())

        wanted = "TLSv1.2" if version is ssl.TLSVersion.TLSv1_2 else "PROTOCOL_VERSION"
        assert answer.endswith(wanted)

    def test_a_console_knows_masters_by_the_same_rule(self, bench, names, tmp_path):
        paths = paths_below(str(write_identity(tmp_path, CALLING, ROOT)))

        def ask(port):
            url = parse_master_url(f"https://127.0.0.1:{port}/")
            return MasterLink(url, paths.key, paths.chain, paths.roots).perform(
                calls.get_run_id()
            )

        async def scenario():
            async with names() as opened:
                answer = await in_thread(bench, ask, opened.port)
                opened.credentials = REFUSED_SERVERS["a computer"][0].credentials(ROOT)
                with pytest.raises(Unreachable, match="is that of computer COMP-3"):
                    await in_thread(bench, ask, opened.port)
                return answer

        assert bench.run(scenario()) == "securely urn:slapcluster:computer:COMP-3"


async def in_thread(bench, work, *arguments):
    reactor = bench.runtime.clock
    return await deferToThreadPool(reactor, reactor.getThreadPool(), work, *arguments)


class TestSimulatedTls(TlsContract):
    @pytest.fixture
    def bench(self, simulated_bench: SimulatedBench) -> SimulatedBench:
        return simulated_bench

    @pytest.mark.parametrize("text", [b"", b"\x16\x03\x01", b"\x16\x03\x01\x02\x00"])
    def test_a_handshake_that_never_ends_is_ended(self, bench, names, text):
        async def scenario():
            async with names() as opened:
                mute = await knock(bench, opened.port, text)
                clock = bench.runtime.clock
                await deferLater(clock, tls_streams.HANDSHAKE_SECONDS_MAX - 1)
                was_lost = mute.is_lost
                await deferLater(clock, tls_streams.LINGER_SECONDS + 2)
                return was_lost, mute.is_lost

        assert bench.run(scenario()) == (False, True)

    def test_many_handshakes_that_never_end_keep_nobody_out(self, bench, names):
        async def scenario():
            async with names() as opened:
                mutes = await gatherResults(
                    [
                        Deferred.fromCoroutine(knock(bench, opened.port, b""))
                        for _ in range(HANDSHAKES_MAX)
                    ]
                )
                answer = await opened.get(nobody(ROOT))
                return answer, sum(it.is_lost for it in mutes)

        assert bench.run(scenario()) == ("securely nobody", 1)

    @pytest.mark.parametrize("text", [b"\0" * 100, b"\x80\x2e\x01", b"\x16" * 5000])
    def test_garbage_is_ended_soon(self, bench, names, text):
        async def scenario():
            async with names() as opened:
                mute = await knock(bench, opened.port, text)
                await deferLater(bench.runtime.clock, tls_streams.LINGER_SECONDS + 1)
                return mute.is_lost, await opened.get(nobody(ROOT))

        assert bench.run(scenario()) == (True, "securely nobody")


async def knock(bench, port, text):
    factory = Factory.forProtocol(Mute)
    factory.text = text
    address = TcpAddress("127.0.0.1", port)
    return await bench.runtime.network.client_endpoint(address).connect(factory)


@settings(max_examples=15)
@given(st.lists(st.binary(max_size=600), min_size=1, max_size=4), st.booleans())
def test_nothing_that_is_said_to_the_port_keeps_it_from_serving(texts, begins_like_tls):
    """Whatever it is, it ends within the bound of a handshake."""
    bench = SimulatedBench()
    head = b"\x16\x03\x01" if begins_like_tls else b""

    async def scenario():
        async with Open(bench, SERVING.credentials(ROOT)) as opened:
            mutes = [await knock(bench, opened.port, head + it) for it in texts]
            answer = await opened.get(nobody(ROOT))
            longest = tls_streams.HANDSHAKE_SECONDS_MAX + tls_streams.LINGER_SECONDS
            await deferLater(bench.runtime.clock, longest + 1)
            return answer, all(it.is_lost for it in mutes)

    assert bench.run(scenario()) == ("securely nobody", True)
