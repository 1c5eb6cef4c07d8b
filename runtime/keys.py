"""Key material of this machine: made by OpenSSL from the kernel's randomness."""

from __future__ import annotations

import secrets

from attrs import frozen
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from zope.interface import implementer

from runtime.ports import IKeys

TOKEN_BYTES = 32
"""256 bits: no search finds a token."""


@implementer(IKeys)
@frozen
class Keys:
    """Keys and tokens that nobody can guess."""

    def new_private_key(self) -> str:
        return render_private_key(ec.generate_private_key(ec.SECP256R1()))

    def new_token(self) -> str:
        return secrets.token_hex(TOKEN_BYTES)


def render_private_key(key: ec.EllipticCurvePrivateKey) -> str:
    """Return a private key as the port gives it."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode("ascii")
