"""A master with TLS, asked by everybody, in a simulated world."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.task import deferLater

from master_cluster.config import Config
from master_cluster.errors import Misconfigured
from runtime.http_client import ConnectionFailed, HttpClient
from runtime.ports import TcpAddress
from runtime.tls import ServerTrust
from slap import calls
from slap.calls import HttpAnswer, decode_answer, encode_call
from slap.errors import Forbidden
from slap.identities import Identity, Role, refusal_of_master
from slap.model import RequestedInstance
from slap.polling import Polled, encode_poll
from slap.replicas import Replicas
from slapgrid.config import read_config
from slapgrid.settings import ConfigError
from slapgrid.slap_client import SlapClient
from slapgrid.trusting import trust_of
from tests.builders import (
    COMPUTER_ID,
    a_computer_definition,
    a_partition_key,
    an_installation,
    an_instance_request,
)
from tests.certificates import DAY, a_region, a_root, nobody
from tests.unit.master_cluster.benches import WebBench

ROOT = a_root()
REGION = a_region(ROOT)
SERVING = REGION.issue_to(Identity(Role.REPLICA, "lyon"))
PERSON = REGION.issue_to(Identity(Role.PERSON, "ada"))
COMPUTER = REGION.issue_to(Identity(Role.COMPUTER, COMPUTER_ID))
OTHER = REGION.issue_to(Identity(Role.COMPUTER, "COMP-9"))
STRANGE = REGION.issue("COMP-1", ("urn:example:computer:COMP-1",))
OVER = REGION.issue_to(Identity(Role.PERSON, "bob"), valid=(0.0, DAY))

KEY = a_partition_key(0)
HOME = "/srv/identity"


class TlsBench(WebBench):
    """A master with TLS, and clients with any certificate."""

    own = SERVING

    def prepare(self) -> None:
        self._clients: dict[object, HttpClient] = {}
        tree = self.host.runtime.file_tree("/")
        tree.make_directory("srv/identity")
        if self.own is None:
            return
        for name, text in (
            ("root.crt", ROOT.pem),
            ("own.key", self.own.key_pem),
            ("own.crt", self.own.chain),
        ):
            tree.write(f"srv/identity/{name}", text.encode(), 0o600)

    def close(self) -> None:
        for client in self._clients.values():
            self.world.result(client.close())
        super().close()

    def client(self, issued):
        if issued not in self._clients:
            credentials = issued.credentials(ROOT) if issued else nobody(ROOT)
            trust = ServerTrust(
                lambda: credentials, lambda peer: refusal_of_master(peer.uris)
            )
            self._clients[issued] = HttpClient(self.host.runtime, trust)
        return self._clients[issued]

    def ask(self, issued, verb, path, headers=None, body=b""):
        url = f"https://127.0.0.1:{self.address.port}/{path}"
        sending = self.client(issued).send(
            verb, url, headers or {}, body, timeout_seconds=90
        )
        return self.world.result(sending)

    def call(self, issued, call):
        wanted = encode_call(call)
        reply = self.ask(
            issued, wanted.verb, wanted.path, dict(wanted.headers), wanted.body
        )
        answer = HttpAnswer(reply.status, reply.headers, reply.body)
        return decode_answer(call, answer)


@pytest.fixture
def bench() -> Iterator[TlsBench]:
    bench = TlsBench(
        identity_directory=HOME, has_tls=True, path_prefix="erp5/portal_slap"
    )
    bench.call(PERSON, calls.define_computer(a_computer_definition(3)))
    yield bench
    bench.close()


def test_a_computer_does_what_nodes_do(bench: TlsBench) -> None:
    bench.call(PERSON, calls.supply(an_installation()))
    root = bench.call(PERSON, calls.request_instance(an_instance_request(title="r")))
    assert isinstance(root, RequestedInstance)
    release = an_installation().software_release_url

    for call in (
        calls.get_computer(COMPUTER_ID),
        calls.report_building(release, COMPUTER_ID),
        calls.report_available(release, COMPUTER_ID),
        calls.request_instance(an_instance_request(title="child", requester=KEY)),
        calls.report_started(KEY),
        calls.publish_connection(KEY, {"port": "80"}),
        calls.bang_computer(COMPUTER_ID, "late"),
        calls.define_computer(a_computer_definition(3)),
        calls.get_computer_report(COMPUTER_ID),
    ):
        bench.call(COMPUTER, call)


def test_what_is_not_ones_own_is_refused(bench: TlsBench) -> None:
    for issued, call in (
        (OTHER, calls.get_computer(COMPUTER_ID)),
        (OTHER, calls.report_started(KEY)),
        (OTHER, calls.define_computer(a_computer_definition(1))),
        (OTHER, calls.request_instance(an_instance_request(requester=KEY))),
        (COMPUTER, calls.supply(an_installation())),
        (COMPUTER, calls.get_cloud_report()),
        (COMPUTER, calls.get_token("person")),
        (SERVING, calls.get_computer(COMPUTER_ID)),
        (None, calls.get_computer(COMPUTER_ID)),
        (None, calls.get_run_id()),
    ):
        with pytest.raises(Forbidden):
            bench.call(issued, call)


def test_an_answer_that_is_remembered_is_its_askers_alone(bench: TlsBench) -> None:
    bench.call(PERSON, calls.supply(an_installation()))
    bench.call(PERSON, calls.request_instance(an_instance_request(title="r")))
    child = calls.request_instance(an_instance_request(title="child", requester=KEY))

    for _ in range(2):
        bench.call(COMPUTER, child)
        with pytest.raises(Forbidden, match="is not of computer COMP-9"):
            bench.call(OTHER, child)


def test_polls_are_guarded_with_and_without_a_wait(bench: TlsBench) -> None:
    poll = encode_poll(COMPUTER_ID, None, None)
    first = bench.ask(COMPUTER, poll.verb, poll.path, dict(poll.headers))
    etag = first.headers["etag"]
    waiting = encode_poll(COMPUTER_ID, etag, 30)

    again = bench.ask(COMPUTER, waiting.verb, waiting.path, dict(waiting.headers))
    other = bench.ask(OTHER, waiting.verb, waiting.path, dict(waiting.headers))

    assert (first.status, again.status, other.status) == (200, 304, 403)
    assert other.body == b"COMP-1 is not computer COMP-9"


def test_polls_that_are_not_understood_are_refused(bench: TlsBench) -> None:
    for path, status in (
        ("getFullComputerInformation", 400),
        ("getFullComputerInformation?computer_id=%ff", 400),
        ("getFullComputerInformation/?computer_id=COMP-1", 404),
        ("getFullComputerInformation/getRunId", 404),
        (f"getFullComputerInformation?computer_id={'x' * 300}", 403),
    ):
        assert bench.ask(COMPUTER, "GET", path).status == status, path
    refused = bench.ask(COMPUTER, "POST", "getFullComputerInformation", body=b"x")
    assert refused.status == 405


def test_pages_are_for_those_who_may(bench: TlsBench) -> None:
    for path, who in (
        ("healthz", None),
        ("readyz", None),
        ("openapi.json", None),
        ("getHateoasUrl", None),
        ("erp5/portal_slap/getHateoasUrl", None),
        ("metrics", SERVING),
        ("metrics", PERSON),
        ("panel/", PERSON),
        ("erp5/portal_slap/getRunId", COMPUTER),
        ("hateoas", PERSON),
    ):
        assert bench.ask(who, "GET", path).status == 200, path


def test_pages_are_not_for_others(bench: TlsBench) -> None:
    for path in (
        "panel/",
        "panel",
        "hateoas",
        "hateoas/computer_module/Base_getComputerToken",
        "erp5/portal_slap/hateoas",
        "erp5/portal_slap/erp5/portal_slap/panel",
        "%70anel/",
        "nothing",
        "getRunId/panel",
        "healthz%2f..%2fpanel",
    ):
        for who in (None, COMPUTER, SERVING, STRANGE, OVER):
            assert bench.ask(who, "GET", path).status in {403, 404}, path


def test_who_is_named_by_nobody_of_this_cloud_is_told_so(bench: TlsBench) -> None:
    with pytest.raises(Forbidden, match="names nobody of this cloud"):
        bench.call(STRANGE, calls.get_computer(COMPUTER_ID))


def test_whose_certificate_is_over_is_told_so(bench: TlsBench) -> None:
    with pytest.raises(Forbidden, match="is over since 1970-01-02 00:00:00 UTC: renew"):
        bench.call(OVER, calls.get_cloud_report())
    assert bench.ask(OVER, "GET", "healthz").status == 200


def test_a_connection_does_not_outlive_its_certificate(bench: TlsBench) -> None:
    until = bench.host.runtime.calendar.now() + 20
    short = REGION.issue_to(Identity(Role.COMPUTER, COMPUTER_ID), valid=(0.0, until))

    bench.call(short, calls.get_computer(COMPUTER_ID))
    bench.world.result(deferLater(bench.host.runtime.clock, 21))
    with pytest.raises(Forbidden, match="is over since"):
        bench.call(short, calls.get_computer(COMPUTER_ID))


def test_links_lead_where_a_client_came_from(bench: TlsBench) -> None:
    """Who calls us by a name of loopback came through an entry, which is plain."""
    direct = bench.ask(None, "GET", "getHateoasUrl", {"Host": "[2001:db8::1]:5443"})
    entry = bench.ask(None, "GET", "getHateoasUrl", {"Host": "127.0.0.1:5000"})

    assert direct.body == b"https://[2001:db8::1]:5443/hateoas"
    assert entry.body == b"http://127.0.0.1:5000/hateoas"


AGENT = """[slapos]
computer_id = COMP-1
master_url = https://127.0.0.1:5000/
software_root = /srv/software
instance_root = /srv/instance
key_file = /srv/pki/computer.key
cert_file = /srv/pki/computer.crt
master_ca_file = /srv/pki/root.crt
"""


def test_an_agent_shows_its_certificate_and_takes_up_the_next(bench: TlsBench) -> None:
    runtime = bench.host.runtime
    tree = runtime.file_tree("/srv")
    tree.make_directory("pki")
    tree.write("pki/root.crt", ROOT.pem.encode())

    def show(owner) -> None:
        tree.write("pki/computer.key", owner.key_pem.encode(), 0o600)
        tree.write("pki/computer.crt", owner.chain.encode())

    show(COMPUTER)
    config = read_config(AGENT)
    trust = trust_of(runtime, config)
    client = SlapClient(runtime, Replicas(config.master_urls), trust=trust)
    polled = bench.world.result(client.poll(COMPUTER_ID))
    show(OTHER)
    with pytest.raises(Forbidden, match="COMP-1 is not computer COMP-9"):
        bench.world.result(client.poll(COMPUTER_ID))
    bench.world.result(client.close())

    assert isinstance(polled, Polled)


def test_an_agent_without_a_root_speaks_no_tls(bench: TlsBench) -> None:
    with pytest.raises(ConfigError, match="needs master_ca_file"):
        read_config(AGENT.replace("master_ca_file", ";"))
    with pytest.raises(ConfigError, match="key_file and cert_file go together"):
        read_config(AGENT.replace("key_file", ";"))
    plain = AGENT.replace("master_ca_file", ";").replace("https", "http")
    assert trust_of(bench.host.runtime, read_config(plain)) is None


def test_tls_needs_an_identity() -> None:
    with pytest.raises(Misconfigured, match="TLS needs an identity directory"):
        Config("memory:", TcpAddress("::", 5443), has_tls=True)


def test_without_tls_no_other_computer_is_listened_to() -> None:
    with pytest.raises(Misconfigured, match="listens on loopback only"):
        Config("memory:", TcpAddress("::", 5443), identity_directory=HOME)


def test_tls_at_a_port_of_plain_http_is_told_so() -> None:
    bench = TlsBench()

    with pytest.raises(ConnectionFailed, match="no TLS is spoken there"):
        bench.ask(PERSON, "GET", "healthz")
    bench.close()


@pytest.mark.parametrize(
    ("owner", "sentence"),
    [
        (COMPUTER, "the certificate is that of computer COMP-1, not of a master"),
        (STRANGE, "names nobody of this cloud"),
        (None, "own.crt cannot be read"),
    ],
)
def test_who_is_no_replica_does_not_serve(owner, sentence) -> None:
    class Wrong(TlsBench):
        own = owner

    with pytest.raises(Misconfigured, match=sentence):
        Wrong(identity_directory=HOME, has_tls=True)
