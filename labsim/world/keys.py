"""Key material of a simulated host: real keys, drawn from the seed of its world."""

from __future__ import annotations

from random import Random

from cryptography.hazmat.primitives.asymmetric import ec
from zope.interface import implementer

from runtime.keys import TOKEN_BYTES, render_private_key
from runtime.ports import IKeys

SECRET_BITS = 255
"""Less than the order of the curve has: each number drawn is a key."""


@implementer(IKeys)
class SeededKeys:
    """Keys and tokens that every run of a seed makes again."""

    def __init__(self, entropy: Random) -> None:
        self._entropy = entropy

    def new_private_key(self) -> str:
        secret = self._entropy.getrandbits(SECRET_BITS) | 1
        return render_private_key(ec.derive_private_key(secret, ec.SECP256R1()))

    def new_token(self) -> str:
        drawn = self._entropy.randbytes(TOKEN_BYTES)
        return drawn.hex()
