"""Shell. Who gets a certificate: one decision each, within one transaction.

Keys come from outside, made before: a decision may run several times.
"""

from __future__ import annotations

from attrs import evolve, frozen

from master_cluster.authority.building import Authority
from master_cluster.authority.issuing import BY_HAND_DAYS, LEAF_DAYS, Region, issue_leaf
from master_cluster.certificates import (
    IssuedCertificate,
    build_authority,
    issue_certificate,
)
from master_cluster.provisioning import (
    PERSON_CERTIFICATE_COUNT_MAX,
    PERSON_NAME,
    Purpose,
    check_token,
    hash_token,
    new_token_record,
    next_computer_id,
)
from master_cluster.store import decisions
from master_cluster.store.cloud import Cloud
from runtime.certificates import load_key
from slap.errors import BadRequest, NotFound
from slap.identities import Identity, Role
from slap.model import Certificate, ComputerDefinition

EMPTY = Certificate("", "")
"""What the reference answers for a partition without an instance."""

STILL_ACTIVE = "Certificate still active."
"""Stock clients look for this very text."""


@frozen
class NewKeys:
    """Keys for what a decision may make: a certificate, and the first authority.

    With a ``region`` that one signs, and the store needs no authority.
    """

    own: str
    authority: str
    region: Region | None = None


def find_instance_certificate(
    cloud: Cloud, instance_guid: str, now: float
) -> Certificate | None:
    """Return the certificate of an instance; ``None`` when the next one is due.

    ``NotFound`` when there is no such instance, or it is shared: the certificate is the
    one of its host.
    """
    instance = cloud.find_instance(instance_guid)
    if instance is None or instance.is_shared:
        raise NotFound(f"no instance {instance_guid!r} with a certificate of its own")
    issued = cloud.certificates.of_instance(instance_guid)
    if issued is None or issued.is_due(now):
        return None
    return Certificate(issued.certificate, issued.key)


def issue_instance_certificate(
    cloud: Cloud, instance_guid: str, keys: NewKeys, now: float
) -> Certificate:
    """Return the certificate of an instance, a new one when it is due."""
    found = find_instance_certificate(cloud, instance_guid, now)
    if found is not None:
        return found
    cloud.claim(instance_guid)
    issued = _issue(cloud, keys, Role.INSTANCE, instance_guid, now)
    cloud.certificates.set_instance(instance_guid, issued)
    return Certificate(issued.certificate, issued.key)


def issue_computer_certificate(
    cloud: Cloud, computer_id: str, keys: NewKeys, now: float
) -> Certificate:
    """Return a new certificate of a computer, whose key is not kept.

    ``BadRequest`` when it has one that is neither expired nor revoked.
    """
    cloud.computer(computer_id)
    certificates = cloud.certificates
    known = certificates.of_computer(computer_id)
    if known is not None and known.is_active(now):
        raise BadRequest(f"{STILL_ACTIVE} Revoke the one of {computer_id} first.")
    issued = _issue(cloud, keys, Role.COMPUTER, computer_id, now)
    certificates.set_computer(computer_id, _without_key(issued))
    certificates.forget_expired(now)
    return Certificate(issued.certificate, issued.key)


def revoke_computer_certificate(cloud: Cloud, computer_id: str, now: float) -> None:
    """Revoke the certificate of a computer; ``NotFound`` when it has none."""
    cloud.computer(computer_id)
    known = cloud.certificates.of_computer(computer_id)
    if known is None or not known.is_active(now):
        raise NotFound(f"{computer_id} has no certificate")
    cloud.certificates.revoke_computer(computer_id)
    cloud.certificates.forget_expired(now)


def request_computer(cloud: Cloud, title: str, now: float) -> str:
    """Return the name of the computer of a title, a new computer when there is none."""
    if not title.strip():
        raise BadRequest("title: a computer needs one")
    certificates = cloud.certificates
    known = certificates.find_titled(title)
    if known is not None:
        return known
    computer_id = next_computer_id(cloud.computer_ids())
    decisions.define_computer(cloud, ComputerDefinition(computer_id), now)
    certificates.set_title(computer_id, title)
    return computer_id


def give_token(cloud: Cloud, token: str, purpose: Purpose, now: float) -> None:
    """Keep a token that somebody is told."""
    cloud.certificates.forget_expired(now)
    cloud.certificates.keep_token(hash_token(token), new_token_record(purpose, now))


def register_computer(
    cloud: Cloud, token: str, title: str, keys: NewKeys, now: float
) -> Certificate:
    """Use a token: request a computer by its title, and issue its certificate."""
    _use(cloud, token, Purpose.COMPUTER, now)
    computer_id = request_computer(cloud, title, now)
    return issue_computer_certificate(cloud, computer_id, keys, now)


def register_person(cloud: Cloud, token: str, keys: NewKeys, now: float) -> Certificate:
    """Use a token: issue a certificate of the person."""
    _use(cloud, token, Purpose.PERSON, now)
    cloud.certificates.forget_expired(now)
    if cloud.certificates.person_count() >= PERSON_CERTIFICATE_COUNT_MAX:
        raise BadRequest(f"{PERSON_CERTIFICATE_COUNT_MAX} certificates are active")
    issued = _issue(cloud, keys, Role.PERSON, PERSON_NAME, now)
    cloud.certificates.keep_person(_without_key(issued))
    return Certificate(issued.certificate, issued.key)


def _use(cloud: Cloud, token: str, purpose: Purpose, now: float) -> None:
    token_hash = hash_token(token)
    check_token(cloud.certificates.token(token_hash), purpose, now)
    cloud.certificates.use_token(token_hash)


def _issue(
    cloud: Cloud, keys: NewKeys, role: Role, name: str, now: float
) -> IssuedCertificate:
    if keys.region is None:
        return issue_certificate(_authority(cloud, keys, now), name, keys.own, now)
    public_key = load_key(keys.own).public_key()
    days = LEAF_DAYS if role is Role.INSTANCE else BY_HAND_DAYS
    identity = Identity(role, name)
    issued = issue_leaf(keys.region, identity, public_key, now, days=days)
    return evolve(issued, key=keys.own)


def _authority(cloud: Cloud, keys: NewKeys, now: float) -> Authority:
    known = cloud.certificates.authority()
    if known is not None:
        return known
    authority = build_authority(keys.authority, now)
    cloud.certificates.set_authority(authority)
    return authority


def _without_key(issued: IssuedCertificate) -> IssuedCertificate:
    return evolve(issued, key="")
