"""Shell. The authority of a cloud that begins: its root, and those who work with it.

All is made once and found again: whoever is killed in the middle goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from master_cluster.authority.asking import read_request
from master_cluster.authority.building import Authority
from master_cluster.authority.issuing import build_root, issue_leaf, issue_region
from master_cluster.authority.region import RegionHome
from runtime.certificates import load_key
from runtime.holdings import Holding
from runtime.identity_directory import IdentityDirectory
from runtime.ports import Runtime
from slap.identities import Identity, Role
from slapcluster.authorities import speaking
from slapcluster.bootstrap.home import IDENTITY, MINI_MASTER, OPERATOR, Home


def identify(home: Home, host: str) -> None:
    """Make the root, the mini-master at ``host``, and the person who bootstraps.

    A root that is elsewhere is there already: ``CommandFailed`` when it is not.
    """
    runtime, tree = home.runtime, home.tree
    keys, now = runtime.keys, runtime.calendar.now()
    with speaking():
        root = IdentityDirectory(home.root_tree)
        if not home.root_path:
            root_key = root.make_key(keys.new_private_key, Holding.ROOT)
            if not root.roots():
                root.keep_roots(build_root(root_key, now).certificate)
        authority = _root_of(runtime, root)

        tree.make_directory(MINI_MASTER, 0o700)
        region_home = RegionHome(tree.subtree(IDENTITY))
        own = region_home.directory
        region_key = own.make_key(keys.new_private_key, Holding.REGION)
        own.keep_roots(authority.certificate)
        if not own.chain(Holding.REGION):
            public_key = load_key(region_key).public_key()
            chain = issue_region(authority, MINI_MASTER, public_key, now)
            own.keep_chain(chain, now, Holding.REGION)
        own.make_key(keys.new_private_key)
        if not own.chain():
            identity = Identity(Role.REPLICA, MINI_MASTER)
            region_home.certify_own(identity, (host,), now)

        operator = IdentityDirectory(tree.subtree(OPERATOR))
        operator_key = operator.make_key(keys.new_private_key)
        operator.keep_roots(authority.certificate)
        if not operator.chain():
            issued = issue_leaf(
                region_home.region(now),
                Identity(Role.PERSON, OPERATOR),
                load_key(operator_key).public_key(),
                now,
            )
            operator.keep_chain(issued.certificate, now)


def sign_regions(
    home: Home, requests: Mapping[str, str], names: Iterable[str]
) -> dict[str, str]:
    """Return the certificates of regions, each with the root, by name."""
    runtime = home.runtime
    with speaking():
        authority = _root_of(runtime, IdentityDirectory(home.root_tree))
        now = runtime.calendar.now()
        return {
            name: issue_region(authority, name, read_request(requests[name]), now)
            + authority.certificate
            for name in names
        }


def _root_of(runtime: Runtime, root: IdentityDirectory) -> Authority:
    held = root.held(runtime.calendar.now(), Holding.ROOT)
    return Authority(held.chain, held.key)
