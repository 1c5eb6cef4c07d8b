"""Core. How a computer or a person comes in: one-time tokens, and names for computers.

A token is a secret that is kept as a hash only. It is good for one certificate, of a
kind, within some hours; a call that is refused for another reason leaves it good.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from enum import StrEnum

from attrs import frozen

from slap.admissions import read_token
from slap.errors import Forbidden

TOKEN_SECONDS = 24 * 3600.0
"""Long enough to carry a token to a machine by hand, and short enough to forget it."""

TOKEN_COUNT_MAX = 1000
"""Tokens that wait to be used: the oldest ones go first."""

PERSON_NAME = "PERS-1"
"""The one person that a mini-master knows: whoever may reach it."""

PERSON_CERTIFICATE_COUNT_MAX = 1000
"""One for each device of a person; without a bound whoever asks fills the store."""

_COMPUTER_ID = re.compile(r"COMP-([0-9]{1,15})")


class Purpose(StrEnum):
    """What a token is good for."""

    COMPUTER = "computer"
    PERSON = "person"


@frozen
class TokenRecord:
    """A token that was given out; ``expires_at`` in seconds since 1970.

    One that was used by request is kept, with the digest of the key and who that is:
    the answer may be lost, and the same key is to get it again.
    """

    purpose: Purpose
    expires_at: float
    key_digest: str = ""
    computer_id: str = ""


def new_token_record(purpose: Purpose, now: float) -> TokenRecord:
    return TokenRecord(purpose, now + TOKEN_SECONDS)


def hash_token(token: str) -> str:
    """Return what is kept of a token; ``Forbidden`` when it cannot be one."""
    secret = read_token(token).secret
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def check_token(record: TokenRecord | None, purpose: Purpose, now: float) -> None:
    """Raise ``Forbidden`` unless a token is good for this, now.

    All refusals are the same: whoever guesses learns nothing.
    """
    if (
        record is None
        or record.purpose is not purpose
        or record.key_digest
        or now >= record.expires_at
    ):
        raise no_such_token()


def no_such_token() -> Forbidden:
    return Forbidden("the token is not known, used already or too old: ask for one")


def next_computer_id(known: Iterable[str]) -> str:
    """Return a name that no computer has."""
    numbers = (
        int(matched[1]) for it in known if (matched := _COMPUTER_ID.fullmatch(it))
    )
    return f"COMP-{max(numbers, default=0) + 1}"
