"""Core. Certificates: what an authority says of a computer, an instance, a person.

A certificate follows from its key, its name, its authority and the day it is made:
signatures are deterministic (RFC 6979) and serial numbers come from the public key. So
a decision that runs again makes the same one.

The text of a certificate names its subject in words before the PEM block, which every
reader of PEM skips: stock clients find the name of their computer there.
"""

from __future__ import annotations

from datetime import timedelta

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
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
from runtime.certificates import load_key
from slap.errors import BadRequest

AUTHORITY_NAME = "slapcluster authority"

AUTHORITY_DAYS = 20 * 365
"""Longer than any mini-master lives; what it issued is never valid for longer."""

VALID_DAYS = 365
"""Renewal is automatic for instances; a computer asks once a year."""

RENEWAL_DAYS = 120
"""So long before its end a certificate is made anew: a computer may be off a while."""

NAME_BYTES_MAX = 64
"""X.509 allows no longer common name; in UTF-8, as OpenSSL counts."""

MAIL_ADDRESS = "nobody@slapcluster.invalid"
"""Stock clients read the name of a computer up to the mail address that follows it."""


@frozen
class IssuedCertificate:
    """A certificate and what is remembered of it.

    ``serial`` is hexadecimal, ``expires_at`` in seconds since 1970. ``key`` is empty
    when only its owner may have it. ``renew_at`` is when the next one is due, ``None``
    where that is ``RENEWAL_DAYS`` before the end. ``key_digest`` is that of the public
    key, of those that were asked for by request.
    """

    name: str
    serial: str
    expires_at: float
    certificate: str
    key: str = ""
    renew_at: float | None = None
    key_digest: str = ""

    def is_active(self, now: float) -> bool:
        return now < self.expires_at

    @property
    def due_at(self) -> float:
        """When it is time to make the next one."""
        if self.renew_at is not None:
            return self.renew_at
        return self.expires_at - timedelta(days=RENEWAL_DAYS).total_seconds()

    def is_due(self, now: float) -> bool:
        return now >= self.due_at


def build_authority(key: str, now: float) -> Authority:
    """Build an authority that signs its own certificate."""
    public_key = load_key(key).public_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, AUTHORITY_NAME)])
    start = earlier(now)
    end = start + timedelta(days=AUTHORITY_DAYS)
    serial = _serial(public_key)
    draft = Draft(public_key, subject, serial, start, end, path_length=0)
    return Authority(sign_itself(draft, key), key)


def issue_certificate(
    authority: Authority, name: str, key: str, now: float
) -> IssuedCertificate:
    """Issue a certificate for who is called ``name`` and has ``key``.

    ``BadRequest`` when a certificate cannot carry the name.
    """
    if not 0 < len(name.encode(errors="replace")) <= NAME_BYTES_MAX:
        raise BadRequest(f"a certificate names 1 to {NAME_BYTES_MAX} bytes: {name!r}")
    public_key = load_key(key).public_key()
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, name),
            x509.NameAttribute(NameOID.EMAIL_ADDRESS, MAIL_ADDRESS),
        ]
    )
    start = earlier(now)
    end = min(start + timedelta(days=VALID_DAYS), end_of(authority))
    serial = _serial(public_key)
    signed = sign(Draft(public_key, subject, serial, start, end), authority)
    lines = (
        "Certificate:",
        f"    Subject: CN={name}/emailAddress={MAIL_ADDRESS}",
        f"    Issuer: CN={AUTHORITY_NAME}",
        f"    Serial Number: {serial:x}",
        f"    Not After: {end:%Y-%m-%d %H:%M:%S} UTC",
    )
    text = in_words(signed, lines)
    return IssuedCertificate(name, f"{serial:x}", end.timestamp(), text, key)


def _serial(key: ec.EllipticCurvePublicKey) -> int:
    return serial_of(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
