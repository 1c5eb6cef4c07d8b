"""Builders of a cloud's authority, from seeded keys, for tests."""

from __future__ import annotations

from collections.abc import Collection

from master_cluster.authority.building import Authority
from master_cluster.authority.issuing import (
    Region,
    build_root,
    issue_leaf,
    issue_region,
)
from master_cluster.certificates import IssuedCertificate
from runtime.certificates import load_key
from runtime.holdings import ROOTS, Holding
from runtime.ports import IFileTree, IKeys
from slap.identities import Identity, Role

COMPUTER = Identity(Role.COMPUTER, "COMP-1")


def a_region(
    keys: IKeys, now: float, *, name: str = "lyon", root: Authority | None = None
) -> Region:
    """A region below a root, a new one if none is given."""
    root = root or build_root(keys.new_private_key(), now)
    key = keys.new_private_key()
    text = issue_region(root, name, load_key(key).public_key(), now)
    return Region(Authority(text, key), root.certificate)


def a_leaf(
    region: Region,
    key: str,
    now: float,
    identity: Identity = COMPUTER,
    addresses: Collection[str] = (),
) -> IssuedCertificate:
    return issue_leaf(region, identity, load_key(key).public_key(), now, addresses)


def write_region(tree: IFileTree, region: Region) -> None:
    """Make an identity directory one that signs."""
    tree.make_directory("", 0o700)
    tree.write(ROOTS, region.roots.encode())
    tree.write(Holding.REGION.key_name, region.authority.key.encode(), 0o600)
    tree.write(Holding.REGION.chain_name, region.authority.certificate.encode())
