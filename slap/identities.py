"""Core. Identities: whom a certificate speaks for, and how it says so.

A certificate of a cloud's authority names its owner in one URI of its alternative names
(RFC 5280, 4.2.1.6), ``urn:slapcluster:computer:COMP-3``; the common name is for people
and for stock clients, and decides nothing. What is not exactly one such URI is nobody.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum

from attrs import field, frozen

from slap.errors import BadRequest, Forbidden

IDENTITY_NAME_LENGTH_MAX = 64
"""A common name has no more, and people read both."""

_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{IDENTITY_NAME_LENGTH_MAX - 1}}}")


class Role(StrEnum):
    """What a certificate is for."""

    COMPUTER = "computer"
    REPLICA = "replica"
    PERSON = "person"
    INSTANCE = "instance"
    LINK = "link"


def check_identity_name(name: str) -> None:
    """Refuse a name that no certificate carries, with ``BadRequest``."""
    if not _NAME.fullmatch(name):
        raise BadRequest(
            f"{name!r} is no name of a certificate: 1 to {IDENTITY_NAME_LENGTH_MAX} "
            "letters, digits, '.', '_' and '-', the first a letter or a digit"
        )


def _check_name(_: object, __: object, name: str) -> None:
    check_identity_name(name)


@frozen
class Identity:
    """The owner of a certificate. ``BadRequest`` for a name that none can carry."""

    role: Role
    name: str = field(validator=_check_name)

    def __str__(self) -> str:
        return f"{self.role} {self.name}"


_PREFIX = "urn:slapcluster:"
_URI = re.compile(rf"{_PREFIX}({'|'.join(Role)}):({_NAME.pattern})")


def identity_uri(identity: Identity) -> str:
    """Return what a certificate of this owner has as its one URI."""
    return f"{_PREFIX}{identity.role}:{identity.name}"


def identity_of(uris: Collection[str]) -> Identity:
    """Return whom a certificate with these URIs speaks for.

    ``Forbidden`` unless there is exactly one, and it is one of ours to the letter.
    """
    matched = [_URI.fullmatch(it) for it in uris]
    if len(matched) != 1 or matched[0] is None:
        raise Forbidden("the certificate names nobody of this cloud")
    role, name = matched[0].groups()
    return Identity(Role(role), name)


def refusal_of_master(uris: Collection[str]) -> str | None:
    """Say why a server with these URIs is no master of our cloud, if it is none."""
    try:
        identity = identity_of(uris)
    except Forbidden as error:
        return error.sentence
    if identity.role is not Role.REPLICA:
        return f"the certificate is that of {identity}, not of a master"
    return None
