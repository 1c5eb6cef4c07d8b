"""Core. Certificates: what an authority says of a computer, an instance, a person.

A certificate follows from its key, its name, its authority and the day it is made:
signatures are deterministic (RFC 6979) and serial numbers come from the public key. So
a decision that runs again makes the same one.

The text of a certificate names its subject in words before the PEM block, which every
reader of PEM skips: stock clients find the name of their computer there.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from slap.errors import BadRequest

AUTHORITY_NAME = "slapcluster authority"

AUTHORITY_DAYS = 20 * 365
"""Longer than any mini-master lives; what it issued is never valid for longer."""

VALID_DAYS = 365
"""Renewal is automatic for instances; a computer asks once a year."""

RENEWAL_DAYS = 120
"""So long before its end a certificate is made anew: a computer may be off a while."""

EARLIER_HOURS = 24
"""A certificate is valid from before it was made: clocks differ."""

NAME_BYTES_MAX = 64
"""X.509 allows no longer common name; in UTF-8, as OpenSSL counts."""

MAIL_ADDRESS = "nobody@slapcluster.invalid"
"""Stock clients read the name of a computer up to the mail address that follows it."""

SERIAL_BYTES = 19
"""X.509 allows 20 and wants a positive number."""


@frozen
class Authority:
    """Who signs; both in PEM."""

    certificate: str
    key: str


@frozen
class IssuedCertificate:
    """A certificate and what is remembered of it.

    ``serial`` is hexadecimal, ``expires_at`` in seconds since 1970. ``key`` is empty
    when only its owner may have it.
    """

    name: str
    serial: str
    expires_at: float
    certificate: str
    key: str = ""

    def is_active(self, now: float) -> bool:
        return now < self.expires_at

    def is_due(self, now: float) -> bool:
        """Whether it is time to make the next one."""
        return now >= self.expires_at - timedelta(days=RENEWAL_DAYS).total_seconds()


def build_authority(key: str, now: float) -> Authority:
    """Build an authority that signs its own certificate."""
    private_key = _load(key)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, AUTHORITY_NAME)])
    start = _earlier(now)
    builder = (
        _builder(private_key, subject, start, start + timedelta(days=AUTHORITY_DAYS))
        .issuer_name(subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_authority=True), critical=True)
    )
    certificate = builder.sign(private_key, SHA256(), ecdsa_deterministic=True)
    return Authority(_pem(certificate), key)


def issue_certificate(
    authority: Authority, name: str, key: str, now: float
) -> IssuedCertificate:
    """Issue a certificate for who is called ``name`` and has ``key``.

    ``BadRequest`` when a certificate cannot carry the name.
    """
    if not 0 < len(name.encode(errors="replace")) <= NAME_BYTES_MAX:
        raise BadRequest(f"a certificate names 1 to {NAME_BYTES_MAX} bytes: {name!r}")
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    private_key = _load(key)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, name),
            x509.NameAttribute(NameOID.EMAIL_ADDRESS, MAIL_ADDRESS),
        ]
    )
    start = _earlier(now)
    end = min(start + timedelta(days=VALID_DAYS), issuer.not_valid_after_utc)
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    builder = (
        _builder(private_key, subject, start, end)
        .issuer_name(issuer.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(_public_key(issuer)),
            critical=False,
        )
    )
    certificate = builder.sign(_load(authority.key), SHA256(), ecdsa_deterministic=True)
    serial = f"{certificate.serial_number:x}"
    text = (
        "Certificate:\n"
        f"    Subject: CN={name}/emailAddress={MAIL_ADDRESS}\n"
        f"    Issuer: CN={AUTHORITY_NAME}\n"
        f"    Serial Number: {serial}\n"
        f"    Not After: {end:%Y-%m-%d %H:%M:%S} UTC\n"
        f"{_pem(certificate)}"
    )
    return IssuedCertificate(name, serial, end.timestamp(), text, key)


def _builder(
    key: ec.EllipticCurvePrivateKey, subject: x509.Name, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    public_key = key.public_key()
    encoded = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = hashlib.sha256(encoded).digest()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(int.from_bytes(digest[:SERIAL_BYTES]) | 1)
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False
        )
    )


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _earlier(now: float) -> datetime:
    whole = datetime.fromtimestamp(int(now), UTC)
    return whole - timedelta(hours=EARLIER_HOURS)


def _load(key: str) -> ec.EllipticCurvePrivateKey:
    loaded = load_pem_private_key(key.encode(), password=None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    return loaded


def _public_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    public_key = certificate.public_key()
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    return public_key


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode("ascii")
