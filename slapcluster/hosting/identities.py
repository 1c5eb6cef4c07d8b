"""Shell. Who the replica of a region is, in its partition.

The key that signs in the region is made here and never leaves. Its request is
published, the root of the cloud signs it wherever that is, and the certificate comes
back as a parameter; then the replica is certified by it, and renews itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import frozen

from master_cluster.authority.region import RegionHome
from runtime.certificates import (
    BadCertificate,
    describe_first,
    key_digest,
    render_request,
    split_roots,
)
from runtime.holdings import Holding
from runtime.identity_directory import IdentityDirectory
from runtime.ports import Runtime
from slap.errors import SlapError
from slap.identities import Identity, Role
from slapcluster.hosting.layout import IDENTITY_HOME
from slapcluster.hosting.places import Place
from slapcluster.outcomes import CommandFailed


@frozen
class Standing:
    """What a region asks the root of the cloud to sign, and whether it was."""

    certificate_request: str
    is_certified: bool


def keep_identity(
    runtime: Runtime, place: Place, name: str, certificate: str
) -> Standing:
    """Make the key of the region, and put a certificate of it where it belongs.

    ``certificate`` is what the root signed, with that root, or ``""``.
    """
    tree = runtime.file_tree(f"{place.home}/{IDENTITY_HOME}")
    home = RegionHome(tree)
    directory, now = home.directory, runtime.calendar.now()
    with _speaking(name):
        key = directory.make_key(runtime.keys.new_private_key, Holding.REGION)
        asked = render_request(key, name)
        chain, roots = split_roots(certificate)
        if roots:
            directory.keep_roots(roots)
        if certificate and not _is_of_another_key(chain, key):
            directory.keep_chain(chain, now, Holding.REGION)
        if directory.chain(Holding.REGION) and not directory.chain():
            directory.make_key(runtime.keys.new_private_key)
            home.certify_own(Identity(Role.REPLICA, name), (place.ipv6,), now)
    return Standing(asked, bool(directory.chain()))


def problems_of(runtime: Runtime, home: str) -> tuple[dict[str, float], str]:
    """Return when the certificates of a partition end, and what is wrong with one."""
    directory = IdentityDirectory(runtime.file_tree(f"{home}/{IDENTITY_HOME}"))
    entries = directory.calendar(runtime.calendar.now())
    problems = (f"{it.holding}: {it.problem}" for it in entries if it.problem)
    expires = {
        str(it.holding): it.expires_at for it in entries if it.expires_at is not None
    }
    return expires, next(problems, "")


def _is_of_another_key(chain: str, key: str) -> bool:
    """Whether a certificate is of the key that the region had elsewhere.

    It is worth nothing here, and is no fault: the key of now waits to be signed.
    """
    return describe_first(chain).key_digest != key_digest(key)


@contextmanager
def _speaking(name: str) -> Iterator[None]:
    try:
        yield
    except BadCertificate as error:
        raise CommandFailed(f"The certificate of {name}: {error}.") from error
    except SlapError as error:
        raise CommandFailed(f"The certificate of {name}: {error.sentence}.") from error
