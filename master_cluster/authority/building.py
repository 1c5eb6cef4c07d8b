"""Core. What all certificates of ours have in common, whoever signs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from runtime.certificates import PublicKey, load_key

EARLIER_HOURS = 24
"""A certificate is valid from before it was made: clocks differ."""

SERIAL_BYTES = 19
"""X.509 allows 20 and wants a positive number."""


@frozen
class Authority:
    """Who signs; both in PEM."""

    certificate: str
    key: str


@frozen
class Draft:
    """A certificate before it is signed.

    ``path_length`` is how many authorities may follow below; ``None`` for who is none.
    """

    key: PublicKey
    subject: x509.Name
    serial: int
    start: datetime
    end: datetime
    path_length: int | None = None
    names: tuple[x509.GeneralName, ...] = ()


def serial_of(*parts: bytes) -> int:
    """Return the number that follows from what makes a certificate this one."""
    digest = hashlib.sha256(b"".join(parts)).digest()
    return int.from_bytes(digest[:SERIAL_BYTES]) | 1


def sign_itself(draft: Draft, key: str) -> str:
    """Return a certificate in PEM, of a key by that key."""
    builder = _builder(draft).issuer_name(draft.subject)
    return _sign(builder, key)


def sign(draft: Draft, authority: Authority) -> str:
    """Return a certificate in PEM, signed by an authority."""
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    issuer_key = load_key(authority.key).public_key()
    builder = (
        _builder(draft)
        .issuer_name(issuer.subject)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key),
            critical=False,
        )
    )
    return _sign(builder, authority.key)


def end_of(authority: Authority) -> datetime:
    """Return when an authority ends; what it signs ends no later."""
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    return issuer.not_valid_after_utc


def earlier(now: float) -> datetime:
    """Return when a certificate of now begins."""
    whole = datetime.fromtimestamp(int(now), UTC)
    return whole - timedelta(hours=EARLIER_HOURS)


def in_words(text: str, lines: Iterable[str]) -> str:
    """Return PEM after words for people, which every reader of PEM skips."""
    return "".join(f"{it}\n" for it in lines) + text


def _builder(draft: Draft) -> x509.CertificateBuilder:
    is_authority = draft.path_length is not None
    builder = (
        x509.CertificateBuilder()
        .subject_name(draft.subject)
        .public_key(draft.key)
        .serial_number(draft.serial)
        .not_valid_before(draft.start)
        .not_valid_after(draft.end)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(draft.key), critical=False
        )
        .add_extension(
            x509.BasicConstraints(ca=is_authority, path_length=draft.path_length),
            critical=True,
        )
        .add_extension(_usage(is_authority=is_authority), critical=True)
    )
    if draft.names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName(draft.names), critical=False
        )
    if not is_authority:
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return builder


def _sign(builder: x509.CertificateBuilder, key: str) -> str:
    signed = builder.sign(load_key(key), SHA256(), ecdsa_deterministic=True)
    return signed.public_bytes(Encoding.PEM).decode("ascii")


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
