"""Certificates for the TLS of NEO."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DAYS = 30


def write_certificates(directory: Path) -> Path:
    """An authority, and a node it knows: ``ca.crt``, ``node.crt``, ``node.key``."""
    root_key, node_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = certificate_of("root", root_key, "root", root_key, is_authority=True)
    node = certificate_of("node", node_key, "root", root_key, is_authority=False)
    pem = serialization.Encoding.PEM
    (directory / "ca.crt").write_bytes(root.public_bytes(pem))
    (directory / "node.crt").write_bytes(node.public_bytes(pem))
    (directory / "node.key").write_bytes(
        node_key.private_bytes(
            pem,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return directory


def certificate_with_key(name: str) -> tuple[bytes, bytes]:
    """A key with its certificate, to be pinned, and the certificate alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = certificate_of(name, key, name, key, is_authority=False)
    pem = serialization.Encoding.PEM
    public = certificate.public_bytes(pem)
    own = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return own + public, public


def certificate_of(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool,
) -> x509.Certificate:
    """With all that OpenSSL 3 asks for when it is strict."""

    def name_of(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    now = dt.datetime.now(dt.UTC)
    usage = dict.fromkeys(
        (
            *("content_commitment", "key_encipherment", "data_encipherment"),
            *("key_agreement", "encipher_only", "decipher_only"),
        ),
        False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name_of(name))
        .issuer_name(name_of(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=DAYS))
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not is_authority,
                key_cert_sign=is_authority,
                crl_sign=is_authority,
                **usage,
            ),
            critical=True,
        )
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .sign(issuer_key, hashes.SHA256())
    )
