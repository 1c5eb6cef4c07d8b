"""Shell. The authority of a region as files, which are read at each use.

A replica has it in its identity directory. What is put there counts at once, and the
replica makes its own certificate anew when that is due.
"""

from __future__ import annotations

from master_cluster.authority.building import Authority
from master_cluster.authority.issuing import Region, issue_leaf
from runtime.certificates import (
    BadCertificate,
    Described,
    describe_first,
    load_key,
    root_digest,
)
from runtime.holdings import Holding
from runtime.identity_directory import IdentityDirectory
from runtime.ports import IFileTree
from slap.errors import Unavailable
from slap.identities import Identity, identity_of


class RegionHome:
    """The identity directory of a replica, which may have the key of its region.

    ``Unavailable`` says why nothing can be signed here: another replica may.
    """

    def __init__(self, tree: IFileTree) -> None:
        self.directory = IdentityDirectory(tree)

    def roots(self) -> str:
        """Return the roots of the cloud, in PEM."""
        try:
            found = self.directory.roots()
        except (BadCertificate, OSError) as error:
            raise _cannot(error) from error
        if not found:
            raise _cannot("there is no root")
        return found

    def root_digest(self) -> str:
        """Return what a token says of the root."""
        try:
            return root_digest(self.roots())
        except BadCertificate as error:
            raise _cannot(error) from error

    def region(self, now: float) -> Region:
        """Return who signs now."""
        try:
            held = self.directory.held(now, Holding.REGION)
        except (BadCertificate, OSError) as error:
            raise _cannot(error) from error
        return Region(Authority(held.chain, held.key), held.roots)

    def certify_own(
        self, identity: Identity, addresses: tuple[str, ...], now: float
    ) -> Described:
        """Write a certificate of the key that is there, for its owner."""
        try:
            key = load_key(self.directory.key()).public_key()
            issued = issue_leaf(self.region(now), identity, key, now, addresses)
            return self.directory.keep_chain(issued.certificate, now)
        except (BadCertificate, OSError) as error:
            raise _cannot(error) from error

    def renew_own(self, now: float) -> Described | None:
        """Make the own certificate anew when it is due, for the same owner.

        ``None`` when it is not, or there is none yet, or the key of the region is not
        here: then it is asked of others.
        """
        try:
            chain = self.directory.chain()
            if not chain or not self.directory.key(Holding.REGION):
                return None
            present = describe_first(chain)
        except (BadCertificate, OSError) as error:
            raise _cannot(error) from error
        if not present.is_due(now):
            return None
        identity = identity_of(present.uris)
        return self.certify_own(identity, present.addresses, now)


def _cannot(reason: object) -> Unavailable:
    return Unavailable(f"nothing can be signed here: {reason}")
