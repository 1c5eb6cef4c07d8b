"""Core. What the authority of a cloud signs: regions by the root, all else by a region.

A certificate follows from its key, its owner, its authority and the instant: a decision
that runs again makes the same one. None outlives its authority.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import timedelta
from ipaddress import ip_address

from attrs import frozen
from cryptography import x509
from cryptography.x509.oid import NameOID

from master_cluster.authority.building import (
    Authority,
    Draft,
    earlier,
    end_of,
    in_words,
    serial_of,
    sign,
    sign_itself,
)
from master_cluster.certificates import MAIL_ADDRESS, IssuedCertificate
from runtime.certificates import (
    BadCertificate,
    PublicKey,
    check_authority,
    describe_first,
    digest_of_key,
    load_key,
)
from slap.errors import BadRequest, Unavailable
from slap.identities import Identity, Role, check_identity_name, identity_uri

ROOT_NAME = "slapcluster root"

ROOT_DAYS = 20 * 365
"""Its key is used for regions alone and is in a safe: longer than any cloud lives."""

REGION_DAYS = 2 * 365
"""An operator comes with the root once in 16 months, for all regions together."""

LEAF_DAYS = 90
"""Renewal needs nobody. A key that was lost is worth something for so long."""

BY_HAND_DAYS = 365
"""Where the master makes the key for a stock client, which renews nothing."""

ADDRESS_COUNT_MAX = 16
"""Of a replica: the addresses at which stock clients know it."""


@frozen
class Region:
    """The authority of a region, and the roots above it, in PEM."""

    authority: Authority
    roots: str


_IN_WORDS_OF_STOCK = (Role.COMPUTER, Role.PERSON, Role.INSTANCE)
"""Stock clients look for the name of these before a mail address; a link is logged by
stunnel as its subject, which is to be the name alone."""


def build_root(key: str, now: float) -> Authority:
    """Build the root of a cloud, which signs itself."""
    public_key = load_key(key).public_key()
    start = earlier(now)
    draft = Draft(
        public_key,
        _named(ROOT_NAME),
        serial_of(_digest(public_key)),
        start,
        start + timedelta(days=ROOT_DAYS),
        path_length=1,
    )
    return Authority(sign_itself(draft, key), key)


def issue_region(root: Authority, name: str, key: PublicKey, now: float) -> str:
    """Return the certificate of a region's authority: it may sign no other one."""
    check_identity_name(name)
    subject = f"region {name}"
    _check_signer(root, root.certificate, now)
    start = earlier(now)
    draft = Draft(
        key,
        _named(subject),
        serial_of(_digest(key), subject.encode(), start.isoformat().encode()),
        start,
        min(start + timedelta(days=REGION_DAYS), end_of(root)),
        path_length=0,
    )
    return sign(draft, root)


def issue_leaf(
    region: Region,
    identity: Identity,
    key: PublicKey,
    now: float,
    addresses: Collection[str] = (),
    *,
    days: int = LEAF_DAYS,
) -> IssuedCertificate:
    """Issue the certificate of an owner of a key, followed by the region's own.

    ``Unavailable`` when the region may not sign now: ask in another one.
    """
    signer = region.authority
    _check_signer(signer, region.roots, now)
    uri = identity_uri(identity)
    hosts = read_addresses(addresses)
    start = earlier(now)
    identified = "\0".join((uri, *hosts, start.isoformat())).encode()
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, identity.name)]
    words = f"CN={identity.name}"
    if identity.role in _IN_WORDS_OF_STOCK:
        subject.append(x509.NameAttribute(NameOID.EMAIL_ADDRESS, MAIL_ADDRESS))
        words = f"{words}/emailAddress={MAIL_ADDRESS}"
    draft = Draft(
        key,
        x509.Name(subject),
        serial_of(_digest(key), signer.certificate.encode(), identified),
        start,
        min(start + timedelta(days=days), end_of(signer)),
        names=(
            x509.UniformResourceIdentifier(uri),
            *(x509.IPAddress(ip_address(it)) for it in hosts),
        ),
    )
    signed = sign(draft, signer)
    described = describe_first(signed)
    lines = (
        "Certificate:",
        f"    Subject: {words}",
        f"    Identity: {uri}",
        f"    Issuer: CN={described.issuer}",
        f"    Serial Number: {described.serial}",
        f"    Not After: {draft.end:%Y-%m-%d %H:%M:%S} UTC",
    )
    return IssuedCertificate(
        identity.name,
        described.serial,
        described.expires_at,
        in_words(signed, lines) + signer.certificate,
        renew_at=described.renew_at,
        key_digest=described.key_digest,
    )


def read_addresses(addresses: Collection[str]) -> tuple[str, ...]:
    """Return addresses in their one spelling; ``BadRequest`` names an odd one."""
    if len(addresses) > ADDRESS_COUNT_MAX:
        raise BadRequest(f"a certificate has at most {ADDRESS_COUNT_MAX} addresses")
    found = set()
    for each in addresses:
        try:
            address = ip_address(each.strip("[]"))
        except ValueError as error:
            raise BadRequest(f"{each!r} is no IP address") from error
        if getattr(address, "scope_id", None):
            raise BadRequest(f"{each!r} means something on its own link alone")
        found.add(str(address))
    return tuple(sorted(found))


def _check_signer(authority: Authority, roots: str, now: float) -> None:
    try:
        check_authority(authority.certificate, roots, now)
    except BadCertificate as error:
        raise Unavailable(f"nothing can be signed here: {error}") from error


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _digest(key: PublicKey) -> bytes:
    return hashlib.sha256(digest_of_key(key).encode()).digest()
