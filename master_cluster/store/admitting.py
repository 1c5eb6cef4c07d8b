"""Shell. Certificates by request: one decision each, within one transaction.

The caller has the key, and nobody here ever sees it. A decision that is asked for again
by the same key gives the same certificate, however often its answer was lost.
"""

from __future__ import annotations

from attrs import evolve

from master_cluster.authority.issuing import Region, issue_leaf
from master_cluster.certificates import IssuedCertificate
from master_cluster.provisioning import (
    Purpose,
    check_token,
    hash_token,
    no_such_token,
)
from master_cluster.store.cloud import Cloud
from master_cluster.store.provisioning import STILL_ACTIVE, request_computer
from runtime.certificates import Described, PublicKey, digest_of_key
from slap.admissions import Admission
from slap.errors import BadRequest, Forbidden
from slap.identities import Identity, Role


def join(  # noqa: PLR0917 - who signs; what is asked; when
    cloud: Cloud,
    region: Region,
    token: str,
    title: str,
    key: PublicKey,
    now: float,
) -> Admission:
    """Use a token: request a computer by its title, and certify its key.

    ``Forbidden`` for a token that another key has used, ``BadRequest`` when the
    computer of the title has another key: then nothing is changed.
    """
    certificates = cloud.certificates
    token_hash, digest = hash_token(token), digest_of_key(key)
    record = certificates.token(token_hash)
    if record is not None and record.key_digest == digest and now < record.expires_at:
        known = certificates.of_computer(record.computer_id)
        if known is None or known.key_digest != digest:
            raise no_such_token()
        return _admission(cloud, region, record.computer_id, known)
    check_token(record, Purpose.COMPUTER, now)
    assert record is not None
    computer_id = request_computer(cloud, title, now)
    issued = certificates.of_computer(computer_id)
    if issued is None or not issued.is_active(now) or issued.key_digest == digest:
        issued = _certify(cloud, region, Identity(Role.COMPUTER, computer_id), key, now)
    else:
        raise BadRequest(
            f"{STILL_ACTIVE} Another key has the one of {title!r}: revoke that of "
            f"{computer_id} first, or give this computer another title."
        )
    certificates.mark_token(
        token_hash, evolve(record, key_digest=digest, computer_id=computer_id)
    )
    certificates.forget_expired(now)
    return _admission(cloud, region, computer_id, issued)


def renew(  # noqa: PLR0917 - who signs; who asks; when
    cloud: Cloud,
    region: Region,
    identity: Identity,
    present: Described,
    key: PublicKey,
    now: float,
) -> str:
    """Return the certificate after the present one, and those of its issuers.

    ``Forbidden`` when the present one of a computer was revoked or replaced by that of
    another key.
    """
    known = _known(cloud, identity)
    if known is not None and known.key_digest != present.key_digest:
        known = None
    if known is None and identity.role is Role.COMPUTER:
        raise Forbidden(
            f"the certificate of {identity} was revoked or replaced: ask for a token"
        )
    issued = _certify(cloud, region, identity, key, now, present.addresses)
    return issued.certificate


def _admission(
    cloud: Cloud, region: Region, computer_id: str, issued: IssuedCertificate
) -> Admission:
    urls = tuple(it.url for it in cloud.replicas.list())
    return Admission(computer_id, issued.certificate, region.roots, urls)


def _certify(  # noqa: PLR0917 - as above
    cloud: Cloud,
    region: Region,
    identity: Identity,
    key: PublicKey,
    now: float,
    addresses: tuple[str, ...] = (),
) -> IssuedCertificate:
    """Return what is recorded for the key until it is due, else a new certificate."""
    known = _known(cloud, identity)
    if (
        known is not None
        and known.key_digest == digest_of_key(key)
        and not known.is_due(now)
    ):
        return known
    issued = issue_leaf(region, identity, key, now, addresses)
    if identity.role is Role.COMPUTER:
        cloud.certificates.set_computer(identity.name, issued)
    else:
        cloud.certificates.set_other(str(identity), issued)
    return issued


def _known(cloud: Cloud, identity: Identity) -> IssuedCertificate | None:
    if identity.role is Role.COMPUTER:
        return cloud.certificates.of_computer(identity.name)
    return cloud.certificates.of_other(str(identity))
