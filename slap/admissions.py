"""Core. How somebody comes in: what a token says, and what is answered to its bearer.

A token of a cloud with an authority has two parts, ``SECRET-DIGEST``: what is good for
one certificate, and the digest of the root certificate. So its bearer knows whom to
believe before the first word. A mini-master without an authority has no root to name;
its tokens are the secret alone.
"""

from __future__ import annotations

import re

from attrs import field, frozen

from slap.errors import Forbidden

REQUEST_BYTES_MAX = 4096
"""A request for a certificate on P-256, in PEM, has some 400."""

CHAIN_BYTES_MAX = 16 * 1024
"""A certificate with those of its issuers, in PEM and in words, has some 3,000."""

TOKEN_LENGTH_MAX = 256
"""Ours have at most 129 characters."""

_TOKEN = re.compile(r"([0-9a-f]{64})-([0-9a-f]{64})")


@frozen
class Token:
    """A secret, and the SHA-256 of the root in hexadecimal, ``""`` if there is none."""

    secret: str = field(repr=False)
    root_digest: str = ""


def render_token(token: Token) -> str:
    """Return the text that a person carries."""
    if not token.root_digest:
        return token.secret
    return f"{token.secret}-{token.root_digest}"


def read_token(text: str) -> Token:
    """Return what a token says; ``Forbidden`` when it cannot be one."""
    if not 0 < len(text) <= TOKEN_LENGTH_MAX:
        raise Forbidden("the call needs a token: ask for one")
    matched = _TOKEN.fullmatch(text)
    return Token(text) if matched is None else Token(matched[1], matched[2])


@frozen
class Admission:
    """What a computer that came in is told; certificates are in PEM.

    ``certificate`` is followed by those of its issuers, up to the root's own.
    ``master_urls`` are further replicas, as far as the one that answers knows them.
    """

    computer_id: str
    certificate: str
    roots: str
    master_urls: tuple[str, ...] = ()
