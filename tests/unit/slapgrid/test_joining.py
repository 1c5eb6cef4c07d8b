"""A computer comes in and stays in: all of it unchanged, in a simulated world."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from attrs import define, evolve, field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint

from labsim.world.host import Host
from labsim.world.world import World
from master_cluster import config as master_config
from master_cluster.authority.issuing import LEAF_DAYS, Region
from master_cluster.authority.region import RegionHome
from master_cluster.service import build_service as build_master
from runtime.certificates import BadCertificate, describe_first, render_request
from runtime.identity_directory import IdentityDirectory, paths_below
from runtime.identity_files import CredentialFiles
from runtime.ports import Address, INetwork, Runtime, TcpAddress
from runtime.tls import serve_tls
from slap import calls
from slap.errors import Forbidden, Unreachable
from slap.identities import Identity, Role
from slap.replicas import ListedReplica, Replicas
from slap.reports import CloudReport
from slapgrid.config import Config
from slapgrid.joining import Invitation, Joined, NotJoined, find_joined, join
from slapgrid.renewing import Renewal
from slapgrid.slap_client import SlapClient
from slapgrid.trusting import trust_masters
from tests.authorities import a_region, write_region
from tests.mortal import Killed, MortalTree, Patience

DAY = 24 * 3600.0
PORT = 5000
MASTER_HOME = "/etc/master"
HOME = "/etc/identity"


@frozen
class SecureNetwork:
    """A network whose servers speak TLS with what an identity directory has."""

    network: INetwork
    runtime: Runtime

    def client_endpoint(self, address: Address) -> IStreamClientEndpoint:
        return self.network.client_endpoint(address)

    def server_endpoint(self, address: Address) -> SecureEndpoint:
        return SecureEndpoint(self.network.server_endpoint(address), self.runtime)


@frozen
class SecureEndpoint:
    """Where a server listens, by TLS."""

    endpoint: IStreamServerEndpoint
    runtime: Runtime

    def listen(self, factory: Any) -> Any:
        paths = paths_below(MASTER_HOME)
        files = CredentialFiles(self.runtime, paths, is_server=True)
        return self.endpoint.listen(serve_tls(factory, self.runtime, files))


@define
class Cloud:
    """A master with the authority of its region, and a computer that comes in."""

    world: World = field(factory=lambda: World(seed=3))
    region: Region = field(init=False)

    def __attrs_post_init__(self) -> None:
        keys = self.master.runtime.keys
        self.region = a_region(keys, self.now)
        self.settle_master(self.master, self.region)

    @property
    def master(self) -> Host:
        return self.world.host("master")

    @property
    def computer(self) -> Host:
        return self.world.host("computer")

    @property
    def now(self) -> float:
        return self.master.runtime.calendar.now()

    def settle_master(self, host: Host, region: Region, store: str = "memory:") -> None:
        tree = host.runtime.file_tree(MASTER_HOME)
        write_region(tree, region)
        IdentityDirectory(tree).make_key(host.runtime.keys.new_private_key)
        identity = Identity(Role.REPLICA, host.name)
        RegionHome(tree).certify_own(identity, (), self.now)
        settings = master_config.Config(
            store,
            TcpAddress(host.address, PORT),
            is_loopback_only=False,
            identity_directory=MASTER_HOME,
            announced=ListedReplica(self.url(host).rstrip("/"), "lyon"),
        )
        host.boot(
            lambda runtime: build_master(
                settings,
                evolve(runtime, network=SecureNetwork(runtime.network, runtime)),
            )
        )
        self.world.run_for(1)

    def url(self, host: Host | None = None) -> str:
        return f"https://[{(host or self.master).address}]:{PORT}/"

    def ask(self, call: calls.Call) -> object:
        """What a person who sits at the master asks."""
        runtime = self.master.runtime
        trust = trust_masters(runtime, paths_below(MASTER_HOME))
        client = SlapClient(runtime, Replicas((self.url(),)), trust=trust)
        answer = self.world.result(client.perform(call))
        self.world.result(client.close())
        return answer

    def token(self) -> str:
        return str(self.ask(calls.get_token("computer")))

    def computers(self) -> list[str]:
        report = self.ask(calls.get_cloud_report())
        assert isinstance(report, CloudReport)
        return [it.computer_id for it in report.computers]

    def join(self, token: str, patience: int = 1000, url: str = "") -> Joined:
        runtime, budget = self.computer.runtime, Patience(patience)
        mortal = evolve(
            runtime, file_tree=lambda root: MortalTree(runtime.file_tree(root), budget)
        )
        invitation = Invitation(url or self.url(), token, "attic")
        return self.world.result(join(mortal, invitation, HOME))

    @property
    def directory(self) -> IdentityDirectory:
        return IdentityDirectory(self.computer.runtime.file_tree(HOME))

    def files(self) -> tuple[str, ...]:
        tree = self.computer.runtime.file_tree("/etc")
        return tree.list("identity") if tree.status("identity") else ()

    def renewal(self) -> tuple[Renewal, SlapClient]:
        runtime = self.computer.runtime
        paths = paths_below(HOME)
        config = Config(
            "COMP-1",
            (self.url(),),
            "/srv/software",
            "/srv/instances",
            key_file=paths.key,
            cert_file=paths.chain,
            master_ca_file=paths.roots,
        )
        client = SlapClient(
            runtime, Replicas(config.master_urls), trust=trust_masters(runtime, paths)
        )
        return Renewal(config, runtime, client), client

    def pass_days(self, days: float) -> None:
        for host in (self.master, self.computer):
            host.calendar.step(days * DAY)


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    cloud = Cloud()
    yield cloud
    cloud.world.finish()


def test_a_computer_comes_in(cloud: Cloud) -> None:
    joined = cloud.join(cloud.token())

    held = cloud.directory.held(cloud.now)
    assert (joined.computer_id, joined.master_urls) == ("COMP-1", (cloud.url(),))
    assert held.described == joined.certificate
    assert cloud.computers() == ["COMP-1"]
    assert find_joined(cloud.computer.runtime, HOME) == Identity(
        Role.COMPUTER, "COMP-1"
    )


@pytest.mark.parametrize(
    ("patience", "left"),
    [(0, ()), (1, ("own.key",)), (2, ("own.key", "root.crt"))],
)
def test_who_is_killed_before_a_file_is_written_goes_on_there(
    cloud: Cloud, patience: int, left: tuple[str, ...]
) -> None:
    token = cloud.token()

    with pytest.raises(Killed):
        cloud.join(token, patience)
    assert cloud.files() == left
    cloud.computer.crash()
    cloud.computer.boot()
    joined = cloud.join(token)

    assert (joined.computer_id, cloud.computers()) == ("COMP-1", ["COMP-1"])
    assert cloud.directory.held(cloud.now).described == joined.certificate


MOMENTS = (0.0, 0.08, 0.18, 0.28, 0.36, 0.4)
"""Before and after each file; at 0.36 the master has answered, and nobody heard."""


@pytest.mark.parametrize("seconds", MOMENTS)
def test_a_power_loss_at_any_moment_is_made_up_for(
    cloud: Cloud, seconds: float
) -> None:
    token = cloud.token()
    invitation = Invitation(cloud.url(), token, "attic")
    Deferred.fromCoroutine(join(cloud.computer.runtime, invitation, HOME))

    cloud.world.run_for(seconds)
    key = cloud.directory.key()
    cloud.computer.crash()
    cloud.computer.boot()
    joined = cloud.join(token)

    assert cloud.computers() == [joined.computer_id] == ["COMP-1"]
    held = cloud.directory.held(cloud.now)
    assert held.described == joined.certificate
    assert not key or held.key == key


def test_joining_again_changes_nothing(cloud: Cloud) -> None:
    token = cloud.token()
    first = cloud.join(token)

    assert cloud.join(token, patience=0) == first


def test_another_computer_cannot_use_the_token(cloud: Cloud) -> None:
    token = cloud.token()
    cloud.join(token)
    cloud.computer.runtime.file_tree(HOME).remove("own.key")

    with pytest.raises(Forbidden, match="used already or too old"):
        cloud.join(token)

    assert cloud.computers() == ["COMP-1"]


def test_a_server_of_another_cloud_is_told_nothing(cloud: Cloud) -> None:
    """It has the address, and a certificate of an authority of its own."""
    token = cloud.token()
    thief = cloud.world.host("thief")
    cloud.settle_master(thief, a_region(thief.runtime.keys, cloud.now))

    with pytest.raises(NotJoined, match="is no master of the cloud of this token"):
        cloud.join(token, url=cloud.url(thief))

    assert cloud.files() == ("own.key",)
    assert cloud.join(token).computer_id == "COMP-1"


def test_a_server_that_only_tells_the_right_root_does_not_get_the_token(
    cloud: Cloud,
) -> None:
    """It answers the root of the cloud, and cannot show a certificate below it."""
    token = cloud.token()
    cloud.directory.tree.make_directory("", 0o700)
    cloud.directory.keep_roots(cloud.region.roots)
    thief = cloud.world.host("thief")
    cloud.settle_master(thief, a_region(thief.runtime.keys, cloud.now))

    with pytest.raises(Unreachable, match="certificate"):
        cloud.join(token, url=cloud.url(thief))


def test_the_directory_of_another_cloud_is_left_alone(cloud: Cloud) -> None:
    other = a_region(cloud.computer.runtime.keys, cloud.now)
    cloud.directory.tree.make_directory("", 0o700)
    cloud.directory.keep_roots(other.roots)

    with pytest.raises(NotJoined, match="has the root of another cloud"):
        cloud.join(cloud.token())

    assert cloud.directory.roots() == other.roots


@pytest.mark.parametrize(
    ("token", "sentence"),
    [
        ("", "the token is none"),
        ("x" * 1000, "the token is none"),
        ("a" * 64, "the token names no root"),
        ("a" * 64 + "-" + "b" * 63, "the token names no root"),
        ("a" * 64 + "-" + "b" * 64, "is no master of the cloud of this token"),
    ],
)
def test_an_odd_token_says_what_is_wrong(
    cloud: Cloud, token: str, sentence: str
) -> None:
    with pytest.raises(NotJoined, match=sentence):
        cloud.join(token)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://10.0.0.1:5000/", "would show the token to everybody"),
        ("https://master.example/", "write the numeric address"),
        ("ftp://127.0.0.1/", "begins with neither"),
        ("127.0.0.1:5000", "write the numeric address"),
        ("https://[::1", "write the numeric address"),
        ("", "write the numeric address"),
    ],
)
def test_an_odd_address_is_refused(url: str, sentence: str) -> None:
    with pytest.raises(NotJoined, match=sentence):
        Invitation(url, "token", "title")


def test_a_master_that_is_away_costs_only_time(cloud: Cloud) -> None:
    token = cloud.token()
    cloud.world.sever("computer", "master")

    with pytest.raises(Unreachable):
        cloud.join(token)
    cloud.world.heal("computer", "master")

    assert cloud.join(token).computer_id == "COMP-1"


def test_a_certificate_is_renewed_when_two_thirds_are_over(cloud: Cloud) -> None:
    first = cloud.join(cloud.token()).certificate
    renewal, client = cloud.renewal()

    early = cloud.world.result(renewal.renew())
    cloud.pass_days(LEAF_DAYS * 2 / 3)
    renewed = cloud.world.result(renewal.renew())
    again = cloud.world.result(renewal.renew())
    cloud.world.result(client.close())

    assert (early, again) == (None, None)
    assert renewed == cloud.directory.held(cloud.now).described
    assert renewed.key_digest == first.key_digest
    assert renewed.expires_at > first.expires_at


def test_a_renewal_whose_answer_was_lost_is_made_up_for(cloud: Cloud) -> None:
    cloud.join(cloud.token())
    renewal, client = cloud.renewal()
    cloud.pass_days(LEAF_DAYS * 2 / 3)
    request = render_request(cloud.directory.key(), "x")
    asked = calls.renew_certificate(cloud.directory.chain(), request)
    lost = cloud.world.result(client.perform(asked))

    renewed = cloud.world.result(renewal.renew())
    cloud.world.result(client.close())

    assert renewed == describe_first(str(lost))


def test_an_agent_renews_by_itself_whenever_a_master_can_be_asked(
    cloud: Cloud,
) -> None:
    cloud.join(cloud.token())
    renewal, client = cloud.renewal()
    (loop,) = renewal.loops
    running = Deferred.fromCoroutine(loop())
    serials = []
    for days, is_away in ((1, False), (59, True), (20, False)):
        if is_away:
            cloud.world.sever("computer", "master")
        else:
            cloud.world.heal("computer", "master")
        cloud.pass_days(days)
        cloud.world.run_for(2 * 3600)
        serials.append(cloud.directory.held(cloud.now).described.serial)
    running.addErrback(lambda failure: failure.trap(CancelledError) and None)
    running.cancel()
    cloud.world.result(client.close())

    assert serials[0] == serials[1] != serials[2]


def test_without_an_identity_directory_nothing_is_renewed(cloud: Cloud) -> None:
    renewal, _ = cloud.renewal()

    for changes in ({"cert_file": "/x/own.crt"}, {"master_ca_file": "/etc/root.crt"}):
        assert evolve(renewal, config=evolve(renewal.config, **changes)).loops == ()


def test_a_certificate_that_is_over_says_so(cloud: Cloud) -> None:
    cloud.join(cloud.token())
    renewal, client = cloud.renewal()
    cloud.pass_days(LEAF_DAYS)

    with pytest.raises(BadCertificate, match="the certificate of COMP-1 ended on"):
        cloud.world.result(renewal.renew())
    cloud.world.result(client.close())
