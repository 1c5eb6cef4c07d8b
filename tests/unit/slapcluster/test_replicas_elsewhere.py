"""Who has not the key of a region is renewed by replicas that have: others, links."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from twisted.internet.defer import CancelledError, Deferred

from labsim.stores import open_untold_memory
from labsim.world.world import World
from master_cluster.authority.region import RegionHome
from master_cluster.config import Config
from runtime.certificates import Described, describe_first, first_of
from runtime.holdings import ROOTS
from runtime.identity_directory import IdentityDirectory
from runtime.ports import TcpAddress
from runtime.renewing import FIRST_SECONDS_MAX, LOOK_SECONDS
from slap.identities import Identity, Role
from slap.replicas import ListedReplica
from slapcluster.authorities import LINK_FILE, LINK_PIN
from slapcluster.linking import renewal_of
from slapcluster.masters import build_master
from tests.authorities import a_leaf, a_region, write_region

DAY = 24 * 3600.0
HOME = "/etc/master"
PORT = 5443


class Cloud:
    """Lyon, which signs, and Paris, which does not, on one store."""

    def __init__(self) -> None:
        self.world = World(0)
        self._open = open_untold_memory()
        lyon, paris = (self.directory(name) for name in ("lyon", "paris"))
        keys = self.world.host("lyon").runtime.keys
        self.region = a_region(keys, self.now)
        write_region(lyon.tree, self.region)
        lyon.make_key(keys.new_private_key)
        identity = Identity(Role.REPLICA, "lyon")
        RegionHome(lyon.tree).certify_own(identity, (), self.now)
        key = paris.make_key(self.world.host("paris").runtime.keys.new_private_key)
        paris.tree.write(ROOTS, self.region.roots.encode())
        identity = Identity(Role.REPLICA, "paris")
        leaf = a_leaf(self.region, key, self.now, identity, ("::1",))
        paris.keep_chain(leaf.certificate, self.now)
        for name in ("lyon", "paris"):
            self.boot(name)

    @property
    def now(self) -> float:
        return self.world.host("lyon").runtime.calendar.now()

    def directory(self, name: str) -> IdentityDirectory:
        return IdentityDirectory(self.world.host(name).runtime.file_tree(HOME))

    def boot(self, name: str) -> None:
        host = self.world.host(name)
        config = Config(
            "memory:",
            TcpAddress(host.address, PORT),
            announced=ListedReplica(f"https://[{host.address}]:{PORT}", name),
            identity_directory=HOME,
            has_tls=True,
        )
        host.boot(partial(build_master, config, opening=self._open))
        self.world.run_for(1)

    def held(self, name: str = "paris") -> Described:
        return self.directory(name).held(self.now).described

    def pass_days(self, days: float) -> None:
        for name in ("lyon", "paris"):
            self.world.host(name).calendar.step(days * DAY)
        self.world.run_for(2 * LOOK_SECONDS)


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    cloud = Cloud()
    yield cloud
    cloud.world.finish()


def test_it_is_renewed_at_two_thirds_with_all_that_it_was(cloud: Cloud) -> None:
    first = cloud.held()

    cloud.pass_days(1)
    early = cloud.held()
    cloud.pass_days(60)
    renewed = cloud.held()

    assert early == first
    assert renewed.expires_at > first.expires_at
    assert (renewed.uris, renewed.addresses) == (first.uris, ("::1",))
    assert renewed.key_digest == first.key_digest


def test_it_is_asked_for_until_somebody_answers(cloud: Cloud) -> None:
    first = cloud.held()
    cloud.world.sever("paris", "lyon")

    cloud.pass_days(61)
    meanwhile = cloud.held()
    cloud.world.heal("paris", "lyon")
    cloud.world.run_for(2 * LOOK_SECONDS)

    assert meanwhile == first
    assert cloud.held().expires_at > first.expires_at


def test_who_is_killed_again_and_again_is_renewed_all_the_same(cloud: Cloud) -> None:
    """Two replicas do not wait for each other: the one that signs is not killed."""
    first = cloud.held()
    for name in ("lyon", "paris"):
        cloud.world.host(name).calendar.step(61 * DAY)

    for seconds in (0.05, 0.2, 0.6, 70.0):
        cloud.world.host("paris").kill()
        cloud.world.host("paris").boot()
        cloud.world.run_for(seconds)

    assert cloud.held().expires_at > first.expires_at


def test_when_nobody_can_sign_it_goes_on_and_asks_again(cloud: Cloud) -> None:
    """Here Lyon asks too, as its own key is away for a while."""
    tree, first = cloud.directory("lyon").tree, cloud.held("lyon")
    kept = {name: tree.read(name) for name in ("region.key", "region.crt")}
    for name in kept:
        tree.remove(name)

    cloud.pass_days(61)
    meanwhile = cloud.held("lyon")
    for name, content in kept.items():
        tree.write(name, content, 0o600)
    cloud.world.run_for(2 * LOOK_SECONDS)

    assert meanwhile == first
    assert cloud.held("lyon").expires_at > first.expires_at
    assert cloud.held("paris").expires_at > first.expires_at


def test_a_link_is_renewed_with_what_files_of_links_name(cloud: Cloud) -> None:
    """Also when an earlier life was killed between the chain and what is named."""
    site, master = cloud.world.host("site"), cloud.world.host("lyon")
    directory = cloud.directory("site")
    key = directory.make_key(site.runtime.keys.new_private_key)
    directory.tree.write(ROOTS, cloud.region.roots.encode())
    identity = Identity(Role.LINK, "site")
    first = a_leaf(cloud.region, key, cloud.now, identity).certificate
    directory.keep_chain(first, cloud.now)
    urls = (f"https://[{master.address}]:{PORT}",)
    loop = renewal_of(site.runtime, Path(HOME), urls)
    running = Deferred.fromCoroutine(loop.run())

    cloud.world.run_for(FIRST_SECONDS_MAX)
    early = directory.tree.read(LINK_PIN).decode()
    site.calendar.step(61 * DAY)
    cloud.pass_days(61)
    running.addErrback(lambda failure: failure.trap(CancelledError) and None)
    running.cancel()

    pinned, own = (directory.tree.read(it).decode() for it in (LINK_PIN, LINK_FILE))
    assert early == first_of(first)
    assert pinned == first_of(directory.chain()) != early
    assert own == key + pinned
    assert describe_first(pinned).key_digest == describe_first(early).key_digest
