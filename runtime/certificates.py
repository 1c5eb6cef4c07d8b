"""Core. Certificates as their owners and readers see them.

A chain is a text in PEM: a certificate, then those of its issuers in order, without the
root's; words between them are skipped. All keys are on P-256. Nothing is believed of a
certificate before ``check_chain`` has led it to a root.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import partial
from typing import TypeAlias, TypeVar

from attrs import frozen
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from runtime.holdings import renewal_instant

TEXT_BYTES_MAX = 64 * 1024
"""A chain of three, with their words, has 4 kB; roots of some clouds are not many."""

DEPTH_MAX = 1
"""Between a leaf and the root: the region's, which may sign no other authority."""

PublicKey: TypeAlias = ec.EllipticCurvePublicKey

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

_ENDING = "-----END CERTIFICATE-----"

_PUBLIC = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

_ODD = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    CryptographyDeprecationWarning,
)
"""What a parser raises at what no authority of ours wrote; the last, where warnings are
errors."""

_BAD_SIGNATURE = (InvalidSignature, *_ODD)


class BadCertificate(Exception):
    """A certificate, a chain or a key cannot be used; the sentence says why."""


@frozen
class Described:
    """What a certificate says; instants are in seconds since 1970.

    ``key_digest`` is that of the public key, ``digest`` that of the whole, ``serial``
    is hexadecimal. ``uris`` and ``addresses`` are its alternative names.
    """

    name: str
    issuer: str
    serial: str
    starts_at: float
    expires_at: float
    is_authority: bool
    uris: tuple[str, ...]
    addresses: tuple[str, ...]
    key_digest: str
    digest: str

    @property
    def renew_at(self) -> float:
        """When it is time for the next one."""
        return renewal_instant(self.starts_at, self.expires_at)

    def is_due(self, now: float) -> bool:
        return now >= self.renew_at

    def is_valid(self, now: float) -> bool:
        return self.starts_at <= now < self.expires_at


def describe(text: str) -> tuple[Described, ...]:
    """Return what each certificate of a text says, in order."""
    return tuple(_describe(it) for it in _load(text))


def describe_first(text: str) -> Described:
    """Return what the first certificate of a chain says."""
    return _describe(_load(text)[0])


def root_digest(roots: str) -> str:
    """Return the digest that names a root; of several, that of the first."""
    return describe_first(roots).digest


def is_root(text: str) -> bool:
    """Whether the text is one certificate that signed itself."""
    certificates = _load(text)
    return len(certificates) == 1 and _is_own_issuer(certificates[0])


def first_of(chain: str) -> str:
    """Return the first certificate of a chain alone, in PEM."""
    return _load(chain)[0].public_bytes(Encoding.PEM).decode("ascii")


def split_roots(text: str) -> tuple[str, str]:
    """Return a chain and the roots that were given with it, each in its own words."""
    chain: list[str] = []
    roots: list[str] = []
    for piece in text.split(_ENDING)[:-1]:
        one = f"{piece.lstrip()}{_ENDING}\n"
        (roots if is_root(one) else chain).append(one)
    return "".join(chain), "".join(roots)


def check_chain(chain: str, roots: str, now: float) -> Described:
    """Return what the first certificate says, when the chain leads to a root now.

    Who it speaks for is for the caller to judge, by ``uris``.
    """
    leaf, *issuers = _load(chain)
    described = _describe(leaf)
    _check_dates(described, now)
    verifier = (
        PolicyBuilder()
        .store(Store(_load(roots)))
        .time(_date(now))
        .max_chain_depth(DEPTH_MAX)
        .build_client_verifier()
    )
    try:
        verifier.verify(leaf, issuers)
    except VerificationError as error:
        raise _foreign(described, str(error)) from error
    return described


def check_authority(text: str, roots: str, now: float) -> Described:
    """Return what the certificate of an authority says, when a root signed it."""
    certificate = _load(text)[0]
    described = _describe(certificate)
    _check_dates(described, now)
    if not described.is_authority:
        raise BadCertificate(f"{described.name} may sign nothing: it is no authority")
    for root in _load(roots):
        try:
            certificate.verify_directly_issued_by(root)
        except _BAD_SIGNATURE:
            continue
        return described
    raise _foreign(described, "no root signed it")


