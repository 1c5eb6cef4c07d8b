"""Core. Pins: the certificates that a link accepts, and no others.

stunnel (``verifyPeer``) accepts what has the subject and the key of a pin and is valid
now; who signed it does not matter, and neither does until when the pin was valid. One
that signed itself is more: OpenSSL takes no other one of the same key for it. So the
certificate of an authority is renewed with nobody pinning another one.
What stunnel logs of one is its subject, which is how a connection is known to be of a
peer: so the subject is the name of the peer and nothing else.
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
from cryptography.x509.oid import NameOID

from stunnel_conf.links import BadLinks, check_name

PEM_BYTES_MAX = 16 * 1024
"""A certificate on P-256 with its key has less than two kilobytes."""

_PUBLIC = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@frozen
class Pin:
    """One certificate, as ``pem``; ``expires_at`` is in seconds since 1970.

    ``is_own_issuer`` of one that signed itself: it is exchanged as a whole.
    """

    pem: str
    fingerprint: str
    starts_at: float
    expires_at: float
    is_own_issuer: bool = True

    def is_late(self, now: float) -> bool:
        """Whether the next one should be there: a sixth of its life is left."""
        return now >= self.expires_at - (self.expires_at - self.starts_at) / 6

    def is_valid(self, now: float) -> bool:
        return self.starts_at <= now < self.expires_at


def read_pin(name: str, text: str) -> Pin:
    """Return the pin of a peer; ``BadLinks`` says what is surprising about it."""
    certificate = _only_certificate(text)
    if "PRIVATE KEY" in text:
        raise BadLinks(
            f"has a private key: give peers the certificate alone, and make {name}"
            " a new key if this one has left it"
        )
    _check(name, certificate)
    return Pin(
        certificate.public_bytes(Encoding.PEM).decode("ascii"),
        certificate.fingerprint(SHA256()).hex(),
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
        certificate.subject == certificate.issuer,
    )


def read_own(name: str, text: str) -> Pin:
    """Return what the peers of a site pin; its own file has the key too."""
    certificate = _only_certificate(text)
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise BadLinks("has no private key that can be read without words") from error
    _check(name, certificate)
    public = certificate.public_key().public_bytes(*_PUBLIC)
    if key.public_key().public_bytes(*_PUBLIC) != public:
        raise BadLinks("has a key and a certificate of another key")
    return read_pin(name, certificate.public_bytes(Encoding.PEM).decode("ascii"))


def check_identity(key_text: str, chain: str, roots: str) -> float:
    """Return when a chain ends; ``BadLinks`` when it has another key, or is none.

    Whether it leads to the roots is for servers to say.
    """
    try:
        first = x509.load_pem_x509_certificates(chain.encode())[0]
        x509.load_pem_x509_certificates(roots.encode())
        key = load_pem_private_key(key_text.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise BadLinks("has no key with a chain and roots, all in PEM") from error
    public = first.public_key().public_bytes(*_PUBLIC)
    if key.public_key().public_bytes(*_PUBLIC) != public:
        raise BadLinks("has a key and a certificate of another key")
    return first.not_valid_after_utc.timestamp()


def _only_certificate(text: str) -> x509.Certificate:
    if len(text) > PEM_BYTES_MAX:
        raise BadLinks(f"has more than {PEM_BYTES_MAX} bytes")
    try:
        certificates = x509.load_pem_x509_certificates(text.encode())
    except ValueError as error:
        raise BadLinks("has no certificate in PEM") from error
    if len(certificates) > 1:
        raise BadLinks(f"has {len(certificates)} certificates: write a file for each")
    return certificates[0]


def _check(name: str, certificate: x509.Certificate) -> None:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise BadLinks("has a key that is not on P-256, which links use")
    try:
        attributes = list(certificate.subject)
    except ValueError as error:
        raise BadLinks("names a subject that cannot be read") from error
    names = [it.value for it in attributes if it.oid == NameOID.COMMON_NAME]
    if names != [name] or len(attributes) > 1:
        found = certificate.subject.rfc4514_string()
        raise BadLinks(f"is of {found!r}, and must be of 'CN={name}'")


def sign_itself(name: str, key: str, now: float, days: int) -> str:
    """Return a certificate of a key, by that key: nothing else vouches for a pin."""
    private_key = load_pem_private_key(key.encode(), password=None)
    assert isinstance(private_key, ec.EllipticCurvePrivateKey)
    public = private_key.public_key().public_bytes(*_PUBLIC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, check_name(name))])
    # Clocks differ: it is valid from the day before.
    begin = datetime.fromtimestamp(int(now), UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private_key.public_key())
        .serial_number(int.from_bytes(hashlib.sha256(public).digest()[:19]) | 1)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=1 + days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(private_key, SHA256(), ecdsa_deterministic=True)
    )
    return certificate.public_bytes(Encoding.PEM).decode("ascii")
