"""Certificates for tests: an authority like ours, and all that can be wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from runtime.tls import Credentials
from slap.identities import Identity, Role, identity_uri

CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
USES = {Role.REPLICA: (CLIENT, SERVER)}

DAY = 86_400.0
ALWAYS = (0.0, 200 * 365 * DAY)
"""From 1970 on, whatever a calendar says."""


@frozen
class Issued:
    """A certificate with its key; it can issue others, and is believed when it may."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    issuers: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self) -> str:
        return pem(self.certificate)

    @property
    def chain(self) -> str:
        """As it is shown: without the root."""
        return self.pem + "".join(pem(it) for it in self.issuers[:-1])

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ).decode()

    def issue(
        self,
        name: str,
        uris: tuple[str, ...] = (),
        *,
        is_authority: bool = False,
        valid: tuple[float, float] = ALWAYS,
        uses: tuple[x509.ObjectIdentifier, ...] = (CLIENT,),
        other_names: tuple[x509.GeneralName, ...] = (),
    ) -> Issued:
        """Issue a certificate to a new key."""
        builder = _builder(name, self.certificate.subject, valid, uses)
        builder = builder.add_extension(
            x509.BasicConstraints(is_authority, None), critical=True
        )
        names = [*map(x509.UniformResourceIdentifier, uris), *other_names]
        if names:
            alternative = x509.SubjectAlternativeName(names)
            builder = builder.add_extension(alternative, critical=False)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = builder.public_key(key.public_key()).sign(self.key, SHA256())
        return Issued(certificate, key, (self.certificate, *self.issuers))

    def issue_to(self, identity: Identity, **named) -> Issued:
        """Issue what our authority would issue."""
        uses = named.pop("uses", USES.get(identity.role, (CLIENT,)))
        return self.issue(identity.name, (identity_uri(identity),), uses=uses, **named)

    def credentials(self, believed: Issued) -> Credentials:
        """Return what the owner of this certificate has, who believes an authority."""
        return Credentials(self.chain, self.key_pem, believed.pem)


def a_root(name: str = "root", valid: tuple[float, float] = ALWAYS) -> Issued:
    """Build an authority that signs its own certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(name, _named(name), valid, ())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .public_key(key.public_key())
    )
    return Issued(builder.sign(key, SHA256()), key)


def a_region(root: Issued, name: str = "region lyon") -> Issued:
    """Build the authority of a region."""
    return root.issue(name, is_authority=True, uses=())


def write_identity(directory: Path, owner: Issued, believed: Issued) -> Path:
    """Make an identity directory."""
    directory.mkdir(exist_ok=True)
    for name, text in (
        ("root.crt", believed.pem),
        ("own.key", owner.key_pem),
        ("own.crt", owner.chain),
    ):
        (directory / name).write_text(text)
        (directory / name).chmod(0o600)
    return directory


def nobody(believed: Issued) -> Credentials:
    """Return what a client has who shows nothing."""
    return Credentials("", "", believed.pem)


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(name, issuer, valid, uses) -> x509.CertificateBuilder:
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(valid[0], UTC))
        .not_valid_after(datetime.fromtimestamp(valid[1], UTC))
    )
    if uses:
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    return builder