def check_key(key: str, chain: str) -> None:
    """Refuse a certificate that is not of this key."""
    described = describe_first(chain)
    if key_digest(key) != described.key_digest:
        raise BadCertificate(f"the certificate of {described.name} is of another key")


def key_digest(key: str) -> str:
    """Return the digest of the public key of a private one."""
    return digest_of_key(load_key(key).public_key())


def digest_of_key(key: PublicKey) -> str:
    return hashlib.sha256(key.public_bytes(*_PUBLIC)).hexdigest()


def render_request(key: str, name: str) -> str:
    """Return a request for a certificate, in PEM, the same one each time.

    Who signs believes nothing of it but the key; the name is for people.
    """
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    signed = builder.sign(load_key(key), SHA256(), ecdsa_deterministic=True)
    return signed.public_bytes(Encoding.PEM).decode("ascii")


def load_key(key: str) -> ec.EllipticCurvePrivateKey:
    """Return a private key on P-256."""
    try:
        loaded = load_pem_private_key(key.encode(), password=None)
    except _ODD as error:
        raise BadCertificate(
            "the key is none in PEM that can be read without words"
        ) from error
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise BadCertificate("the key is not on P-256")
    check_curve(loaded.curve)
    return loaded


def check_curve(curve: ec.EllipticCurve) -> None:
    """Refuse every curve but one: stock clients and links have it."""
    if curve.name != "secp256r1":
        raise BadCertificate(f"the key is not on P-256, but on {curve.name}")


def _load(text: str) -> list[x509.Certificate]:
    if len(text) > TEXT_BYTES_MAX:
        raise BadCertificate(f"longer than {TEXT_BYTES_MAX} bytes")
    if "PRIVATE KEY" in text:
        raise BadCertificate("has a private key, which nobody but its owner may see")
    try:
        loaded = x509.load_pem_x509_certificates(text.encode())
    except _ODD as error:
        raise BadCertificate("has no certificate in PEM that can be read") from error
    # The library warns of it alone, and will refuse it one day.
    if any(it.serial_number <= 0 for it in loaded):
        raise BadCertificate("the certificate has a number that is not positive")
    return loaded


def _describe(certificate: x509.Certificate) -> Described:
    try:
        key = certificate.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise BadCertificate("the certificate has a key that is not on P-256")
        check_curve(key.curve)
        extensions = certificate.extensions
        find = partial(_find, extensions)
        constraints = find(x509.BasicConstraints)
        names = find(x509.SubjectAlternativeName) or ()
        return Described(
            name=_name(certificate.subject),
            issuer=_name(certificate.issuer),
            serial=f"{certificate.serial_number:x}",
            starts_at=certificate.not_valid_before_utc.timestamp(),
            expires_at=certificate.not_valid_after_utc.timestamp(),
            is_authority=constraints is not None and constraints.ca,
            uris=tuple(
                it.value
                for it in names
                if isinstance(it, x509.UniformResourceIdentifier)
            ),
            addresses=tuple(
                str(it.value) for it in names if isinstance(it, x509.IPAddress)
            ),
            key_digest=digest_of_key(key),
            digest=certificate.fingerprint(SHA256()).hex(),
        )
    except _ODD as error:
        raise BadCertificate(f"the certificate cannot be read: {error}") from error


def _find(extensions: x509.Extensions, kind: type[_Extension]) -> _Extension | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _name(name: x509.Name) -> str:
    found = [it.value for it in name.get_attributes_for_oid(NameOID.COMMON_NAME)]
    text = str(found[0]) if len(found) == 1 else name.rfc4514_string()
    return "".join(it if it.isprintable() else "?" for it in text)


def _is_own_issuer(certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(certificate)
    except _BAD_SIGNATURE:
        return False
    return True


def _check_dates(described: Described, now: float) -> None:
    if now < described.starts_at:
        raise BadCertificate(
            f"the certificate of {described.name} is not valid before "
            f"{_date(described.starts_at):%Y-%m-%d %H:%M} UTC: look at the clocks"
        )
    if now >= described.expires_at:
        raise BadCertificate(
            f"the certificate of {described.name} ended on "
            f"{_date(described.expires_at):%Y-%m-%d %H:%M} UTC"
        )


def _foreign(described: Described, reason: str) -> BadCertificate:
    return BadCertificate(
        f"the certificate of {described.name} does not lead to the root: {reason}"
    )


def _date(instant: float) -> datetime:
    return datetime.fromtimestamp(int(instant), UTC)
